"""package_search over HTTP, as browsers, harvesters and ckanapi send it."""

from __future__ import annotations

import asyncio
from typing import Any

import ckanapi
import httpx
import pytest

from tests.catalog.samples import unique
from tests.catalog.search.world import letters
from tests.conftest import ADMIN_TOKEN
from tests.e2e.http import Api


@pytest.fixture
async def mark(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> str:
    """A word that five datasets have in their titles."""
    api = Api(client, admin_headers)
    mark = letters("w")
    organization = await api.ok("organization_create", name=unique("org"))
    for number in range(5):
        await api.ok(
            "package_create",
            name=f"{mark}-{number}",
            title=f"Report {mark} {number}",
            owner_org=organization["id"],
            tags=[{"name": f"{mark} {number % 2}"}],
            private=number == 4,
        )
    return mark


async def test_by_get(client: httpx.AsyncClient, mark: str) -> None:
    async def search(**parameters: Any) -> Any:
        response = await client.get("/api/3/action/package_search", params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    found = await search(q=mark, rows="2", start="1", sort="name asc", **{"facet.field": '["tags"]'})
    assert [dataset["name"] for dataset in found["results"]] == [f"{mark}-1", f"{mark}-2"]
    assert found["count"] == 4
    assert found["facets"] == {"tags": {f"{mark} 0": 2, f"{mark} 1": 2}}
    assert (await search(q=mark, **{"facet.field": ["tags", "license_id"]}))["facets"]["license_id"] == {}
    assert (await search(fq=[f"title:{mark}", f'tags:"{mark} 0"']))["count"] == 2
    assert (await search(q=mark, facet="false", **{"facet.field": '["tags"]'}))["facets"] == {}
    assert (await search(q=mark, include_private="true"))["count"] == 4
    harvested = [dataset["name"] for start in range(0, 6, 2) for dataset in (
        await search(rows="2", start=str(start), sort="id asc", fq=f"title:{mark}")
    )["results"]]  # fmt: skip
    assert sorted(harvested) == [f"{mark}-{number}" for number in range(4)]


async def test_errors(client: httpx.AsyncClient) -> None:
    async def error(**parameters: Any) -> tuple[int, str, Any]:
        response = await client.post("/api/3/action/package_search", json=parameters)
        body = response.json()["error"]
        return response.status_code, body["__type"], body.get("message", body)

    assert await error(rowz=1) == (
        400,
        "Search Query Error",
        "Search Query is invalid: \"Invalid search parameters: ['rowz']\"",
    )
    status, kind, message = await error(q="title:(a")
    assert (status, kind) == (409, "Search Error")
    assert message.startswith("Search error: ")
    status, kind, message = await error(q="{!x}")
    assert (status, kind) == (409, "Search Error")
    assert "Local parameters are not supported in param 'q'." in message
    status, kind, fields = await error(rows="x")
    assert (status, kind, fields["rows"]) == (409, "Validation Error", ["Invalid integer"])
    status, kind, _ = await error(sort="tags asc")
    assert (status, kind) == (400, "Search Query Error")
    assert (await client.post("/api/3/action/package_search", content=b"")).status_code == 200


def _by_library(address: str, mark: str) -> None:
    with ckanapi.RemoteCKAN(address) as anonymous:
        assert anonymous.action.package_search(q=mark)["count"] == 4
        assert anonymous.action.package_search(q=mark, include_private=True)["count"] == 4
        with pytest.raises(ckanapi.SearchError):
            anonymous.action.package_search(q="title:(")
        with pytest.raises(ckanapi.SearchQueryError):
            anonymous.action.package_search(nonsense="x")
        with pytest.raises(ckanapi.ValidationError):
            anonymous.action.package_search(rows="x")
        with pytest.raises(ckanapi.NotFound):
            anonymous.action.tag_show(id="nosuchtag")
    with ckanapi.RemoteCKAN(address, apikey=ADMIN_TOKEN) as portal:
        found = portal.action.package_search(q=f"title:{mark}", include_private=True)
        assert found["count"] == 5
        dataset = portal.action.package_patch(id=f"{mark}-0", title="Renamed")
        assert portal.action.package_search(fq=f'+id:"{dataset["id"]}" +title:renamed')["count"] == 1
    with ckanapi.RemoteCKAN(address, get_only=True) as anonymous:
        completed = anonymous.action.package_autocomplete(q=mark, limit=2)
        assert [item["name"] for item in completed] == [f"{mark}-0", f"{mark}-1"]


async def test_ckanapi(address: str, mark: str) -> None:
    await asyncio.to_thread(_by_library, address, mark)
