"""Tables to dump, and dumps of them as bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from datastore.actions.registry import RawJson
from tests.tables.strategies import Table, dumps

CallAction = Callable[..., Awaitable[Any]]
MakeTable = Callable[..., Awaitable[str]]
Fetch = Callable[..., Awaitable[bytes]]


@pytest.fixture
def make_table(call: CallAction, dataset: str) -> MakeTable:
    """``await make_table({"a": "int"}, [{"a": 1}])``: the resource id of a new table of these columns and records."""

    async def make(types: dict[str, str], records: list[dict[str, Any]], **parameters: Any) -> str:
        fields = [{"id": name, "type": type} for name, type in types.items()]
        created = await call(
            "datastore_create",
            resource={"package_id": dataset},
            fields=fields,
            records=RawJson(dumps(records)),
            **parameters,
        )
        return str(created["resource_id"])

    return make


@pytest.fixture
def fetch(client: httpx.AsyncClient) -> Fetch:
    """``await fetch(resource, format="csv")``: the file."""

    async def fetch_dump(resource: str, /, **parameters: Any) -> bytes:
        response = await client.get(f"/datastore/dump/{resource}", params=parameters)
        assert response.status_code == 200, response.text
        return response.content

    return fetch_dump


def types_of(table: Table) -> dict[str, str]:
    """The types of a table by column."""
    return {field["id"]: field["type"] for field in table.fields}
