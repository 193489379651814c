"""One real PostgreSQL for the whole run, one database for each test process; each test makes its own datasets.

Set ``DATASTORE_TEST_DATABASE_URL`` (a superuser's address) to run the tests against another server.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from starlette.applications import Starlette

from datastore.accounts.actor import Actor
from datastore.accounts.tokens import ensure_sysadmin
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.app import create_app
from datastore.http import logs
from datastore.postgres.embedded import EmbeddedPostgres
from datastore.postgres.hardening import harden
from datastore.postgres.migrate import migrate
from datastore.postgres.roles import ensure_roles
from datastore.settings import Settings

ADMIN_TOKEN = "test-sysadmin-token-0123456789"
_SERVER = "DATASTORE_TEST_DATABASE_URL"
_EMBEDDED = "DATASTORE_TEST_EMBEDDED"

hypothesis_settings.register_profile(
    "datastore",
    deadline=None,  # a noisy machine is no failure
    max_examples=50,
    derandomize=True,  # the same examples in every run: a red run is never a matter of luck
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Other examples in every run: HYPOTHESIS_PROFILE=explore make test
hypothesis_settings.register_profile(
    "explore", hypothesis_settings.get_profile("datastore"), derandomize=False, max_examples=200, print_blob=True
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "datastore"))


class _Server:
    """The embedded server of a run: started by the first process, handed to the others by the environment."""

    postgres: EmbeddedPostgres | None = None
    folder: Path | None = None


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or _SERVER in os.environ:
        return
    _Server.folder = Path(tempfile.mkdtemp(prefix="datastore-test-"))
    _Server.folder.chmod(0o711)  # PostgreSQL runs as another account when the tests run as root
    _Server.postgres = EmbeddedPostgres(Settings(data_dir=_Server.folder))
    _Server.postgres.start()
    os.environ[_SERVER] = _Server.postgres.superuser_dsn()
    os.environ[_EMBEDDED] = "yes"


def pytest_unconfigure(config: pytest.Config) -> None:
    if _Server.postgres is not None and _Server.folder is not None:
        _Server.postgres.stop()
        shutil.rmtree(_Server.folder)
        del os.environ[_SERVER], os.environ[_EMBEDDED]


@pytest.fixture(scope="session")
def embedded() -> bool:
    """Whether the server is the one that we start, and not another one that the environment names."""
    return _EMBEDDED in os.environ


@pytest.fixture(scope="session")
def server_url() -> str:
    """The address of a superuser of the server."""
    return os.environ[_SERVER]


@pytest.fixture(scope="session")
async def database_url(server_url: str) -> AsyncIterator[str]:
    """The address of a database of this process alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Settings:
    """The settings of the service under test."""
    return Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        secret_key="the same in every test process, since they share the roles of one server",
        pool_size=10,
        sysadmin_token=ADMIN_TOKEN,
        log_level="error",
    )


@pytest.fixture(scope="session")
async def services(settings: Settings, database_url: str) -> AsyncIterator[Services]:
    """The services, on a migrated database with the sysadmin ``admin``."""
    logs.configure(settings)
    connection = await asyncpg.connect(database_url)
    await harden(connection, await connection.fetchval("SELECT current_user::text"))  # as the embedded one's database
    await ensure_roles(connection, settings)
    await migrate(connection, settings)
    await connection.close()
    services = await Services.open(database_url, settings)
    services.jobs.start()
    await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", ADMIN_TOKEN))
    yield services
    await services.close()


@pytest.fixture(scope="session")
async def sysadmin(services: Services) -> Actor:
    """The user ``admin``."""
    return await services.tokens.actor(ADMIN_TOKEN)


@pytest.fixture
def call(services: Services, sysadmin: Actor) -> Callable[..., Awaitable[Any]]:
    """Run an action: ``await call("package_show", id="x")``, as the sysadmin or as ``actor=…``."""

    async def call_action(name: str, /, actor: Actor = sysadmin, **parameters: Any) -> Any:
        result = await run(name, Call(services, actor, "http://test"), parameters)
        return json.loads(result) if isinstance(result, bytes) else result

    return call_action


@pytest.fixture(scope="session")
def app(settings: Settings, services: Services) -> Starlette:
    """The application."""
    return create_app(settings, services)


@pytest.fixture(scope="session")
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application; its errors come back as responses."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture(scope="session")
def admin_headers() -> dict[str, str]:
    """Headers that authenticate the sysadmin."""
    return {"Authorization": ADMIN_TOKEN}


@pytest.fixture(scope="session")
async def organization(services: Services, sysadmin: Actor) -> str:
    """The id of an organization."""
    data = {"name": f"org-{uuid.uuid4().hex[:8]}"}
    result: dict[str, Any] = await run("organization_create", Call(services, sysadmin, "http://test"), data)
    return str(result["id"])


@pytest.fixture
async def dataset(call: Callable[..., Awaitable[Any]], organization: str) -> str:
    """The id of a fresh public dataset."""
    created = await call("package_create", name=f"d-{uuid.uuid4().hex[:10]}", owner_org=organization)
    return str(created["id"])


@pytest.fixture
async def resource(call: Callable[..., Awaitable[Any]], dataset: str) -> str:
    """The id of a fresh resource with an empty table, in a public dataset."""
    created = await call("datastore_create", resource={"package_id": dataset, "name": "table"})
    return str(created["resource_id"])


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """For tests that set up logging as a worker does."""
    root = logging.getLogger()
    handlers, level, configuration = list(root.handlers), root.level, structlog.get_config()
    yield
    structlog.configure(**configuration)
    root.handlers[:] = handlers
    root.setLevel(level)
