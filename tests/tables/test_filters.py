"""Filters: their SQL; that any of them finds what a naive evaluation finds; that nothing breaks them."""

from __future__ import annotations

import datetime
import json
import re
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
from datastore.tables import filters
from datastore.tables.arguments import Arguments
from datastore.tables.conditions import MAX_NESTING, MAX_VALUE_NESTING
from datastore.tables.schema import Column, TableSchema
from datastore.validation import json_number
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

NUMBERS = [-3, 0, 1, 2, 0.5, -1.5, 1.0, Decimal("0.10000000000000000000001"), Decimal("0.1"), 10**20, -(10**20)]
WORDS = ["", "a", "b", "ab", "aB", "A", "%", "a%", "_", "a_b", "a\\b", "\\", "'", " ", "25", "true", "1.0", "a\nb"]
PARTS = ["", "a", "B", "%", "_", "\\", "5", 2, "true", 1.0, "\n"]
PATTERNS = ["", "%", "a%", "%b", "_", "A_B", "a\\_b", "\\%", "%\\\\%", "2%", "%e", 1, "%a%"]
ARRAYS = [[], ["a"], ["a", "b"], ["b", "a"], ["a", None], [None], ["", "A"], ["a,b", '"', "\\", "NULL"], ["a", "a"]]
DOCUMENTS = [
    *(True, False, 0, 1, 1.0, Decimal("0.10000000000000000000001"), "", "a", "1", {}, [], {"a": 1}, {"a": None}, [1]),
    *({"a": 1, "b": [1, {"b": "a"}]}, {"b": [1.0, {"b": "a"}], "a": 1}, {"b": [{"b": "a"}]}, [[1], "a"], [None, "a"]),
]

# What records hold, and what filters may say: also other spellings of the same values.
HELD: dict[str, list[Any]] = {
    "i": [-3, -1, 0, 1, 2, 3, 25],
    "n": NUMBERS,
    "t": WORDS,
    "b": [True, False],
    "ts": ["2020-01-01T00:00:00", "2020-01-01T00:00:00.000001", "2019-12-31T23:59:59", "0099-02-03T00:00:00"],
    "ta": ARRAYS,
    "j": DOCUMENTS,
}
WANTED: dict[str, list[Any]] = {
    "i": [*NUMBERS, "1", "-3", 25],
    "n": [*NUMBERS, *map(str, NUMBERS)],
    "t": [*WORDS, 25, 1.0, True],
    "b": [True, False, 0, 1, "yes", "off", "T", "false"],
    "ts": [*HELD["ts"], "2020-01-01 00:00:00", "2020-01-01"],
    "ta": [*ARRAYS, ["c"]],
    "j": [*DOCUMENTS, {"b": 2}],
}
RECORDS = [{name: [*values, None][number % (len(values) + 1)] for name, values in HELD.items()} for number in range(60)]


def operands(name: str) -> dict[str, list[Any]]:
    """Each operator of a column with what may stand behind it."""
    values = WANTED[name]
    lists = [[], [None], [values[0]], [values[1], values[-1]], [values[2], None, values[0]]]
    found: dict[str, list[Any]] = {
        **{operator: [None, *values] for operator in ("eq", "ne")},
        **{operator: [*lists, values] for operator in ("in", "nin")},
        "is_null": [True, False],
    }
    if name != "j":  # its order of unlike values is PostgreSQL's own affair
        found |= dict.fromkeys(("gt", "gte", "lt", "lte"), values)
        found["between"] = [[low, high] for low in values[:5] for high in values[:5]]
    if name in ("i", "t", "b"):
        found |= dict.fromkeys(("contains", "icontains", "startswith"), PARTS)
        found |= dict.fromkeys(("like", "ilike"), PATTERNS)
    if name == "ta":
        found |= {operator: [*values, "a", "a,b"] for operator in ("contains", "overlaps")}
    if name == "j":
        found["contains"] = values
    return found


OPERANDS = {name: operands(name) for name in HELD}


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


def fits(record: dict[str, Any], wanted: Any) -> bool:
    """Whether ``wanted`` finds the record, by the book: no SQL, no NULL logic, one value at a time."""
    if isinstance(wanted, list):
        return not wanted or any(fits(record, member) for member in wanted)
    return all(_entry_fits(record, name, value) for name, value in wanted.items())


