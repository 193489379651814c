"""Any table of any types survives: create → search in every format → dump → create."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given

from datastore.actions.registry import RawJson
from datastore.tables.writing import write
from tests.tables.strategies import Table, as_shown, dumps, tables

CallAction = Callable[..., Awaitable[Any]]


def parsed(text: bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def comparable(rows: list[dict[str, Any]], fields: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Rows with numbers as what their column's type compares."""
    shown = []
    for row in rows:
        values = {}
        for field in fields:
            value = row[field["id"]]
            if field["type"] == "numeric" and value is not None:
                values[field["id"]] = Decimal(str(value))
            else:
                values[field["id"]] = as_shown(_floats(value))
        shown.append(values)
    return shown


def _floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    return [_floats(item) for item in value] if isinstance(value, list) else value


async def create(client: httpx.AsyncClient, headers: dict[str, str], dataset: str, table: Table, records: bytes) -> str:
    body = dumps({"resource": {"package_id": dataset}, "fields": table.fields})[:-1] + b',"records":' + records + b"}"
    response = await client.post("/api/3/action/datastore_create", content=body, headers=headers)
    assert response.status_code == 200, response.text
    return str(response.json()["result"]["resource_id"])


async def search(client: httpx.AsyncClient, resource_id: str, **parameters: Any) -> dict[str, Any]:
    response = await client.get(
        "/api/3/action/datastore_search", params={"resource_id": resource_id, "limit": 1000, **parameters}
    )
    assert response.status_code == 200, response.text
    result: dict[str, Any] = parsed(response.content)["result"]
    return result


@given(table=tables())
async def test_create_search_dump_create(
    client: httpx.AsyncClient, admin_headers: dict[str, str], dataset: str, table: Table
) -> None:
    resource_id = await create(client, admin_headers, dataset, table, dumps(table.sent))
    names = ["_id", *(field["id"] for field in table.fields)]

    objects = await search(client, resource_id)
    assert objects["total"] == len(table.sent)
    assert [list(row) for row in objects["records"]] == [names] * len(table.sent)
    assert comparable(objects["records"], table.fields) == comparable(table.shown, table.fields)

    lists = await search(client, resource_id, records_format="lists")
    assert lists["records"] == [list(row.values()) for row in objects["records"]]

    text = await search(client, resource_id, records_format="csv")
    dump = await client.get(f"/datastore/dump/{resource_id}")
    assert dump.status_code == 200
    header, rows = read_csv(dump.text)
    assert header == names
    assert dump.text.endswith(text["records"])
    assert len(rows) == len(table.sent)

    again: list[dict[str, Any]] = [
        {name: value for name, value in zip(names[1:], row[1:], strict=True) if value is not None} for row in rows
    ]
    types = {field["id"]: field["type"] for field in table.fields}
    for row in again:
        for name, value in row.items():
            if types[name] == "json" or types[name].startswith("_"):
                row[name] = msgspec.Raw(value.encode())
    copy = await create(client, admin_headers, dataset, table, dumps(again))
    assert (await client.get(f"/datastore/dump/{copy}")).text == dump.text


def read_csv(text: str) -> tuple[list[str], list[list[str | None]]]:
    """Header and rows; an unquoted empty cell is None, a quoted one the empty string, as PostgreSQL writes them."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    quoted = list(_quoted_cells(text))
    cells = [
        [None if value == "" and not was_quoted else value for value, was_quoted in zip(row, marks, strict=True)]
        for row, marks in zip(rows, quoted, strict=True)
    ]
    return [str(name) for name in rows[0]], cells[1:]


def _quoted_cells(text: str) -> Any:
    """For each row, which cells were quoted."""
    row, quoted, inside, start = [], False, False, True
    for character in text:
        if inside:
            inside = character != '"'
        elif character == '"':
            inside, quoted = True, quoted or start
        elif character in ",\n":
            row.append(quoted)
            quoted = False
            if character == "\n":
                yield row
                row = []
        start = not inside and character in ",\n"


@given(table=tables(min_records=1))
async def test_both_ways_of_writing_agree(call: CallAction, dataset: str, table: Table) -> None:
    """What the strict way takes, it stores as the text way does; what it refuses, the text way decides."""
    results = []
    for threshold in (1, 10**6):
        with _threshold(threshold):
            created = await call(
                "datastore_create",
                resource={"package_id": dataset},
                fields=table.fields,
                records=RawJson(dumps(table.sent)),
                include_records=True,
            )
            results.append(created["records"])
    assert results[0] == results[1]


async def test_a_strict_write_that_gives_up_uses_no_numbers(call: CallAction, resource: str) -> None:
    records = [{"a": number if number < 2500 else str(number)} for number in range(3000)]
    await call("datastore_create", resource_id=resource, fields=[{"id": "a", "type": "int"}], records=records)
    found = await call("datastore_search", resource_id=resource, sort="_id", limit=1)
    assert found["records"] == [{"_id": 1, "a": 0}]


@pytest.mark.parametrize("method", ["insert", "upsert"])
async def test_types_that_change_are_not_remembered(call: CallAction, dataset: str, method: str) -> None:
    """The same names with other types of the same size, on every connection: no value goes in the wrong form."""
    with _threshold(0):
        for kind, value in (("int", 7), ("real", 0.5), ("date", "2026-01-01"), ("int", 7)):
            records = [{"k": key, "v": value} for key in range(200)]
            created = await call(
                "datastore_create",
                resource={"package_id": dataset},
                fields=[{"id": "k", "type": "int"}, {"id": "v", "type": kind}],
                primary_key="k",
            )
            resource_id = created["resource_id"]
            writes = [
                call("datastore_upsert", resource_id=resource_id, records=records, method="upsert") for _ in range(8)
            ]
            await asyncio.gather(*writes)
            if kind == "int":
                converted = [{"id": "v", "type": "real"}]
                await call("datastore_create", resource_id=resource_id, fields=converted, convert=True)
                more = [{"k": key + 1000, "v": 0.25} for key in range(200)]
                await call("datastore_upsert", resource_id=resource_id, records=more, method=method)
                found = await call(
                    "datastore_search", resource_id=resource_id, filters={"k": {"gte": 1000}}, limit=1000
                )
                assert {row["v"] for row in found["records"]} == {0.25}
            found = await call("datastore_search", resource_id=resource_id, filters={"k": {"lt": 1000}}, limit=1000)
            assert {row["v"] for row in found["records"]} == {value}


class _threshold:
    def __init__(self, value: int) -> None:
        self.value = value

    def __enter__(self) -> None:
        self.before = write.STRICT_FROM
        write.STRICT_FROM = self.value

    def __exit__(self, *_: object) -> None:
        write.STRICT_FROM = self.before
