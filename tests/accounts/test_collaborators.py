"""Collaborators: let into one dataset and its tables, and into nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from datastore.settings import Settings
from tests.accounts.people import caller, person, person_with_token
from tests.catalog.samples import ActionCall, errors_of, unique

Act = Callable[..., Awaitable[Any]]


@pytest.fixture
async def site(database_url: str, settings: Settings) -> AsyncIterator[Services]:
    """A worker of a site that has collaborators."""
    allowed = settings.model_copy(update={"allow_dataset_collaborators": True, "pool_size": 2})
    services = await Services.open(database_url, allowed)
    yield services
    await services.close()


async def _private(call: ActionCall, organization: str) -> tuple[str, str]:
    """A private dataset, and a table in it."""
    dataset = await call("package_create", name=unique(), owner_org=organization, private=True)
    table = await call("datastore_create", resource={"package_id": dataset["id"]}, records=[{"a": 1}])
    return dataset["id"], table["resource_id"]


@pytest.mark.parametrize("capacity", ["member", "editor"])
async def test_a_collaborator_reads_and_an_editor_writes(
    call: ActionCall, site: Services, organization: str, capacity: str
) -> None:
    dataset, table = await _private(call, organization)
    other, other_table = await _private(call, organization)
    user_id, token = await person_with_token(site)
    admin = caller(site, await person(site, {organization: "admin"}))

    async def as_user() -> Act:
        return caller(site, await site.tokens.actor(token))

    async def sees() -> dict[str, bool]:
        act = await as_user()
        listed = await act("datastore_search", resource_id="_table_metadata", filters={"name": table})
        found = {
            "list": (await act("package_show", id=dataset))["name"] in await act("package_list", include_private=True)
            if await _allowed(act, "package_show", id=dataset)
            else False,
            "metadata": listed["total"] == 1,
        }
        for name, parameters in (
            ("package_show", {"id": dataset}),
            ("datastore_search", {"resource_id": table}),
            ("datastore_info", {"id": table}),
            ("datastore_search_sql", {"sql": f'SELECT a FROM "{table}"'}),
        ):
            found[name] = await _allowed(act, name, **parameters)
        return found

    assert not any((await sees()).values())
    row = await admin("package_collaborator_create", id=dataset, user_id=user_id, capacity=capacity)
    assert set(row) == {"package_id", "user_id", "capacity", "modified"}
    assert (row["package_id"], row["user_id"], row["capacity"]) == (dataset, user_id, capacity)
    assert all((await sees()).values())
    act = await as_user()
    assert (await act("datastore_search_sql", sql=f'SELECT a FROM "{table}"'))["records"] == [{"a": 1}]
    writes = {
        "package_patch": await _allowed(act, "package_patch", id=dataset, notes="x"),
        "resource_create": await _allowed(act, "resource_create", package_id=dataset),
        "datastore_upsert": await _allowed(
            act, "datastore_upsert", resource_id=table, records=[{"a": 2}], method="insert"
        ),
    }
    assert set(writes.values()) == {capacity == "editor"}
    for name, parameters in (
        ("package_show", {"id": other}),
        ("datastore_search", {"resource_id": other_table}),
        ("datastore_search_sql", {"sql": f'SELECT * FROM "{table}" JOIN "{other_table}" USING (a)'}),
        ("package_create", {"name": unique(), "owner_org": organization}),
        ("package_collaborator_create", {"id": dataset, "user_id": "admin", "capacity": "member"}),
        ("package_collaborator_list", {"id": dataset}),
    ):
        assert not await _allowed(act, name, **parameters), name
    if capacity == "editor":
        moved = await errors_of(act("package_patch", id=dataset, owner_org=(await _other_organization(call))))
        assert moved["owner_org"][0] == "You cannot take this dataset out of its organization"
    assert await admin("package_collaborator_delete", id=dataset, user_id=user_id) is None
    assert not any((await sees()).values())
    with pytest.raises(NotFound):
        await admin("package_collaborator_delete", id=dataset, user_id=user_id)


async def _other_organization(call: ActionCall) -> str:
    return str((await call("organization_create", name=unique("org")))["id"])


async def _allowed(act: Act, name: str, /, **parameters: Any) -> bool:
    try:
        await act(name, **parameters)
    except NotAuthorized:
        return False
    return True


async def test_collaborators_are_listed(call: ActionCall, site: Services, organization: str) -> None:
    dataset, _ = await _private(call, organization)
    admin = caller(site, await person(site, {organization: "admin"}))
    ann, bob = await person(site), await person(site)
    await admin("package_collaborator_create", id=dataset, user_id=ann.name, capacity="member")
    await admin("package_collaborator_create", id=dataset, user_id=ann.name, capacity="editor")
    await admin("package_collaborator_create", id=dataset, user_id=bob.id, capacity="member")
    listed = await admin("package_collaborator_list", id=dataset)
    assert {row["user_id"]: row["capacity"] for row in listed} == {ann.id: "editor", bob.id: "member"}
    only = await admin("package_collaborator_list", id=dataset, capacity="editor")
    assert [row["user_id"] for row in only] == [ann.id]
    mine = await caller(site, ann)("package_collaborator_list_for_user", id=ann.id)
    assert [(row["package_id"], row["capacity"]) for row in mine] == [(dataset, "editor")]
    assert await caller(site, ann)("package_collaborator_list_for_user", id=ann.id, capacity="member") == []
    for actor in (ANONYMOUS, bob):
        with pytest.raises(NotAuthorized):
            await caller(site, actor)("package_collaborator_list_for_user", id=ann.id)


async def test_who_may_choose_collaborators(call: ActionCall, site: Services, organization: str) -> None:
    dataset, _ = await _private(call, organization)
    ann = await person(site)
    wanted = {"id": dataset, "user_id": ann.name, "capacity": "member"}
    for actor in (ANONYMOUS, ann, await person(site, {organization: "editor"})):
        with pytest.raises(NotAuthorized):
            await caller(site, actor)("package_collaborator_create", **wanted)
    root = caller(site, Actor(name="default", sysadmin=True))
    errors = await errors_of(root("package_collaborator_create", **{**wanted, "capacity": "admin"}))
    assert errors == {"capacity": ['Role must be one of "editor, member"']}
    for field, value in (("id", "nothing"), ("user_id", "nobody-there")):
        with pytest.raises(NotFound):
            await root("package_collaborator_create", **{**wanted, field: value})


async def test_without_the_setting_there_are_none(call: ActionCall, site: Services, organization: str) -> None:
    dataset, _ = await _private(call, organization)
    user_id, token = await person_with_token(site)
    root = caller(site, Actor(name="default", sysadmin=True))
    await root("package_collaborator_create", id=dataset, user_id=user_id, capacity="editor")
    for name, parameters in (
        ("package_collaborator_create", {"id": dataset, "user_id": user_id, "capacity": "member"}),
        ("package_collaborator_delete", {"id": dataset, "user_id": user_id}),
        ("package_collaborator_list", {"id": dataset}),
        ("package_collaborator_list_for_user", {"id": user_id}),
    ):
        assert await errors_of(call(name, **parameters)) == {"message": "Dataset collaborators not enabled"}
    assert (await site.tokens.actor(token)).collaborations == {dataset: "editor"}
