"""Filters: their SQL; that any of them finds what a naive evaluation finds; that nothing breaks them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.accounts.permissions import DatasetAccess
from datastore.actions.registry import RawJson
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables.arguments import Arguments
from datastore.tables.reading import filters
from datastore.tables.reading.conditions import MAX_NESTING, MAX_VALUE_NESTING
from datastore.tables.schema import Column, TableSchema
from datastore.validation import json_number
from tests.tables.naive_filters import HELD, OPERANDS, RECORDS, WANTED, expected
from tests.tables.strategies import dumps

CallAction = Callable[..., Awaitable[Any]]

TYPES = {
    "i": "int4",
    "n": "numeric",
    "t": "text",
    "b": "bool",
    "ts": "timestamp",
    "ta": "_text",
    "j": "jsonb",
    "$x": "int2",
    "f": "float8",
    "js": "json",
    "c": "bpchar",
    "nm": "name",
    "u": "uuid",
    "iv": "interval",
    "by": "bytea",
    "ia": "_int8",
    "ja": "_json",
    "r": "int4range",
    "p": "point",
}


def _column(name: str, type_: str) -> Column:
    element = type_[1:] if type_.startswith("_") else None
    return Column(name, type_, f"{element}[]" if element else type_, element)


SCHEMA = TableSchema(
    resource_id="r",
    access=DatasetAccess(id="d", name="d", owner_org=None, private=False, state="active", creator_user_id=None),
    url_type="datastore",
    oid=1,
    columns=tuple(_column(name, type_) for name, type_ in TYPES.items()),
)


def planned(value: Any) -> tuple[str | None, list[str | list[str]]]:
    arguments = Arguments()
    return filters.plan(value, SCHEMA, arguments), arguments.values


def refused(value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        planned(value)
    assert list(caught.value.fields) == ["filters"]
    return str(caught.value.fields["filters"][0])


# --- the SQL ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sql", "arguments"),
    [
        ({}, None, []),
        ([], None, []),
        ({"i": 5}, '"i" = ($1::text)::pg_catalog."int4"', ["5"]),
        ({"i": "5"}, '"i" = ($1::text)::pg_catalog."int4"', ["5"]),
        ({"i": 5.0}, '"i" = ($1::text)::pg_catalog."int4"', ["5"]),
        ({"_id": [1, 2]}, '"_id" = ANY (($1::text[])::pg_catalog."int8"[])', [["1", "2"]]),
        ({"$$x": {"gt": 40000}}, '"$x" > ($1::text)::pg_catalog."numeric"', ["40000"]),
        ({"n": Decimal("0.10000000000000000000001")}, None, ["0.10000000000000000000001"]),
        ({"t": 25}, '"t" = $1::text', ["25"]),
        ({"t": {"gte": "a", "lt": "b"}}, '("t" >= $1::text AND "t" < $2::text)', ["a", "b"]),
        ({"nm": ["a", "b"]}, '"nm" = ANY ($1::text[])', [["a", "b"]]),
        ({"c": "a"}, '"c" = ($1::text)::pg_catalog."bpchar"', ["a"]),
        ({"t": {"startswith": "50%_\\"}}, '"t" LIKE $1::text', ["50\\%\\_\\\\%"]),
        ({"i": {"is_null": False}}, '"i" IS NOT NULL', []),
        ({"i": {"ne": None}}, '"i" IS NOT NULL', []),
        ({"i": {"nin": [1, None]}}, None, ["1"]),
        ({"i": {"ne": 1}}, '("i" = ($1::text)::pg_catalog."int4") IS NOT TRUE', ["1"]),
        ({"ta": {"overlaps": "{a}"}}, '"ta" && ($1::text)::pg_catalog."_text"', ['{"{a}"}']),
        ({"ja": {"eq": [{"a": 1}, "b", None]}}, '"ja"::jsonb[] = ($1::text)::jsonb[]', None),
        ({"js": "a"}, '"js"::jsonb = ($1::text)::jsonb', ['"a"']),
        ({"$not": {}}, "(true) IS NOT TRUE", []),
    ],
)
def test_sql(value: Any, sql: str | None, arguments: list[Any] | None) -> None:
    found, values = planned(value)
    if sql is not None or not value:
        assert found == sql
    if arguments is not None:
        assert values == arguments


def test_constants_stand_in_the_text_for_copy() -> None:
    arguments = Arguments(inline=True)
    assert filters.plan({"t": ["it's", "\\"]}, SCHEMA, arguments) == "\"t\" = ANY (ARRAY['it''s',  E'\\\\']::text[])"
    assert arguments.values == []


def test_a_long_list_is_one_argument() -> None:
    for name, values in (("i", list(range(50_000))), ("ia", [[number] for number in range(50_000)])):
        assert len(planned({name: values})[1]) == 1


# --- limits and errors ------------------------------------------------------------------------------------------------

TOO_MANY = "Maximum number of filter operations exceeded"
TOO_DEEP = "Maximum nesting depth for filter operations reached"


def test_number_of_operations() -> None:
    fifty = {"i": {"gt": 1, "lt": 9}}
    planned({"$or": [fifty] * 50})
    assert refused({"$or": [*[fifty] * 50, {"i": 1}]}) == TOO_MANY
    planned({"i": [{"gt": number} for number in range(99)]})
    assert refused({"i": [{"gt": number} for number in range(100)]}) == TOO_MANY


@pytest.mark.parametrize(
    "level",
    [
        lambda size: {f"x{number}": 1 for number in range(size)},
        lambda size: [{}] * size,
        lambda size: {"$and": [{}] * size},
        lambda size: {"i": {f"x{number}": 1 for number in range(size)}},
    ],
)
def test_size_of_a_level(level: Callable[[int], Any]) -> None:
    assert refused(level(100)) == TOO_MANY
    try:
        planned(level(99))
    except ValidationError as error:
        assert error.fields["filters"][0].startswith("Unknown")  # noqa: PT017


def test_nesting() -> None:
    value: dict[str, Any] = {"i": 1}
    for number in range(1, MAX_NESTING):
        value = {("$or", "$and", "$not")[number % 3]: [value]}
    planned(value)
    assert refused([value]) == TOO_DEEP
    assert refused({"$or": [value]}) == TOO_DEEP
    assert refused({"$not": value}) == TOO_DEEP


def test_nesting_of_values() -> None:
    value: Any = 1
    for _ in range(MAX_VALUE_NESTING):
        value = [value]
    planned({"j": {"eq": value}})
    assert refused({"j": {"eq": [value]}}) == 'invalid value "j"'
    for _ in range(5000):
        value = [value]
    assert refused({"j": {"eq": value}}) == 'invalid value "j"'
    assert refused({"$or": value}).startswith("Filter operations must be defined as a list of dicts: [[[")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Filters must be defined as a dict or a list of dicts"),
        ("x", "Filters must be defined as a dict or a list of dicts"),
        ([1], "Filter operations must be defined as a list of dicts: [1]"),
        ({"$and": {"i": 1}}, "Filter operations must be defined as a list of dicts: {'i': 1}"),
        ({"$or": []}, 'invalid value "$or"'),
        ({"$and": []}, 'invalid value "$and"'),
        ({"$not": []}, 'invalid value "$not"'),
        ({"$x": 1}, "Unknown operators (must be one of $or, $and): $x"),
        ({"$": 1}, "Unknown operators (must be one of $or, $and): $"),
        ({"$$$x": 1}, "Unknown field: $$x"),
        ({"nope": 1}, "Unknown field: nope"),
        ({"nope": [1]}, 'invalid value "nope"'),
        ({"_full_text": "a"}, "Unknown field: _full_text"),
        ({"i": {}}, 'invalid value "i"'),
        ({"i": [{}]}, 'invalid value "i"'),
        ({"i": {"gt": None}}, 'invalid value "i"'),
        ({"i": {"in": 1}}, 'invalid value "i"'),
        ({"i": {"between": [1]}}, 'invalid value "i"'),
        ({"i": {"between": [1, None]}}, 'invalid value "i"'),
        ({"i": {"is_null": 1}}, 'invalid value "i"'),
        ({"t": {"like": ["a"]}}, 'invalid value "t"'),
        ({"t": "a\0"}, 'invalid value "t"'),
        ({"t": ["\ud800"]}, 'invalid value "t"'),
        ({"j": {"eq": {"a\0": 1}}}, 'invalid value "j"'),
        ({"i": {"near": 1}}, "Unknown filter operation: near"),
        ({"t": {"overlaps": ["a"]}}, 'Operation "overlaps" does not apply to "t", which is text'),
        ({"ta": {"like": "a"}}, 'Operation "like" does not apply to "ta", which is text[]'),
    ],
)
def test_messages(value: Any, message: str) -> None:
    assert refused(value) == message


# --- any filter finds what a naive evaluation finds -------------------------------------------------------------------


def _operators(name: str) -> st.SearchStrategy[dict[str, Any]]:
    one = st.sampled_from(sorted(OPERANDS[name])).flatmap(
        lambda operator: st.tuples(st.just(operator), st.sampled_from(OPERANDS[name][operator]))
    )
    return st.lists(one, min_size=1, max_size=2).map(dict)


def _entry(name: str) -> st.SearchStrategy[Any]:
    # Directly with the column, an object is one of operators and a list is one of values.
    alone = [None, *(value for value in WANTED[name] if not isinstance(value, (list, dict)))]
    members = [None, *(value for value in WANTED[name] if not isinstance(value, dict))]
    return (
        _operators(name)
        | st.sampled_from(alone)
        | st.lists(st.sampled_from(members) | _operators(name), min_size=1, max_size=3)
    )


_one_entry = st.sampled_from(sorted(HELD)).flatmap(lambda name: st.tuples(st.just(name), _entry(name)))
_objects = st.lists(_one_entry, min_size=1, max_size=2).map(dict)


def _grouped(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.lists(inner, min_size=1, max_size=3)
    groups = st.dictionaries(st.sampled_from(["$or", "$and", "$not"]), members, min_size=1, max_size=2)
    return groups | st.tuples(_objects, groups).map(lambda both: both[0] | both[1]) | inner.map(lambda o: {"$not": o})


_nested = st.recursive(_objects, _grouped, max_leaves=5)
any_filters = _nested | _grouped(_nested) | st.lists(_nested, min_size=1, max_size=3)


Find = Callable[[Any], Awaitable[list[int]]]


@pytest.fixture
async def find(call: CallAction, services: Services, resource: str) -> Find:
    """The ids of those of RECORDS that filters find, decoded and planned as a search does it."""
    fields = [{"id": name, "type": TYPES[name]} for name in HELD]
    # A string sent for jsonb is JSON text.
    records = [{**record, "j": None if record["j"] is None else dumps(record["j"]).decode()} for record in RECORDS]
    await call("datastore_create", resource_id=resource, fields=fields, records=RawJson(dumps(records)))
    schema = await services.schemas.get(resource)
    assert schema is not None

    async def ids(wanted: Any) -> list[int]:
        arguments = Arguments()
        condition = filters.plan(_DECODER.decode(dumps(wanted)), schema, arguments)
        statement = f"SELECT _id FROM {schema.sql_name} WHERE {condition or 'true'} ORDER BY _id"
        return [row["_id"] for row in await services.database.public.fetch(statement, *arguments.values)]

    return ids


_DECODER = msgspec.json.Decoder(float_hook=json_number)


@pytest.mark.parametrize("name", HELD)
async def test_every_operator_finds_what_a_naive_evaluation_finds(find: Find, name: str) -> None:
    for operator, values in OPERANDS[name].items():
        for value in values:
            wanted = {name: {operator: value}}
            assert await find(wanted) == expected(wanted), wanted


@settings(max_examples=200)
@given(wanted=any_filters)
async def test_any_filter_finds_what_a_naive_evaluation_finds(find: Find, wanted: Any) -> None:
    assert await find(wanted) == expected(wanted)


# --- indexes serve them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        {"_id": 5},
        {"i": [1, "2", None]},
        {"i": {"between": [1, 2]}},
        {"n": {"gt": Decimal("0.1")}},
        {"t": {"gte": "a", "lt": "b"}},
        {"t": {"in": ["a", "b"]}},
        {"t": {"is_null": True}},
        {"c": "a"},
        {"nm": "a"},
        {"ts": {"gt": "2020-01-01"}},
        {"ta": {"eq": ["a"]}},
        {"u": "5e8c1b9c-8a50-4f8e-9c53-1df1a4f2a1d0"},
    ],
)
async def test_an_index_serves_equality_and_ranges(
    call: CallAction, services: Services, resource: str, wanted: dict[str, Any]
) -> None:
    (name,) = wanted
    if name != "_id":
        fields = [{"id": name, "type": TYPES[name]}]
        await call("datastore_create", resource_id=resource, fields=fields, indexes=[name])
    schema = await services.schemas.get(resource)
    assert schema is not None
    condition = filters.plan(wanted, schema, Arguments(inline=True))
    async with services.database.owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(f"EXPLAIN SELECT * FROM {schema.sql_name} WHERE {condition}")
    assert any("Index Cond" in row[0] for row in rows), [row[0] for row in rows]


# --- nothing breaks them ----------------------------------------------------------------------------------------------

NAMES = ["_id", *TYPES, "$$x", "nope", "", "$or", "$and", "$not", "$nor", "$"]
OPERATORS = (
    *("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "between", "is_null", "contains", "icontains"),
    *("startswith", "like", "ilike", "overlaps", "near", "$not"),
)
TEXTS = ["{a,b}", "{", "2020-01-01", "12:61", "infinity", "NaN", "\\xZZ", "a\\", "1 day", "[1,5)", "(1,2)"]
soup = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-(10**30), 10**30, allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(
        ["{a,b}", "{", "2020-01-01", "12:61", "infinity", "NaN", "\\xZZ", "a\\", "1 day", "[1,5)", "(1,2)"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
        | st.dictionaries(st.sampled_from(OPERATORS), inner, max_size=2)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=10,
)
entries = st.dictionaries(
    st.sampled_from(NAMES), soup | st.dictionaries(st.sampled_from(OPERATORS), soup, min_size=1, max_size=2), max_size=3
)
soups = soup | entries | st.lists(entries, max_size=3)


@settings(max_examples=300)
@given(value=soups, inline=st.booleans())
def test_any_json_is_planned_or_refused(value: Any, inline: bool) -> None:
    try:
        found = filters.plan(value, SCHEMA, Arguments(inline=inline))
    except ValidationError as error:
        assert list(error.fields) == ["filters"]  # noqa: PT017
    else:
        assert found is None or found.strip()


@pytest.fixture
async def odd(call: CallAction, resource: str) -> str:
    """A table with a column of every type in TYPES and a record."""
    fields = [{"id": name, "type": type_} for name, type_ in TYPES.items()]
    record = {"i": 1, "t": "a", "ta": ["a"], "j": '{"a": 1}', "js": [1], "ja": ["1"], "r": "[1,5)", "p": "(1,2)"}
    await call("datastore_create", resource_id=resource, fields=fields, records=[record])
    return resource


@settings(max_examples=150)
@given(value=entries | soups)
async def test_any_json_is_answered(
    client: httpx.AsyncClient, admin_headers: dict[str, str], odd: str, value: Any
) -> None:
    statuses = set()
    try:
        text = dumps(value).decode()
    except UnicodeEncodeError:  # a lone surrogate, which only escapes can carry
        text = json.dumps(value, default=float)
    for shape in ("objects", "csv"):
        for sent in (text, json.dumps(text)):
            body = f'{{"resource_id": "{odd}", "records_format": "{shape}", "filters": {sent}}}'
            response = await client.post("/api/3/action/datastore_search", content=body)
            assert response.status_code in (200, 400, 409), response.text
            if isinstance(value, (dict, list)):
                statuses.add(response.status_code)
            if response.status_code == 409:
                assert response.json()["error"].keys() & {"filters", "query"}, response.text
    assert len(statuses - {400}) <= 1  # whatever the shape, and sent as JSON or as text
    body = f'{{"resource_id": "{odd}", "filters": {{"$and": [{{"_id": 0}}, {text}]}}}}'
    response = await client.post("/api/3/action/datastore_delete", content=body, headers=admin_headers)
    assert response.status_code in (200, 400, 409), response.text
    if response.status_code == 409:
        assert response.json()["error"].keys() >= {"filters"}, response.text
