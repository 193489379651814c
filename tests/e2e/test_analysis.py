"""datastore_aggregate and datastore_stats, over HTTP against PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.http import Api

FLIGHTS: list[dict[str, Any]] = [
    {"carrier": "AA", "delay": 5, "fare": "100.10", "at": "2013-01-01T05:17:00", "day": "2013-01-01", "speed": 7.5},
    {"carrier": "AA", "delay": -3, "fare": "100.20", "at": "2013-01-31T23:59:59", "day": "2013-01-31", "speed": "NaN"},
    {"carrier": "UA", "delay": 12, "fare": "0.30", "at": "2013-02-01T00:00:00", "day": "2013-02-01", "speed": 1e300},
    {"carrier": "UA", "delay": None, "fare": None, "at": None, "day": None, "speed": None},
    {"carrier": None, "delay": 40, "fare": "7", "at": "2014-02-01T00:00:00", "day": "2014-02-01", "speed": 2},
]
TYPES = {
    "carrier": "text",
    "delay": "int",
    "fare": "numeric",
    "at": "timestamp",
    "day": "date",
    "speed": "float8",
    "tags": "text[]",
    "extra": "json",
}


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
def anonymous(client: httpx.AsyncClient) -> Api:
    return Api(client, {})


async def create(api: Api, dataset: str, records: list[dict[str, Any]] = FLIGHTS) -> str:
    fields = [{"id": name, "type": type} for name, type in TYPES.items()]
    created = await api.ok("datastore_create", resource={"package_id": dataset}, fields=fields, records=records)
    return str(created["resource_id"])


@pytest.fixture
async def flights(api: Api, dataset: str) -> str:
    return await create(api, dataset)


# --- datastore_aggregate ----------------------------------------------------------------------------------------------


async def test_without_parameters_all_rows_are_counted(anonymous: Api, flights: str) -> None:
    found = await anonymous.ok("datastore_aggregate", id=flights)
    assert found == {
        "resource_id": flights,
        "fields": [{"id": "count", "type": "int8"}],
        "limit": 100,
        "include_total": True,
        "records_format": "objects",
        "total": 1,
        "records": [{"count": 5}],
    }


async def test_groups_come_in_their_order_with_all_figures(anonymous: Api, flights: str) -> None:
    aggregates = ["count", "count(delay)", "sum(fare)", "avg(delay)", {"function": "max", "column": "at", "as": "last"}]
    found = await anonymous.ok(
        "datastore_aggregate", resource_id=flights, group_by=["carrier"], aggregates=aggregates, records_format="lists"
    )
    assert found["fields"] == [
        {"id": "carrier", "type": "text"},
        {"id": "count", "type": "int8"},
        {"id": "count_delay", "type": "int8"},
        {"id": "sum_fare", "type": "numeric"},
        {"id": "avg_delay", "type": "numeric"},
        {"id": "last", "type": "timestamp"},
    ]
    assert found["records"] == [
        ["AA", 2, 2, 200.30, 1, "2013-01-31T23:59:59.000"],
        ["UA", 2, 1, 0.30, 12, "2013-02-01T00:00:00.000"],
        [None, 1, 1, 7, 40, "2014-02-01T00:00:00.000"],
    ]
    assert found["total"] == 3
    assert found["group_by"] == ["carrier"]
    assert found["aggregates"] == aggregates


async def test_numbers_keep_their_digits(client: httpx.AsyncClient, flights: str) -> None:
    response = await client.get(
        "/api/3/action/datastore_aggregate",
        params={"resource_id": flights, "aggregates": "sum(fare), min(fare), median(fare), max(speed)"},
    )
    record = json.loads(response.content, parse_float=str)["result"]["records"][0]
    assert record == {"sum_fare": "207.60", "min_fare": "0.30", "median_fare": "53.55", "max_speed": "NaN"}


async def test_get_takes_the_short_form_and_json(client: httpx.AsyncClient, flights: str) -> None:
    async def groups(**parameters: str) -> Any:
        response = await client.get(
            "/api/3/action/datastore_aggregate",
            params={"resource_id": flights, "records_format": "lists", **parameters},
        )
        assert response.status_code == 200, response.text
        return response.json()["result"]["records"]

    assert await groups(group_by="month(at), carrier", aggregates="count") == [
        ["2013-01-01T00:00:00.000", "AA", 2],
        ["2013-02-01T00:00:00.000", "UA", 1],
        ["2014-02-01T00:00:00.000", None, 1],
        [None, "UA", 1],
    ]
    assert await groups(group_by='[{"column": "day", "bucket": "year"}]', aggregates='{"function": "count"}') == [
        ["2013-01-01", 3],
        ["2014-01-01", 1],
        [None, 1],
    ]
    assert await groups(group_by="carrier as who", sort="who desc nulls last", aggregates="p50(delay) as middle") == [
        ["UA", 12],
        ["AA", 1],
        [None, 40],
    ]


async def test_buckets_of_numbers(anonymous: Api, flights: str) -> None:
    async def groups(*group_by: Any) -> Any:
        found = await anonymous.ok(
            "datastore_aggregate", resource_id=flights, group_by=list(group_by), records_format="lists"
        )
        return found["records"]

    assert await groups({"column": "delay", "width": 10}) == [[-10, 1], [0, 1], [10, 1], [40, 1], [None, 1]]
    assert await groups({"column": "fare", "width": 0.1}) == [[0.3, 1], [7, 1], [100.1, 1], [100.2, 1], [None, 1]]
    assert await groups({"column": "delay", "buckets": 2}) == [[-3, 3], [18.5, 1], [None, 1]]
    assert await groups({"column": "speed", "buckets": 1}) == [[2, 3], ["NaN", 1], [None, 1]]


async def test_the_selection_is_that_of_search(anonymous: Api, flights: str) -> None:
    for selection in ({"filters": {"delay": {"gt": 0}}}, {"q": "AA"}, {"q": {"carrier": "ua"}}, {"full_text": "aa"}):
        rows = (await anonymous.ok("datastore_search", resource_id=flights, **selection))["total"]
        found = await anonymous.ok("datastore_aggregate", resource_id=flights, **selection)
        assert found["records"] == [{"count": rows}]
        assert 0 < rows < 5
        assert {name: found[name] for name in selection} == selection
        assert (await anonymous.ok("datastore_stats", resource_id=flights, **selection))["total"] == rows


async def test_sorted_pages_of_groups(anonymous: Api, flights: str) -> None:
    async def groups(**parameters: Any) -> Any:
        return await anonymous.ok(
            "datastore_aggregate", resource_id=flights, group_by="carrier", records_format="lists", **parameters
        )

    assert (await groups(sort="count desc"))["records"] == [["AA", 2], ["UA", 2], [None, 1]]
    page = await groups(sort=["count", "carrier desc"], limit=1, offset=1)
    assert (page["records"], page["total"], page["offset"]) == ([["UA", 2]], 3, 1)
    assert (await groups(limit=0))["records"] == []
    assert (await groups(limit=0))["total"] == 3
    assert "total" not in await groups(include_total=False)


async def test_csv_and_tsv(anonymous: Api, flights: str) -> None:
    for records_format, text in (
        ("csv", "AA,2,200.30,{null}\nUA,2,0.30,{null}\n,1,7,{null}\n"),
        ("tsv", "AA\t2\t200.30\t{null}\nUA\t2\t0.30\t{null}\n\t1\t7\t{null}\n"),
    ):
        found = await anonymous.ok(
            "datastore_aggregate",
            resource_id=flights,
            group_by="carrier",
            aggregates=["count", "sum(fare)", "max(tags)"],
            records_format=records_format,
            filters={"carrier": ["AA", "UA", None]},
        )
        assert found["records"] == text.format(null="null")
        assert found["total"] == 3


async def test_aliases_and_table_metadata(api: Api, flights: str) -> None:
    await api.ok("datastore_create", resource_id=flights, aliases="flying", force=True)
    assert (await api.ok("datastore_aggregate", id="flying"))["resource_id"] == flights
    assert (await api.ok("datastore_stats", id="flying"))["resource_id"] == flights
    found = await api.ok(
        "datastore_aggregate", id="_table_metadata", group_by="alias_of", filters={"alias_of": flights}
    )
    assert found["records"] == [{"alias_of": flights, "count": 1}]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"aggregates": "sum(carrier)"}, "aggregates", '"sum" does not apply to "carrier", which is of type text'),
    ({"aggregates": "median(carrier)"}, "aggregates", '"median" does not apply to "carrier", which is of type text'),
    ({"aggregates": "max(extra)"}, "aggregates", '"max" does not apply to "extra", which is of type json'),
    ({"aggregates": "sum(none)"}, "aggregates", 'invalid value "none"'),
    ({"aggregates": "sum"}, "aggregates", '"sum" needs a column'),
    ({"aggregates": "explode(delay)"}, "aggregates", "Unknown function: explode"),
    ({"aggregates": ""}, "", ""),
    ({"aggregates": [7]}, "aggregates", "Neither a string nor an object: 7"),
    ({"aggregates": 7}, "aggregates", "Not a list"),
    ({"aggregates": [{"column": "delay"}]}, "aggregates", 'Missing value: "function"'),
    ({"aggregates": [{"function": "count", "x": 1}]}, "aggregates", 'invalid value "x"'),
    ({"aggregates": [{"function": "count", "as": "_x"}]}, "aggregates", '"_x" is not a valid name'),
    ({"aggregates": [{"function": "count", "as": 'a"b'}]}, "aggregates", '"a"b" is not a valid name'),
    (
        {"aggregates": [{"function": "count", "as": "x" * 64}]},
        "aggregates",
        f'"{"x" * 64}" is too long a name: give another one with "as"',
    ),
    (
        {"aggregates": ["count", "count"]},
        "aggregates",
        'Two columns of the result are named "count": give one another name with "as"',
    ),
    (
        {"group_by": "carrier", "aggregates": "count as carrier"},
        "aggregates",
        'Two columns of the result are named "carrier": give one another name with "as"',
    ),
    ({"aggregates": "percentile(delay)"}, "aggregates", '"percentile" needs "p", from 0 to 1, and nothing else does'),
    ({"aggregates": [{"function": "percentile", "column": "delay", "p": 90}]}, "aggregates", '"p" is not from 0 to 1'),
    ({"aggregates": [{"function": "percentile", "column": "delay", "p": "x"}]}, "aggregates", '"p" is not a number'),
    ({"group_by": "none"}, "group_by", 'invalid value "none"'),
    ({"group_by": [{}]}, "group_by", 'Missing value: "column"'),
    ({"group_by": "hour(day)"}, "group_by", '"day" is a date: it has no hour'),
    ({"group_by": "fortnight(day)"}, "group_by", "Unknown bucket: fortnight"),
    (
        {"group_by": "month(carrier)"},
        "group_by",
        '"carrier" is of type text: only dates and timestamps have buckets of time',
    ),
    (
        {"group_by": [{"column": "carrier", "width": 1}]},
        "group_by",
        '"carrier" is of type text: only numbers have buckets of a width',
    ),
    ({"group_by": [{"column": "delay", "width": 0}]}, "group_by", '"width" is not greater than zero'),
    ({"group_by": [{"column": "delay", "width": "NaN"}]}, "group_by", '"width" is not a number'),
    (
        {"group_by": [{"column": "delay", "buckets": 1.5}]},
        "group_by",
        '"buckets" is not a whole number from 1 to 10000',
    ),
    (
        {"group_by": [{"column": "delay", "width": 1, "buckets": 2}]},
        "group_by",
        'Only one of "bucket", "width" and "buckets" can be given',
    ),
    ({"group_by": "carrier", "sort": "delay"}, "sort", 'invalid value "delay"'),
    ({"sort": "_id", "limit": 0}, "sort", 'invalid value "_id"'),
    ({"offset": -1}, "offset", 'invalid value "-1"'),
    ({"limit": "x"}, "limit", "Invalid integer"),
    ({"distinct": True}, "__extras", 'invalid value "distinct"'),
    ({"filters": {"none": 1}}, "filters", "Unknown field: none"),
    ({"aggregates": [f"count as c{number}" for number in range(101)]}, "aggregates", "more than 100 columns"),
    (
        {"group_by": "carrier", "aggregates": [f"count as c{number}" for number in range(100)]},
        "aggregates",
        "more than 100 columns",
    ),
    ({"group_by": [" " * 200_000 + "as"]}, "group_by", f'invalid value "{" " * 100}…"'),
]


@pytest.mark.parametrize(("parameters", "key", "message"), WRONG, ids=lambda value: str(value)[:50])
async def test_what_is_wrong_is_named(
    anonymous: Api, flights: str, parameters: dict[str, Any], key: str, message: str
) -> None:
    if not key:
        await anonymous.ok("datastore_aggregate", resource_id=flights, **parameters)
        return
    error = await anonymous.refused(409, "datastore_aggregate", resource_id=flights, **parameters)
    assert error == {key: [message]}


async def test_columns_of_any_name(api: Api, dataset: str) -> None:
    created = await api.ok(
        "datastore_create",
        resource={"package_id": dataset},
        records=[{"month(x)": 1, "a, b": 2, "größe as (m)": 3, "count": 4}],
    )
    found = await api.ok(
        "datastore_aggregate",
        resource_id=created["resource_id"],
        group_by=["month(x)", "a, b"],
        aggregates=["sum(größe as (m))", 'max("month(x)")', {"function": "sum", "column": "count"}],
    )
    assert found["records"] == [
        {"month(x)": 1, "a, b": 2, "sum_größe as (m)": 3, "max_month(x)": 1, "sum_count": 4},
    ]


# --- datastore_stats --------------------------------------------------------------------------------------------------


async def test_stats_of_every_column(anonymous: Api, flights: str) -> None:
    found = await anonymous.ok("datastore_stats", resource_id=flights, top=2, buckets=3)
    columns = {column.pop("id"): column for column in found.pop("fields")}
    assert found == {"resource_id": flights, "total": 5, "approximate": False, "estimates": []}
    assert list(columns) == list(TYPES)
    assert columns["carrier"] == {
        "type": "text",
        "count": 4,
        "nulls": 1,
        "distinct": 2,
        "approximate": False,
        "min": "AA",
        "max": "UA",
        "top_values": [{"value": "AA", "count": 2}, {"value": "UA", "count": 2}],
    }
    delay = columns["delay"]
    assert (delay["min"], delay["max"], delay["mean"], delay["distinct"]) == (-3, 40, 13.5, 4)
    assert delay["stddev"] == pytest.approx(18.699, abs=0.001)
    assert delay["histogram"] == {"edges": [-3, 12, 27, 42], "counts": [2, 1, 1]}
    assert columns["fare"]["histogram"] == {"edges": [0.3, 33.6, 66.9, 100.2], "counts": [2, 0, 2]}
    assert columns["at"]["min"] == "2013-01-01T05:17:00.000"
    assert columns["at"]["histogram"]["counts"] == [3, 0, 1]
    assert columns["at"]["histogram"]["edges"][-1] == columns["at"]["max"] == "2014-02-01T00:00:00.000"
    assert columns["day"]["histogram"] == {
        "edges": ["2013-01-01", "2013-05-14", "2013-09-24", "2014-02-04"],
        "counts": [3, 0, 1],
    }
    # NaN is a value, but no part of the figures.
    assert (columns["speed"]["count"], columns["speed"]["min"], columns["speed"]["max"]) == (4, 2, 1e300)
    assert columns["speed"]["distinct"] == 4
    assert columns["tags"] == {
        "type": "_text",
        "count": 0,
        "nulls": 5,
        "distinct": 0,
        "approximate": False,
        "top_values": [],
    }


async def test_stats_of_some_columns(client: httpx.AsyncClient, flights: str) -> None:
    response = await client.get(
        "/api/3/action/datastore_stats",
        params={"resource_id": flights, "fields": "_id,delay", "filters": '{"delay": 5}'},
    )
    row, delay = response.json()["result"]["fields"]
    assert (row["id"], row["type"], row["min"], row["max"]) == ("_id", "int", 1, 1)
    assert delay["histogram"] == {"edges": [5, 6], "counts": [1]}
    assert delay["stddev"] is None


async def test_stats_of_an_empty_table(anonymous: Api, resource: str) -> None:
    found = await anonymous.ok("datastore_stats", resource_id=resource)
    assert (found["total"], found["fields"]) == (0, [])


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"fields": ["none"]}, {"fields": ['invalid value "none"']}),
        ({"top": 0}, {"top": ["Must be a number from 1 to 100"]}),
        ({"buckets": 101}, {"buckets": ["Must be a number from 1 to 100"]}),
        ({"buckets": "x"}, {"buckets": ["Invalid integer"]}),
        ({"limit": 1}, {"__extras": ['invalid value "limit"']}),
        ({"filters": {"none": 1}}, {"filters": ["Unknown field: none"]}),
        ({"q": {"none": "x"}}, {"q": ['invalid value "none"']}),
    ],
)
async def test_stats_refuse(
    anonymous: Api, flights: str, parameters: dict[str, Any], error: dict[str, list[str]]
) -> None:
    assert await anonymous.refused(409, "datastore_stats", resource_id=flights, **parameters) == error


async def test_a_value_that_does_not_fit_is_the_query(anonymous: Api, flights: str) -> None:
    for action in ("datastore_aggregate", "datastore_stats"):
        error = await anonymous.refused(409, action, resource_id=flights, filters={"delay": "x"})
        assert error["query"] == ["Invalid query"]


# --- both -------------------------------------------------------------------------------------------------------------

ACTIONS = ("datastore_aggregate", "datastore_stats")


@pytest.mark.parametrize("action", ACTIONS)
async def test_private_tables_are_for_those_who_may(api: Api, anonymous: Api, dataset: str, action: str) -> None:
    flights = await create(api, dataset)
    await anonymous.ok(action, resource_id=flights)
    await api.ok("package_patch", id=dataset, private=True)
    await anonymous.refused(403, action, resource_id=flights)
    await api.ok(action, resource_id=flights)


@pytest.mark.parametrize("action", ACTIONS)
async def test_missing_and_dropped_tables(api: Api, flights: str, action: str) -> None:
    assert await api.refused(409, action) == {"resource_id": ["Missing value"]}
    await api.refused(404, action, resource_id="none")
    await api.ok(action, resource_id=flights)
    await api.ok("datastore_delete", resource_id=flights, force=True)
    await api.refused(404, action, resource_id=flights)


@pytest.mark.parametrize("action", ACTIONS)
async def test_changes_show_at_once(api: Api, flights: str, action: str) -> None:
    async def total() -> int:
        found = await api.ok(action, resource_id=flights)
        return int(found["total"] if action == "datastore_stats" else found["records"][0]["count"])

    assert (await total(), await total()) == (5, 5)
    await api.ok("datastore_upsert", resource_id=flights, records=[{"carrier": "B6"}], method="insert", force=True)
    assert await total() == 6
    await api.ok("datastore_delete", resource_id=flights, filters={"carrier": "AA"}, force=True)
    assert await total() == 4
    await api.ok(
        "datastore_create",
        resource_id=flights,
        fields=[*({"id": name, "type": type} for name, type in TYPES.items()), {"id": "new", "type": "int"}],
        force=True,
    )
    found = await api.ok("datastore_stats", resource_id=flights)
    assert found["fields"][-1]["id"] == "new"


_words = st.sampled_from(
    ["carrier", "delay", "fare", "at", "day", "speed", "tags", "extra", "_id", "count", "sum", "", "a, b", "é", "1"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _words | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_functions = st.sampled_from(
    ["count", "count_distinct", "sum", "avg", "min", "max", "median", "p90", "stddev", "variance", "month", "year", "x"]
)
_calls = st.builds("{}({})".format, _functions, _words)
_objects = st.fixed_dictionaries(
    {"column": _words | _values},
    optional={
        "function": _functions | _values,
        "as": _words | st.text(),
        "p": _values,
        "bucket": _functions | _values,
        "width": st.integers() | st.decimals().map(str) | _values,
        "buckets": st.integers(-1, 20_000) | _values,
    },
)
_terms = _values | _calls | _objects | st.lists(_calls | _objects | _words, max_size=4)
_selection = {"filters": _values, "q": _values, "plain": _values, "language": _values, "x": _values}
_aggregate = {
    "group_by": _terms,
    "aggregates": _terms,
    "sort": _values | st.lists(_words),
    "limit": _values,
    "offset": _values,
    "records_format": st.sampled_from(["objects", "lists", "csv", "tsv", "xml"]),
    "include_total": _values,
}
_stats = {"fields": _values | st.lists(_words), "top": _values, "buckets": _values}


@pytest.fixture
async def odd(api: Api, dataset: str) -> str:
    """A table with the values at which computations break."""
    records: list[dict[str, Any]] = [
        {"carrier": "", "delay": -(2**31), "fare": "NaN", "at": "infinity", "day": "-infinity", "speed": "-Infinity"},
        {"carrier": "\\N", "delay": 2**31 - 1, "fare": "1e1000", "at": "4713-01-01 BC", "day": "5874897-12-31"},
        {"tags": ["a", None], "extra": {"a": [1]}, "speed": 1.7e308, "at": "294276-12-31", "day": "4713-01-01 BC"},
        {"tags": [], "extra": [], "speed": -1.7e308, "fare": "-1e-1000"},
    ]
    return await create(api, dataset, FLIGHTS + records)


@settings(max_examples=200)
@given(
    soup=st.fixed_dictionaries({}, optional=_aggregate) | st.fixed_dictionaries({}, optional=_selection | _aggregate)
)
async def test_no_parameters_of_aggregate_are_an_internal_error(api: Api, odd: str, soup: dict[str, Any]) -> None:
    response = await api.post("datastore_aggregate", resource_id=odd, **soup)
    assert response.status_code in (200, 400, 409), response.text


@given(soup=st.fixed_dictionaries({}, optional=_stats) | st.fixed_dictionaries({}, optional=_selection | _stats))
async def test_no_parameters_of_stats_are_an_internal_error(api: Api, odd: str, soup: dict[str, Any]) -> None:
    response = await api.post("datastore_stats", resource_id=odd, **soup)
    assert response.status_code in (200, 400, 409), response.text


async def test_stats_of_odd_values(api: Api, odd: str) -> None:
    found = await api.ok("datastore_stats", resource_id=odd)
    columns = {column["id"]: column for column in found["fields"]}
    assert columns["delay"]["histogram"]["counts"] == [1, *[0] * 8, 1, 3, *[0] * 8, 1]
    # The squares of these are no float8.
    assert (columns["speed"]["mean"], columns["speed"]["stddev"]) == (None, None)
    assert columns["speed"]["histogram"]["edges"][0] == -1.7e308
    assert sum(columns["speed"]["histogram"]["counts"]) == 5
    assert columns["day"]["min"] == "4713-01-01 BC"
    assert columns["day"]["max"] == columns["day"]["histogram"]["edges"][-1] == "5874897-12-31"
    assert columns["at"]["histogram"]["edges"][0] == columns["at"]["min"] == "4713-01-01T00:00:00.000 BC"
    assert columns["at"]["histogram"]["edges"][-1] == columns["at"]["max"] == "294276-12-31T00:00:00.000"
    assert columns["tags"]["top_values"] == [{"value": [], "count": 1}, {"value": ["a", None], "count": 1}]


async def test_long_values_are_counted_but_not_compared(api: Api, dataset: str) -> None:
    records = [{"carrier": "x" * 200_000 + str(number)} for number in range(3)] + [{"carrier": "y"}] * 2
    found = await api.ok("datastore_stats", resource_id=await create(api, dataset, records), fields="carrier")
    column = found["fields"][0]
    assert (column["count"], column["distinct"], column["approximate"], found["approximate"]) == (5, 4, True, True)
    assert (column["min"], column["max"]) == ("y", "y")
    assert column["top_values"] == [{"value": "y", "count": 2}]
