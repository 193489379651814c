"""Changing, deleting, listing groups and organizations, through their actions, on a real database."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, StructureError, ValidationError
from datastore.validation import MAX_TEXT
from tests.accounts.people import caller, now, person, site_with
from tests.catalog.samples import TOO_LONG, ActionCall, errors_of, unique

KINDS = ["group", "organization"]


async def _made(call: ActionCall, kind: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await call(f"{kind}_create", **{"name": unique(kind[:3]), **fields})
    return made


@pytest.mark.parametrize("kind", KINDS)
async def test_update_replaces_lists_and_extras_and_keeps_the_rest(
    call: ActionCall, services: Services, kind: str
) -> None:
    ann, bob = await person(services), await person(services)
    made = await _made(
        call, kind, title="T", description="D", image_url="http://example.org/l.png",
        extras=[{"key": "a", "value": "1"}], users=[{"name": ann.name, "capacity": "admin"}],
    )  # fmt: skip
    assert made["image_display_url"] == "http://example.org/l.png"
    ann = await now(services, ann)
    changed = await call(f"{kind}_update", actor=ann, id=made["name"], title="U")
    assert (changed["title"], changed["description"], changed["extras"]) == ("U", "D", [])
    assert {user["id"] for user in changed["users"]} == {user["id"] for user in made["users"]}
    again = await call(f"{kind}_update", **changed)
    assert _timeless(again) == _timeless(changed)
    users = [{"name": bob.name, "capacity": "member"}, {"name": ann.id, "capacity": "admin"}]
    changed = await call(f"{kind}_update", actor=ann, id=made["id"], users=users, clear_upload=True)
    assert {user["id"]: user["capacity"] for user in changed["users"]} == {ann.id: "admin", bob.id: "member"}
    assert changed["image_url"] == ""
    renamed = await call(f"{kind}_update", actor=ann, id=made["id"], name=unique("new"))
    assert (await call(f"{kind}_show", id=renamed["name"]))["id"] == made["id"]
    with pytest.raises(NotFound):
        await call(f"{kind}_show", id=made["name"])


def _timeless(shown: dict[str, Any]) -> dict[str, Any]:
    users = [{**user, "last_active": None} for user in shown["users"]]  # written in the background
    return {**shown, "users": users}


@pytest.mark.parametrize("kind", KINDS)
async def test_patch_changes_what_is_sent(call: ActionCall, kind: str) -> None:
    made = await _made(call, kind, title="T", extras=[{"key": "a", "value": "1"}])
    patched = await call(f"{kind}_patch", id=made["id"], description="D", image_upload="http://example.org/l.png")
    assert (patched["title"], patched["description"]) == ("T", "D")
    assert patched["extras"] == made["extras"]
    assert patched["image_url"] == "http://example.org/l.png"
    patched = await call(f"{kind}_patch", id=made["id"], extras=[], title=None, type="other")
    assert (patched["extras"], patched["title"], patched["type"]) == ([], None, kind)
    assert patched["display_name"] == made["name"]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_may_change_delete_and_purge(call: ActionCall, services: Services, kind: str) -> None:
    made = await _made(call, kind)
    admin = await person(services, {made["id"]: "admin"})
    others = [
        ANONYMOUS,
        await person(services),
        *[await person(services, {made["id"]: r}) for r in ("editor", "member")],
    ]
    for actor in others:
        for name, parameters in (("patch", {"title": "x"}), ("update", {"title": "x"}), ("delete", {}), ("purge", {})):
            with pytest.raises(NotAuthorized):
                await call(f"{kind}_{name}", actor=actor, id=made["id"], **parameters)
    with pytest.raises(NotAuthorized):
        await call(f"{kind}_purge", actor=admin, id=made["id"])
    strict = caller(site_with(services, user_delete_groups=False, user_delete_organizations=False), admin)
    with pytest.raises(NotAuthorized):
        await strict(f"{kind}_delete", id=made["id"])
    with pytest.raises(NotAuthorized):
        await strict(f"{kind}_patch", id=made["id"], state="deleted")
    await call(f"{kind}_patch", actor=admin, id=made["id"], title="x")
    assert await call(f"{kind}_delete", actor=admin, id=made["id"]) is None
    assert made["name"] not in await call(f"{kind}_list", q=made["name"])
    with pytest.raises(NotAuthorized):
        await call(f"{kind}_show", actor=admin, id=made["id"])
    assert (await call(f"{kind}_patch", id=made["id"], state="active"))["state"] == "active"
    await call(f"{kind}_patch", actor=admin, id=made["id"], title="back")
    assert await call(f"{kind}_purge", id=made["id"]) is None
    with pytest.raises(NotFound):
        await call(f"{kind}_show", id=made["id"])
    with pytest.raises(NotFound):
        await call(f"{kind}_delete", id=made["id"])


async def test_who_may_create_groups(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    made = await call("group_create", actor=ann, name=unique("grp"))
    assert [(user["id"], user["capacity"]) for user in made["users"]] == [(ann.id, "admin")]
    with pytest.raises(NotAuthorized):
        await caller(site_with(services, user_create_groups=False), ann)("group_create", name=unique("grp"))
    with pytest.raises(NotAuthorized):
        await call("group_create", actor=ANONYMOUS, name=unique("grp"))


async def test_the_two_kinds_share_their_names_and_nothing_else(call: ActionCall) -> None:
    group, organization = await _made(call, "group"), await _made(call, "organization")
    assert not group["is_organization"]
    assert group["type"] == "group"
    taken = {"name": ["Group name already exists in database"]}
    assert await errors_of(call("organization_create", name=group["name"])) == taken
    assert await errors_of(call("organization_patch", id=organization["id"], name=group["name"])) == taken
    for name in ("show", "delete", "purge", "patch", "update"):
        with pytest.raises(NotFound):
            await call(f"organization_{name}", id=group["id"])
    for name in ("show", "delete", "purge"):
        with pytest.raises(NotFound):
            await call(f"group_{name}", id=organization["id"])
    changed = await call(
        "group_update", id=organization["id"], image_url="http://example.org/l.png", clear_upload="true"
    )
    assert changed["is_organization"]
    assert changed["image_url"] == "http://example.org/l.png"
    deleted = await _made(call, "group")
    await call("group_delete", id=deleted["id"])
    assert await errors_of(call("group_create", name=deleted["name"])) == taken


async def test_of_two_writers_of_one_name_one_succeeds(call: ActionCall) -> None:
    made = [await _made(call, kind) for kind in KINDS * 2]
    name = unique("wanted")
    results = await asyncio.gather(
        *(call(f"{each['type']}_patch", id=each["id"], name=name) for each in made),
        call("group_create", name=name),
        return_exceptions=True,
    )
    assert sum(isinstance(result, dict) for result in results) == 1
    for result in results:
        if not isinstance(result, dict):
            assert isinstance(result, ValidationError)
            assert result.fields == {"name": ["Group name already exists in database"]}


async def test_patches_at_once_lose_nothing(call: ActionCall) -> None:
    made = await _made(call, "group")
    fields = ("title", "description", "image_url")
    await asyncio.gather(*(call("group_patch", id=made["id"], **{field: "x"}) for field in fields))
    shown = await call("group_show", id=made["id"])
    assert {shown[field] for field in fields} == {"x"}


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": "Big"}, {"name": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}),
        ({"title": "a\0"}, {"title": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"description": "x" * (MAX_TEXT + 1)}, {"description": [TOO_LONG]}),
        ({"description": "\ud800"}, {"description": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"extras": [{"key": "", "value": "x"}]}, {"extras": [{"key": ["Missing value"]}]}),
        ({"state": "sleeping"}, {"state": ["Value must be one of ['active', 'deleted']"]}),
        ({"users": [{"name": "admin", "capacity": 7}]}, {"users": [{"capacity": ["role does not exist."]}]}),
        ({"groups": [{"name": "nowhere"}]}, {"groups": [{"name": ["Not found: Group"]}]}),
        ({"packages": [{"id": "nothing"}]}, {"packages": [{"id": ["Not found: Dataset"]}]}),
    ],
)
async def test_bad_fields_change_nothing(call: ActionCall, fields: dict[str, Any], errors: dict[str, Any]) -> None:
    made = await _made(call, "group", title="T")
    assert await errors_of(call("group_patch", id=made["id"], **{"title": "U", **fields})) == errors
    assert _timeless(await call("group_show", id=made["id"])) == _timeless(made)
    for field in ("users", "groups", "packages", "extras"):
        with pytest.raises(StructureError):
            await call("group_patch", id=made["id"], **{field: "text"})


async def test_long_and_odd_texts_come_back(call: ActionCall) -> None:
    text = "x" * 2**20 + "\n\t\x01<b>é"
    made = await _made(call, "organization", description=text, title="a\x7f\u202eb")
    shown = await call("organization_show", id=made["id"])
    assert (shown["description"], shown["title"]) == (text, "a\x7f\u202eb")


async def test_an_organization_with_datasets_stays(call: ActionCall, services: Services) -> None:
    made = await _made(call, "organization")
    public = await call("package_create", name=unique(), owner_org=made["id"])
    private = await call("package_create", name=unique(), owner_org=made["id"], private=True)
    still = {"message": "Organization cannot be deleted while it still has datasets"}
    assert await errors_of(call("organization_delete", id=made["id"])) == still
    assert await errors_of(call("organization_patch", id=made["id"], state="deleted")) == still
    purge = await errors_of(call("organization_purge", id=made["id"]))
    assert purge == {"message": "Organization cannot be purged while it still has datasets"}
    free = caller(site_with(services, create_unowned_dataset=True), await person(services, {made["id"]: "admin"}))
    errors = await errors_of(free("organization_delete", id=made["id"]))
    assert errors == {"message": "Organization cannot be deleted while it still has private datasets"}
    assert (await call("package_show", id=public["id"]))["owner_org"] == made["id"]
    await call("package_delete", id=private["id"])
    await free("organization_delete", id=made["id"])
    assert (await call("package_show", id=public["id"]))["owner_org"] is None
    await call("organization_purge", id=made["id"])
    left = await call("package_show", id=private["id"])
    assert (left["owner_org"], left["state"], left["private"]) == (None, "deleted", True)
    undeleted = await errors_of(call("package_patch", id=private["id"], state="active"))
    assert undeleted == {"private": ["Datasets with no organization can't be private."]}


async def test_purging_takes_rights_and_grants_along(call: ActionCall, services: Services) -> None:
    made = await _made(call, "organization")
    member = await person(services, {made["id"]: "editor"})
    dataset = await call("package_create", name=unique(), owner_org=made["id"], private=True)
    table = (await call("datastore_create", resource={"package_id": dataset["id"]}, records=[{"a": 1}]))["resource_id"]
    assert (await call("datastore_search", actor=member, resource_id=table))["total"] == 1
    await call("package_delete", id=dataset["id"])
    await call("organization_purge", id=made["id"])
    with pytest.raises(NotAuthorized):
        await call("datastore_search", actor=member, resource_id=table)
    assert not await services.database.owner.fetchval(
        "SELECT has_schema_privilege($1, $2, 'USAGE')", services.settings.public_role, dataset["id"]
    )


async def test_datasets_of_a_group(call: ActionCall, services: Services, organization: str) -> None:
    public, hidden = [
        await call("package_create", name=unique(), owner_org=organization, private=private)
        for private in (False, True)
    ]
    group = await _made(call, "group", packages=[{"id": public["id"]}, {"name": hidden["name"]}])
    admin = await person(services, {group["id"]: "admin"})
    for actor, count in ((ANONYMOUS, 1), (admin, 1), (await person(services, {organization: "member"}), 2)):
        shown = await call("group_show", actor=actor, id=group["id"], include_datasets=True)
        assert shown["package_count"] == len(shown["packages"]) == count
        assert len(await call("group_package_show", actor=actor, id=group["name"])) == count
        assert len(await call("group_package_show", actor=actor, id=group["name"], limit=1)) == 1
        assert len(await call("member_list", actor=actor, id=group["id"], object_type="package")) == count
    errors = await errors_of(call("group_patch", actor=admin, id=group["id"], packages=[{"id": hidden["id"]}]))
    assert errors == {"packages": [{"id": ["Not found: Dataset"]}]}
    await call("group_patch", actor=admin, id=group["id"], packages=[])
    left = await call("group_package_show", id=group["id"])
    assert [dataset["id"] for dataset in left] == [hidden["id"]]
    assert [each["name"] for each in (await call("package_show", id=hidden["id"]))["groups"]] == [group["name"]]
    await call("group_update", id=group["id"], title="x")
    assert len(await call("group_package_show", id=group["id"])) == 1
    await call("organization_update", id=organization, packages=[])
    assert len(await call("group_package_show", id=group["id"])) == 1


async def test_groups_are_listed_and_suggested(call: ActionCall, services: Services, organization: str) -> None:
    prefix = unique("list")
    names = [f"{prefix}-{letter}" for letter in "ab"]
    made = [await call("group_create", name=name, title=f"Title {name[-1]}") for name in names]
    await call("organization_create", name=f"{prefix}-org", title="Ministry of 100%")
    dataset = await call("package_create", name=unique(), owner_org=organization, groups=[{"name": names[1]}])
    assert await call("group_list", q=prefix) == names
    assert await call("group_list", q=prefix, sort="package_count") == names[::-1]
    assert await call("group_list", groups=",".join(names), sort="title desc", limit=1) == names[1:]
    assert await call("group_list", groups=[names[0]], type="other") == []
    assert await call("group_list", groups=json.dumps(names[:1])) == names[:1]
    assert await errors_of(call("group_list", groups="[")) == {"groups": ["Cannot parse JSON"]}
    listed = await call("group_list", q=prefix, all_fields=True, include_users=True, include_tags=True)
    assert [group["package_count"] for group in listed] == [0, 1]
    assert listed[0]["tags"] == []
    assert listed[0]["users"][0]["capacity"] == "admin"
    assert "extras" not in listed[0]
    bare = await call("group_list", q=prefix, all_fields=True, include_dataset_count=False, include_member_count=True)
    assert "package_count" not in bare[0]
    assert bare[0]["member_count"] == 1
    assert await errors_of(call("group_list", sort="size")) == {"message": "Cannot sort by field `size`"}
    found = await call("group_autocomplete", q=names[0].upper())
    assert found == [{"id": made[0]["id"], "name": names[0], "title": "Title a"}]
    assert len(await call("group_autocomplete", q=prefix, limit=1)) == 1
    assert [each["name"] for each in await call("organization_autocomplete", q=prefix)] == [f"{prefix}-org"]
    assert await call("organization_autocomplete", q="100% of " + prefix) == []
    assert [group["name"] for group in (await call("package_show", id=dataset["id"]))["groups"]] == names[1:]


async def test_the_groups_and_organizations_of_a_user(call: ActionCall, services: Services, sysadmin: Actor) -> None:
    org_a, org_b = [await _made(call, "organization") for _ in range(2)]
    group_a, group_b = [await _made(call, "group") for _ in range(2)]
    ann = await person(services, {org_a["id"]: "member", org_b["id"]: "editor", group_a["id"]: "admin"})

    async def mine(actor: Any = ann, **parameters: Any) -> dict[str, str]:
        found = await call("organization_list_for_user", actor=actor, **parameters)
        return {organization["id"]: organization["capacity"] for organization in found}

    assert await mine() == {org_a["id"]: "member", org_b["id"]: "editor"}
    assert await mine(permission="create_dataset") == {org_b["id"]: "editor"}
    assert await mine(permission="unknown") == {}
    assert await mine(permission="admin") == {}
    bob = await person(services, {org_a["id"]: "admin", org_b["id"]: "editor"})
    assert await mine(actor=bob, permission="admin") == {org_a["id"]: "admin"}
    assert await mine(actor=ANONYMOUS) == {}
    assert await mine(actor=ANONYMOUS, id=ann.name) == {org_a["id"]: "member", org_b["id"]: "editor"}
    every = await mine(actor=ann, id="admin")
    assert every.items() >= {org_a["id"]: "admin", org_b["id"]: "admin"}.items()
    with pytest.raises(NotFound):
        await mine(id="nobody-of-that-name")
    counted = await call("organization_list_for_user", actor=ann, include_dataset_count="true")
    assert [organization["package_count"] for organization in counted] == [0, 0]
    shy = caller(site_with(services, public_user_details=False), ANONYMOUS)
    with pytest.raises(NotAuthorized):
        await shy("organization_list_for_user", id=ann.name)
    editable = await call("group_list_authz", actor=ann, available_only=True)
    assert [group["id"] for group in editable] == [group_a["id"]]
    with pytest.raises(NotAuthorized):
        await call("group_list_authz", actor=ANONYMOUS)
    everything = {group["id"] for group in await call("group_list_authz")}
    assert everything >= {group_a["id"], group_b["id"]}
    creator = {
        group["id"] for group in await call("group_list_authz", actor=await now(services, sysadmin), am_member=True)
    }
    assert creator >= {group_a["id"], group_b["id"]}
    await call("organization_delete", id=org_a["id"])
    fresh = await person(services, {org_a["id"]: "admin"})
    assert await mine(actor=fresh) == {}
    assert await mine(id=ann.id) == {org_b["id"]: "editor"}


async def test_ids_given_by_a_sysadmin(call: ActionCall, services: Services) -> None:
    given = str(uuid.uuid4())
    assert (await _made(call, "group", id=given))["id"] == given
    assert await errors_of(_made(call, "group", id=given)) == {"id": ["Group id already exists"]}
    ann = await person(services)
    errors = await errors_of(call("group_create", actor=ann, name=unique(), id=str(uuid.uuid4())))
    assert errors == {"id": ["The input field id was not expected."]}


async def test_extras_may_be_called_as_a_field_of_datasets(call: ActionCall) -> None:
    extras = [{"key": "notes", "value": "x"}, {"key": "url", "value": "y"}]
    assert (await _made(call, "group", extras=extras))["extras"] == extras
    errors = await errors_of(_made(call, "group", extras=[{"key": "title", "value": "x"}]))
    assert errors == {"extras": [{"key": ["There is a schema field with the same name"]}]}


async def test_a_purge_among_those_who_come_in(call: ActionCall, services: Services, organization: str) -> None:
    for _ in range(4):
        made, parent = await _made(call, "group"), await _made(call, "group")
        datasets = [await call("package_create", name=unique(), owner_org=organization) for _ in range(3)]
        ann = await person(services)
        results = await asyncio.gather(
            *(call("package_patch", id=dataset["id"], groups=[{"id": made["id"]}]) for dataset in datasets),
            call("group_member_create", id=made["id"], username=ann.name, role="member"),
            call("group_patch", id=parent["id"], groups=[{"id": made["id"]}]),
            call("group_purge", id=made["id"]),
            return_exceptions=True,
        )
        assert results[-1] is None
        for result in results:
            assert not isinstance(result, BaseException) or isinstance(result, (NotFound, ValidationError)), result
        left = await services.database.owner.fetchval(
            "SELECT count(*) FROM datastore.members WHERE group_id = $1 OR table_id = $1", made["id"]
        )
        assert left == 0
