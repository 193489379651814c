"""Searches that come again and again: a worker remembers how they are made, and what they found until it changes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest

from datastore.actions.services import Services
from datastore.tables.reading.matching import Match
from datastore.tables.reading.repeated import Answers, Repeated
from datastore.tables.reading.search import Found, Search
from datastore.tables.reading.search import plan as search_plan

Call = Callable[..., Awaitable[Any]]
SEARCH = "/api/3/action/datastore_search"
VALUES = [number * 37 % 101 for number in range(101)]


def word(value: int) -> str:
    """A text for a row, with what SQL has to quote."""
    return f"it's \\{value % 3} apples"


@pytest.fixture
async def table(call: Call, dataset: str) -> str:
    """A public table of 101 rows, with `_id` in the order of VALUES."""
    created = await call(
        "datastore_create",
        resource={"package_id": dataset},
        fields=[{"id": "value", "type": "int"}, {"id": "word", "type": "text"}],
        indexes=["word"],
        records=[{"value": value, "word": word(value)} for value in VALUES],
    )
    return str(created["resource_id"])


async def search(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    """The result of a search by GET."""
    response = await client.get(SEARCH, params=parameters)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()["result"]
    return result


@pytest.mark.parametrize(
    "more", [{}, {"sort": "value desc"}, {"include_next_page": "true"}, {"records_format": "lists"}]
)
async def test_every_page(client: httpx.AsyncClient, table: str, more: dict[str, str]) -> None:
    """Pages share statements by powers of two, in whichever order they come."""
    everything = (await search(client, resource_id=table, limit=200, **more))["records"]
    assert len(everything) == 101
    for offset in (64, 0, 1, 2, 3, 63, 5, 65, 64, 96, 100, 101, 127, 128, 2**40, 0, 7):
        found = await search(client, resource_id=table, limit=7, offset=offset, **more)
        assert found["records"] == everything[offset : offset + 7]
        assert (found["offset"], found["total"]) == (offset, 101)
        assert f"offset={offset + 7}" in found["_links"]["next"]


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "9" * 19, "1&offset=2"])
async def test_what_is_no_offset(client: httpx.AsyncClient, table: str, offset: str) -> None:
    for _ in range(3):
        assert (await client.get(f"{SEARCH}?resource_id={table}&offset={offset}")).status_code == 409
    assert (await search(client, resource_id=table, offset=" 1 ", limit=1))["records"][0]["_id"] == 2
    assert "offset" not in await search(client, resource_id=table, limit=1)


@pytest.mark.parametrize(
    "filters",
    [{"word": word(1)}, {"value": {"gte": 3, "lt": 90}}, {"value": [1, 2, 3, 500]}, {"word": [word(1), "x'"]}],
)
async def test_filters_see_every_change(
    client: httpx.AsyncClient, call: Call, table: str, filters: dict[str, Any]
) -> None:
    def expected(rows: list[dict[str, Any]]) -> list[int]:
        found = []
        for row in rows:
            for name, wanted in filters.items():
                value = row[name]
                fits = value in wanted if isinstance(wanted, list) else value == wanted
                if isinstance(wanted, dict):
                    fits = wanted["gte"] <= value < wanted["lt"]
                if fits:
                    found.append(value)
        return found

    rows = [{"value": value, "word": word(value)} for value in VALUES]
    for number in range(8):
        for _ in range(1 + number % 3 * 3):
            found = await search(client, resource_id=table, filters=json.dumps(filters), limit=200)
            column = next(iter(filters))
            assert [record[column] for record in found["records"]] == expected(rows)
            assert found["total"] == len(expected(rows))
        rows.append({"value": number + 1, "word": word(number)})
        await call("datastore_upsert", resource_id=table, method="insert", records=rows[-1:], force=True)


async def test_a_table_that_becomes_private(client: httpx.AsyncClient, call: Call, dataset: str, table: str) -> None:
    for _ in range(6):
        await search(client, resource_id=table, limit=3)
    await call("package_patch", id=dataset, private=True)
    assert (await client.get(SEARCH, params={"resource_id": table, "limit": 3})).status_code == 403
    await call("package_patch", id=dataset, private=False)
    assert len((await search(client, resource_id=table, limit=3))["records"]) == 3
    await call("datastore_delete", resource_id=table, force=True)
    assert (await client.get(SEARCH, params={"resource_id": table, "limit": 3})).status_code == 404


async def test_what_is_kept_has_a_limit(services: Services, table: str) -> None:
    schema = await services.schemas.get(table)
    assert schema is not None
    database, answers = services.database, Answers(room=40_000)
    for limit in (50, 60, 70):
        plan = search_plan(Search(limit=limit), schema)
        repeated = Repeated(schema, plan)
        found = [await answers.find(database, repeated) for _ in range(30)]
        again = [first is second for first, second in pairwise(found)]
        assert again[:3] == [False, False, False]
        assert any(again)
        assert sum(len(kept.records) for kept in answers._kept.values()) == answers._size <= 40_000
        nowhere = Answers(room=10)
        found = [await nowhere.find(database, Repeated(schema, plan)) for _ in range(6)]
        assert len({id(one) for one in found}) == 6
        assert not nowhere._kept


async def test_what_comes_often(services: Services, call: Call, table: str) -> None:
    """From the third time on its values stand in the statement; after the fourth with one version it is kept."""
    schema = await services.schemas.get(table)
    assert schema is not None
    wanted = Search(Match(filters={"value": [1, 2, 3]}))
    answers, repeated = Answers(), Repeated(schema, search_plan(wanted, schema), values=wanted)

    async def find() -> tuple[Found, bool]:
        """What was found, and whether with arguments."""
        return await answers.find(services.database, repeated), bool(repeated.plan.arguments)

    found = [await find() for _ in range(6)]
    assert [arguments for _, arguments in found] == [True, True, False, False, False, False]
    assert [first is second for (first, _), (second, _) in pairwise(found)] == [False, False, False, True, True]
    await call("datastore_upsert", resource_id=table, method="insert", records=[{"value": 2}], force=True)
    later = [await find() for _ in range(5)]
    assert [first is second for (first, _), (second, _) in pairwise(later)] == [False, False, False, True]
    assert {first.total for first, _ in found} == {3}
    assert {first.total for first, _ in later} == {4}


async def test_what_moves_with_time_is_not_kept(services: Services, table: str) -> None:
    schema = await services.schemas.get(table)
    assert schema is not None
    answers, repeated = Answers(), Repeated(schema, search_plan(Search(), schema), lasting=False)
    found = [await answers.find(services.database, repeated) for _ in range(6)]
    assert len({id(one) for one in found}) == 6
    assert not answers._kept


async def test_words_and_a_changed_schema(client: httpx.AsyncClient, call: Call, table: str) -> None:
    for _ in range(5):
        found = await search(client, resource_id=table, q="apples", limit=3, sort="_id")
        assert [record["_id"] for record in found["records"]] == [1, 2, 3]
    await call(
        "datastore_create",
        resource_id=table,
        fields=[{"id": "value", "type": "int"}, {"id": "word", "type": "text"}, {"id": "more", "type": "int"}],
        force=True,
    )
    for _ in range(5):
        found = await search(client, resource_id=table, q="apples", limit=3, sort="_id")
        assert [record["more"] for record in found["records"]] == [None] * 3


async def test_a_value_that_cannot_be_is_refused_each_time(client: httpx.AsyncClient, table: str) -> None:
    answers = [
        await client.get(SEARCH, params={"resource_id": table, "filters": '{"value": "many"}'}) for _ in range(5)
    ]
    assert {answer.status_code for answer in answers} == {409}
    assert len({answer.text for answer in answers}) == 1
