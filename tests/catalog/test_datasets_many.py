"""Datasets among others: orders, owners, many at once, purging; and what the engine then shows."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, full, unique


async def with_table(call: ActionCall, organization: str, **fields: Any) -> tuple[str, str, str]:
    """The ids of a new dataset and of its resource that has a table, and the table's alias."""
    dataset = await call("package_create", name=unique(), owner_org=organization, **fields)
    alias = unique("alias")
    created = await call(
        "datastore_create", resource={"package_id": dataset["id"]}, aliases=alias, records=[{"a": 1}, {"a": 2}]
    )
    return dataset["id"], created["resource_id"], alias


async def tables_seen(call: ActionCall, actor: Actor, alias: str) -> set[str]:
    """Of a table and its alias: the names in ``_table_metadata``, provided that a search agrees."""
    found = await call("datastore_search", actor=actor, resource_id="_table_metadata", filters={"name": alias})
    if not found["records"]:
        with pytest.raises((NotAuthorized, NotFound)):
            await call("datastore_search", actor=actor, resource_id=alias)
        return set()
    assert (await call("datastore_search", actor=actor, resource_id=alias))["total"] == 2
    return {record["alias_of"] for record in found["records"]}


async def test_resources_in_another_order(call: ActionCall, services: Services, organization: str) -> None:
    dataset = await call("package_create", **full(organization))
    third = (await call("resource_create", package_id=dataset["id"]))["id"]
    first, second = (resource["id"] for resource in dataset["resources"])
    before = await call("package_show", id=dataset["id"])
    result = await call("package_resource_reorder", id=dataset["name"], order=[third])
    assert result == {"id": dataset["name"], "order": [third, first, second]}
    after = await call("package_show", id=dataset["id"])
    assert [(item["id"], item["position"]) for item in after["resources"]] == [(third, 0), (first, 1), (second, 2)]
    assert after["metadata_modified"] > before["metadata_modified"]
    assert [item["metadata_modified"] for item in after["resources"]] == [
        item["metadata_modified"] for item in (before["resources"][2], *before["resources"][:2])
    ]
    await call("package_resource_reorder", id=dataset["id"], order=f"{third},{first}")
    assert await call("package_show", id=dataset["id"]) == after
    for order, message in (([first, first], "Duplicate ids"), (["x"], "There is no resource x here")):
        assert await errors_of(call("package_resource_reorder", id=dataset["id"], order=order)) == {"order": [message]}
    assert await errors_of(call("package_resource_reorder", id=dataset["id"])) == {"order": ["Missing value"]}
    for actor in (ANONYMOUS, await person(services, {organization: "member"})):
        with pytest.raises(NotAuthorized):
            await call("package_resource_reorder", actor=actor, id=dataset["id"], order=[first])
    assert await call("package_show", id=dataset["id"]) == after


async def test_a_table_follows_its_dataset_to_another_owner(
    call: ActionCall, services: Services, organization: str
) -> None:
    other = (await call("organization_create", name=unique("o")))["id"]
    dataset, resource, alias = await with_table(call, organization, private=True)
    here, there = await person(services, {organization: "member"}), await person(services, {other: "member"})
    assert await tables_seen(call, here, alias) == {resource}
    assert await tables_seen(call, there, alias) == set()
    assert await call("package_owner_org_update", id=dataset, organization_id=other) is None
    assert (await call("package_show", id=dataset))["organization"]["id"] == other
    assert await tables_seen(call, here, alias) == set()
    assert await tables_seen(call, there, alias) == {resource}
    assert await tables_seen(call, ANONYMOUS, alias) == set()
    with pytest.raises(NotFound, match=r"Organization was not found\."):
        await call("package_owner_org_update", id=dataset, organization_id="nope")
    errors = await errors_of(call("package_owner_org_update", id=dataset))
    assert errors == {"organization_id": ["Missing value"]}
    admin = await person(services, {organization: "admin", other: "admin"})
    for actor in (ANONYMOUS, admin):
        with pytest.raises(NotAuthorized):
            await call("package_owner_org_update", actor=actor, id=dataset, organization_id=organization)
    await call("package_patch", actor=admin, id=dataset, owner_org=organization)
    assert await tables_seen(call, here, alias) == {resource}


