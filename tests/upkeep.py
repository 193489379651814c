"""Waiting for the background work on a table."""

from __future__ import annotations

import asyncio

from datastore.actions.services import Services
from datastore.tables.upkeep.requests import PREPARE

_PENDING = "SELECT count(*) FROM datastore.jobs WHERE kind = $1 AND key = ANY ($2) AND state IN ('waiting', 'running')"


async def maintained(services: Services, *resource_ids: str) -> None:
    """Have the tables looked after now, and wait until that is done."""
    await services.maintenance.maintain(resource_ids)
    await settled(services, PREPARE, *resource_ids)


async def settled(services: Services, kind: str, *keys: str) -> None:
    """Wait until no job of this kind waits or runs for these keys."""
    async with asyncio.timeout(120):
        while await services.database.owner.fetchval(_PENDING, kind, list(keys)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
