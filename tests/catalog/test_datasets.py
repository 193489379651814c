"""Datasets through their actions, on a real database: their shape, their rules, update and patch."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import Any

import pytest

from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import DataStoreError, NotFound, StructureError, ValidationError
from datastore.validation import MAX_TEXT
from tests.catalog.samples import TOO_LONG, ActionCall, errors_of, full, unique

SHAPE = {
    "id", "name", "title", "notes", "url", "version", "author", "author_email", "maintainer", "maintainer_email",
    "license_id", "license_title", "isopen", "type", "state", "private", "owner_org", "creator_user_id",
    "metadata_created", "metadata_modified", "organization", "num_resources", "num_tags", "resources", "tags",
    "groups", "extras", "relationships_as_subject", "relationships_as_object",
}  # fmt: skip


async def test_a_created_dataset_has_every_key(call: ActionCall, organization: str, sysadmin: Any) -> None:
    data = full(organization)
    shown = await call("package_create", **data)
    assert set(shown) == SHAPE | {"license_url"}
    assert shown["author_email"] == "ann@example.org"
    assert shown["license_title"] == "Creative Commons Attribution"
    assert shown["license_url"].endswith("cc-by")
    assert shown["isopen"] is True
    assert shown["type"] == "dataset"
    assert shown["state"] == "active"
    assert shown["private"] is False
    assert shown["creator_user_id"] == sysadmin.id
    assert shown["metadata_created"] == shown["metadata_modified"]
    assert shown["organization"]["id"] == organization
    assert set(shown["organization"]) == {
        "id", "name", "title", "type", "description", "image_url", "created", "is_organization", "approval_status",
        "state",
    }  # fmt: skip
    assert [tag["name"] for tag in shown["tags"]] == ["water", "Économie"]
    assert set(shown["tags"][0]) == {"id", "name", "display_name", "vocabulary_id", "state"}
    assert shown["num_tags"] == shown["num_resources"] == 2
    assert shown["extras"] == [{"key": "area", "value": "north"}, {"key": "zone", "value": "4"}]
    first, second = shown["resources"]
    assert (first["format"], first["position"], first["custom"]) == ("CSV", 0, {"deep": [1, 2.5, None]})
    assert (second["url"], second["format"], second["size"]) == ("http://example.org/b", "JSON", 12)
    assert first["package_id"] == shown["id"]
    assert await call("package_show", id=data["name"]) == shown
    assert await call("package_show", name_or_id=shown["id"]) == shown


async def test_a_bare_dataset(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", name=unique(), owner_org=organization, unknown="ignored", isopen=True)
    assert set(shown) == SHAPE
    assert shown["title"] == shown["name"]
    assert shown["license_id"] is shown["license_title"] is None
    assert shown["isopen"] is False
    assert shown["tags"] == shown["extras"] == shown["groups"] == shown["resources"] == []


async def test_changed_entities(services: Services, sysadmin: Any, organization: str) -> None:
    data = {"id": str(uuid.uuid4()), "name": unique(), "owner_org": organization}
    for name in ("package_create", "package_patch", "package_update", "package_delete"):
        call = Call(services, sysadmin, "http://test")
        await run(name, call, data)
        assert call.changed_entities == {"packages": [data["id"]]}


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": None}, {"name": ["Missing value"]}),
        ({"name": "Ä b"}, {"name": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}),
        ({"name": "new"}, {"name": ["That name cannot be used"]}),
        ({"name": ["x"]}, {"name": ["Names must be strings"]}),
        ({"title": {"en": "x"}}, {"title": ["Must be a text value"]}),
        ({"notes": "a\0b"}, {"notes": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"notes": "\ud800"}, {"notes": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"notes": "x" * (MAX_TEXT + 1)}, {"notes": [TOO_LONG]}),
        ({"version": "x" * 101}, {"version": ["Must be a maximum of 100 characters long"]}),
        ({"author_email": "x"}, {"author_email": ["Email x is not a valid format"]}),
        ({"maintainer_email": "y@"}, {"maintainer_email": ["Email y@ is not a valid format"]}),
        ({"id": "not-a-uuid"}, {"id": ["Invalid id provided"]}),
        ({"owner_org": ""}, {"owner_org": ["An organization must be provided"]}),
        ({"owner_org": None, "private": True}, {"owner_org": ["An organization must be provided"]}),
        ({"owner_org": "no-such-organization"}, {"owner_org": ["Organization does not exist"]}),
        ({"owner_org": "\0"}, {"owner_org": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"state": "sleeping"}, {"state": ["Value must be one of ['active', 'draft', 'deleted']"]}),
        ({"type": "a b"}, {"type": ["Must be purely alphanumeric (ascii) characters and these symbols: -_"]}),
        ({"tags": [{"name": "ok"}, {"name": "x"}, {}]},
         {"tags": [{}, {"name": ['Tag "x" length is less than minimum 2']}, {"name": ["Missing value"]}]}),
        ({"tags": [{"name": "ok", "vocabulary_id": "v"}]},
         {"tags": [{"vocabulary_id": ["Tag vocabulary was not found."]}]}),
        ({"extras": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]},
         {"extras_validation": ['Duplicate key "k"']}),
        ({"extras": [{"key": "", "value": "1"}]}, {"extras": [{"key": ["Missing value"]}]}),
        ({"extras": [{"key": "k"}]}, {"extras": [{"value": ["Missing value"]}]}),
        ({"extras": [{"key": "k", "value": None}]}, {"extras": [{"value": ["Missing value"]}]}),
        ({"extras": [{"key": "title", "value": "1"}]},
         {"extras": [{"key": ["There is a schema field with the same name"]}]}),
        ({"extras": [{"key": "a\0", "value": "1"}]},
         {"extras": [{"key": ["Text must not contain NUL characters or lone surrogates"]}]}),
        ({"resources": [{}, {"size": "big", "created": "x"}]},
         {"resources": [{}, {"size": ["Invalid integer"], "created": ["Date format incorrect"]}]}),
        ({"resources": [{"id": "x"}]}, {"resources": [{"id": ["Invalid id provided"]}]}),
        ({"plugin_data": [1]}, {"plugin_data": ["Must be an object"]}),
        ({"metadata_modified": "x"}, {"metadata_modified": ["Date format incorrect"]}),
        ({"name": "A", "author_email": "x"},
         {"name": ["Must be at least 2 characters long"], "author_email": ["Email x is not a valid format"]}),
    ],
)  # fmt: skip
async def test_bad_fields_are_named(
    call: ActionCall, organization: str, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    data = {"name": unique(), "owner_org": organization, **fields}
    assert await errors_of(call("package_create", **data)) == errors
    if isinstance(data["name"], str) and data["name"].startswith("d-"):
        with pytest.raises(NotFound):
            await call("package_show", id=data["name"])


@pytest.mark.parametrize("field", ["tags", "extras", "resources", "groups"])
async def test_lists_of_objects_must_be_that(call: ActionCall, organization: str, field: str) -> None:
    with pytest.raises(StructureError):
        await call("package_create", name=unique(), owner_org=organization, **{field: ["text"]})


RESOURCE_FIELDS = [
    "url", "name", "description", "format", "hash", "resource_type", "mimetype", "mimetype_inner", "size", "created",
    "last_modified", "cache_url", "cache_last_updated", "url_type", "id", "position", "state", "datastore_active",
]  # fmt: skip


async def status_of(awaitable: Awaitable[Any]) -> int:
    try:
        await awaitable
    except DataStoreError as error:
        return error.status
    return 200


async def test_nothing_but_documented_errors_for_odd_values(call: ActionCall, organization: str) -> None:
    odd: list[Any] = [
        None,
        "",
        "\0",
        "\ud800",
        0,
        -1,
        1.5,
        2**80,
        float("inf"),
        True,
        [],
        [[]],
        {},
        {"a": [1]},
        [None],
        "x" * 200,
    ]
    data = full(organization)
    fields = [*data, "id", "type", "state", "private", "tag_string", "groups", "plugin_data", "metadata_modified"]
    documented = (200, 400, 404, 409)
    for field in fields:
        for value in odd:
            status = await status_of(call("package_create", **{**data, "name": unique(), field: value}))
            assert status in documented, (field, value)
    for field in [*RESOURCE_FIELDS, "custom"]:
        for value in odd:
            resources = [{"url": "x", field: value}]
            status = await status_of(call("package_create", name=unique(), owner_org=organization, resources=resources))
            assert status in documented, (field, value)


async def test_odd_ids_are_not_found_or_refused(call: ActionCall) -> None:
    for action in ("package_show", "package_update", "package_patch", "package_delete"):
        for key in ("no-such-dataset", "\0", "\ud800", "x" * 100_000, ["a"], {"a": 1}, 5, "", None):
            with pytest.raises((NotFound, ValidationError)):
                await call(action, id=key)


async def test_names_are_unique_and_ids_are_not_names(call: ActionCall, organization: str) -> None:
    first = await call("package_create", name=unique(), owner_org=organization)
    taken = {"name": ["That URL is already in use."]}
    assert await errors_of(call("package_create", name=first["name"], owner_org=organization)) == taken
    assert await errors_of(call("package_create", name=first["id"], owner_org=organization)) == taken
    second = await call("package_create", name=unique(), owner_org=organization)
    assert await errors_of(call("package_patch", id=second["id"], name=first["name"])) == taken
    id_taken = {"id": ["Dataset id already exists"]}
    again = {"id": first["id"], "name": unique(), "owner_org": organization}
    assert await errors_of(call("package_create", **again)) == id_taken


async def test_a_deleted_holder_of_a_name_gives_way(call: ActionCall, organization: str) -> None:
    name = unique()
    old = await call("package_create", name=name, owner_org=organization)
    await call("package_delete", id=old["id"])
    assert (await call("package_show", id=name))["id"] == old["id"]
    new = await call("package_create", name=name, owner_org=organization)
    assert (await call("package_show", id=name))["id"] == new["id"]
    shown = await call("package_show", id=old["id"])
    assert (shown["name"], shown["state"]) == (old["id"], "deleted")
    back = await call("package_patch", id=old["id"], state="active")
    assert (back["name"], back["state"]) == (old["id"], "active")


async def test_a_shown_dataset_can_be_sent_back(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    assert await call("package_update", **shown) == shown
    assert await call("package_patch", **shown) == shown
    await call("package_delete", id=shown["id"])
    copy_ids = [{key: value for key, value in item.items() if key != "id"} for item in shown["resources"]]
    copy = await call("package_create", **{**shown, "id": str(uuid.uuid4()), "resources": copy_ids})
    for field in ("title", "notes", "tags", "extras", "license_id", "author_email", "owner_org"):
        assert copy[field] == shown[field]
    assert copy["resources"][0]["custom"] == shown["resources"][0]["custom"]


async def test_equal_values_change_nothing(call: ActionCall, organization: str) -> None:
    data = full(organization)
    shown = await call("package_create", **data)
    for action in ("package_update", "package_patch"):
        fields = {**data, "resources": shown["resources"], "id": shown["id"]}
        assert (await call(action, **fields))["metadata_modified"] == shown["metadata_modified"]
    changed = await call("package_patch", id=shown["id"], title="Other")
    assert changed["metadata_modified"] > shown["metadata_modified"]
    assert changed["metadata_created"] == shown["metadata_created"]
    assert changed["resources"] == shown["resources"]


async def test_update_replaces(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    updated = await call("package_update", id=shown["name"], version="2")
    emptied = ("notes", "url", "author", "author_email", "maintainer", "maintainer_email", "license_id")
    assert {updated[field] for field in emptied} == {None}
    assert updated["tags"] == updated["extras"] == []
    kept = ("id", "name", "title", "owner_org", "private", "state", "resources", "type", "creator_user_id")
    assert {field: updated[field] for field in kept} == {field: shown[field] for field in kept}
    assert updated["version"] == "2"
    by_name = await call("package_update", name=shown["name"], notes="found by name")
    assert (by_name["id"], by_name["notes"]) == (shown["id"], "found by name")
    assert await errors_of(call("package_update", title="which?")) == {"id": ["Missing value"]}


async def test_patch_merges(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    patched = await call("package_patch", id=shown["id"], notes="new", tags=[{"name": "air"}], type="other")
    assert (patched["notes"], [tag["name"] for tag in patched["tags"]]) == ("new", ["air"])
    assert patched["type"] == "dataset"
    kept = SHAPE - {"notes", "tags", "num_tags", "metadata_modified"}
    assert {field: patched[field] for field in kept} == {field: shown[field] for field in kept}
    renamed = await call("package_patch", id=shown["name"], name=unique("renamed"), tag_string="one, two")
    assert renamed["id"] == shown["id"]
    assert [tag["name"] for tag in renamed["tags"]] == ["one", "two"]
    with pytest.raises(NotFound):
        await call("package_show", id=shown["name"])


async def test_resources_of_an_update_are_matched_by_id(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    first, second = shown["resources"]
    changed = await call(
        "package_update", **{**shown, "resources": [{**second, "name": "B"}, {"url": "http://new"}, first]}
    )
    assert [item["name"] for item in changed["resources"]] == ["B", None, "A"]
    assert [item["position"] for item in changed["resources"]] == [0, 1, 2]
    assert changed["resources"][0]["id"] == second["id"]
    assert changed["resources"][0]["metadata_modified"] > second["metadata_modified"]
    assert changed["resources"][2] == {**first, "position": 2}
    fewer = await call("package_patch", id=shown["id"], resources=[{**first}])
    assert [item["id"] for item in fewer["resources"]] == [first["id"]]
    with pytest.raises(NotFound):
        await call("resource_show", id=second["id"])
    revived = await call("package_patch", id=shown["id"], resources=[first, {"id": second["id"], "url": "http://b"}])
    assert revived["resources"][1]["id"] == second["id"]
    twice = {"resources": [{}, {"id": ["Resource id already exists."]}]}
    assert await errors_of(call("package_patch", id=shown["id"], resources=[first, first])) == twice


async def test_ids_of_foreign_resources_are_refused(call: ActionCall, organization: str) -> None:
    owner = await call("package_create", **full(organization))
    stolen = owner["resources"][0]["id"]
    errors = await errors_of(
        call("package_create", name=unique(), owner_org=organization, resources=[{}, {"id": stolen}])
    )
    assert errors == {"resources": [{}, {"id": ["Resource id already exists."]}]}
    assert (await call("resource_show", id=stolen))["package_id"] == owner["id"]
