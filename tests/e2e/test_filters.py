"""Filters over HTTP: what each paragraph of them promises, in search, delete and dumps, and the exact errors."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from datastore.actions.registry import RawJson
from tests.e2e.http import Api
from tests.e2e.test_datastore import CallAction

FIELDS = {
    "name": "text",
    "age": "int",
    "price": "numeric",
    "ok": "bool",
    "day": "date",
    "at": "timestamp",
    "tags": "text[]",
    "doc": "json",
    "meta": "jsonb",
    "code": "char(4)",
    "short": "varchar(5)",
    "weight": "float",
    "$AUD": "int",
    "uid": "uuid",
}
# Row 4 has no values at all.
RECORDS = [
    '{"name": "Anna", "age": 30, "price": 0.1, "ok": true, "day": "2020-01-31", "at": "2020-01-31T12:30:00",'
    ' "tags": ["a", "b"], "doc": {"b": [1, 2], "a": "x"}, "meta": "{\\"k\\": 1}", "code": "ab", "short": "s",'
    ' "weight": 1.5, "$AUD": 5, "uid": "5e8c1b9c-8a50-4f8e-9c53-1df1a4f2a1d0"}',
    '{"name": "100%", "age": 7, "price": 0.10000000000000000000001, "ok": false, "day": "2021-02-28",'
    ' "at": "2021-02-28", "tags": ["b", null], "doc": [1, {"a": null}], "meta": "[1, 2]", "code": "abcd",'
    ' "short": "t", "weight": 1e20, "$AUD": 6}',
    '{"name": "25", "age": 65, "price": 12345678901234567890.5, "ok": false, "day": "1999-12-31",'
    ' "at": "1999-12-31T23:59:59.5", "tags": [], "doc": "x", "meta": "\\"x\\"", "code": "", "short": "u",'
    ' "weight": "NaN", "$AUD": -5}',
    "{}",
]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
async def people(call: CallAction, resource: str) -> str:
    """The resource id of a table with the columns FIELDS and four records."""
    fields = [{"id": name, "type": declared} for name, declared in FIELDS.items()]
    records = RawJson(f"[{', '.join(RECORDS)}]".encode())
    await call("datastore_create", resource_id=resource, fields=fields, records=records)
    return resource


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        # a value, in any spelling that the column's type reads
        ('{"age": 30}', [1]),
        ('{"age": "30"}', [1]),
        ('{"age": 30.0}', [1]),
        ('{"age": 30.5}', []),
        ('{"age": 99999999999999999999}', []),
        ('{"age": {"lt": 99999999999999999999}}', [1, 2, 3]),
        ('{"age": {"gt": 29.5, "lt": "31"}}', [1]),
        ('{"name": 25}', [3]),
        ('{"name": "25"}', [3]),
        ('{"name": 25.0}', []),
        ('{"ok": true}', [1]),
        ('{"ok": 1}', [1]),
        ('{"ok": 0}', [2, 3]),
        ('{"ok": "yes"}', [1]),
        ('{"ok": ["off", "t"]}', [1, 2, 3]),
        ('{"day": "2020-01-31"}', [1]),
        ('{"day": "31 Jan 2020"}', [1]),
        ('{"day": {"gte": "2020-01-01", "lte": "infinity"}}', [1, 2]),
        ('{"at": "2020-01-31T12:30:00"}', [1]),
        ('{"at": "2020-01-31 12:30"}', [1]),
        ('{"at": {"gt": "1999-12-31T23:59:59.4", "lt": "1999-12-31T23:59:59.6"}}', [3]),
        ('{"code": "ab"}', [1]),
        ('{"code": "ab  "}', [1]),
        ('{"code": ["ab", "abcd"]}', [1, 2]),
        ('{"short": "s"}', [1]),
        ('{"short": "s "}', []),
        ('{"weight": 1.5}', [1]),
        ('{"weight": 1e20}', [2]),
        ('{"weight": "NaN"}', [3]),
        ('{"uid": "5E8C1B9C8A504F8E9C531DF1A4F2A1D0"}', [1]),
        ('{"_id": 2}', [2]),
        ('{"_id": {"gte": "2", "lt": 4}}', [2, 3]),
        ('{"$$AUD": 5}', [1]),
        ('{"$$AUD": {"lt": 0}}', [3]),
        # numbers with all their digits
        ('{"price": 0.1}', [1]),
        ('{"price": 0.10000000000000000000001}', [2]),
        ('{"price": {"gt": 0.1, "lt": 1}}', [2]),
        ('{"price": 12345678901234567890.5}', [3]),
        ('{"price": ["0.1", 12345678901234567890.50]}', [1, 3]),
        # lists, also mixed with operators
        ('{"age": []}', []),
        ('{"age": [7, "30"]}', [1, 2]),
        ('{"age": [7, 30.5, 65, 99999999999999999999]}', [2, 3]),
        ('{"age": [{"lte": 7}, 30, {"gte": 65}]}', [1, 2, 3]),
        ('{"age": [{"gt": 7, "lt": 65}, 7]}', [1, 2]),
        ('{"age": {"in": [7, 65]}}', [2, 3]),
        # several entries and groups
        ("{}", [1, 2, 3, 4]),
        ("[]", [1, 2, 3, 4]),
        ("[{}]", [1, 2, 3, 4]),
        ('{"ok": false, "age": 7}', [2]),
        ('[{"ok": true, "age": 30}, {"name": "25"}]', [1, 3]),
        ('{"ok": false, "$or": [{"name": "25"}, {"age": {"lt": 7}}]}', [3]),
        ('{"$and": [{"ok": false}, {"$or": [{"age": 7}, {"age": 30}]}]}', [2]),
        ('{"$or": [{"$and": [{"ok": false}, {"age": 7}]}, {"name": "Anna"}]}', [1, 2]),
        ('{"$not": {"ok": false}}', [1, 4]),
        ('{"$not": [{"name": "Anna"}, {"age": 7}]}', [3, 4]),
        ('{"$not": {"$not": {"ok": false}}}', [2, 3]),
        ('{"$not": {}}', []),
        # no value
        ('{"name": null}', [4]),
        ('{"age": null}', [4]),
        ('{"doc": null}', [4]),
        ('{"tags": {"eq": null}}', [4]),
        ('{"age": [null, 7]}', [2, 4]),
        ('{"age": {"ne": null}}', [1, 2, 3]),
        ('{"age": {"is_null": true}}', [4]),
        ('{"age": {"is_null": false, "ne": 7}}', [1, 3]),
        # what negates finds what is left, rows without a value too
        ('{"age": {"ne": 7}}', [1, 3, 4]),
        ('{"age": {"nin": [7, 65]}}', [1, 4]),
        ('{"age": {"nin": [7, null]}}', [1, 3]),
        ('{"age": {"nin": []}}', [1, 2, 3, 4]),
        ('{"tags": {"ne": ["a", "b"]}}', [2, 3, 4]),
        # text
        ('{"name": {"contains": "nn"}}', [1]),
        ('{"name": {"contains": "NN"}}', []),
        ('{"name": {"icontains": "NN"}}', [1]),
        ('{"name": {"contains": "%"}}', [2]),
        ('{"name": {"contains": "_"}}', []),
        ('{"name": {"startswith": "1"}}', [2]),
        ('{"name": {"startswith": "00"}}', []),
        ('{"name": {"like": "_n%"}}', [1]),
        ('{"name": {"like": "a%"}}', []),
        ('{"name": {"ilike": "a%"}}', [1]),
        ('{"name": {"like": "100\\\\%"}}', [2]),
        ('{"age": {"startswith": 6}}', [3]),
        ('{"day": {"startswith": "2020-"}}', [1]),
        ('{"code": {"like": "%b"}}', [1]),
        # between
        ('{"age": {"between": [7, 30]}}', [1, 2]),
        ('{"day": {"between": ["2020-01-31", "2021-01-01"]}}', [1]),
        ('{"age": {"between": [30, 7]}}', []),
        # arrays
        ('{"tags": {"eq": ["a", "b"]}}', [1]),
        ('{"tags": {"eq": ["b", null]}}', [2]),
        ('{"tags": {"eq": []}}', [3]),
        ('{"tags": "{a,b}"}', [1]),
        ('{"tags": [["a", "b"], []]}', [1, 3]),
        ('{"tags": {"contains": "b"}}', [1, 2]),
        ('{"tags": {"contains": ["a", "b"]}}', [1]),
        ('{"tags": {"overlaps": ["a", "c"]}}', [1]),
        ('{"tags": {"overlaps": []}}', []),
        # JSON, by structure
        ('{"doc": {"eq": {"a": "x", "b": [1.0, 2]}}}', [1]),
        ('{"doc": {"eq": {"a": "x"}}}', []),
        ('{"doc": {"eq": [1, {"a": null}]}}', [2]),
        ('{"doc": "x"}', [3]),
        ('{"doc": {"in": [{"b": [1, 2], "a": "x"}, "x"]}}', [1, 3]),
        ('{"doc": {"contains": {"b": [2]}}}', [1]),
        ('{"meta": {"eq": {"k": 1}}}', [1]),
        ('{"meta": {"contains": 2}}', [2]),
        ('{"meta": {"ne": [1, 2]}}', [1, 3, 4]),
    ],
)
async def test_what_filters_find(api: Api, people: str, filters: str, ids: list[int]) -> None:
    """Sent as JSON, as text in an address, and with the rows as CSV, which goes another way to PostgreSQL."""
    body = f'{{"resource_id": "{people}", "filters": {filters}, "records_format": "lists", "fields": "_id"}}'
    found = await api.client.post("/api/3/action/datastore_search", content=body)
    assert found.status_code == 200, found.text
    result = found.json()["result"]
    assert [row[0] for row in result["records"]] == ids
    assert result["total"] == len(ids)
    address = {"resource_id": people, "filters": filters, "records_format": "csv", "fields": "_id"}
    as_csv = await api.client.get("/api/3/action/datastore_search", params=address)
    assert as_csv.json()["result"]["records"].split() == [str(number) for number in ids]
    dump = await api.client.get(f"/datastore/dump/{people}", params={"filters": filters, "fields": "_id"})
    assert dump.text.split()[1:] == [str(number) for number in ids]
    if filters.startswith("{"):
        body = f'{{"resource_id": "{people}", "filters": {filters}, "include_deleted_records": true}}'
        response = await api.client.post("/api/3/action/datastore_delete", content=body, headers=api.headers)
        assert [row["_id"] for row in response.json()["result"]["deleted_records"]] == ids
        left = await api.rows(people, fields="_id")
        assert [row["_id"] for row in left] == [number for number in (1, 2, 3, 4) if number not in ids]


async def test_the_echo_keeps_digits(api: Api, people: str) -> None:
    body = f'{{"resource_id": "{people}", "filters": {{"price": 0.10000000000000000000001}}}}'
    found = await api.client.post("/api/3/action/datastore_search", content=body)
    assert '{"price":0.10000000000000000000001}' in found.text.replace(" ", "")


TOO_MANY = "Maximum number of filter operations exceeded"
TOO_DEEP = "Maximum nesting depth for filter operations reached"


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"age": 1}
    for _ in range(levels):
        value = {"$or": [value]}
    return value


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"nope": 1}, "Unknown field: nope"),
        ({"nope": [1]}, 'invalid value "nope"'),
        ({"nope": {"gt": 1}}, "Unknown field: nope"),
        ({"_full_text": "a"}, "Unknown field: _full_text"),
        ({"$AUD": 5}, "Unknown operators (must be one of $or, $and): $AUD"),
        ({"age": {"near": 1}}, "Unknown filter operation: near"),
        ({"age": {"$gt": 1}}, "Unknown filter operation: $gt"),
        ({"doc": {"a": "x"}}, "Unknown filter operation: a"),
        ({"age": {}}, 'invalid value "age"'),
        ({"age": [{}]}, 'invalid value "age"'),
        ({"age": {"lt": None}}, 'invalid value "age"'),
        ({"age": {"in": 7}}, 'invalid value "age"'),
        ({"age": {"between": 7}}, 'invalid value "age"'),
        ({"age": {"is_null": "yes"}}, 'invalid value "age"'),
        ({"name": {"like": {}}}, 'invalid value "name"'),
        ({"$or": []}, 'invalid value "$or"'),
        ({"$and": []}, 'invalid value "$and"'),
        ({"$not": []}, 'invalid value "$not"'),
        ({"$or": {"age": 1}}, "Filter operations must be defined as a list of dicts: {'age': 1}"),
        ({"$or": [1, "a"]}, "Filter operations must be defined as a list of dicts: [1, 'a']"),
        ({"$not": 5}, "Filter operations must be defined as a list of dicts: 5"),
        ({"tags": {"like": "a"}}, 'Operation "like" does not apply to "tags", which is text[]'),
        ({"age": {"overlaps": [1]}}, 'Operation "overlaps" does not apply to "age", which is integer'),
        ({f"c{number}": 1 for number in range(100)}, TOO_MANY),
        ({"$or": [{"age": number} for number in range(100)]}, TOO_MANY),
        ({"$or": [{"age": {"gt": 1, "lt": 2, "ne": 3}}] * 34}, TOO_MANY),
        (nested(10), TOO_DEEP),
    ],
)
async def test_bad_filters(api: Api, people: str, filters: dict[str, Any], message: str) -> None:
    for name in ("datastore_search", "datastore_delete"):
        assert await api.refused(409, name, resource_id=people, filters=filters) == {"filters": [message]}
    assert await api.refused(409, "datastore_search", resource_id=people, filters=json.dumps(filters)) == {
        "filters": [message]
    }
    assert (await api.ok("datastore_search", resource_id=people))["total"] == 4


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (5, "Filters must be defined as a dict or a list of dicts"),
        (True, "Filters must be defined as a dict or a list of dicts"),
        ("5", "Filters must be defined as a dict or a list of dicts"),
        ([1], "Filter operations must be defined as a list of dicts: [1]"),
        ([nested(9)], TOO_DEEP),
        ("", "Cannot parse JSON"),
        ("{", "Cannot parse JSON"),
        ('{"age": NaN}', "Cannot parse JSON"),
        ('{"name": "a\\u0000"}', 'invalid value "name"'),
        ('{"doc": {"eq": ' + "[" * 900 + "]" * 900 + "}}", 'invalid value "doc"'),
    ],
)
async def test_bad_filters_of_a_search(api: Api, people: str, filters: Any, message: str) -> None:
    error = await api.refused(409, "datastore_search", resource_id=people, filters=filters)
    assert error == {"filters": [message]}


async def test_limits_are_not_reached_too_early(api: Api, people: str) -> None:
    for filters in (
        nested(9),
        {"$or": [{"age": number} for number in range(99)]},
        {"$or": [{"age": {"gt": 1, "lt": 2}}] * 50},
        {"age": list(range(5000))},
    ):
        await api.ok("datastore_search", resource_id=people, filters=filters)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"age": "abc"}, 'invalid input syntax for type integer: "abc"'),
        ({"age": "1.5"}, 'invalid input syntax for type integer: "1.5"'),
        ({"age": ""}, 'invalid input syntax for type integer: ""'),
        ({"age": True}, 'invalid input syntax for type integer: "true"'),
        ({"age": ["1", "x"]}, 'invalid input syntax for type integer: "x"'),
        ({"age": "99999999999"}, 'value "99999999999" is out of range for type integer'),
        ({"age": {"gt": "abc"}}, 'invalid input syntax for type integer: "abc"'),
        ({"age": {"nin": ["abc"]}}, 'invalid input syntax for type integer: "abc"'),
        ({"$not": {"age": "abc"}}, 'invalid input syntax for type integer: "abc"'),
        ({"ok": 2}, 'invalid input syntax for type boolean: "2"'),
        ({"ok": "maybe"}, 'invalid input syntax for type boolean: "maybe"'),
        ({"price": "1,5"}, 'invalid input syntax for type numeric: "1,5"'),
        ({"day": "31.31.2020"}, 'date/time field value out of range: "31.31.2020"'),
        ({"at": "soon"}, 'invalid input syntax for type timestamp: "soon"'),
        ({"uid": "x"}, 'invalid input syntax for type uuid: "x"'),
        ({"tags": "a"}, 'malformed array literal: "a"'),
        ({"tags": ["a"]}, 'malformed array literal: "a"'),
    ],
)
async def test_wrong_types(api: Api, people: str, filters: dict[str, Any], reason: str) -> None:
    error = await api.refused(409, "datastore_search", resource_id=people, filters=filters)
    assert error == {"query": ["Invalid query"], "info": {"orig": [reason]}}
    error = await api.refused(409, "datastore_delete", resource_id=people, filters=filters)
    assert error == {"filters": ["Invalid query"], "info": {"orig": [reason]}}
    assert (await api.ok("datastore_search", resource_id=people))["total"] == 4
