"""Full text over HTTP: languages, syntaxes, accents, ranks, snippets; the same with and without the index."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.errors import ValidationError
from tests.upkeep import maintained

CallAction = Callable[..., Awaitable[Any]]
ROWS = [
    {"title": "Crème brûlée", "note": "A dessert with caramel", "year": 1691, "price": 53.56, "day": "2011-04-04",
     "tags": ["sweet", "french"], "extra": {"origin": "Cambridge"}},
    {"title": "Cafe <b>noir</b> & co", "note": "black coffee, running late", "year": 2004, "price": 2,
     "day": "2012-05-06", "tags": [], "extra": None},
    {"title": "Running shoes", "note": None, "year": 4, "price": 4.5, "day": None, "tags": ["sport"], "extra": {}},
]  # fmt: skip
FIELDS = [
    {"id": "title", "type": "text"}, {"id": "note", "type": "text"}, {"id": "year", "type": "int"},
    {"id": "price", "type": "numeric"}, {"id": "day", "type": "date"}, {"id": "tags", "type": "text[]"},
    {"id": "extra", "type": "json"},
]  # fmt: skip


@pytest.fixture(params=["scan", "index"])
async def table(call: CallAction, services: Services, resource: str, request: pytest.FixtureRequest) -> str:
    """Three rows; with the index, so many more that PostgreSQL uses it."""
    await call("datastore_create", resource_id=resource, fields=FIELDS, records=ROWS)
    if request.param == "index":
        filler = [{"title": f"filler{number}"} for number in range(1500)]
        await call("datastore_upsert", resource_id=resource, method="insert", records=filler)
        await maintained(services, resource)
        schema = await services.schemas.fresh(resource)
        assert schema is not None
        assert schema.fulltext == "ready"
    return resource


def ids(found: dict[str, Any]) -> list[int]:
    return sorted(row["_id"] for row in found["records"])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"q": "creme brulee"}, [1]),
        ({"q": "Crème"}, [1]),
        ({"q": "café"}, [2]),
        ({"q": "runs"}, [2, 3]),
        ({"q": "coffee run"}, [2]),
        ({"q": "53.56"}, [1]),
        ({"q": "2011-04-04"}, [1]),
        ({"q": "4"}, [3]),
        ({"q": "cambridge"}, [1]),
        ({"q": "french"}, [1]),
        ({"q": "json"}, []),
        ({"q": "the"}, []),
        ({"q": {"title": "running"}}, [3]),
        ({"q": {"note": "running"}}, [2]),
        ({"q": {"title": "cafe", "note": "coffee"}}, [2]),
        ({"q": {"title": "cafe", "note": "caramel"}}, []),
        ({"q": {"tags": "sport"}}, [3]),
        ({"q": "20:*", "plain": False}, [1, 2]),
        ({"q": "coffee | caramel", "plain": False}, [1, 2]),
        ({"q": "run & !coffee", "plain": False}, [3]),
        ({"q": {"title": "cam:*", "note": "cara:*"}, "plain": "false"}, []),
        ({"q": {"extra": "camb:*"}, "plain": "false"}, [1]),
        ({"q": {"note": "!caramel"}, "plain": False, "filters": {"_id": [1, 2, 3]}}, [2, 3]),
        ({"q": '"running late"', "websearch": True}, [2]),
        ({"q": "caramel or shoes", "websearch": True}, [1, 3]),
        ({"q": "running -coffee", "websearch": True}, [3]),
        ({"full_text": "coffee"}, [2]),
        ({"full_text": "running", "q": {"title": "shoes"}}, [3]),
        ({"full_text": "running", "q": "coffee"}, [2]),
        ({"q": "laufen", "language": "german"}, []),
        ({"q": "running", "language": "simple"}, []),
    ],
)
async def test_q(call: CallAction, table: str, parameters: dict[str, Any], expected: list[int]) -> None:
    found = await call("datastore_search", resource_id=table, **parameters)
    assert ids(found) == expected
    assert found["total"] == len(expected)


async def test_ranks(call: CallAction, table: str) -> None:
    found = await call("datastore_search", resource_id=table, q="running")
    assert [field["id"] for field in found["fields"]][-1] == "rank"
    assert all(0 < row["rank"] < 1 for row in found["records"])
    found = await call(
        "datastore_search", resource_id=table, q={"title": "running", "note": ""}, fields="rank title,_id"
    )
    assert found["records"] == [{"rank title": pytest.approx(0.0573, abs=1e-4), "_id": 3}]
    found = await call("datastore_search", resource_id=table, full_text="running", fields="title")
    assert list(found["records"][0]) == ["title"]
    with pytest.raises(ValidationError) as caught:
        await call("datastore_search", resource_id=table, fields="rank")
    assert caught.value.fields == {"fields": ['invalid value "rank"']}


async def test_highlight(call: CallAction, table: str) -> None:
    found = await call("datastore_search", resource_id=table, q="cafe", highlight=True)
    row = found["records"][0]
    assert row["_highlight"] == {"title": "<mark>Cafe</mark> &lt;b&gt;noir&lt;/b&gt; &amp; co"}
    found = await call("datastore_search", resource_id=table, q="brulee", highlight="title", fields="_id")
    assert found["records"] == [{"_id": 1, "_highlight": {"title": "Crème <mark>brûlée</mark>"}}]
    found = await call("datastore_search", resource_id=table, q="running", highlight=["note"], records_format="lists")
    assert found["fields"][-1] == {"id": "_highlight", "type": "json"}
    assert {json.dumps(row[-1]) for row in found["records"]} == {
        '{"note": "black coffee, <mark>running</mark> late"}', "{}",
    }  # fmt: skip
    for parameters in ({"highlight": True}, {"highlight": "false", "q": "cafe"}):
        found = await call("datastore_search", resource_id=table, **parameters)
        assert "_highlight" not in found["records"][0]
    with pytest.raises(ValidationError) as caught:
        await call("datastore_search", resource_id=table, q="cafe", highlight="nope")
    assert caught.value.fields == {"highlight": ['invalid value "nope"']}


async def test_csv_with_rank_and_distinct(call: CallAction, table: str) -> None:
    found = await call("datastore_search", resource_id=table, q="caramel", records_format="csv", fields="_id,rank")
    assert found["records"].startswith("1,0.0")
    found = await call(
        "datastore_search", resource_id=table, q="running", distinct=True, fields="title", records_format="lists"
    )
    assert (found["total"], sorted(found["records"])) == (2, [["Cafe <b>noir</b> & co"], ["Running shoes"]])


@pytest.mark.parametrize("language", ["klingon", "en; drop", 'a"b', "pg_catalog.english"])
async def test_unknown_language(call: CallAction, table: str, language: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await call("datastore_search", resource_id=table, q="x", language=language)
    assert set(caught.value.fields) & {"language", "query"}


async def test_changed_columns_stay_searchable(call: CallAction, services: Services, table: str) -> None:
    await call("datastore_create", resource_id=table, fields=[{"id": "added", "type": "text"}])
    await call("datastore_upsert", resource_id=table, method="update", records=[{"_id": 3, "added": "zebra"}])
    assert ids(await call("datastore_search", resource_id=table, q="zebra")) == [3]
    await maintained(services, table)
    assert ids(await call("datastore_search", resource_id=table, q="zebra")) == [3]
    kept = [{"id": field["id"]} for field in FIELDS]
    await call("datastore_create", resource_id=table, fields=kept, delete_fields=True)
    assert ids(await call("datastore_search", resource_id=table, q="zebra")) == []
    assert ids(await call("datastore_search", resource_id=table, q="cambridge")) == [1]


async def test_similar(call: CallAction, resource: str) -> None:
    names = ["Kurt Schwitters", "Gerhard Richter", "Gerhard Rihter Museum", "Paula Modersohn-Becker"]
    records = [{"name": name} for name in names]
    await call("datastore_create", resource_id=resource, records=records)
    with pytest.raises(ValidationError) as caught:
        await call("datastore_search", resource_id=resource, similar={"name": "richter"})
    assert caught.value.fields == {"similar": ['"name" has no index of type trigram']}
    await call("datastore_create", resource_id=resource, indexes=[{"fields": "name", "type": "trigram"}])
    found = await call("datastore_search", resource_id=resource, similar={"name": "Gerhard Richter"})
    assert [row["name"] for row in found["records"]] == names[1:3]
    assert found["records"][0]["similarity name"] == 1
    assert found["total"] == 2
    found = await call("datastore_search", resource_id=resource, similar='{"name": "schwiters"}', fields="_id")
    assert found["records"] == [{"_id": 1}]
    for bad in ({"nope": "x"}, {"name": 5}, "x", [1]):
        with pytest.raises(ValidationError) as caught:
            await call("datastore_search", resource_id=resource, similar=bad)
        assert list(caught.value.fields) == ["similar"]
