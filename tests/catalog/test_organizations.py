"""Organizations through their actions, on a real database."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import person, person_with_token
from tests.catalog.samples import ActionCall, errors_of, unique

SHAPE = {
    "id", "name", "title", "display_name", "description", "image_url", "image_display_url", "type", "is_organization",
    "approval_status", "created", "state", "package_count", "num_followers", "extras", "users", "groups",
}  # fmt: skip


def _but_last_active(user: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in user.items() if key != "last_active"}


async def test_a_created_organization_has_every_key(call: ActionCall, services: Services, sysadmin: Any) -> None:
    ann = await person(services)
    data = {
        "name": unique("org"), "title": "Water Board", "description": "d", "image_url": "logo.png",
        "extras": [{"key": "b", "value": "2"}, {"key": "a", "value": 1}],
        "users": [{"name": ann.name, "capacity": "editor"}],
    }  # fmt: skip
    shown = await call("organization_create", **data)
    assert set(shown) == SHAPE
    assert (shown["display_name"], shown["type"], shown["is_organization"]) == ("Water Board", "organization", True)
    assert (shown["approval_status"], shown["state"], shown["package_count"]) == ("approved", "active", 0)
    assert shown["image_display_url"] == "http://test/uploads/group/logo.png"
    assert shown["extras"] == [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]
    roles = {user["id"]: user["capacity"] for user in shown["users"]}
    assert roles == {ann.id: "editor", sysadmin.id: "admin"}
    assert "email" not in shown["users"][0]
    shown["users"] = [_but_last_active(user) for user in shown["users"]]  # last_active is written in the background
    for key in (shown["id"], shown["name"]):
        again = await call("organization_show", id=key)
        assert {**again, "users": [_but_last_active(user) for user in again["users"]]} == shown


async def test_new_members_have_their_role_at_once(call: ActionCall, services: Services) -> None:
    user_id, token = await person_with_token(services)
    assert (await services.tokens.actor(token)).roles == {}
    shown = await call("organization_create", name=unique("org"), users=[{"name": user_id, "capacity": "member"}])
    assert (await services.tokens.actor(token)).roles == {shown["id"]: "member"}


async def test_who_may_create(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    with pytest.raises(NotAuthorized, match="requires an authenticated user"):
        await call("organization_create", actor=ANONYMOUS, name=unique("org"))
    with pytest.raises(NotAuthorized):
        await call("organization_create", actor=ann, name=unique("org"))
    free = replace(services, settings=services.settings.model_copy(update={"user_create_organizations": True}))
    shown = await run("organization_create", Call(free, ann, "http://test"), {"name": unique("org")})
    assert [(user["id"], user["capacity"]) for user in shown["users"]] == [(ann.id, "admin")]
    with_id = {"name": unique("org"), "id": str(uuid.uuid4())}
    assert list(await errors_of(run("organization_create", Call(free, ann, ""), with_id))) == ["id"]
    assert (await call("organization_create", **with_id))["id"] == with_id["id"]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": "x"}, {"name": ["Must be at least 2 characters long"]}),
        ({"title": ["x"]}, {"title": ["Must be a text value"]}),
        ({"extras": [{"key": "k", "value": 1}] * 2}, {"extras_validation": ['Duplicate key "k"']}),
        ({"users": [{"name": "nobody-there"}]}, {"users": [{"name": ["Not found: User"]}]}),
        ({"users": [{"name": "admin", "capacity": "king"}]}, {"users": [{"capacity": ["role does not exist."]}]}),
        ({"id": "x"}, {"id": ["Invalid id provided"]}),
        ({"type": "A B"}, {"type": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}),
    ],
)
async def test_bad_fields(call: ActionCall, fields: dict[str, Any], errors: dict[str, Any]) -> None:
    assert await errors_of(call("organization_create", **{"name": unique("org"), **fields})) == errors


async def test_of_two_writers_of_one_name_one_succeeds(call: ActionCall) -> None:
    name = unique("org")
    results = await asyncio.gather(*(call("organization_create", name=name) for _ in range(4)), return_exceptions=True)
    refused = [result for result in results if not isinstance(result, dict)]
    assert len(refused) == 3
    for error in refused:
        assert isinstance(error, ValidationError)
        assert error.fields == {"name": ["Group name already exists in database"]}


async def test_show_is_for_organizations_and_counts_what_one_sees(call: ActionCall, services: Services) -> None:
    organization = (await call("organization_create", name=unique("org")))["id"]
    public = await call("package_create", name=unique("d"), owner_org=organization)
    await call("package_create", name=unique("d"), owner_org=organization, private=True)
    await call("package_create", name=unique("d"), owner_org=organization, state="draft")
    member = await person(services, {organization: "member"})
    for actor, count in ((ANONYMOUS, 1), (member, 2), (await person(services), 1)):
        shown = await call("organization_show", actor=actor, id=organization, include_datasets=True)
        assert shown["package_count"] == count
        assert len(shown["packages"]) == count
    anonymous = await call("organization_show", actor=ANONYMOUS, id=organization, include_datasets="true")
    assert anonymous["packages"] == [public]
    bare = await call(
        "organization_show", id=organization, include_users="false", include_extras=False, include_dataset_count=False,
        include_groups=False, include_followers=False,
    )  # fmt: skip
    assert set(bare) == SHAPE - {"users", "extras", "package_count", "groups", "num_followers"}
    for key in ("no-such-organization", public["id"]):
        with pytest.raises(NotFound):
            await call("organization_show", id=key)


async def test_users_are_hidden_where_the_site_says_so(services: Services, organization: str) -> None:
    shy = replace(services, settings=services.settings.model_copy(update={"public_user_details": False}))
    assert "users" not in await run("organization_show", Call(shy, ANONYMOUS, ""), {"id": organization})
    ann = await person(services)
    assert "users" in await run("organization_show", Call(shy, ann, ""), {"id": organization})
    with pytest.raises(NotAuthorized):
        await run("user_show", Call(shy, ANONYMOUS, ""), {"id": ann.name})


async def test_deleted_organizations(call: ActionCall, services: Services) -> None:
    organization = (await call("organization_create", name=unique("org")))["id"]
    await services.database.owner.execute("UPDATE datastore.groups SET state = 'deleted' WHERE id = $1", organization)
    assert (await call("organization_show", id=organization))["state"] == "deleted"
    with pytest.raises(NotAuthorized):
        await call("organization_show", actor=ANONYMOUS, id=organization)
    assert (await person(services, {organization: "admin"})).roles == {}
    errors = await errors_of(call("package_create", name=unique("d"), owner_org=organization))
    assert errors == {"owner_org": ["Organization does not exist"]}


async def test_lists(call: ActionCall) -> None:
    prefix = unique("list")
    names = [f"{prefix}-{letter}" for letter in "abc"]
    for name, title in zip(names, ("Zebra", "apple", "100% Mango_"), strict=True):
        await call("organization_create", name=name, title=title, description=prefix)
    for _ in range(2):
        await call("package_create", name=unique("d"), owner_org=names[1])
    await call("package_create", name=unique("d"), owner_org=names[2])

    async def letters(**parameters: Any) -> str:
        return "".join(name[-1] for name in await call("organization_list", **{"organizations": names, **parameters}))

    assert await letters() == "cba"
    assert await letters(sort="name") == await letters(sort="name asc") == await letters(order_by="name") == "abc"
    assert await letters(sort="title desc") == "abc"
    assert await letters(sort="package_count") == await letters(order_by="packages") == "bca"
    assert await letters(sort="package_count asc") == "acb"
    assert await letters(organizations=",".join(names), limit="1", offset="1") == "b"
    assert await letters(organizations=[names[0], "unknown", "\0"]) == "a"
    assert await letters(q="100% mango_") == "c"
    assert await letters(q="%") == "c"
    assert await letters(organizations=None, q=prefix) == "cba"
    assert await letters(type="ministry") == ""
    listed = await call("organization_list", organizations=names, all_fields="true", sort="name")
    assert [item["package_count"] for item in listed] == [0, 2, 1]
    assert set(listed[0]) == SHAPE - {"users", "extras", "groups", "num_followers"}
    detailed = await call(
        "organization_list", organizations=names, all_fields=True, include_users=True, include_extras=True
    )
    assert set(detailed[0]) == SHAPE - {"groups", "num_followers"}
    for sort in ("size", "name sideways", "name asc; drop", "name asc desc"):
        assert list(await errors_of(call("organization_list", sort=sort))) == ["message"]
    bad = await errors_of(call("organization_list", sort="size"))
    assert bad == {"message": "Cannot sort by field `size`"}