async def test_many_datasets_at_once(call: ActionCall, services: Services, organization: str) -> None:
    admin = await person(services, {organization: "admin"})
    made = [await with_table(call, organization) for _ in range(3)]
    ids = [dataset for dataset, _, _ in made]
    untouched = await call("package_create", name=unique(), owner_org=organization)

    async def seen(actor: Actor) -> list[bool]:
        return [await tables_seen(call, actor, alias) == {resource} for _, resource, alias in made]

    async def states() -> list[tuple[str, bool]]:
        shown = [await call("package_show", id=id) for id in ids]
        return [(dataset["state"], dataset["private"]) for dataset in shown]

    assert await seen(ANONYMOUS) == [True] * 3
    name = (await call("package_show", id=ids[0]))["name"]
    assert await call("bulk_update_private", actor=admin, datasets=[name, ids[1]], org_id=organization) is None
    assert await states() == [("active", True), ("active", True), ("active", False)]
    assert await seen(ANONYMOUS) == [False, False, True]
    assert await seen(admin) == [True] * 3
    before = [await call("package_show", id=id) for id in ids]
    await call("bulk_update_private", actor=admin, datasets=ids[:2], org_id=organization)
    assert [await call("package_show", id=id) for id in ids] == before
    await call("bulk_update_public", actor=admin, datasets=",".join(ids), org_id=organization)
    assert await states() == [("active", False)] * 3
    assert await seen(ANONYMOUS) == [True] * 3
    await call("bulk_update_delete", actor=admin, datasets=ids[1:], org_id=organization)
    assert await states() == [("active", False), ("deleted", False), ("deleted", False)]
    assert await seen(ANONYMOUS) == [True, False, False]
    await call("package_patch", id=ids[1], state="active")
    assert await seen(ANONYMOUS) == [True, True, False]
    assert await call("package_show", id=untouched["id"]) == untouched


async def test_bulk_updates_are_refused_as_a_whole(call: ActionCall, services: Services, organization: str) -> None:
    other = (await call("organization_create", name=unique("o")))["id"]
    own = await call("package_create", name=unique(), owner_org=organization)
    foreign = await call("package_create", name=unique(), owner_org=other)
    editor = await person(services, {organization: "editor"})
    for action in ("bulk_update_private", "bulk_update_public", "bulk_update_delete"):
        for key in (foreign["id"], "nope", "\0"):
            errors = await errors_of(call(action, datasets=[own["id"], key], org_id=organization))
            assert errors == {"datasets": [f"{key} is not a dataset of this organization"]}
        assert await errors_of(call(action, org_id=organization)) == {"datasets": ["Missing value"]}
        with pytest.raises(NotFound):
            await call(action, datasets=[], org_id="nope")
        for actor in (ANONYMOUS, editor, await person(services, {other: "admin"})):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, datasets=[own["id"]], org_id=organization)
        assert await call(action, datasets=[], org_id=organization) is None
    assert await call("package_show", id=own["id"]) == own


async def test_bulk_updates_that_cross_do_not_stand_in_each_others_way(call: ActionCall, organization: str) -> None:
    ids = [(await call("package_create", name=unique(), owner_org=organization))["id"] for _ in range(6)]
    await asyncio.gather(
        *(
            call(action, datasets=ids[::step], org_id=organization)
            for action in ("bulk_update_private", "bulk_update_public")
            for step in (1, -1)
            for _ in range(2)
        )
    )
    assert len({(await call("package_show", id=id))["private"] for id in ids}) == 1


