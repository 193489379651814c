"""Searching for tests: within one organization, so that the datasets of other tests are never in the way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from datastore.accounts.actor import Actor
from tests.catalog.samples import ActionCall, unique


def letters(prefix: str) -> str:
    """A new word without digits, which would cut it in two."""
    return prefix + uuid.uuid4().hex[:10].translate(str.maketrans("0123456789", "ghijklmnop"))


@dataclass
class World:
    """An organization of its own with some datasets."""

    call: ActionCall
    organization: dict[str, Any]

    @classmethod
    async def make(cls, call: ActionCall) -> World:
        return cls(call, await call("organization_create", name=unique("org"), title=f"Office {uuid.uuid4().hex[:6]}"))

    async def add(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """A dataset whose title is ``name``, unless there is another among the fields."""
        values = {"title": name, "name": unique("found"), **fields}
        created: dict[str, Any] = await self.call("package_create", owner_org=self.organization["id"], **values)
        return created

    async def search(self, q: str | None = None, *, actor: Actor | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a search within the organization."""
        filters = [f'owner_org:"{self.organization["id"]}"', *parameters.pop("fq_list", [])]
        given = {key.replace("facet_", "facet."): value for key, value in parameters.items()}
        who = {} if actor is None else {"actor": actor}
        found: dict[str, Any] = await self.call("package_search", **who, q=q, fq_list=filters, **given)
        return found

    async def titles(self, q: str | None = None, **parameters: Any) -> list[str]:
        """The titles of what a search finds, sorted."""
        found = await self.search(q, rows=1000, **parameters)
        titles = [dataset["title"] for dataset in found["results"]]
        assert found["count"] == len(titles)
        return sorted(titles)
