"""Statements that must run, and give what PostgreSQL gives for the very same text."""

from __future__ import annotations

import json
import re

import asyncpg
import pytest

from tests.sqlgate.analyses import ANALYSES
from tests.sqlgate.conftest import CallAction, World

STATEMENTS = [statement for statement in re.split(r"\n(?! )", ANALYSES.strip()) if statement]

NEWER = r"IS JSON|json_object\(\)"
"""What PostgreSQL 15 does not know."""


def test_there_are_enough() -> None:
    assert len(STATEMENTS) >= 80


@pytest.mark.parametrize("statement", STATEMENTS, ids=range(len(STATEMENTS)))
async def test_analysis(sql: CallAction, world: World, database_url: str, statement: str) -> None:
    raw = statement
    for label, table in {**world.tables, "birds": world.birds, "places": world.places}.items():
        raw = raw.replace(f"{{{label}}}", f'"{table}"')
    # The text as it was written, found by a search path: the gate must have changed nothing about its meaning.
    connection = await asyncpg.connect(
        database_url,
        server_settings={"search_path": f'pg_catalog, "{world.datasets["public"]}"', "timezone": "UTC"},
    )
    try:
        if re.search(NEWER, statement) and connection.get_server_version().major < 16:
            pytest.skip("needs PostgreSQL 16")
        rows = await connection.fetch(f"{raw.rstrip().rstrip(';')}\n")
        names = [attribute.name for attribute in (await connection.prepare(raw)).get_attributes()]
        expected: list[str] = []
        if len(set(names)) == len(names):
            text = raw.strip().rstrip(";")
            expected = [row[0] for row in await connection.fetch(f"SELECT row_to_json(q__) FROM ({text}\n) AS q__")]
    finally:
        await connection.close()
    result = await sql(statement)
    assert len(result["records"]) == len(rows)
    assert [field["id"] for field in result["fields"]][:1] == names[:1]
    assert len(result["fields"]) == len(names)
    if expected:
        times = {field["id"] for field in result["fields"] if field["type"].startswith("timestamp")}
        assert result["records"] == [
            {name: _six_digits(value) if name in times else value for name, value in json.loads(row).items()}
            for row in expected
        ]


def _six_digits(time: str | None) -> str | None:
    """The fraction of a time as the API shows it."""
    return time and re.sub(r"\.(\d+)", lambda found: "." + found[1].ljust(6, "0"), time)
