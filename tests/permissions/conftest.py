"""A site where everything is allowed that a setting can allow, so that permissions alone refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from datastore.actions.services import Services
from datastore.app import create_app
from datastore.settings import Settings
from tests.permissions.world import KINDS, Site, World


@pytest.fixture(scope="session")
async def site(services: Services, database_url: str, settings: Settings) -> AsyncIterator[Site]:
    """The site, on the database of the other tests."""
    settings = settings.model_copy(update={"allow_dataset_collaborators": True, "legacy_api_keys": True})
    services = await Services.open(database_url, settings)
    transport = httpx.ASGITransport(create_app(settings, services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield await Site.make(services, client)
    await services.close()


@pytest.fixture(scope="session")
async def worlds(site: Site) -> dict[str, World]:
    """A world of each kind, for actions that change nothing."""
    return {kind: await World.make(site, kind) for kind in KINDS}
