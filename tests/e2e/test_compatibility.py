"""What clients of the original see in corners that the other tests of the DataStore actions leave out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.e2e.http import Api

DOCUMENTS = [{"n": 1, "doc": {"a": 1}}, {"n": 2, "doc": {"a": 1}}, {"n": 3, "doc": [1.50]}, {"n": 4, "doc": None}]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
async def table(api: Api, resource: str) -> str:
    """A table with a json column."""
    fields = [{"id": "n", "type": "int"}, {"id": "doc", "type": "json"}, {"id": "docs", "type": "json[]"}]
    await api.ok("datastore_create", resource_id=resource, fields=fields, records=DOCUMENTS, primary_key="n")
    return resource


async def test_jsonp_is_anonymous_wherever_it_is_asked_for(api: Api, client: httpx.AsyncClient, table: str) -> None:
    path = "/api/3/action/datastore_search"
    scripted = await client.get(path, params={"resource_id": table, "callback": "f"})
    assert scripted.text.startswith("f({")
    posted = await client.post(path, json={"resource_id": table, "callback": "f"}, headers=api.headers)
    assert posted.json()["result"]["total"] == 4
    for ways in ({"params": {"callback": "f"}, "json": {"resource_id": table}}, {"json": {"id": table, "callback": 1}}):
        refused = await client.post("/api/3/action/datastore_upsert", headers=api.headers, **ways)
        assert refused.json()["error"]["message"].endswith("requires an authenticated user")


async def test_null_is_as_if_nothing_was_sent(api: Api, table: str) -> None:
    names = ("filters", "q", "full_text", "sort", "offset", "limit", "language", "fields", "records_format")
    found = await api.ok("datastore_search", resource_id=table, **dict.fromkeys(names))
    assert found.keys() & {"filters", "q", "full_text", "sort", "offset", "language"} == set()
    assert found["limit"] == 100
    written = await api.ok("datastore_upsert", resource_id=table, records=None, calculate_record_count=None)
    assert written["calculate_record_count"] == "background"


@pytest.mark.parametrize(
    ("name", "parameters", "error"),
    [
        ("datastore_search", {"limit": "x"}, {"limit": ["Invalid integer", "Must be a natural number"]}),
        (
            "datastore_search",
            {"language": "No such", "q": "x"},
            {
                "query": ["Invalid query"],
                "info": {"orig": ['text search configuration "No such" does not exist']},
            },
        ),
        ("datastore_search", {"filters": {"n": "\0"}}, {"filters": ["a NUL character is not allowed"]}),
    ],
)
async def test_refused(api: Api, table: str, name: str, parameters: dict[str, Any], error: dict[str, Any]) -> None:
    assert await api.refused(409, name, resource_id=table, **parameters) == error


async def test_what_was_not_found_may_have_been_an_alias(api: Api) -> None:
    assert await api.refused(404, "datastore_info", id="x") == {
        "message": 'Not found: Resource/Alias "x" was not found.'
    }


async def test_json_columns_are_distinct_by_their_text(api: Api, client: httpx.AsyncClient, table: str) -> None:
    found = await api.ok("datastore_search", resource_id=table, fields="doc", distinct=True, sort="doc")
    assert (found["records"], found["total"]) == ([{"doc": [1.5]}, {"doc": {"a": 1}}, {"doc": None}], 3)
    for shape, records in (("lists", [[[1.5]], [{"a": 1}], [None]]), ("csv", '[1.5]\n"{""a"": 1}"\nnull\n')):
        found = await api.ok(
            "datastore_search", resource_id=table, fields="doc", distinct=True, sort="doc", records_format=shape
        )
        assert found["records"] == records
    assert (await api.ok("datastore_search", resource_id=table, distinct=True))["total"] == 4
    dumped = await client.get(f"/datastore/dump/{table}", params={"fields": "doc", "distinct": "true", "sort": "doc"})
    assert dumped.text == 'doc\n[1.5]\n"{""a"": 1}"\nnull\n'


async def test_a_rank_by_a_column_with_a_long_name(api: Api, resource: str) -> None:
    name = "\u00e9" * 31 + "x"
    await api.ok(
        "datastore_create", resource_id=resource, fields=[{"id": name, "type": "text"}], records=[{name: "owl"}]
    )
    found = await api.ok("datastore_search", resource_id=resource, q={name: "owl"})
    rank = f"rank {name}".encode()[:63].decode(errors="ignore")
    assert [field["id"] for field in found["fields"]] == ["_id", name, rank]
    assert found["records"][0][rank] > 0


async def test_a_column_may_be_called_rank(api: Api, resource: str) -> None:
    await api.ok("datastore_create", resource_id=resource, records=[{"rank": "b"}, {"rank": "owl"}])
    found = await api.ok("datastore_search", resource_id=resource, q="owl")
    assert [field["id"] for field in found["fields"]] == ["_id", "rank"]
    assert found["records"] == [{"_id": 2, "rank": "owl"}]


async def test_a_row_between_two_is_none(api: Api, table: str) -> None:
    for method in ("upsert", "update"):
        error = await api.refused(
            409, "datastore_upsert", resource_id=table, method=method, records=[{"_id": 1.5, "doc": 7}]
        )
        assert error["records"] == ['invalid input syntax for type bigint: "1.5"']
    await api.ok("datastore_upsert", resource_id=table, records=[{"_id": 2.0, "doc": 7}])
    assert [row["doc"] for row in await api.rows(table)] == [{"a": 1}, 7, [1.5], None]


async def test_json_may_be_declared_as_the_original_calls_it(api: Api, resource: str) -> None:
    fields = [{"id": "doc", "type": "nested"}]
    created = await api.ok("datastore_create", resource_id=resource, fields=fields, records=[{"doc": {"a": 1}}])
    assert created["fields"] == fields
    found = await api.ok("datastore_search", resource_id=resource)
    assert found["fields"][1] == {"id": "doc", "type": "json"}
    assert found["records"] == [{"_id": 1, "doc": {"a": 1}}]


async def test_the_address_of_a_dump(client: httpx.AsyncClient, table: str) -> None:
    assert (await client.get(f"/datastore/dump/{table}/", params={"fields": "n"})).text == "n\n1\n2\n3\n4\n"
    for name in ("no-such-table", "a%00b", f"{table}%00"):
        response = await client.get(f"/datastore/dump/{name}")
        assert (response.status_code, "DataStore resource not found" in response.text) == (404, True)
    refused = await client.get(f"/datastore/dump/{table}", params={"q": "x", "language": "klingon"})
    assert (refused.status_code, refused.text) == (400, 'query: text search configuration "klingon" does not exist')
