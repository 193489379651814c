"""Members of groups and organizations, one by one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import caller, person, person_with_token, site_with
from tests.catalog.samples import ActionCall, errors_of, unique

KINDS = ["group", "organization"]


@pytest.mark.parametrize("kind", KINDS)
async def test_users_get_change_and_lose_roles(call: ActionCall, services: Services, kind: str) -> None:
    made = (await call(f"{kind}_create", name=unique("org")))["id"]
    admin = await person(services, {made: "admin"})
    user_id, token = await person_with_token(services)
    row = await call(f"{kind}_member_create", actor=admin, id=made, username=user_id, role="member")
    assert set(row) == {"id", "table_name", "table_id", "group_id", "capacity", "state"}
    assert (row["table_name"], row["table_id"], row["group_id"]) == ("user", user_id, made)
    again = await call(f"{kind}_member_create", actor=admin, id=made, username=user_id, role="editor")
    assert (again["id"], again["capacity"]) == (row["id"], "editor")
    assert (await services.tokens.actor(token)).roles == {made: "editor"}
    by_name = (await call("user_show", id=user_id))["name"]
    await call("member_create", actor=admin, id=made, object=by_name, object_type="user", capacity="member")
    assert [user_id, "user", "Member"] in await call("member_list", id=made)
    assert await call("member_list", id=made, object_type="user", capacity="Member") == [[user_id, "user", "Member"]]
    assert await call(f"{kind}_member_delete", actor=admin, id=made, username=user_id) is None
    assert await call("member_delete", actor=admin, id=made, object=user_id, object_type="user") is None
    assert (await services.tokens.actor(token)).roles == {}


@pytest.mark.parametrize("kind", KINDS)
async def test_members_are_a_matter_of_admins(call: ActionCall, services: Services, kind: str) -> None:
    made = (await call(f"{kind}_create", name=unique("org")))["id"]
    ann = await person(services)
    for actor in (ANONYMOUS, ann, *[await person(services, {made: role}) for role in ("editor", "member")]):
        for name, parameters in (
            (f"{kind}_member_create", {"username": ann.name, "role": "admin"}),
            (f"{kind}_member_create", {"username": "nobody-there", "role": "admin"}),
            (f"{kind}_member_delete", {"username": "admin"}),
            ("member_create", {"object": ann.name, "object_type": "user", "capacity": "admin"}),
            ("member_delete", {"object": "admin", "object_type": "user"}),
            ("member_create", {"object": made, "object_type": "group", "capacity": "parent"}),
        ):
            with pytest.raises(NotAuthorized):
                await call(name, actor=actor, id=made, **parameters)
    admin = await person(services, {made: "admin"})
    for role in ("member", "editor"):
        with pytest.raises(NotAuthorized):
            await call(f"{kind}_member_create", actor=admin, id=made, username=admin.name, role=role)
    await call(f"{kind}_member_create", actor=admin, id=made, username=admin.name, role="admin")
    await call(f"{kind}_member_delete", actor=admin, id=made, username=admin.name)


async def test_bad_parameters(call: ActionCall, services: Services, organization: str) -> None:
    ann = await person(services)
    group = (await call("group_create", name=unique("grp")))["id"]
    create: dict[str, Any] = {"id": organization, "username": ann.name, "role": "admin"}
    assert await errors_of(call("organization_member_create", **{**create, "role": "king"})) == {
        "role": ["role does not exist."]
    }
    assert await errors_of(call("organization_member_create", **{**create, "username": "nobody-there"})) == {
        "message": "User nobody-there does not exist."
    }
    for missing in create:
        assert await errors_of(call("organization_member_create", **{**create, missing: None})) == {
            missing: ["Missing value"]
        }
    for name, parameters in (
        ("organization_member_create", {**create, "id": group}),
        ("group_member_create", create),
        ("organization_member_delete", {"id": organization, "username": "nobody-there"}),
        ("member_create", {"id": "nowhere", "object": ann.name, "object_type": "user", "capacity": "admin"}),
        ("member_create", {"id": organization, "object": "a\x01", "object_type": "user", "capacity": "admin"}),
        ("member_create", {"id": group, "object": "nothing", "object_type": "package", "capacity": "public"}),
        ("member_delete", {"id": group, "object": "nothing", "object_type": "package"}),
        ("member_delete", {"id": group, "object": "nowhere", "object_type": "group"}),
        ("member_list", {"id": "nowhere"}),
    ):
        with pytest.raises(NotFound):
            await call(name, **parameters)
    for parameters, field in (
        ({"object": ann.name, "object_type": "robot", "capacity": "admin"}, "object_type"),
        ({"object": ann.name, "object_type": "user", "capacity": "king"}, "capacity"),
        ({"object": ann.name, "object_type": "user"}, "capacity"),
        ({"object": "x", "object_type": "package", "capacity": "public"}, "object_type"),
        ({"object": "nowhere", "object_type": "group", "capacity": "parent"}, "groups"),
    ):
        assert list(await errors_of(call("member_create", id=organization, **parameters))) == [field]


async def test_datasets_in_groups(call: ActionCall, services: Services, organization: str) -> None:
    group = (await call("group_create", name=unique("grp")))["id"]
    member = await person(services, {group: "member"})
    dataset = await call("package_create", name=unique(), owner_org=organization)
    hidden = await call("package_create", name=unique(), owner_org=organization, private=True)
    row = await call(
        "member_create", actor=member, id=group, object=dataset["name"], object_type="package", capacity="public"
    )
    assert (row["table_name"], row["table_id"], row["capacity"]) == ("package", dataset["id"], "public")
    assert await call("member_list", id=group, object_type="package") == [[dataset["id"], "package", "public"]]
    with pytest.raises(NotFound):
        await call(
            "member_create", actor=member, id=group, object=hidden["id"], object_type="package", capacity="public"
        )
    with pytest.raises(NotAuthorized):
        await call(
            "member_create", actor=await person(services), id=group, object=dataset["id"], object_type="package",
            capacity="public",
        )  # fmt: skip
    await call("member_delete", actor=member, id=group, object=dataset["id"], object_type="package")
    assert await call("member_list", id=group, object_type="package") == []
    owned = await call("member_list", actor=ANONYMOUS, id=organization, object_type="package")
    assert [dataset["id"], "package", "organization"] in owned
    assert hidden["id"] not in [row[0] for row in owned]


async def test_who_sees_members(call: ActionCall, services: Services) -> None:
    made = (await call("organization_create", name=unique("org")))["id"]
    ann = await person(services, {made: "editor"})
    assert [ann.id, "user", "Editor"] in await call("member_list", actor=ANONYMOUS, id=made)
    shy = site_with(services, public_user_details=False)
    assert await caller(shy, ANONYMOUS)("member_list", id=made) == []
    assert await caller(shy, ann)("member_list", id=made) != []
    await call("organization_delete", id=made)
    with pytest.raises(NotAuthorized):
        await call("member_list", actor=ANONYMOUS, id=made)


async def test_roles(call: ActionCall) -> None:
    roles = await call("member_roles_list", actor=ANONYMOUS)
    assert roles == [
        {"text": "Admin", "value": "admin"}, {"text": "Editor", "value": "editor"},
        {"text": "Member", "value": "member"},
    ]  # fmt: skip
    assert [role["value"] for role in await call("member_roles_list", group_type="group")] == ["admin", "member"]
    assert list(await errors_of(call("member_roles_list", group_type="club"))) == ["group_type"]


async def test_one_membership_by_many_at_once(call: ActionCall, services: Services) -> None:
    made = (await call("organization_create", name=unique("org")))["id"]
    ann = await person(services)
    roles = ["admin", "editor", "member"] * 2
    results = await asyncio.gather(
        *(call("organization_member_create", id=made, username=ann.name, role=role) for role in roles),
        *(call("organization_member_delete", id=made, username=ann.name) for _ in range(2)),
        return_exceptions=True,
    )
    assert not [result for result in results if isinstance(result, BaseException)]
    await call("organization_member_create", id=made, username=ann.name, role="editor")
    assert len([row for row in await call("member_list", id=made) if row[0] == ann.id]) == 1


async def test_deleted_users_are_no_members(call: ActionCall, services: Services) -> None:
    made = (await call("organization_create", name=unique("org")))["id"]
    ann = await person(services, {made: "admin"})
    await call("user_delete", id=ann.name)
    assert ann.id not in [row[0] for row in await call("member_list", id=made)]
    assert ann.id not in [user["id"] for user in (await call("organization_show", id=made))["users"]]
    with pytest.raises(ValidationError):
        await call("organization_member_create", id=made, username=ann.name, role="admin")
