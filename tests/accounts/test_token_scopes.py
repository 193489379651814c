"""Tokens that may do less than their users: only read, or act in one organization, or on one dataset."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from datastore.accounts.actor import Actor
from datastore.accounts.tokens import Scope
from datastore.actions import registry
from datastore.actions.parameters import Parameters
from datastore.actions.registry import Call
from datastore.actions.scopes import LIMITED_WRITES
from datastore.actions.services import Services
from datastore.errors import DataStoreError, NotAuthorized, NotFound, ValidationError
from tests.accounts.people import caller, person, person_with_token, site_with, token_for
from tests.catalog.samples import ActionCall, errors_of, unique


async def _world(call: ActionCall) -> dict[str, str]:
    """Two organizations, with private datasets that have a table each."""
    world = {}
    for name in ("here", "there"):
        organization = await call("organization_create", name=unique("org"))
        world[f"{name}_org"] = organization["id"]
        for number in ("", "_too"):
            dataset = await call("package_create", name=unique(), owner_org=organization["id"], private=True)
            table = await call(
                "datastore_create", resource={"package_id": dataset["id"]}, records=[{"a": 1}], force=True
            )
            world[name + number] = dataset["id"]
            world[f"{name}_table{number}"] = table["resource_id"]
    return world


def _sample(model: type[Parameters]) -> dict[str, Any]:
    return {name: "x" for name, field in model.model_fields.items() if field.is_required()}


async def test_a_read_only_token_calls_no_action_that_writes(services: Services) -> None:
    """Of all actions there are, whoever has the token."""
    _, token = await person_with_token(services, scope=Scope(read_only=True), sysadmin=True)
    actor = await services.tokens.actor(token)
    assert actor.sysadmin
    for name in registry.names():
        found = registry.find(name)
        assert found is not None
        try:
            await registry.run(name, Call(services, actor, "http://test"), _sample(found.model))
            refused = False
        except NotAuthorized as error:
            refused = "This token may only read" in str(error)
        except DataStoreError:
            refused = False
        assert refused is not found.get, name


async def test_a_limited_token_calls_only_writes_that_rights_on_datasets_and_groups_decide(services: Services) -> None:
    actor = Actor(id="x", name="x", limited=True)
    for name in registry.names():
        found = registry.find(name)
        assert found is not None
        try:
            await registry.run(name, Call(services, actor, "http://test"), _sample(found.model))
            refused = False
        except NotAuthorized as error:
            refused = "This token acts in one organization or dataset only" in str(error)
        except DataStoreError:
            refused = False
        assert refused is (not found.get and name not in LIMITED_WRITES), name
    assert set(registry.names()) >= LIMITED_WRITES


@pytest.mark.parametrize("by_sysadmin", [True, False])
async def test_limited_to_an_organization(call: ActionCall, services: Services, by_sysadmin: bool) -> None:
    world = await _world(call)
    roles = {world["here_org"]: "admin", world["there_org"]: "admin"}
    user_id, _ = await person_with_token(services, roles, sysadmin=by_sysadmin)
    token = await token_for(services, user_id, Scope(organization_id=world["here_org"]))
    actor = await services.tokens.actor(token)
    act = caller(services, actor)
    for dataset in ("here", "here_too"):
        assert (await act("package_patch", id=world[dataset], notes="x"))["notes"] == "x"
    assert (await act("package_create", name=unique(), owner_org=world["here_org"]))["creator_user_id"] == user_id
    assert (await act("datastore_search", resource_id=world["here_table"]))["total"] == 1
    await act("organization_patch", id=world["here_org"], title="Here")
    for name, parameters in (
        ("package_show", {"id": world["there"]}),
        ("package_patch", {"id": world["there"], "notes": "x"}),
        ("package_create", {"name": unique(), "owner_org": world["there_org"]}),
        ("datastore_search", {"resource_id": world["there_table"]}),
        ("datastore_search_sql", {"sql": f'SELECT * FROM "{world["there_table"]}"'}),
        ("organization_patch", {"id": world["there_org"], "title": "x"}),
        ("organization_member_create", {"id": world["there_org"], "username": actor.name, "role": "editor"}),
        ("user_patch", {"id": user_id, "fullname": "x"}),
        ("api_token_create", {"user": user_id, "name": "more"}),
        ("api_token_list", {"user": user_id}),
        ("organization_create", {"name": unique("org")}),
    ):
        with pytest.raises(NotAuthorized):
            await act(name, **parameters)
    assert "email" not in await act("user_show", id=user_id)
    names = await act("package_list", include_private=True)
    assert (await call("package_show", id=world["here"]))["name"] in names
    assert (await call("package_show", id=world["there"]))["name"] not in names
    moved = await errors_of(act("package_patch", id=world["here"], owner_org=world["there_org"]))
    assert moved == {"owner_org": ["You cannot add a dataset to this organization"]}


@pytest.mark.parametrize(("role", "writes"), [("sysadmin", True), ("editor", True), ("member", False)])
async def test_limited_to_a_dataset(call: ActionCall, services: Services, role: str, writes: bool) -> None:
    world = await _world(call)
    roles = {} if role == "sysadmin" else {world["here_org"]: role}
    user_id, _ = await person_with_token(services, roles, sysadmin=role == "sysadmin")
    token = await token_for(services, user_id, Scope(dataset_id=world["here"]))
    act = caller(services, await services.tokens.actor(token))
    assert (await act("package_show", id=world["here"]))["private"]
    assert (await act("datastore_search", resource_id=world["here_table"]))["total"] == 1
    selected = await act("datastore_search_sql", sql=f'SELECT a FROM "{world["here_table"]}"')
    assert selected["records"] == [{"a": 1}]
    if writes:
        await act("datastore_upsert", resource_id=world["here_table"], records=[{"a": 2}], method="insert", force=True)
        assert (await act("package_patch", id=world["here"], notes="x"))["notes"] == "x"
    else:
        with pytest.raises(NotAuthorized):
            await act("package_patch", id=world["here"], notes="x")
    for other, table in (("here_too", "here_table_too"), ("there", "there_table")):
        for name, parameters in (
            ("package_show", {"id": world[other]}),
            ("package_patch", {"id": world[other], "notes": "x"}),
            ("datastore_search", {"resource_id": world[table]}),
            ("datastore_search_sql", {"sql": f'SELECT * FROM "{world[table]}"'}),
        ):
            with pytest.raises(NotAuthorized):
                await act(name, **parameters)
    with pytest.raises(NotAuthorized):
        await act("package_create", name=unique(), owner_org=world["here_org"])
    listed = await act("datastore_search", resource_id="_table_metadata", filters={"name": list(world.values())})
    assert [row["name"] for row in listed["records"]] == [world["here_table"]]
    if writes:
        taken_out = await errors_of(act("package_patch", id=world["here"], owner_org=world["there_org"]))
        assert taken_out["owner_org"][0] == "You cannot take this dataset out of its organization"


async def test_a_token_for_a_dataset_follows_its_user_and_its_dataset(call: ActionCall, services: Services) -> None:
    world = await _world(call)
    user_id, _ = await person_with_token(services, {world["here_org"]: "editor"})
    token = await token_for(services, user_id, Scope(dataset_id=world["here"]))

    async def rights() -> dict[str, str]:
        return dict((await services.tokens.actor(token)).collaborations)

    assert await rights() == {world["here"]: "editor"}
    await call("organization_member_create", id=world["here_org"], username=user_id, role="member")
    assert await rights() == {world["here"]: "member"}
    await call("package_patch", id=world["here"], owner_org=world["there_org"])
    assert await rights() == {}
    await call("package_patch", id=world["here"], private=False)
    assert await rights() == {world["here"]: "member"}
    await call("organization_member_create", id=world["there_org"], username=user_id, role="editor")
    assert await rights() == {world["here"]: "editor"}


async def test_unowned_datasets_are_out_of_reach_of_limited_tokens(call: ActionCall, services: Services) -> None:
    world = await _world(call)
    site = site_with(services, create_unowned_dataset=True)
    user_id, _ = await person_with_token(services, {world["here_org"]: "editor"})
    token = await token_for(services, user_id, Scope(organization_id=world["here_org"]))
    limited = caller(site, await services.tokens.actor(token))
    free = caller(site, await services.tokens.actor(await token_for(services, user_id)))
    draft = await free("package_create", name=unique(), state="draft")
    for name, parameters in (
        ("package_create", {"name": unique()}),
        ("package_show", {"id": draft["id"]}),
        ("package_patch", {"id": draft["id"], "notes": "x"}),
    ):
        with pytest.raises(NotAuthorized):
            await limited(name, **parameters)
    assert draft["name"] not in await limited("package_list", include_drafts=True)
    assert draft["name"] in await free("package_list", include_drafts=True)


async def test_scoped_tokens_are_made_and_listed(call: ActionCall, services: Services) -> None:
    world = await _world(call)
    ann = await person(services, {world["here_org"]: "member"})
    for scope in ({"read_only": "true"}, {"organization": world["here_org"]}, {"dataset": world["here"]}):
        await call("api_token_create", actor=ann, user=ann.name, name="scoped", **scope)
    listed = [token for token in await call("api_token_list", actor=ann, user=ann.id) if token["name"] == "scoped"]
    assert [(token["read_only"], token["organization_id"], token["dataset_id"]) for token in listed] == [
        (True, None, None),
        (False, world["here_org"], None),
        (False, None, world["here"]),
    ]
    for scope, errors in (
        ({"organization": "nowhere"}, {"organization": ["Not found: Organization"]}),
        ({"dataset": "nothing"}, {"dataset": ["Not found: Dataset"]}),
        ({"dataset": world["there"]}, {"dataset": ["Not found: Dataset"]}),
        (
            {"dataset": world["here"], "organization": world["here_org"]},
            {"dataset": ["A token is limited to an organization or to a dataset, not to both"]},
        ),
    ):
        assert await errors_of(call("api_token_create", actor=ann, user=ann.id, name="x", **scope)) == errors


async def test_what_a_token_is_limited_to_may_go(call: ActionCall, services: Services) -> None:
    organization = await call("organization_create", name=unique("org"))
    user_id, _ = await person_with_token(services, {organization["id"]: "admin"})
    token = await token_for(services, user_id, Scope(organization_id=organization["id"]))
    assert (await services.tokens.actor(token)).roles == {organization["id"]: "admin"}
    await call("organization_delete", id=organization["id"])
    assert (await services.tokens.actor(token)).roles == {}
    await call("organization_patch", id=organization["id"], state="active")
    assert (await services.tokens.actor(token)).roles == {organization["id"]: "admin"}
    await call("organization_purge", id=organization["id"])
    assert (await services.tokens.actor(token)).roles == {}
    with pytest.raises(NotFound):
        await call("organization_show", id=organization["id"])


def test_every_action_says_what_it_does() -> None:
    for name in registry.names():
        found = registry.find(name)
        assert found is not None
        assert inspect.getdoc(found.function)
        for field in found.model.model_fields.values():
            assert field.description, (name, field)


async def test_validation_comes_after_the_scope(services: Services) -> None:
    _, token = await person_with_token(services, scope=Scope(read_only=True))
    actor = await services.tokens.actor(token)
    with pytest.raises(NotAuthorized):
        await registry.run("package_patch", Call(services, actor, ""), {})
    with pytest.raises(ValidationError):
        await registry.run("package_show", Call(services, actor, ""), {})
