"""Datasets through their actions: who sees and changes them, in which organization, group and state they are."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, unique


async def test_states_and_who_sees_them(call: ActionCall, services: Services, organization: str) -> None:
    member = await person(services, {organization: "member"})
    stranger = await person(services)
    for fields in ({"private": "true"}, {"state": "draft"}, {"state": "deleted"}):
        dataset = await call("package_create", name=unique(), owner_org=organization, **fields)
        assert (await call("package_show", actor=member, id=dataset["id"]))["id"] == dataset["id"]
        for actor in (stranger, ANONYMOUS):
            with pytest.raises(NotAuthorized):
                await call("package_show", actor=actor, id=dataset["id"])
    with pytest.raises(NotFound):
        await call("package_show", actor=ANONYMOUS, id="no-such-dataset")


async def test_delete_is_idempotent_and_undone_by_state(call: ActionCall, dataset: str) -> None:
    assert await call("package_delete", id=dataset) is None
    deleted = await call("package_show", id=dataset)
    assert deleted["state"] == "deleted"
    assert await call("package_delete", id=dataset) is None
    assert await call("package_show", id=dataset) == deleted
    assert (await call("package_update", id=dataset, state="active"))["state"] == "active"


async def test_who_may_write(call: ActionCall, services: Services, organization: str, dataset: str) -> None:
    editor = await person(services, {organization: "editor"})
    created = await call("package_create", actor=editor, name=unique(), owner_org=organization)
    assert created["creator_user_id"] == editor.id
    assert (await call("package_patch", actor=editor, id=dataset, title="edited"))["title"] == "edited"
    writes: dict[str, dict[str, Any]] = {
        "package_create": {"name": unique(), "owner_org": organization},
        "package_update": {"id": dataset, "title": "x"},
        "package_patch": {"id": dataset, "title": "x"},
        "package_delete": {"id": dataset},
    }
    for name, parameters in writes.items():
        with pytest.raises(NotAuthorized, match=f"Action {name} requires an authenticated user"):
            await call(name, actor=ANONYMOUS, **parameters)
        for actor in (await person(services), await person(services, {organization: "member"})):
            with pytest.raises(NotAuthorized, match=f"User {actor.name} not authorized"):
                await call(name, actor=actor, **parameters)
    assert (await call("package_show", id=dataset))["title"] == "edited"


async def test_only_sysadmins_choose_ids_and_plugin_data(
    call: ActionCall, services: Services, organization: str
) -> None:
    editor = await person(services, {organization: "editor"})
    chosen = str(uuid.uuid4())
    data: dict[str, Any] = {"name": unique(), "owner_org": organization, "id": chosen}
    assert list(await errors_of(call("package_create", actor=editor, **data))) == ["id"]
    data["plugin_data"] = {"a": {"b": 1}}
    created = await call("package_create", **data)
    assert created["id"] == chosen
    assert "plugin_data" not in created
    shown = await call("package_show", id=chosen, include_plugin_data=True)
    assert shown["plugin_data"] == {"a": {"b": 1}}
    assert "plugin_data" not in await call("package_show", actor=editor, id=chosen, include_plugin_data=True)
    await call("package_update", actor=editor, id=chosen, plugin_data={"a": 2}, notes="x")
    assert (await call("package_show", id=chosen, include_plugin_data=True))["plugin_data"] == {"a": {"b": 1}}


async def test_metadata_modified_is_set_by_sysadmins_only(
    call: ActionCall, services: Services, organization: str, dataset: str
) -> None:
    moment = "2001-02-03T04:05:06"
    assert (await call("package_patch", id=dataset, metadata_modified=moment))["metadata_modified"] == moment
    editor = await person(services, {organization: "editor"})
    patched = await call("package_patch", actor=editor, id=dataset, notes="x", metadata_modified=moment)
    assert patched["metadata_modified"] > "2025"


async def test_moving_to_another_organization(call: ActionCall, services: Services, organization: str) -> None:
    other = (await call("organization_create", name=unique("org")))["id"]
    editor = await person(services, {organization: "editor"})
    dataset = await call("package_create", actor=editor, name=unique(), owner_org=organization, private=True)
    refused = {"owner_org": ["You cannot add a dataset to this organization"]}
    assert await errors_of(call("package_patch", actor=editor, id=dataset["id"], owner_org=other)) == refused
    gone = {"owner_org": ["An organization must be provided"]}
    assert await errors_of(call("package_patch", id=dataset["id"], owner_org="")) == gone
    moved = await call("package_patch", id=dataset["id"], owner_org=other)
    assert moved["organization"]["id"] == other
    with pytest.raises(NotAuthorized):
        await call("package_show", actor=editor, id=dataset["id"])


async def test_unowned_datasets_where_allowed(call: ActionCall, services: Services, sysadmin: Any) -> None:
    free = replace(services, settings=services.settings.model_copy(update={"create_unowned_dataset": True}))
    ann = await person(services)
    created = await run("package_create", Call(free, ann, "http://test"), {"name": unique()})
    assert created["owner_org"] is created["organization"] is None
    private = run("package_create", Call(free, ann, "http://test"), {"name": unique(), "private": True})
    assert await errors_of(private) == {"private": ["Datasets with no organization can't be private."]}
    with pytest.raises(NotAuthorized):
        await call("package_create", actor=ann, name=unique())
    bob = await person(services)
    assert (await run("package_patch", Call(free, bob, ""), {"id": created["id"], "notes": "b"}))["notes"] == "b"
    assert (await run("package_update", Call(services, sysadmin, ""), created))["owner_org"] is None


async def test_groups_collect_datasets(call: ActionCall, services: Services, organization: str) -> None:
    group, name = str(uuid.uuid4()), unique("group")
    await services.database.owner.execute(
        "INSERT INTO datastore.groups (id, name, title, type, is_organization, created) "
        "VALUES ($1, $2, 'A Group', 'group', false, now() AT TIME ZONE 'UTC')",
        group,
        name,
    )
    dataset = await call("package_create", name=unique(), owner_org=organization, groups=[{"name": name}])
    assert dataset["groups"] == [
        {"id": group, "name": name, "title": "A Group", "description": None, "display_name": "A Group",
         "image_display_url": ""}
    ]  # fmt: skip
    editor = await person(services, {organization: "editor"})
    kept = await call("package_patch", actor=editor, id=dataset["id"], notes="x", groups=dataset["groups"])
    assert kept["groups"] == dataset["groups"]
    assert (await call("package_update", actor=editor, id=dataset["id"]))["groups"] == dataset["groups"]
    assert (await call("package_patch", actor=editor, id=dataset["id"], groups=[]))["groups"] == []
    with pytest.raises(NotAuthorized):
        await call("package_patch", actor=editor, id=dataset["id"], groups=[{"id": group}])
    for unknown in ("no-such-group", organization):
        with pytest.raises(NotFound):
            await call("package_patch", id=dataset["id"], groups=[{"id": unknown}])


async def test_package_list(call: ActionCall, services: Services, organization: str) -> None:
    prefix = unique("list")
    others: dict[str, dict[str, Any]] = {"p": {"private": True}, "r": {"state": "draft"}, "x": {"state": "deleted"}}
    for suffix, fields in {"b": {}, "a": {}, **others}.items():
        await call("package_create", name=f"{prefix}-{suffix}", owner_org=organization, **fields)

    async def suffixes(**parameters: Any) -> str:
        names = await call("package_list", **parameters)
        assert names == sorted(names)
        return "".join(name[-1] for name in names if name.startswith(prefix))

    everything = {"include_private": "True", "include_drafts": "True", "include_deleted": "True"}
    member = await person(services, {organization: "member"})
    assert await suffixes() == await suffixes(actor=ANONYMOUS, **everything) == "ab"
    assert await suffixes(actor=member, **everything) == await suffixes(**everything) == "abprx"
    assert await suffixes(actor=member, include_private=True) == "abp"
    names = await call("package_list")
    assert await call("package_list", limit="2", offset="1") == names[1:3]
    assert await call("package_list", limit=0) == []
    assert list(await errors_of(call("package_list", limit="many"))) == ["limit"]
