"""Resources through their actions, on a real database."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.catalog.editing.resources import set_datastore_active
from datastore.errors import NotAuthorized, NotFound
from datastore.validation import Invalid, is_storable, json_value
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of
from tests.test_validation import json_values

SHAPE = {
    "id", "package_id", "url", "name", "description", "format", "hash", "position", "resource_type", "mimetype",
    "mimetype_inner", "size", "created", "last_modified", "metadata_modified", "cache_url", "cache_last_updated",
    "url_type", "state", "datastore_active",
}  # fmt: skip


async def test_a_created_resource_has_every_key(call: ActionCall, dataset: str) -> None:
    before = await call("package_show", id=dataset)
    shown = await call("resource_create", package_id=before["name"], url=" http://example.org/x.xlsx ", upload="file")
    assert set(shown) == SHAPE
    assert (shown["package_id"], shown["url"], shown["format"]) == (dataset, "http://example.org/x.xlsx", "XLSX")
    assert (shown["hash"], shown["position"], shown["state"], shown["datastore_active"]) == ("", 0, "active", False)
    assert shown["last_modified"] is shown["size"] is shown["url_type"] is None
    assert shown["mimetype"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert await call("resource_show", id=shown["id"]) == shown
    after = await call("package_show", id=dataset)
    assert after["resources"] == [shown]
    assert after["metadata_modified"] > before["metadata_modified"]
    second = await call("resource_create", package_id=dataset)
    assert (second["url"], second["format"], second["position"]) == ("", "", 1)


async def test_the_mime_type_is_guessed_unless_it_is_given(call: ActionCall, dataset: str) -> None:
    for fields, mimetype in (
        ({}, None),
        ({"url": "http://x/a.CSV?b=c"}, "text/csv"),
        ({"url": "a.csv", "mimetype": None}, None),
        ({"url": " a.csv "}, "text/csv"),
        ({"url": "http://a.csv"}, None),
    ):
        data = {"url": "http://x", "package_id": dataset, **fields}
        assert (await call("resource_create", **data))["mimetype"] == mimetype


async def test_the_format_is_guessed_from_the_address_as_it_was_sent(call: ActionCall, dataset: str) -> None:
    for url, format in (("prices.csv", "CSV"), ("example.org/a.pdf#page=2", "PDF"), ("http://a.zip", ""), (7, "")):
        assert (await call("resource_create", package_id=dataset, url=url))["format"] == format


async def test_what_clients_may_not_set(call: ActionCall, dataset: str) -> None:
    data = {"state": "deleted", "position": 7, "datastore_active": True, "metadata_modified": "2001-01-01"}
    shown = await call("resource_create", package_id=dataset, **data)
    assert (shown["state"], shown["position"], shown["datastore_active"]) == ("active", 0, False)
    assert shown["metadata_modified"] > "2025"


async def test_addresses_by_kind(call: ActionCall, dataset: str) -> None:
    table = await call("resource_create", package_id=dataset, url="ignored", url_type="datastore")
    assert table["url"] == f"http://test/datastore/dump/{table['id']}"
    upload = await call("resource_create", package_id=dataset, url="my data.csv", url_type="upload")
    assert upload["url"] == f"http://test/dataset/{dataset}/resource/{upload['id']}/download/my%20data.csv"
    link = await call("resource_create", package_id=dataset, url="example.org/a")
    assert link["url"] == "http://example.org/a"
    for shown in (table, upload, link):
        assert await call("resource_update", **shown) == shown
        assert await call("resource_patch", id=shown["id"], url=shown["url"]) == shown
    assert (await call("resource_patch", id=upload["id"], url_type=None))["url"] == "http://my data.csv"


async def test_update_replaces_and_patch_merges(call: ActionCall, dataset: str) -> None:
    data = {
        "url": "http://example.org/a.csv", "name": "A", "description": "d", "resource_type": "file", "format": "csv",
        "mimetype": "text/csv", "mimetype_inner": "x/y", "hash": "abc", "size": 5, "custom": 1, "url_type": "",
        "last_modified": "2020-01-01",
    }  # fmt: skip
    created = await call("resource_create", package_id=dataset, **data)
    assert created["last_modified"] == "2020-01-01T00:00:00"
    patched = await call("resource_patch", id=created["id"], description="new", other={"a": None})
    assert {**created, "description": "new", "other": {"a": None}} == {
        **patched,
        "metadata_modified": created["metadata_modified"],
    }
    updated = await call("resource_update", id=created["id"], name="B")
    assert updated["url"] == ""
    emptied = ("description", "resource_type", "mimetype", "mimetype_inner")
    assert {updated[field] for field in emptied} == {None}
    assert set(updated) == SHAPE
    kept = ("format", "hash", "size", "created", "last_modified", "position", "url_type")
    assert {field: updated[field] for field in kept} == {field: created[field] for field in kept}


async def test_equal_values_change_nothing(call: ActionCall, dataset: str) -> None:
    created = await call("resource_create", package_id=dataset, url="http://a/b.csv", custom=[1.5, "x"])
    before = await call("package_show", id=dataset)
    assert await call("resource_update", **created) == created
    assert await call("resource_patch", id=created["id"], custom=[1.5, "x"]) == created
    assert await call("package_show", id=dataset) == before


@given(value=json_values.filter(lambda value: is_json(value) and not has_huge_float(value)))
async def test_any_json_value_survives_as_an_extra_key(call: ActionCall, resource: str, value: Any) -> None:
    shown = await call("resource_patch", id=resource, custom=value)
    assert shown["custom"] == value
    assert (await call("resource_show", id=resource))["custom"] == value
    again = await call("resource_patch", id=resource, custom=value)
    assert again["metadata_modified"] == shown["metadata_modified"]


async def test_huge_floats_stay_floats(call: ActionCall, resource: str) -> None:
    await call("resource_patch", id=resource, custom=1.5e300)
    shown = await call("resource_show", id=resource)
    assert isinstance(shown["custom"], float)
    assert shown["custom"] == 1.5e300


def has_huge_float(value: Any) -> bool:
    """jsonb keeps a number as its decimal digits; from 2^53 on those are no longer the binary value of a float."""
    if isinstance(value, float):
        return abs(value) >= 2**53
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_huge_float(member) for member in members)


def is_json(value: Any) -> bool:
    try:
        json_value(value)
    except Invalid:
        return False
    return True


@given(key=st.text(min_size=1, alphabet=st.characters(exclude_categories=())))
async def test_any_extra_key_survives(call: ActionCall, resource: str, key: str) -> None:
    update = call("resource_update", **{"id": resource, "k" + key: "v"})
    if is_storable(key):
        assert (await update)["k" + key] == "v"
    else:
        assert list(await errors_of(update)) in (["extras"], ["message"])


async def test_supplied_ids(call: ActionCall, dataset: str, organization: str) -> None:
    chosen = str(uuid.uuid4())
    assert (await call("resource_create", package_id=dataset, id=chosen))["id"] == chosen
    taken = {"id": ["Resource id already exists."]}
    assert await errors_of(call("resource_create", package_id=dataset, id=chosen)) == taken
    other = await call("package_create", name=f"d-{uuid.uuid4().hex[:8]}", owner_org=organization)
    assert await errors_of(call("resource_create", package_id=other["id"], id=chosen)) == taken
    wrong = {"id": ["Invalid id provided"]}
    assert await errors_of(call("resource_create", package_id=dataset, id="x")) == wrong
    await call("resource_delete", id=chosen)
    assert await errors_of(call("resource_create", package_id=other["id"], id=chosen)) == taken
    assert (await call("resource_create", package_id=dataset, id=chosen, name="back"))["name"] == "back"


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"package_id": ""}, {"package_id": ["Missing value"]}),
        ({"size": "1.5"}, {"size": ["Invalid integer"]}),
        ({"last_modified": "now"}, {"last_modified": ["Date format incorrect"]}),
        ({"url": ["a", "b"]}, {"url": ["Must be a text value"]}),
        ({"custom": "\0"}, {"custom": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"custom": 2**90}, {"custom": ["Must be a JSON value"]}),
    ],
)
async def test_bad_fields_are_named(
    call: ActionCall, dataset: str, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    assert await errors_of(call("resource_create", **{"package_id": dataset, **fields})) == errors


async def test_unknown_ids(call: ActionCall, resource: str, dataset: str) -> None:
    assert await errors_of(call("resource_show")) == {"id": ["Missing value"]}
    with pytest.raises(NotFound):
        await call("resource_create", package_id="no-such-dataset")
    for action in ("resource_show", "resource_update", "resource_patch", "resource_delete"):
        for key in (str(uuid.uuid4()), "table", dataset):
            with pytest.raises(NotFound):
                await call(action, id=key)


async def test_who_may_see_and_write(
    call: ActionCall, services: Services, organization: str, dataset: str, resource: str
) -> None:
    member = await person(services, {organization: "member"})
    editor = await person(services, {organization: "editor"})
    await call("package_patch", id=dataset, private=True)
    assert (await call("resource_show", actor=member, id=resource))["id"] == resource
    with pytest.raises(NotAuthorized) as caught:
        await call("resource_show", actor=ANONYMOUS, id=resource)
    assert f"not authorized to perform resource_show on resource {resource}" in str(caught.value)
    writes: dict[str, dict[str, Any]] = {
        "resource_create": {"package_id": dataset},
        "resource_update": {"id": resource, "name": "x"},
        "resource_patch": {"id": resource, "name": "x"},
        "resource_delete": {"id": resource},
    }
    for name, parameters in writes.items():
        with pytest.raises(NotAuthorized, match=f"Action {name} requires an authenticated user"):
            await call(name, actor=ANONYMOUS, **parameters)
        with pytest.raises(NotAuthorized, match=f"User {member.name} not authorized to perform {name[:8]}"):
            await call(name, actor=member, **parameters)
    for name, parameters in writes.items():
        await call(name, actor=editor, **parameters)


async def test_deleting_drops_the_table_and_closes_the_gap(
    call: ActionCall, services: Services, dataset: str, resource: str
) -> None:
    last = await call("resource_create", package_id=dataset, name="last")
    assert last["position"] == 1
    await call("datastore_create", resource_id=resource, force=True, fields=[{"id": "a", "type": "int"}])
    assert (await call("resource_show", id=resource))["datastore_active"] is True
    assert await call("resource_delete", id=resource) is None
    with pytest.raises(NotFound):
        await call("resource_show", id=resource)
    with pytest.raises(NotFound):
        await call("datastore_search", resource_id=resource)
    found = await services.database.owner.fetchval("SELECT to_regclass($1)", f'"{dataset}"."{resource}"')
    assert found is None
    remaining = (await call("package_show", id=dataset))["resources"]
    assert [(item["id"], item["position"]) for item in remaining] == [(last["id"], 0)]
    with pytest.raises(NotFound):
        await call("resource_delete", id=resource)


async def test_a_resource_left_out_of_an_update_loses_its_table(
    call: ActionCall, services: Services, dataset: str, resource: str
) -> None:
    await call("package_patch", id=dataset, resources=[])
    found = await services.database.owner.fetchval("SELECT to_regclass($1)", f'"{dataset}"."{resource}"')
    assert found is None
    with pytest.raises(NotFound):
        await call("datastore_search", resource_id=resource)


async def test_the_datastore_flag_is_preserved_and_set(call: ActionCall, services: Services, resource: str) -> None:
    before = await call("resource_show", id=resource)
    assert before["datastore_active"] is True
    updated = await call("resource_update", id=resource, name="x", datastore_active="false")
    assert updated["datastore_active"] is True
    await services.database.write(lambda tx: set_datastore_active(tx, resource, active=True, touch=True))
    touched = await call("resource_show", id=resource)
    assert touched["last_modified"] == touched["metadata_modified"] > updated["metadata_modified"]
    await services.database.write(lambda tx: set_datastore_active(tx, resource, active=False, touch=False))
    after = await call("resource_show", id=resource)
    assert (after["datastore_active"], after["last_modified"]) == (False, touched["last_modified"])
