"""Groups above groups: no loops, and roles that count below."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datastore.accounts.actors import actor_of_user
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, ValidationError
from tests.accounts.people import person, person_with_token, site_with
from tests.catalog.samples import ActionCall, errors_of, unique

LOOP = {"groups": ["A group cannot be above itself"]}


async def _organization(call: ActionCall, *parents: str, **fields: Any) -> str:
    groups = [{"name": parent} for parent in parents]
    made = await call("organization_create", name=unique("org"), groups=groups, **fields)
    return str(made["id"])


async def test_parents_are_shown_and_replaced(call: ActionCall) -> None:
    top, other = await _organization(call), await _organization(call)
    below = await _organization(call, top)
    shown = await call("organization_show", id=below)
    assert [(group["id"], group["capacity"]) for group in shown["groups"]] == [(top, "parent")]
    assert await call("member_list", id=below, object_type="group") == [[top, "group", "parent"]]
    again = await call("organization_update", **{**shown, "groups": [*shown["groups"], {"id": other}]})
    assert {group["id"] for group in again["groups"]} == {top, other}
    assert {group["id"] for group in (await call("organization_patch", id=below, title="x"))["groups"]} == {top, other}
    assert (await call("organization_patch", id=below, groups=[]))["groups"] == []
    row = await call("member_create", id=below, object=top, object_type="group", capacity="parent")
    assert (row["group_id"], row["table_id"], row["capacity"], row["state"]) == (below, top, "parent", "active")
    await call("member_delete", id=below, object=top, object_type="group")
    assert await call("member_list", id=below, object_type="group") == []


async def test_there_are_no_loops(call: ActionCall) -> None:
    top = await _organization(call)
    middle = await _organization(call, top)
    bottom = await _organization(call, middle)
    for above in (top, middle, bottom):
        assert await errors_of(call("organization_patch", id=top, groups=[{"id": above}])) == LOOP
    errors = await errors_of(call("member_create", id=top, object=bottom, object_type="group", capacity="parent"))
    assert errors == LOOP
    assert (await call("organization_show", id=top))["groups"] == []
    assert len((await call("organization_patch", id=bottom, groups=[{"id": top}, {"id": middle}]))["groups"]) == 2


async def test_two_writers_close_no_loop_together(call: ActionCall) -> None:
    ring = [await _organization(call) for _ in range(4)]
    results = await asyncio.gather(
        *(call("organization_patch", id=below, groups=[{"id": ring[n - 1]}]) for n, below in enumerate(ring)),
        return_exceptions=True,
    )
    refused = [result for result in results if not isinstance(result, dict)]
    assert len(refused) == 1
    assert isinstance(refused[0], ValidationError)
    assert refused[0].fields == LOOP


async def test_parents_are_of_the_same_kind_and_ones_own(call: ActionCall, services: Services) -> None:
    top = await _organization(call)
    group = await call("group_create", name=unique("grp"))
    errors = await errors_of(call("group_patch", id=group["id"], groups=[{"id": top}]))
    assert errors == {"groups": [{"name": ["Not found: Group"]}]}
    below = await _organization(call)
    ann = await person(services, {below: "admin", top: "editor"})
    with pytest.raises(NotAuthorized):
        await call("organization_patch", actor=ann, id=below, groups=[{"id": top}])
    await call("organization_patch", id=below, groups=[{"id": top}])
    again = await call("organization_patch", actor=ann, id=below, groups=[{"id": top}], title="kept")
    assert [parent["id"] for parent in again["groups"]] == [top]


async def test_admins_are_admins_below(call: ActionCall, services: Services) -> None:
    top = await _organization(call)
    middle = await _organization(call, top)
    bottom = await _organization(call, middle)
    admin_id, admin = await person_with_token(services, {top: "admin", bottom: "member"})
    _, editor = await person_with_token(services, {top: "editor"})

    async def roles(token: str) -> dict[str, str]:
        return dict((await services.tokens.actor(token)).roles)

    assert await roles(admin) == {top: "admin", middle: "admin", bottom: "admin"}
    assert await roles(editor) == {top: "editor"}
    dataset = await call("package_create", name=unique(), owner_org=bottom, private=True)
    actor = await services.tokens.actor(admin)
    assert (await call("package_patch", actor=actor, id=dataset["id"], notes="x"))["notes"] == "x"
    assert dataset["name"] in await call("package_list", actor=actor, include_private=True)
    await call("organization_patch", id=middle, groups=[])
    assert await roles(admin) == {top: "admin", bottom: "member"}
    await call("organization_patch", id=middle, groups=[{"id": top}])
    assert await roles(admin) == {top: "admin", middle: "admin", bottom: "admin"}
    await call("organization_delete", id=middle)
    assert await roles(admin) == {top: "admin", bottom: "member"}
    await call("organization_patch", id=middle, state="active")
    assert await roles(admin) == {top: "admin", middle: "admin", bottom: "admin"}
    await call("organization_member_create", id=top, username=admin_id, role="editor")
    assert await roles(admin) == {top: "editor", bottom: "member"}
    await call("organization_member_create", id=top, username=admin_id, role="admin")
    await call("organization_purge", id=middle)
    assert await roles(admin) == {top: "admin", bottom: "member"}
    assert (await call("organization_show", id=bottom))["groups"] == []


@pytest.mark.parametrize(("cascading", "below"), [("none", {}), ("editor admin", {"editor"}), ("member", {})])
async def test_which_roles_count_below_is_a_setting(
    call: ActionCall, services: Services, cascading: str, below: set[str]
) -> None:
    top = await _organization(call)
    bottom = await _organization(call, top)
    user_id, _ = await person_with_token(services, {top: "editor"})
    settings = site_with(services, roles_that_cascade_to_sub_groups=cascading).settings
    actor = await actor_of_user(services.database.owner, settings, user_id)
    assert actor is not None
    assert {role for group, role in actor.roles.items() if group == bottom} == set(below)
