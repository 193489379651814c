"""datastore_search_sql over HTTP, and what comes back."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import BadRequest, DataStoreError, NotAuthorized, ValidationError
from datastore.settings import Settings
from datastore.sqlgate.run import Sql
from tests.sqlgate.conftest import World

RunSql = Callable[..., Awaitable[Any]]
URL = "/api/3/action/datastore_search_sql"


async def test_get_and_post(client: httpx.AsyncClient, world: World) -> None:
    statement = f'SELECT name, eggs FROM "{world.birds}" ORDER BY eggs LIMIT 2;'
    for response in (
        await client.get(URL, params={"sql": statement}),
        await client.post(URL, json={"sql": statement}),
    ):
        assert response.status_code == 200, response.text
        assert response.json()["result"] == {
            "sql": statement,
            "fields": [{"id": "name", "type": "text"}, {"id": "eggs", "type": "int4"}],
            "records": [{"name": "Kiwi", "eggs": 1}, {"name": "Eule", "eggs": 3}],
        }


async def test_missing_sql(client: httpx.AsyncClient) -> None:
    response = await client.get(URL)
    assert response.status_code == 409
    assert response.json()["error"]["sql"] == ["Missing value"]


async def test_values(sql: RunSql) -> None:
    result = await sql(
        """SELECT 1.10::numeric AS a, 'NaN'::float8 AS b, 'Infinity'::numeric AS c, timestamp '2020-01-02 03:04:05' AS d,
        timestamp '2020-01-02 03:04:05.5' AS e, '{"a": [1.0, "ü"]}'::jsonb AS f, '\\x0102'::bytea AS g, ARRAY['a', NULL] AS h,
        interval '26 hours' AS i, NULL::int AS j, 12345678901234567890123 AS k, timestamptz '2020-01-02 03:04:05+01' AS l,
        (1, 'x') AS m, true AS n"""
    )
    assert result["records"] == [
        {
            "a": 1.10,
            "b": "NaN",
            "c": "Infinity",
            "d": "2020-01-02T03:04:05",
            "e": "2020-01-02T03:04:05.500000",
            "f": {"a": [1.0, "ü"]},
            "g": "\\x0102",
            "h": ["a", None],
            "i": "26:00:00",
            "j": None,
            "k": 12345678901234567890123,
            "l": "2020-01-02T02:04:05+00:00",
            "m": {"f1": 1, "f2": "x"},
            "n": True,
        }
    ]
    assert [field["type"] for field in result["fields"]] == [
        "numeric", "float8", "numeric", "timestamp", "timestamp", "jsonb", "bytea", "_text", "interval", "int4", "numeric",
        "timestamptz", "record", "bool",
    ]  # fmt: skip


async def test_names_of_columns_are_unique(sql: RunSql) -> None:
    result = await sql("SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a, 5 AS q, 6 AS s, 7, 8")
    assert result["records"] == [{"a": 1, "a_2": 2, "a_1": 3, "a_3": 4, "q": 5, "s": 6, "?column?": 7, "?column?_1": 8}]
    assert [field["id"] for field in result["fields"]] == list(result["records"][0])
    long = "x" * 63
    result = await sql(f'SELECT 1 AS "{long}", 2 AS "{long}"')
    assert result["records"] == [{long: 1, long[:61] + "_1": 2}]


async def test_truncation(services: Services, settings: Settings, world: World) -> None:
    few = settings.model_copy(update={"search_rows_max": 3})
    original, services.database.settings = services.database.settings, few
    try:
        limited = Sql(services.database, services.schemas)
        for rows, truncated in ((3, False), (4, True)):
            result = await limited.run(f'SELECT name FROM "{world.birds}" ORDER BY name LIMIT {rows}', [], ANONYMOUS)
            assert json.loads(result.records) == [{"name": "Amsel"}, {"name": "Eule"}, {"name": "Kiwi"}]
            assert result.truncated is truncated
        await limited.close()
    finally:
        services.database.settings = original
    untruncated = await services.sql.run("SELECT g FROM generate_series(1, 32000) g", [], ANONYMOUS)
    assert not untruncated.truncated
    assert json.loads(untruncated.records)[-1] == {"g": 32000}
    assert (await services.sql.run("SELECT g FROM generate_series(1, 32001) g", [], ANONYMOUS)).truncated


async def test_parameters(sql: RunSql) -> None:
    statement = """SELECT name FROM {birds} WHERE eggs = $1 OR mass > $2 OR tags @> $3 OR seen = $4 OR more @> $5
                   ORDER BY name LIMIT $6"""
    values: list[Any] = [5, "2000.5", ["night"], "2024-04-10 05:00", {"legs": 9}, 10]
    result = await sql(statement, params=values)
    assert [record["name"] for record in result["records"]] == ["Amsel", "Eule", "Kiwi", "Zaunkönig"]
    assert (await sql("SELECT $1 AS a, $2::int + 1 AS b, $1 || 'x' AS c", params=["it's; \\", None]))["records"] == [
        {"a": "it's; \\", "b": None, "c": "it's; \\x"}
    ]
    for params, message in (([], "1 parameters, not 0"), ([1, 2], "1 parameters, not 2"), ("x", "Not a list")):
        with pytest.raises(ValidationError) as refusal:
            await sql("SELECT $1::int", params=params)
        assert message in str(refusal.value.fields) or "Cannot parse JSON" in str(refusal.value.fields)
    with pytest.raises(ValidationError, match="invalid input syntax for type integer"):
        await sql("SELECT $1::int", params=["x"])


async def test_full_text(sql: RunSql) -> None:
    found = await sql("SELECT name FROM {birds} WHERE _full_text @@ to_tsquery('city | orange') ORDER BY name")
    assert [record["name"] for record in found["records"]] == ["Amsel", "Eule"]
    result = await sql("SELECT _full_text FROM {birds} WHERE name = 'Kiwi'")
    assert result["fields"] == [{"id": "_full_text", "type": "tsvector"}]
    assert "'kiwi'" in result["records"][0]["_full_text"]
    joined = "SELECT b.name, x._full_text IS NOT NULL AS v FROM {birds} b JOIN (SELECT name, _full_text FROM {birds}) x"
    assert len((await sql(f"{joined} USING (name) WHERE b._full_text @@ 'kiwi'"))["records"]) == 1
    assert "_full_text" not in (await sql("SELECT * FROM {birds}"))["records"][0]
    with pytest.raises(ValidationError, match="ambiguous"):
        await sql("SELECT _full_text FROM {birds} a, {birds} b")


async def test_names_of_tables(sql: RunSql, world: World, call: RunSql) -> None:
    dataset = await call("package_show", id=world.datasets["public"])
    alias = world.aliases["public"]
    for name in (alias, f'"{alias}"', f'public."{alias}"', f'"{dataset["name"]}"."{world.birds}"', "{public}"):
        result = await sql(f"SELECT count(*) AS n FROM {name}")
        assert result["records"][0]["n"] in (2, 4)
    assert (await sql(f"SELECT {alias}.n FROM {alias} ORDER BY {alias}.n"))["records"] == [{"n": 1}, {"n": 2}]
    qualified = f'"{dataset["name"]}"."{world.tables["public"]}"'
    assert (await sql(f"SELECT {qualified}.n FROM {qualified} WHERE {qualified}.n = 2"))["records"] == [{"n": 2}]
    with pytest.raises(ValidationError, match="ambiguous"):
        await sql(f'SELECT * FROM "{dataset["name"]}"."table"')


async def test_members_may_query_their_private_tables(sql: RunSql, world: World, services: Services) -> None:
    statement = "SELECT a.code, p.n FROM {private_a} a JOIN {public} p USING (n) WHERE n = 1"
    expected = [{"code": world.secrets["private_a"], "n": 1}]
    assert (await sql(statement, "member_a"))["records"] == expected
    assert (await sql(statement, "member_a"))["records"] == expected  # from memory
    assert (await sql("SELECT code FROM {draft_a} WHERE n = 1", "member_a"))["records"] != []
    both = "SELECT code FROM {private_a} UNION SELECT code FROM {private_b} ORDER BY 1"
    assert len((await sql(both, "sysadmin"))["records"]) == 3
    for person in ("anonymous", "member_b"):
        with pytest.raises(NotAuthorized, match="Not authorized to read resource"):
            await sql(statement, person)
    # PostgreSQL lets the role of such a statement see that dataset and public ones, and no other.
    async with services.sql.sandbox.transaction(frozenset({world.datasets["private_a"]})) as connection:
        assert await connection.fetchval(f"SELECT count(*) FROM {_table(world, 'private_a')}") == 2
        assert await connection.fetchval(f"SELECT count(*) FROM {_table(world, 'public')}") == 2
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval(f"SELECT count(*) FROM {_table(world, 'private_b')}")


async def test_what_is_hidden_cannot_be_told_from_what_is_not_there(sql: RunSql, world: World) -> None:
    def told(name: str, refusal: DataStoreError) -> str:
        return str(refusal.body()).replace(name, "…")

    unknown = {"id": str(uuid.uuid4()), "alias": f"private_a_{uuid.uuid4().hex[:8]}"}
    hidden = {"id": world.tables["private_a"], "alias": world.aliases["private_a"]}
    for kind in ("id", "alias"):
        for shape in (
            'SELECT * FROM "{}"',
            'SELECT * FROM public."{}"',
            'SELECT * FROM "x"."{}"',
            'SELECT "{}" FROM x',
        ):
            answers = set()
            for name in (unknown[kind], hidden[kind]):
                with pytest.raises(DataStoreError) as refusal:
                    await sql(shape.format(name), "member_b")
                answers.add(told(name, refusal.value))
            assert len(answers) == 1


async def test_errors_are_postgresqls(sql: RunSql) -> None:
    for statement, message in {
        "SELECT * FROM FROM {birds}": 'syntax error at or near "FROM"',
        "SELECT ** FROM {birds}": 'syntax error at or near "FROM"',
        "SELECT 1 ** 2": "the operator ** is not supported",
        "SELECT * FRM {birds}": "syntax error",
        "SELEC 1": 'syntax error at or near "SELEC"',
        "SELECT 1 FROM": "syntax error at end of input",
        "SELECT nothing FROM {birds}": 'column "nothing" does not exist',
        "SELECT * FROM nowhere": 'relation "nowhere" does not exist',
        "SELECT 1/0": "division by zero",
        "SELECT 'x'::int": 'invalid input syntax for type integer: "x"',
        "SELECT 1; SELECT 2": "Query is not a single statement.",
        "DELETE FROM {birds}": "Only SELECT is supported.",
        "SELECT name, count(*) FROM {birds}": "must appear in the GROUP BY clause",
    }.items():
        with pytest.raises(ValidationError) as refusal:
            await sql(statement)
        told = refusal.value.fields
        assert message in told["query"][0], statement
        single = told["query"] == ["Query is not a single statement."]
        assert told.get("info") == (None if single else {"orig": told["query"]}), statement


async def test_nothing_is_hidden_from_sysadmins(sql: RunSql, world: World) -> None:
    with pytest.raises(ValidationError, match="does not exist"):
        await sql(f'SELECT 1 FROM "{uuid.uuid4()}"', "sysadmin")


async def test_the_list_of_tables_is_not_for_statements(sql: RunSql) -> None:
    for name in ("_table_metadata", '"_table_metadata"', 'public."_table_metadata"'):
        with pytest.raises(NotAuthorized, match="system tables"):
            await sql(f"SELECT * FROM {name}")


async def test_a_quote_behind_a_backslash_is_refused(sql: RunSql) -> None:
    for text in ("'\\'", "E'\\''", "'a\\'' b'"):
        with pytest.raises(ValidationError, match="Query is not a single statement"):
            await sql(f"SELECT {text}")
    assert (await sql("SELECT 'C:\\x' AS path"))["records"] == [{"path": "C:\\x"}]


async def test_semicolons_comments_and_colons_in_texts(sql: RunSql) -> None:
    result = await sql(
        "SELECT ';' AS a, 'x :name $1 \\ ' AS b, \"n\" AS \"c;--\" FROM {public} WHERE n = 1 -- ; x\n ; ;"
    )
    assert result["records"] == [{"a": ";", "b": "x :name $1 \\ ", "c;--": 1}]


async def test_what_was_checked_is_forgotten_when_a_table_changes(
    sql: RunSql, call: RunSql, resource: str, world: World, services: Services
) -> None:
    await call("datastore_create", resource_id=resource, fields=[{"id": "a", "type": "int"}], force=True)
    statement = f'SELECT * FROM "{resource}"'
    assert [field["id"] for field in (await sql(statement))["fields"]] == ["_id", "a"]
    await call("datastore_create", resource_id=resource, fields=[{"id": "a"}, {"id": "b", "type": "text"}], force=True)
    assert [field["id"] for field in (await sql(statement))["fields"]] == ["_id", "a", "b"]
    dataset = (await call("resource_show", id=resource))["package_id"]
    await call("package_patch", id=dataset, private=True)
    with pytest.raises(NotAuthorized):
        await sql(statement)
    assert (await sql(statement, "sysadmin"))["records"] == []
    await call("package_patch", id=dataset, private=False)
    assert (await sql(statement))["records"] == []
    await call("datastore_delete", resource_id=resource, force=True)
    with pytest.raises(NotAuthorized, match="Not authorized to read resource"):
        await sql(statement)


async def test_everybody_sees_what_they_may_and_nothing_else(sql: RunSql, world: World) -> None:
    shapes = (
        "SELECT * FROM {}",
        "SELECT min(code) FROM {}",
        "WITH x AS (SELECT code FROM {}) SELECT * FROM x",
        "SELECT * FROM (SELECT 1) y, LATERAL (SELECT code FROM {}) x",
        "SELECT (SELECT string_agg(code, ',') FROM {})",
        "SELECT code::int FROM {}",
        "SELECT 1 FROM {} GROUP BY code HAVING code::int > 0",
        "SELECT x FROM {} AS x",
        "SELECT _full_text FROM {}",
        "SELECT json_agg(x) FROM {} x",
    )
    for label, secret in world.secrets.items():
        for person in world.actors:
            for shape in shapes:
                try:
                    told = str(await sql(shape.format("{" + label + "}"), person))
                except DataStoreError as refusal:
                    told = str(refusal.body())
                if world.may_see(person, label):
                    assert secret in told, (label, person, shape, told)
                else:
                    assert secret not in told
                    assert "Not authorized to read resource" in told


async def test_it_can_be_switched_off(services: Services, settings: Settings, world: World) -> None:
    off = dataclasses.replace(services, settings=settings.model_copy(update={"sql_enabled": False}))
    with pytest.raises(BadRequest, match="Action name not known: datastore_search_sql"):
        await run("datastore_search_sql", Call(off, ANONYMOUS, "http://test"), {"sql": "SELECT 1"})


def _table(world: World, label: str) -> str:
    return f'"{world.datasets[label]}"."{world.tables[label]}"'
