"""Paging by cursor: whatever the order, the pages together are the whole, and cost what the first one costs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.actions.registry import RawJson
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables.reading import cursor, search, sorting
from datastore.tables.reading.search import Search

CallAction = Callable[..., Awaitable[Any]]
FIELDS = [
    {"id": "i", "type": "int"},
    {"id": "f", "type": "float8"},
    {"id": "t", "type": "text"},
    {"id": "d", "type": "timestamp"},
    {"id": "b", "type": "bool"},
    {"id": "j", "type": "json"},
    {"id": "n", "type": "numeric"},
]
VALUES = {
    "i": st.none() | st.integers(-2, 2),
    "f": st.none() | st.sampled_from([0.1, -1.5, "NaN", "Infinity"]),
    "t": st.none() | st.sampled_from(["", "a", "B", "ä", "a b", "'"]),
    "d": st.none() | st.sampled_from(["2026-01-01T00:00:00.123456", "2026-01-01", "0001-01-01", "infinity"]),
    "b": st.none() | st.booleans(),
    "j": st.none() | st.sampled_from([{"a": 1}, [1], "x"]),
    "n": st.none() | st.sampled_from(["1.10", "1.1", "12345678901234567890.5"]),
}
records = st.lists(st.fixed_dictionaries(VALUES), max_size=14)
clauses = st.lists(
    st.tuples(
        st.sampled_from([*sorted(VALUES), "_id"]),
        st.sampled_from(["", " asc", " desc"]),
        st.sampled_from(["", " nulls first", " nulls last"]),
    ).map("".join),
    max_size=3,
)


@settings(max_examples=80)
@given(rows=records, sort=clauses, limit=st.integers(1, 5), style=st.sampled_from(["objects", "csv"]))
async def test_the_pages_are_the_whole(
    call: CallAction, resource: str, rows: list[dict[str, Any]], sort: list[str], limit: int, style: str
) -> None:
    await call("datastore_create", resource_id=resource, fields=FIELDS)
    await call("datastore_delete", resource_id=resource, filters={})
    await call("datastore_upsert", resource_id=resource, method="insert", records=RawJson(json.dumps(rows).encode()))
    whole = (await call("datastore_search", resource_id=resource, sort=sort, records_format=style))["records"]
    pages: Any = "" if style == "csv" else []
    position, turns = "*", 0
    while position is not None:
        page = await call(
            "datastore_search", resource_id=resource, sort=sort, limit=limit, cursor=position, records_format=style
        )
        assert page["total"] == len(rows)
        pages += page["records"]
        position, turns = page["next_cursor"], turns + 1
        assert turns <= len(rows) + 1
    assert pages == whole


async def test_rows_that_come_and_go(call: CallAction, resource: str) -> None:
    await call("datastore_create", resource_id=resource, records=[{"a": number * 10} for number in range(1, 6)])
    first = await call("datastore_search", resource_id=resource, sort="a desc", limit=2, cursor="")
    assert [row["a"] for row in first["records"]] == [50, 40]
    await call("datastore_delete", resource_id=resource, filters={"a": 40})
    await call("datastore_upsert", resource_id=resource, method="insert", records=[{"a": 60}, {"a": 35}])
    rest = await call("datastore_search", resource_id=resource, sort="a desc", cursor=first["next_cursor"])
    assert [row["a"] for row in rest["records"]] == [35, 30, 20, 10]
    assert rest["next_cursor"] is None


async def test_by_rank(call: CallAction, resource: str) -> None:
    texts = ["apple", "apple pear", "pear", "apple and apple", "an apple a day", "apple"]
    await call("datastore_create", resource_id=resource, records=[{"t": text} for text in texts])
    whole = await call("datastore_search", resource_id=resource, q="apple")
    ids, position = [], "*"
    while position is not None:
        page = await call("datastore_search", resource_id=resource, q="apple", limit=2, cursor=position)
        ids += [row["_id"] for row in page["records"]]
        position = page["next_cursor"]
    assert ids == [row["_id"] for row in whole["records"]]
    assert len(ids) == 5


async def test_next_page(call: CallAction, resource: str) -> None:
    await call("datastore_create", resource_id=resource, records=[{"a": number} for number in range(5)])

    async def next_page(**parameters: Any) -> Any:
        found = await call("datastore_search", resource_id=resource, include_next_page=True, **parameters)
        return found.get("next_page")

    assert await next_page(limit=2) == {"_id": {"gt": 2}}
    assert await next_page(limit=2, fields="a", records_format="csv") == {"_id": {"gt": 2}}
    assert await next_page(limit=9, sort="_id desc") == {"_id": {"lt": 1}}
    for parameters in ({"sort": "a"}, {"distinct": True, "fields": "a"}, {"filters": {"a": 99}}, {"limit": 0}):
        assert await next_page(**parameters) is None


@pytest.mark.parametrize("bad", ["x", "ä", "e30", "W10", "%%%"])
async def test_what_is_no_cursor(call: CallAction, resource: str, bad: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await call("datastore_search", resource_id=resource, cursor=bad)
    assert list(caught.value.fields) == ["cursor"]


async def test_a_cursor_of_another_order(call: CallAction, resource: str) -> None:
    await call("datastore_create", resource_id=resource, records=[{"a": 1}, {"a": 2}])
    page = await call("datastore_search", resource_id=resource, limit=1, cursor="*", sort="a")
    for more in ({"sort": "a desc"}, {}, {"sort": "a", "offset": 1}, {"sort": "a", "distinct": True}):
        with pytest.raises(ValidationError) as caught:
            await call("datastore_search", resource_id=resource, cursor=page["next_cursor"], **more)
        assert list(caught.value.fields) == ["cursor"]


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        cursor.decode(text, [sorting.ID_TERM])
    except ValidationError as error:
        assert list(error.fields) == ["cursor"]  # noqa: PT017 -- refusing is one of two right outcomes


async def test_a_late_page_reads_no_more_than_the_first(call: CallAction, services: Services, resource: str) -> None:
    """PostgreSQL touches a handful of rows for a page behind a cursor, however far it is, with NULLs at the end too."""
    rows = ",".join(f'{{"a":{number // 3 if number % 10 else "null"}}}' for number in range(20_000))
    await call("datastore_create", resource_id=resource, fields=[{"id": "a", "type": "int"}], indexes="a")
    await call("datastore_upsert", resource_id=resource, method="insert", records=RawJson(f"[{rows}]".encode()))
    schema = await services.schemas.get(resource)
    assert schema is not None
    await services.database.owner.execute(f"ANALYZE {schema.sql_name}")
    for sort in (["a"], ["_id"], ["a desc nulls last"]):
        found = search.plan(Search(sort=sort, limit=10, cursor="*"), schema)
        middle = await services.database.owner.fetchrow(
            f"SELECT a, _id FROM {schema.sql_name} WHERE a IS NOT NULL ORDER BY a OFFSET 15000 LIMIT 1"
        )
        values = [str(middle["_id"])] if sort == ["_id"] else [str(middle["a"]), str(middle["_id"])]
        token = cursor.encode(found.terms, values)
        late = search.plan(Search(sort=sort, limit=10, cursor=token, include_total=False), schema)
        explained = await services.database.owner.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {late.with_}{late.records}", *late.arguments
        )
        assert scanned(json.loads(explained)[0]["Plan"]) < 200


def scanned(node: dict[str, Any]) -> float:
    """Rows that the scans of a plan read."""
    own = 0.0
    if "Scan" in node["Node Type"] and "CTE" not in node["Node Type"]:
        own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return own + sum(scanned(child) for child in node.get("Plans", []))
