"""``_table_metadata``: the list of tables and aliases, as a table to search, over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from datastore.actions.services import Services
from tests.accounts.people import person_with_token
from tests.e2e.http import Api

METADATA = "_table_metadata"


@dataclass
class World:
    """A public and a private table of one organization, each with an alias, and those who look at them."""

    public: str
    public_alias: str
    private: str
    private_alias: str
    member: Api
    stranger: Api


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
def anonymous(client: httpx.AsyncClient) -> Api:
    return Api(client, {})


@pytest.fixture
async def world(api: Api, client: httpx.AsyncClient, services: Services, call: Callable[..., Awaitable[Any]]) -> World:
    mine = await api.ok("organization_create", name=f"o-{uuid.uuid4().hex[:8]}")
    other = await api.ok("organization_create", name=f"o-{uuid.uuid4().hex[:8]}")
    tables: list[str] = []
    for private in (False, True):
        dataset = await api.ok(
            "package_create", name=f"d-{uuid.uuid4().hex[:8]}", owner_org=mine["id"], private=private
        )
        alias = f"Alias '{uuid.uuid4().hex[:8]}\\ {private}"
        table = await api.ok(
            "datastore_create", resource={"package_id": dataset["id"]}, aliases=[alias], records=[{"a": 1}]
        )
        tables += [table["resource_id"], alias]
    _, member = await person_with_token(services, {mine["id"]: "member"})
    _, stranger = await person_with_token(services, {other["id"]: "admin"})
    public, public_alias, private_table, private_alias = tables
    return World(
        public,
        public_alias,
        private_table,
        private_alias,
        member=Api(client, {"Authorization": member}),
        stranger=Api(client, {"Authorization": stranger}),
    )


async def names(api: Api, world: World) -> set[str]:
    """Which of the names of the world the list has for this visitor."""
    all_names = [world.public, world.public_alias, world.private, world.private_alias]
    rows = await api.rows(METADATA, filters={"name": all_names})
    return {row["name"] for row in rows}


async def test_everybody_sees_what_they_may(api: Api, anonymous: Api, world: World) -> None:
    public, private = {world.public, world.public_alias}, {world.private, world.private_alias}
    assert await names(anonymous, world) == public
    assert await names(world.stranger, world) == public
    assert await names(world.member, world) == public | private
    assert await names(api, world) == public | private


async def test_what_one_asked_is_not_answered_to_another(api: Api, anonymous: Api, world: World) -> None:
    """The same words, whose statement is remembered."""
    for visitor, sees in ((api, True), (anonymous, False), (world.member, True), (world.stranger, False)):
        listed = {row["name"] for row in await visitor.rows(METADATA, limit=32000)}
        assert world.public in listed
        assert (world.private in listed) is sees


async def test_the_list_follows_the_dataset(api: Api, anonymous: Api, world: World) -> None:
    dataset = (await api.ok("resource_show", id=world.private))["package_id"]
    await api.ok("package_patch", id=dataset, private=False)
    assert world.private in await names(anonymous, world)
    await api.ok("datastore_create", resource_id=world.private, aliases=[])
    assert await names(anonymous, world) == {world.public, world.public_alias, world.private}
    await api.ok("package_delete", id=dataset)
    assert world.private not in await names(anonymous, world)
    await api.ok("datastore_delete", resource_id=world.public)
    assert await names(anonymous, world) == set()


async def test_rows_and_fields(anonymous: Api, world: World, services: Services) -> None:
    found = await anonymous.ok(
        "datastore_search", id=METADATA, filters={"name": [world.public, world.public_alias]},
        sort="alias_of nulls first",
    )  # fmt: skip
    assert found["resource_id"] == METADATA
    assert found["total"] == 2
    assert found["fields"] == [
        {"id": "_id", "type": "int"},
        {"id": "name", "type": "name"},
        {"id": "oid", "type": "oid"},
        {"id": "alias_of", "type": "name"},
    ]
    table, alias = found["records"]
    assert (table["name"], table["alias_of"]) == (world.public, None)
    assert (alias["name"], alias["alias_of"]) == (world.public_alias, world.public)
    assert alias["oid"] == table["oid"]
    assert table["_id"] != alias["_id"]
    assert {len(row["_id"]) for row in found["records"]} == {17}
    relation = await services.database.owner.fetchval("SELECT relname FROM pg_class WHERE oid = $1", int(table["oid"]))
    assert relation == world.public


async def test_every_parameter_of_search(anonymous: Api, world: World) -> None:
    everything = await anonymous.ok("datastore_search", resource_id=METADATA, limit=32000)
    rows = everything["records"]
    assert everything["total"] == len(rows) > 2
    assert [row["_id"] for row in rows] == sorted(row["_id"] for row in rows)
    assert not any(row["name"].startswith("_") for row in rows)

    by_name = sorted((row["name"] for row in rows), reverse=True)
    paged: list[str] = []
    for offset in range(0, len(rows), 3):
        page = await anonymous.rows(METADATA, sort="name desc", limit=3, offset=offset, fields="name")
        paged += [row["name"] for row in page]
    assert paged == by_name

    [alias] = await anonymous.rows(METADATA, filters={"alias_of": world.public})
    assert await anonymous.rows(METADATA, filters={"_id": alias["_id"]}) == [alias]
    assert await anonymous.rows(METADATA, filters={"oid": alias["oid"], "alias_of": {"gt": ""}}) == [alias]
    assert alias in await anonymous.rows(METADATA, filters=[{"_id": {"gte": alias["_id"]}}], limit=32000)
    assert [row["name"] for row in await anonymous.rows(METADATA, q=f'"{world.public_alias}"')] == [world.public_alias]
    assert await anonymous.rows(METADATA, q={"name": world.public_alias}) != []
    tables = await anonymous.ok("datastore_search", resource_id=METADATA, filters={"alias_of": None}, limit=0)
    pointed = await anonymous.ok(
        "datastore_search", resource_id=METADATA, fields="alias_of", distinct=True, limit=32000, sort="alias_of"
    )
    assert tables["total"] + len([row for row in rows if row["alias_of"]]) == len(rows)
    assert pointed["total"] == len({row["alias_of"] for row in rows})

    lists = await anonymous.ok(
        "datastore_search", resource_id=METADATA, filters={"name": world.public}, records_format="lists"
    )
    assert lists["records"][0][1] == world.public
    csv = await anonymous.ok(
        "datastore_search", resource_id=METADATA, filters={"name": world.public_alias}, fields="name,alias_of",
        records_format="csv",
    )  # fmt: skip
    assert csv["records"] == f"{world.public_alias},{world.public}\n"
    assert csv["total"] == 1


async def test_cursors(anonymous: Api, world: World) -> None:
    """Keyset pages go by the hash where a table has its number."""
    for sort in ("", "name desc", "alias_of", "alias_of desc nulls last, oid"):
        whole = [row["_id"] for row in await anonymous.rows(METADATA, sort=sort, limit=32000)]
        paged: list[str] = []
        cursor = "*"
        while cursor:
            found = await anonymous.ok("datastore_search", resource_id=METADATA, sort=sort, limit=3, cursor=cursor)
            paged += [row["_id"] for row in found["records"]]
            cursor = found.get("next_cursor")
        assert paged == whole


async def test_next_page(anonymous: Api, world: World) -> None:
    for sort in ("", "_id desc"):
        whole = await anonymous.rows(METADATA, sort=sort, limit=4)
        first = await anonymous.ok("datastore_search", resource_id=METADATA, sort=sort, limit=2, include_next_page=True)
        assert first["records"] == whole[:2]
        operator = "lt" if sort else "gt"
        assert first["next_page"] == {"_id": {operator: whole[1]["_id"]}}
        assert await anonymous.rows(METADATA, sort=sort, limit=2, filters=first["next_page"]) == whole[2:]


async def test_analysis(anonymous: Api, world: World) -> None:
    found = await anonymous.ok(
        "datastore_aggregate", resource_id=METADATA, filters={"alias_of": world.public}, group_by="alias_of",
        aggregates="count",
    )  # fmt: skip
    assert found["records"] == [{"alias_of": world.public, "count": 1}]
    # Statistics are kept by table, and this one is another for everybody.
    await anonymous.refused(404, "datastore_stats", resource_id=METADATA, fields="alias_of")


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"filters": {"oid": "x"}}, "query"),
        ({"filters": {"nope": 1}}, "filters"),
        ({"sort": "nope"}, "sort"),
        ({"fields": "nope"}, "fields"),
        ({"q": {"nope": "x"}}, "q"),
        ({"q": "&", "plain": False}, "query"),
        ({"offset": -1}, "offset"),
        ({"nonsense": 1}, "__extras"),
    ],
)
async def test_bad_parameters(anonymous: Api, parameters: dict[str, Any], key: str) -> None:
    assert key in await anonymous.refused(409, "datastore_search", resource_id=METADATA, **parameters)


async def test_nothing_but_reading(api: Api, client: httpx.AsyncClient) -> None:
    assert (
        "not found" in (await api.refused(409, "datastore_create", resource_id=METADATA, fields=[]))["resource_id"][0]
    )
    for action, parameters in (
        ("datastore_upsert", {"records": [{"name": "x"}]}),
        ("datastore_delete", {}),
        ("datastore_delete", {"filters": {}}),
        ("datastore_records_delete", {"filters": {}}),
        ("datastore_run_triggers", {}),
        ("datastore_make_public", {}),
        ("datastore_info", {}),
    ):
        await api.refused(404, action, resource_id=METADATA, force=True, **parameters)
    assert (await client.get(f"/datastore/dump/{METADATA}")).status_code == 404


async def test_an_alias_cannot_take_the_name(api: Api, resource: str) -> None:
    error = await api.refused(409, "datastore_create", resource_id=resource, aliases=[METADATA])
    assert error == {"alias": [f'"{METADATA}" is not a valid alias name']}


async def test_the_public_role_cannot_ask_for_what_others_see(services: Services, world: World) -> None:
    allowed = await services.database.owner.fetchval(
        "SELECT has_function_privilege($1, 'datastore.table_metadata(text, boolean, text[])', 'EXECUTE')",
        services.settings.public_role,
    )
    assert allowed is False
