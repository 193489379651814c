"""Every type: what is accepted, how it is reported and how it looks (datastore-api.md §3.4, 3.6, 3.7)."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services


@pytest.fixture
async def create(client: httpx.AsyncClient, admin_headers: dict[str, str], dataset: str) -> Any:
    """Make a table of one column and these raw JSON values; gives the response."""

    async def create_table(type: str, *values: str) -> httpx.Response:
        records = ",".join(f'{{"c":{value}}}' for value in values)
        field = json.dumps({"id": "c", "type": type})
        body = f'{{"resource":{{"package_id":"{dataset}"}},"fields":[{field}],"records":[{records}]}}'
        return await client.post("/api/3/action/datastore_create", content=body, headers=admin_headers)

    return create_table


async def shown(client: httpx.AsyncClient, response: httpx.Response) -> tuple[str, list[Any], list[str]]:
    """The reported type, the values in JSON, and the cells in csv."""
    assert response.status_code == 200, response.text
    resource_id = response.json()["result"]["resource_id"]
    parameters = {"resource_id": resource_id, "fields": "c", "sort": "_id", "limit": 1000}
    found = await client.get("/api/3/action/datastore_search", params=parameters)
    result = json.loads(found.content, parse_float=Decimal)["result"]
    text = await client.get("/api/3/action/datastore_search", params={**parameters, "records_format": "csv"})
    cells = text.json()["result"]["records"].split("\n")[:-1]
    return result["fields"][0]["type"], [row["c"] for row in result["records"]], cells


@pytest.mark.parametrize(
    ("type", "raw", "reported", "value", "cell"),
    [
        ("text", '"a"', "text", "a", "a"),
        ("text", '""', "text", "", '""'),
        ("text", "25", "text", "25", "25"),
        ("text", '["a"]', "text", '["a"]', '"[""a""]"'),
        ("int", "5", "int4", 5, "5"),
        ("int", '" 7 "', "int4", 7, "7"),
        ("int", "2.5", "int4", 3, "3"),
        ("int", '""', "int4", None, ""),
        ("smallint", "-32768", "int2", -32768, "-32768"),
        ("bigint", "9223372036854775807", "int8", 2**63 - 1, "9223372036854775807"),
        ("numeric", "1.10", "numeric", Decimal("1.10"), "1.10"),
        ("numeric", "12345678901234567890.123456789", "numeric", Decimal("12345678901234567890.123456789"),
         "12345678901234567890.123456789"),
        ("numeric", '"NaN"', "numeric", "NaN", "NaN"),
        ("numeric", '"-Infinity"', "numeric", "-Infinity", "-Infinity"),
        ("numeric(4,1)", "3.14159", "numeric", Decimal("3.1"), "3.1"),
        ("float", "0.1", "float8", Decimal("0.1"), "0.1"),
        ("float", "1e20", "float8", Decimal("1e20"), "1e+20"),
        ("float", '"Infinity"', "float8", "Infinity", "Infinity"),
        ("real", "0.1", "float4", Decimal("0.1"), "0.1"),
        ("bool", "true", "bool", True, "t"),
        ("bool", '"no"', "bool", False, "f"),
        ("bool", "1", "bool", True, "t"),
        ("date", '"2020-01-02"', "date", "2020-01-02", "2020-01-02"),
        ("date", '"0044-03-15 BC"', "date", "0044-03-15 BC", "0044-03-15 BC"),
        ("date", '"12020-01-01"', "date", "12020-01-01", "12020-01-01"),
        ("time", '"12:42"', "time", "12:42:00", "12:42:00"),
        ("timestamp", '"2020-01-02T03:04:05.6789"', "timestamp", "2020-01-02T03:04:05.678", "2020-01-02T03:04:05.678"),
        ("timestamp", '"2020-01-02 03:04+02"', "timestamp", "2020-01-02T03:04:00.000", "2020-01-02T03:04:00.000"),
        ("timestamp", '"infinity"', "timestamp", None, ""),
        ("timestamp", '"0044-03-15 10:00 BC"', "timestamp", "0044-03-15T10:00:00.000 BC", "0044-03-15T10:00:00.000 BC"),
        ("timestamp", '"29999-01-01"', "timestamp", "29999-01-01T00:00:00.000", "29999-01-01T00:00:00.000"),
        ("timestamptz", '"2020-01-02T03:04:05+02:00"', "timestamptz", "2020-01-02T01:04:05+00:00",
         "2020-01-02 01:04:05+00"),
        ("varchar(3)", '"abc"', "varchar", "abc", "abc"),
        ("varchar", '""', "varchar", None, ""),
        ("char(3)", '"a"', "bpchar", "a  ", "a  "),
        ("json", '{"b":1.10,"a":"ü"}', "json", {"b": Decimal("1.10"), "a": "ü"}, '"{""b"": 1.10, ""a"": ""\\u00fc""}"'),
        ("json", '""', "json", "", '""""""'),
        ("json", "false", "json", False, "false"),
        ("json", "null", "json", None, "null"),
        ("jsonb", '"{\\"a\\": 1}"', "jsonb", {"a": 1}, '"{""a"": 1}"'),
        ("jsonb", "[1]", "jsonb", [1], "[1]"),
        ("text[]", '["a", null, "b,\\"c"]', "_text", ["a", None, 'b,"c'], '"[""a"",null,""b,\\""c""]"'),
        ("_text", '"{a,b}"', "_text", ["a", "b"], '"[""a"",""b""]"'),
        ("text[]", "null", "_text", None, "null"),
        ("int[2]", '[1, "2"]', "_int4", [1, 2], '"[1,2]"'),
        ("int[]", "[]", "_int4", [], "[]"),
        ("uuid", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("interval", '"1 day 2 hours"', "interval", "1 day 02:00:00", "1 day 02:00:00"),
        ("bytea", '"\\\\x0102"', "bytea", "\\x0102", "\\x0102"),
        ("inet", '"10.0.0.1/8"', "inet", "10.0.0.1/8", "10.0.0.1/8"),
    ],
)  # fmt: skip
async def test_values(
    client: httpx.AsyncClient, create: Any, type: str, raw: str, reported: str, value: Any, cell: str
) -> None:
    assert await shown(client, await create(type, raw)) == (reported, [value], [cell])
    # Many of them go the strict way: the same comes out.
    many = await shown(client, await create(type, *[raw] * 250))
    assert many == (reported, [value] * 250, [cell] * 250)


@pytest.mark.parametrize(
    ("type", "raw", "message"),
    [
        ("int", '"abc"', 'invalid input syntax for type integer: "abc"'),
        ("int", '"1.5"', 'invalid input syntax for type integer: "1.5"'),
        ("int", "true", 'invalid input syntax for type integer: "true"'),
        ("int", "2147483648", 'value "2147483648" is out of range for type integer'),
        ("numeric", "false", 'invalid input syntax for type numeric: "false"'),
        ("date", '"2020-13-01"', 'date/time field value out of range: "2020-13-01"'),
        ("timestamp", '"yesterdayish"', 'invalid input syntax for type timestamp: "yesterdayish"'),
        ("bool", "2", 'invalid input syntax for type boolean: "2"'),
        ("uuid", '"x"', 'invalid input syntax for type uuid: "x"'),
        ("varchar(2)", '"abc"', "value too long for type character varying(2)"),
        ("text", '"a\\u0000b"', "a text cannot hold the NUL character"),
        ("int[]", '"{1"', 'malformed array literal: "{1"'),
    ],
)
async def test_refused_values(create: Any, type: str, raw: str, message: str) -> None:
    good = "null"
    for values, row in (((raw,), 0), ((good, good, raw), 2), ((*([good] * 300), raw), 300)):
        response = await create(type, *values)
        assert response.status_code == 409
        error = response.json()["error"]
        assert error == {"records": [message], "records_row": row, "__type": "Validation Error"}


async def test_without_milliseconds(services: Services, sysadmin: Actor, call: Any, resource: str) -> None:
    fields = [{"id": "t", "type": "timestamp"}]
    await call("datastore_create", resource_id=resource, fields=fields, records=[{"t": "2020-01-02T03:04:05.6"}])
    plain = dataclasses.replace(services, settings=services.settings.model_copy(update={"ms_in_timestamp": False}))
    for given, expected in ((services, "2020-01-02T03:04:05.600"), (plain, "2020-01-02T03:04:05")):
        found = await run("datastore_search", Call(given, sysadmin, "http://test"), {"resource_id": resource})
        assert json.loads(found)["records"][0]["t"] == expected


async def test_many_columns(call: Any, dataset: str) -> None:
    """More columns than a function takes arguments, in every format."""
    fields = [{"id": f"c{number}", "type": "int"} for number in range(250)]
    record = {f"c{number}": number for number in range(250)}
    created = await call("datastore_create", resource={"package_id": dataset}, fields=fields, records=[record])
    for records_format, expected in (
        ("objects", {"_id": 1, **record}),
        ("lists", [1, *range(250)]),
    ):
        found = await call("datastore_search", resource_id=created["resource_id"], records_format=records_format)
        assert found["records"] == [expected]
    found = await call("datastore_search", resource_id=created["resource_id"], records_format="csv")
    assert found["records"] == ",".join(map(str, [1, *range(250)])) + "\n"
