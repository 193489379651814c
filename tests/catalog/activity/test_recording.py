"""What is recorded: one activity for each change of an object, in its transaction, and none where nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.accounts.actor import Actor
from datastore.actions.services import Services
from datastore.catalog.editing.datasets import create_dataset, update_dataset
from datastore.errors import ValidationError
from datastore.postgres.database import Author, Transaction
from tests.accounts.people import caller, now, person
from tests.catalog.samples import ActionCall, full, unique


async def types(call: ActionCall, stream: str, id: str, **parameters: Any) -> list[str]:
    """The types of what happened, oldest first."""
    found = await call(f"{stream}_activity_list", id=id, limit=100, **parameters)
    stamps = [activity["timestamp"] for activity in found]
    assert stamps == sorted(stamps, reverse=True)
    return [activity["activity_type"] for activity in reversed(found)]


async def test_a_dataset(call: ActionCall, organization: str, sysadmin: Actor) -> None:
    dataset = await call("package_create", **full(organization))
    id = dataset["id"]
    assert await types(call, "package", id) == ["new package"]
    (first,) = await call("package_activity_list", id=id)
    assert first["object_id"] == id
    assert first["user_id"] == sysadmin.id
    assert first["data"] == {"package": dataset, "actor": sysadmin.name}
    assert first["permission_labels"] == ["public"]

    await call("package_patch", id=id, notes="new")
    await call("resource_patch", id=dataset["resources"][0]["id"], description="d")
    await call("resource_create", package_id=id, url="http://example.org/c.csv")
    await call("package_delete", id=id)
    expected = ["new package", "changed package", "changed package", "changed package", "deleted package"]
    assert await types(call, "package", id) == expected
    await call("package_patch", id=id, state="active")
    assert await types(call, "package", id) == [*expected, "changed package"]


async def test_equal_values_are_no_change(call: ActionCall, organization: str) -> None:
    dataset = await call("package_create", **full(organization))
    id = dataset["id"]
    await call("package_update", **dataset)
    await call("package_patch", id=id, title=dataset["title"])
    await call("resource_update", **dataset["resources"][0])
    await call("package_resource_reorder", id=id, order=[resource["id"] for resource in dataset["resources"]])
    await call("bulk_update_public", org_id=organization, datasets=[id])
    assert await types(call, "package", id) == ["new package"]

    view = await call(
        "resource_view_create", resource_id=dataset["resources"][0]["id"], view_type="webpage_view", title="t"
    )
    await call("resource_view_update", **view)
    assert await types(call, "package", id) == ["new package", "new resource view"]

    group = await call("organization_create", name=unique("org"), title="T", extras=[{"key": "k", "value": "v"}])
    await call("organization_update", **group)
    await call("organization_patch", id=group["id"], title="T")
    assert await types(call, "organization", group["id"]) == ["new organization"]

    user = await call("user_create", name=unique("user"), email=f"{unique()}@example.org", password="12345678")
    await call("user_patch", id=user["id"], fullname=user["fullname"])
    assert await types(call, "user", user["id"]) == ["new user"]


async def test_what_fails_leaves_no_trace(call: ActionCall, dataset: str) -> None:
    before = await types(call, "package", dataset)
    with pytest.raises(ValidationError):
        await call("package_patch", id=dataset, notes="new", author_email="no address")
    with pytest.raises(ValidationError):
        await call(
            "datastore_create",
            resource={"package_id": dataset},
            fields=[{"id": "a", "type": "int"}],
            records=[{"a": "x"}],
        )
    assert await types(call, "package", dataset) == before


async def test_a_draft_is_new_when_it_is_published(call: ActionCall, organization: str) -> None:
    draft = await call("package_create", name=unique(), owner_org=organization, state="draft")
    created = await call("resource_create", package_id=draft["id"], url="http://example.org/a.html", format="HTML")
    await call("resource_view_create", resource_id=created["id"], view_type="webpage_view", title="t")
    await call("package_patch", id=draft["id"], notes="not yet")
    assert await types(call, "package", draft["id"]) == []
    await call("package_patch", id=draft["id"], state="active")
    assert await types(call, "package", draft["id"]) == ["new package"]


async def test_one_transaction_is_one_change_of_a_dataset(call: ActionCall, dataset: str) -> None:
    """A table is made with its resource: two writes to the dataset."""
    await call("datastore_create", resource={"package_id": dataset}, records=[{"a": 1}], force=True)
    found = await call("package_activity_list", id=dataset)
    assert [activity["activity_type"] for activity in found] == ["changed package", "new package"]
    assert found[0]["data"]["package"]["resources"][0]["datastore_active"] is True


async def test_created_and_changed_at_once_is_new(services: Services, call: ActionCall, organization: str) -> None:
    admin = Actor(id=None, name="x", sysadmin=True)

    async def work(tx: Transaction) -> str:
        data = {"name": unique(), "owner_org": organization}
        made = await create_dataset(tx, admin, services.settings, data)
        changed = await update_dataset(tx, admin, services.settings, made.id, {"title": "Second"}, merge=True)
        return changed.id

    id = await services.database.write(work, Author(name="x"))
    (only,) = await call("package_activity_list", id=id)
    assert only["activity_type"] == "new package"
    assert only["data"]["package"]["title"] == "Second"
    assert only["data"]["actor"] == "x"
    assert only["user_id"] is None


async def test_many_datasets_at_once(call: ActionCall) -> None:
    organization = await call("organization_create", name=unique("org"))
    ids = [(await call("package_create", name=unique(), owner_org=organization["id"]))["id"] for _ in range(5)]
    await call("bulk_update_private", org_id=organization["id"], datasets=ids)
    found = await call("organization_activity_list", id=organization["id"], activity_types=["changed package"])
    assert {activity["object_id"] for activity in found} == set(ids)
    assert len({activity["timestamp"] for activity in found}) == 5
    assert all(activity["data"]["package"]["private"] for activity in found)


@pytest.mark.parametrize("kind", ["group", "organization"])
async def test_groups(call: ActionCall, dataset: str, kind: str) -> None:
    made = await call(f"{kind}_create", name=unique(kind), title="One")
    id = made["id"]
    await call(f"{kind}_patch", id=id, title="Two")
    user = await call("user_create", name=unique("user"), email=f"{unique()}@example.org", password="12345678")
    await call(f"{kind}_patch", id=id, users=[{"name": user["name"], "capacity": "member"}])
    if kind == "group":
        await call("group_patch", id=id, packages=[{"id": dataset}])
    changes = 3 if kind == "group" else 2
    await call(f"{kind}_delete", id=id)
    found = await call(f"{kind}_activity_list", id=id, exclude_activity_types=["new package"])
    assert [activity["activity_type"] for activity in found] == [
        f"deleted {kind}",
        *[f"changed {kind}"] * changes,
        f"new {kind}",
    ]
    assert found[-1]["data"]["group"]["title"] == "One"
    assert "users" not in found[1]["data"]["group"]
    assert found[0]["permission_labels"] == [f"member-{id}"]


async def test_views(call: ActionCall, dataset: str) -> None:
    resource = await call("resource_create", package_id=dataset, url="http://example.org/x", format="unknown")
    view = await call("resource_view_create", resource_id=resource["id"], view_type="webpage_view", title="A")
    await call("resource_view_update", id=view["id"], title="B")
    await call("resource_view_delete", id=view["id"])
    found = await call("package_activity_list", id=dataset, exclude_activity_types=["new package", "changed package"])
    assert [activity["activity_type"] for activity in found] == [
        "deleted resource view",
        "changed resource view",
        "new resource view",
    ]
    assert [activity["data"]["resource_view"]["title"] for activity in found] == ["B", "B", "A"]
    assert {activity["object_id"] for activity in found} == {view["id"]}


async def test_users(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    await caller(services, ann)("user_patch", id=ann.id, about="me")
    assert ann.id is not None
    assert await types(call, "user", ann.id) == ["new user", "changed user"]
    found = await call("user_activity_list", id=ann.id)
    assert {activity["user_id"] for activity in found} == {ann.id}
    assert found[0]["data"]["user"]["about"] == "me"
    assert "email" not in found[0]["data"]["user"]
    await call("user_delete", id=ann.id)
    await call("user_delete", id=ann.id)
    assert await types(call, "user", ann.id) == ["new user", "changed user", "changed user"]


async def test_what_is_purged_takes_its_history_with_it(call: ActionCall, services: Services) -> None:
    organization = await call("organization_create", name=unique("org"))
    editor = await person(services, {organization["id"]: "admin"})
    dataset = await call("package_create", name=unique(), owner_org=organization["id"], notes="secret by law")
    await caller(services, editor)("follow_dataset", id=dataset["id"])
    await call("dataset_purge", id=dataset["id"])
    (last,) = [
        activity
        for activity in await call("recently_changed_packages_activity_list", limit=100)
        if activity["object_id"] == dataset["id"]
    ]
    assert last["activity_type"] == "deleted package"
    assert last["data"]["package"] == {"id": dataset["id"], "name": dataset["name"]}
    assert last["permission_labels"] == []
    theirs = caller(services, await now(services, editor))
    assert dataset["id"] not in str(await theirs("recently_changed_packages_activity_list", limit=100))
    assert dataset["id"] not in str(await theirs("organization_activity_list", id=organization["id"], limit=100))
    assert dataset["id"] not in str(await theirs("dashboard_activity_list", limit=100))
    assert await theirs("followee_count", id=editor.id) == 0

    await theirs("follow_group", id=organization["id"])
    await call("organization_purge", id=organization["id"])
    found = await call("user_activity_list", id=(await call("user_show"))["id"], limit=1)
    assert found[0]["activity_type"] == "deleted organization"
    assert found[0]["data"]["group"] == {"id": organization["id"], "name": organization["name"]}
    assert await theirs("followee_count", id=editor.id) == 0


async def test_values_of_every_kind_come_back(call: ActionCall, organization: str) -> None:
    data = {**full(organization), "notes": 'Ünïcode "quotes" \\ \t\n </script> 🦀'}
    data["resources"] = [{"url": "http://example.org/a", "odd": {"deep": [1e300, -0.5, 2**53, None, "é"]}}]
    dataset = await call("package_create", **data)
    (activity,) = await call("package_activity_list", id=dataset["id"])
    assert activity["data"]["package"] == dataset