async def test_a_purged_dataset_is_gone_with_all_it_had(
    call: ActionCall, services: Services, organization: str
) -> None:
    dataset, resource, alias = await with_table(call, organization, **{"tag_string": unique("tag")})
    other = await call("package_create", name=unique(), owner_org=organization)
    await call("package_relationship_create", subject=dataset, object=other["id"], type="links_to")
    await call("datastore_history_create", resource_id=resource)
    view = (await call("resource_view_list", id=resource))[0]["id"]
    shown = await call("package_show", id=dataset)
    assert len(shown["relationships_as_subject"]) == 1
    editor = await person(services, {organization: "admin"})
    for actor in (ANONYMOUS, editor):
        with pytest.raises(NotAuthorized):
            await call("dataset_purge", actor=actor, id=dataset)
    await call("package_delete", id=dataset)
    assert await call("dataset_purge", id=shown["name"]) is None
    for action, key in (
        ("package_show", dataset),
        ("package_show", shown["name"]),
        ("dataset_purge", dataset),
        ("resource_show", resource),
        ("resource_view_show", view),
    ):
        with pytest.raises(NotFound):
            await call(action, id=key)
    assert await tables_seen(call, editor, alias) == set()
    schemas = await services.database.owner.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", dataset)
    assert schemas == 0
    again = await call("package_create", **shown)
    changes = {"metadata_created", "metadata_modified", "resources"}
    assert {key: value for key, value in again.items() if key not in changes} == {
        key: value for key, value in shown.items() if key not in changes
    }
    assert [(item["id"], item["datastore_active"]) for item in again["resources"]] == [
        (item["id"], False) for item in shown["resources"]
    ]
    reused = await call(
        "datastore_create", resource_id=resource, aliases=alias, fields=[{"id": "b"}], records=[{"b": 1}]
    )
    assert reused["aliases"] == [alias]


async def test_purging_beside_other_writes(call: ActionCall, organization: str) -> None:
    for _ in range(4):
        dataset, resource, _ = await with_table(call, organization)
        results = await asyncio.gather(
            call("package_patch", id=dataset, title="x"),
            call("resource_create", package_id=dataset),
            call("datastore_create", resource_id=resource, fields=[{"id": "z", "type": "int"}]),
            call("dataset_purge", id=dataset),
            call("datastore_create", resource={"package_id": dataset}, fields=[{"id": "z", "type": "int"}]),
            call("datastore_upsert", resource_id=resource, records=[{"a": 3}], method="insert"),
            call("resource_view_create", resource_id=resource, view_type="text_view", title="t"),
            return_exceptions=True,
        )
        assert results[3] is None
        for result in results[:3] + results[4:]:
            assert isinstance(result, (dict, NotFound, ValidationError)), result
        with pytest.raises(NotFound):
            await call("package_show", id=dataset)


async def test_the_current_datasets(call: ActionCall, organization: str) -> None:
    made = [await call("package_create", name=unique(), owner_org=organization) for _ in range(3)]
    hidden = [
        (await call("package_create", name=unique(), owner_org=organization, **fields))["id"]
        for fields in ({"private": True}, {"state": "draft"}, {"state": "deleted"})
    ]
    await call("package_patch", id=made[0]["id"], notes="latest")
    found = await call("current_package_list_with_resources", actor=ANONYMOUS)
    ids = [dataset["id"] for dataset in found]
    wanted = [made[0]["id"], made[2]["id"], made[1]["id"]]
    assert [id for id in ids if id in wanted] == wanted
    assert not set(ids) & set(hidden)
    assert found[0] == await call("package_show", id=found[0]["id"])
    modified = [dataset["metadata_modified"] for dataset in found]
    assert modified == sorted(modified, reverse=True)
    assert await call("current_package_list_with_resources", limit=2, offset=1) == found[1:3]
    assert await call("current_package_list_with_resources", limit="2", page="2") == found[2:4]
    assert await call("current_package_list_with_resources", limit=0) == []
    assert await call("current_package_list_with_resources", limit=10, page=2**60) == []
    assert await errors_of(call("current_package_list_with_resources", limit=-1)) == {
        "limit": ["Must be a natural number"]
    }


async def test_a_listed_resource_keeps_its_table(call: ActionCall, organization: str) -> None:
    dataset, resource, alias = await with_table(call, organization)
    shown = await call("package_show", id=dataset)
    later = await call("package_update", **{**shown, "title": "Other", "resources": [{}, *shown["resources"]]})
    assert [item["datastore_active"] for item in later["resources"]] == [False, True]
    assert await tables_seen(call, ANONYMOUS, alias) == {resource}
    bare = await call("package_update", id=dataset, resources=[{"id": resource}])
    assert bare["resources"][0]["datastore_active"] is True
    assert await tables_seen(call, ANONYMOUS, alias) == {resource}
    with pytest.raises(ValidationError):
        await call("package_update", id=dataset, resources=[], name="Ä")
    assert await tables_seen(call, ANONYMOUS, alias) == {resource}
    await call("package_update", id=dataset, resources=[{"id": str(uuid.uuid4())}])
    assert await tables_seen(call, ANONYMOUS, alias) == set()
