"""The Action API over HTTP, as a few lines for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class Api:
    """The actions as whoever ``headers`` authenticate."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    async def post(self, name: str, /, **parameters: Any) -> httpx.Response:
        """The response of an action."""
        return await self.client.post(f"/api/3/action/{name}", json=parameters, headers=self.headers)

    async def ok(self, name: str, /, **parameters: Any) -> Any:
        """The result of an action that succeeds."""
        response = await self.post(name, **parameters)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    async def refused(self, status: int, name: str, /, **parameters: Any) -> dict[str, Any]:
        """The error of an action that does not, without its type."""
        response = await self.post(name, **parameters)
        assert response.status_code == status, response.text
        error = dict(response.json()["error"])
        error.pop("__type")
        return error

    async def rows(self, resource_id: str, **parameters: Any) -> list[dict[str, Any]]:
        """The records of a search."""
        found = await self.ok("datastore_search", resource_id=resource_id, **parameters)
        records: list[dict[str, Any]] = found["records"]
        return records
