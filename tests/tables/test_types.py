from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.actions.services import Services
from datastore.tables.types import Declared, parse, resolve


@pytest.mark.parametrize(
    ("declared", "name", "sql"),
    [
        ("int", "int4", 'pg_catalog."int4"'),
        ("INTEGER", "int4", 'pg_catalog."int4"'),
        ("double  precision", "float8", 'pg_catalog."float8"'),
        ("float(10)", "float4", 'pg_catalog."float4"'),
        ("numeric( 10 , 2 )", "numeric", 'pg_catalog."numeric"(10,2)'),
        ("timestamp with time zone", "timestamptz", 'pg_catalog."timestamptz"'),
        ("timestamp(3) without time zone", "timestamp", 'pg_catalog."timestamp"(3)'),
        ("character varying(20)", "varchar", 'pg_catalog."varchar"(20)'),
        ("char", "bpchar", 'pg_catalog."bpchar"(1)'),
        ("text[]", "_text", 'pg_catalog."text"[]'),
        ("_text", "_text", 'pg_catalog."text"[]'),
        ("int[2]", "_int4", 'pg_catalog."int4"[]'),
        ("numeric(5,1)[][]", "_numeric", 'pg_catalog."numeric"(5,1)[]'),
    ],
)
def test_parse(declared: str, name: str, sql: str) -> None:
    assert parse(declared) == Declared(name, sql)


@pytest.mark.parametrize(
    "declared",
    ["", "int[", "int; drop table x", "int)", "a.b", '"int"', "int--", "regclass", "_regclass", "pg_lsn", "float(99)",
     "date with time zone", "int\N{NO-BREAK SPACE}4", "text collate x", "_text[]"],
)  # fmt: skip
def test_refused(declared: str) -> None:
    assert parse(declared) is None


@given(st.text())
def test_nothing_but_a_type_name_gets_into_sql(declared: str) -> None:
    found = parse(declared)
    if found is not None:
        allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_")
        head, _, rest = found.sql.removeprefix('pg_catalog."').partition('"')
        assert set(head) <= allowed
        assert set(rest) <= set("0123456789,()[]-")


async def test_resolve_knows_what_the_server_has(services: Services) -> None:
    declared = ["int", "text[]", "jsonb", "numeric(3,1)", "string", "datetime", "serial", "money", "inet", "tsvector"]
    async with services.database.owner.acquire() as connection:
        found = await resolve(connection, declared)
    assert set(declared) - found.keys() == {"string", "datetime", "serial"}
    assert found["text[]"].name == "_text"