def _entry_fits(record: dict[str, Any], name: str, value: Any) -> bool:
    match name:
        case "$or":
            return any(fits(record, member) for member in value)
        case "$and":
            return all(fits(record, member) for member in value)
        case "$not":
            return not fits(record, value)
    has = record[name]
    if isinstance(value, list):
        return any(_operators_fit(name, has, m) if isinstance(m, dict) else _equal(name, has, m) for m in value)
    return _operators_fit(name, has, value) if isinstance(value, dict) else _equal(name, has, value)


def _operators_fit(name: str, has: Any, operators: dict[str, Any]) -> bool:
    return all(_operator_fits(name, has, operator, value) for operator, value in operators.items())


def _operator_fits(name: str, has: Any, operator: str, value: Any) -> bool:
    match operator:
        case "eq":
            return _equal(name, has, value)
        case "ne":
            return not _equal(name, has, value)
        case "in":
            return any(_equal(name, has, member) for member in value)
        case "nin":
            return not any(_equal(name, has, member) for member in value)
        case "is_null":
            return (has is None) is value
    if has is None:
        return False
    if operator in ("gt", "gte", "lt", "lte", "between"):
        return _in_order(_native(name, has), operator, value, name)
    if name == "ta":
        members = {member for member in (value if isinstance(value, list) else [value]) if member is not None}
        present = set(has) - {None}
        if operator == "overlaps":
            return bool(members & present)
        return members <= present and not (isinstance(value, list) and None in value)
    if name == "j":
        return _contains(has, value)
    return _text_fits(_as_text(has), operator, _as_text(value))


def _in_order(has: Any, operator: str, value: Any, name: str) -> bool:
    if operator == "between":
        low, high = (_native(name, bound) for bound in value)
        return bool(low <= has <= high)
    bound = _native(name, value)
    return bool({"gt": has > bound, "gte": has >= bound, "lt": has < bound, "lte": has <= bound}[operator])


def _equal(name: str, has: Any, value: Any) -> bool:
    if has is None or value is None:
        return has is value
    if name == "j":
        return _same_json(has, value)
    return bool(_native(name, has) == _native(name, value))


def _native(name: str, value: Any) -> Any:
    """The value as the column's type has it."""
    match name:
        case "i" | "n":
            return Decimal(str(value))
        case "t":
            return _as_text(value)
        case "b":
            return str(value).lower() in ("true", "1", "yes", "t")
        case "ts":
            return datetime.datetime.fromisoformat(value)
        case _:
            # NULLs in arrays are equal to each other and come last.
            return [(member is None, member or "") for member in value]


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_fits(has: str, operator: str, value: str) -> bool:
    match operator:
        case "contains":
            return value in has
        case "icontains":
            return value.lower() in has.lower()
        case "startswith":
            return has.startswith(value)
    pattern, at = "", 0
    while at < len(value):
        if value[at] == "\\":
            at += 1
            pattern += re.escape(value[at])
        else:
            pattern += {"%": ".*", "_": "."}.get(value[at], re.escape(value[at]))
        at += 1
    return re.fullmatch(pattern, has, re.DOTALL | (re.IGNORECASE if operator == "ilike" else 0)) is not None


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not _are_numbers(one, other):
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(_same_json, one, other))
        return type(one) is type(other) and bool(one == other)
    return Decimal(str(one)) == Decimal(str(other))


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float, Decimal)) for value in values)


def _contains(has: Any, wanted: Any) -> bool:
    """PostgreSQL's ``@>``: at the top a list also contains a scalar."""
    if isinstance(has, list) and not isinstance(wanted, (list, dict)):
        return any(_same_json(member, wanted) for member in has)
    return _contains_part(has, wanted)


def _contains_part(has: Any, wanted: Any) -> bool:
    if isinstance(has, dict) and isinstance(wanted, dict):
        return all(key in has and _contains_part(has[key], wanted[key]) for key in wanted)
    if isinstance(has, list) and isinstance(wanted, list):
        return all(any(_contains_part(member, item) for member in has) for item in wanted)
    return _same_json(has, wanted)


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


def expected(wanted: Any) -> list[int]:
    return [number for number, record in enumerate(RECORDS, 1) if fits(record, wanted)]


@pytest.mark.parametrize("name", HELD)
async def test_every_operator_finds_what_a_naive_evaluation_finds(find: Find, name: str) -> None:
    for operator, values in OPERANDS[name].items():
        for value in values:
            wanted = {name: {operator: value}}
            assert await find(wanted) == expected(wanted), wanted


@settings(max_examples=400)
@given(wanted=any_filters)
async def test_any_filter_finds_what_a_naive_evaluation_finds(find: Find, wanted: Any) -> None:
    assert await find(wanted) == expected(wanted)


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


@settings(max_examples=500)
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
