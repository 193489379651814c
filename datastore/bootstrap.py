"""What every command starts from: settings that make sense, a PostgreSQL that answers, our roles and tables in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
import pydantic

from datastore.accounts.tokens import ensure_sysadmin
from datastore.accounts.users import NewUser, create_user
from datastore.actions.services import Services
from datastore.catalog.licenses import LicensesError
from datastore.catalog.views.types import VIEW_TYPES
from datastore.postgres.database import Transaction
from datastore.postgres.embedded import EmbeddedPostgres
from datastore.postgres.migrate import migrate, migrations
from datastore.postgres.roles import ensure_roles, missing_roles_sql, roles_sql
from datastore.postgres.sessions import connect_as_owner
from datastore.settings import Settings

ADMIN = "admin"
OLDEST_MAJOR = 15
_SECRETS = frozenset({"secret_key", "sysadmin_token", "database_url", "smtp_password"})


class StartError(Exception):
    """The service or command cannot start; the message is for the operator and says what to do."""


@dataclass(frozen=True)
class Server:
    """The PostgreSQL in use. ``embedded`` is None for one of ``DATABASE_URL``."""

    dsn: str
    version: str
    embedded: EmbeddedPostgres | None

    @property
    def kind(self) -> str:
        """``embedded`` or ``external``."""
        return "embedded" if self.embedded else "external"


def load_settings(overrides: Mapping[str, object]) -> Settings:
    """The settings of the environment, with ``overrides`` (by field; None is no override) put into it first.

    So the worker processes, which inherit the environment, read the same. Raises :class:`StartError` that names the
    variables with bad values.
    """
    for field, value in overrides.items():
        if value is not None:
            os.environ[Settings.variable(field)] = str(value)
    try:
        settings = Settings()
    except pydantic.ValidationError as error:
        raise StartError("\n".join(map(_problem, error.errors(include_url=False)))) from None
    unknown = [name for name in settings.default_views.split() if name not in VIEW_TYPES]
    if unknown:
        raise StartError(
            f"{Settings.variable('default_views')}: no type of views: {', '.join(unknown)}."
            f" There are {', '.join(VIEW_TYPES)}."
        )
    return settings


def _problem(error: Mapping[str, object]) -> str:
    location = error["loc"]
    key = str(location[0]) if isinstance(location, tuple) and location else ""
    variable = Settings.variable(key) if key in Settings.model_fields else key
    shown = (
        "" if key in _SECRETS or "TOKEN" in variable or "://" in str(error["input"]) else f" (it is {error['input']!r})"
    )
    message = str(error["msg"])
    return f"{variable}: {message[:1].lower()}{message[1:]}{shown}. docs/configuration.md lists all settings."


def without_password(dsn: str) -> str:
    """The address as it may be shown, or stand on a command line."""
    parts = urlsplit(dsn)
    account, separator, host = parts.netloc.rpartition("@")
    query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "password"], safe="/")
    return parts._replace(netloc=account.partition(":")[0] + separator + host, query=query).geturl()


@contextlib.contextmanager
def running_postgres(settings: Settings) -> Iterator[Server]:
    """The server of ``DATABASE_URL``, or the embedded one: started, or attached to if it runs, and left at the end.

    Raises :class:`StartError` and :class:`EmbeddedError`.
    """
    if settings.database_url is not None:
        version = asyncio.run(_version(settings.database_url, settings))
        if int(version.partition(".")[0]) < OLDEST_MAJOR:
            raise StartError(f"PostgreSQL {OLDEST_MAJOR} or newer is needed; DATABASE_URL leads to version {version}.")
        yield Server(settings.database_url, version, None)
        return
    embedded = EmbeddedPostgres(settings)
    try:
        yield Server(embedded.start(), embedded.version, embedded)
    finally:
        embedded.stop()


async def _version(dsn: str, settings: Settings) -> str:
    """Waits for a server that is just starting, as long as ``connect_timeout`` says."""
    deadline = time.monotonic() + settings.connect_timeout
    while True:
        try:
            async with connected(dsn, settings) as connection:
                found = connection.get_server_version()
                return f"{found.major}.{found.micro}"  # asyncpg puts a zero between, since 10
        except (ConnectionError, asyncpg.CannotConnectNowError) as error:
            if time.monotonic() > deadline:
                raise StartError(f"{without_password(dsn)} does not answer: {error}") from None
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def connected(dsn: str, settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner. Raises :class:`StartError`; ``ConnectionError`` while nobody listens."""
    try:
        connection = await connect_as_owner(dsn, settings)
    except (ConnectionError, asyncpg.CannotConnectNowError):
        raise
    except (OSError, TimeoutError, ValueError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        raise StartError(f"Cannot connect to {without_password(dsn)}: {reason}. Check DATABASE_URL.") from None
    try:
        yield connection
    finally:
        await connection.close()


async def prepare(server: Server, settings: Settings) -> list[str]:
    """Make the roles and bring our tables up to date; gives the names of the migrations applied.

    May run in several processes at once. Raises :class:`StartError` with the SQL for an administrator where the
    service may not create roles.
    """
    async with connected(server.dsn, settings) as connection:
        try:
            await ensure_roles(connection, settings)
        except asyncpg.InsufficientPrivilegeError:
            if statements := await missing_roles_sql(connection, settings):
                raise StartError(_roles_help(settings, statements)) from None
        try:
            return await migrate(connection, settings)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartError(
                f"The user of DATABASE_URL lacks a right: {error}. It should own the database, or have CREATE on it."
            ) from None


def _roles_help(settings: Settings, statements: str) -> str:
    return (
        f"Of the roles {settings.reader_role}, {settings.public_role} and {settings.triggers_role} some are missing or "
        "have another password, and the user of DATABASE_URL may not create or change roles. Run this as an "
        "administrator, then start again "
        f"(with DATASTORE_SECRET_KEY set to the same value on every machine):\n\n{statements}\n"
    )


async def check_prepared(server: Server, settings: Settings) -> None:
    """Prepare a database that never was; raise :class:`StartError` for one that is behind this program.

    A command beside a running service must not change its schema or its roles unasked.
    """
    async with connected(server.dsn, settings) as connection:
        new = await connection.fetchval("SELECT to_regclass('datastore.migrations') IS NULL")
        applied = 0 if new else await connection.fetchval("SELECT count(*) FROM datastore.migrations")
    if new:
        await prepare(server, settings)
    elif applied < len(migrations()):
        raise StartError("The tables are those of an older version. Run `datastore migrate`, or restart the service.")


@contextlib.asynccontextmanager
async def opened(server: Server, settings: Settings) -> AsyncIterator[Services]:
    """The services of this process. Raises :class:`StartError` if the read-only roles cannot log in, or the list of
    licences cannot be read."""
    try:
        services = await Services.open(server.dsn, settings)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        altered = re.sub("^CREATE", "ALTER", roles_sql(settings), flags=re.MULTILINE)
        raise StartError(_roles_help(settings, altered)) from None
    except LicensesError as error:
        raise StartError(f"DATASTORE_LICENSES_GROUP_URL: {settings.licenses_group_url} {error}.") from None
    try:
        yield services
    finally:
        await services.close()


async def ensure_admin(services: Services) -> None:
    """The sysadmin ``admin`` exists in a store without users; and has the token of the settings, if there is one.

    Without that token nobody can log in as them until somebody on this machine makes one. Raises
    :class:`StartError` if the name belongs to a user who is no sysadmin.
    """
    token = services.settings.sysadmin_token

    async def work(tx: Transaction) -> None:
        if token is not None:
            await ensure_sysadmin(tx, ADMIN, token)
            return
        await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtext('datastore first user'))")
        if not await tx.connection.fetchval("SELECT EXISTS (SELECT FROM datastore.users)"):
            await create_user(tx, NewUser(name=ADMIN, email=None, sysadmin=True))

    try:
        await services.database.write(work)
    except ValueError as error:
        raise StartError(f"DATASTORE_SYSADMIN_TOKEN: {error}.") from None
