"""The embedded PostgreSQL: a real server in the data folder, started by whoever comes first and shared by all.

Below ``<data_dir>/postgres``:

    data/             PostgreSQL's data directory        log/     its log
    socket/           its unix socket (a short folder in the temp folder if the path is too long)
    connection.json   how to connect, with the passwords (0600)
    owner.lock        held by the process that looks after the server
    users.lock        held, shared, by every process that uses it
    leaving.lock      held by the process that is leaving it

Who holds the owner lock starts the server, watches it and stops it. The others attach, and one of them takes over
when the owner goes, with the server running on if others use it. They leave one after the other: two at once might
each leave the server to the other.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from datastore.postgres import quoting
from datastore.postgres.embedded import folders
from datastore.postgres.embedded.binaries import Account, Binaries, EmbeddedError, find_binaries
from datastore.postgres.embedded.cluster import Cluster, Postmaster
from datastore.postgres.embedded.connection_file import (
    Connection,
    connection_dsn,
    embedded_home,
    existing_connection,
    read_connection,
    write_connection,
)
from datastore.postgres.embedded.file_lock import FileLock
from datastore.postgres.hardening import harden_database
from datastore.settings import Settings

log = structlog.get_logger(__name__)

DATABASE = "datastore"
PORT = 5432  # only names the socket: the server does not listen on the network
LEAST_MEMORY = 2**30  # of a process; building an index takes up to half of it
WATCH_INTERVAL = 0.25
LONGEST_BACKOFF = 30.0
STABLE_AFTER = 10.0

# Servers handed over to another process stay our children until we end: kept, so that no Popen is left unreaped.
_handed_over: list[Postmaster] = []


class EmbeddedPostgres:
    """The embedded server as this process sees it: started or attached to by ``start()``, left by ``stop()``.

    ``bin_dir`` names the PostgreSQL programs to use in place of the ones found. Methods are synchronous, may be
    called from any thread without a running event loop, and raise EmbeddedError with a message for the operator.
    """

    def __init__(self, settings: Settings, *, bin_dir: Path | None = None) -> None:
        self._settings = settings
        self._home = embedded_home(settings)
        self._account = Account.choose(self._home / "data", self._home.parent)
        self._chosen_bin_dir = bin_dir
        self._binaries: Binaries | None = None
        self._process = os.getpid()
        self._mutex = threading.RLock()
        self._owner_lock = FileLock(self._home / "owner.lock")
        self._users_lock = FileLock(self._home / "users.lock")
        self._leaving_lock = FileLock(self._home / "leaving.lock")
        self._keeper: threading.Thread | None = None
        self._closing = threading.Event()
        self._server: Postmaster | None = None
        self._version = ""

    def start(self) -> str:
        """Start the server, or attach to the one that runs; the owner role's DSN once it answers.

        Until ``stop()`` a thread of this process restarts the server when it dies, and takes it over when its owner
        goes away.
        """
        with self._mutex:
            if self._keeper is None:
                self._closing.clear()
                folders.prepare_home(self._home, self._account)
                try:
                    self._join()
                except BaseException:  # Ctrl-C too: no server without somebody who looks after it
                    if self._server and self._server.child:
                        self._server.stop(self._settings.start_timeout)
                    self._release()
                    raise
                self._keeper = threading.Thread(target=self._keep, name="postgres-keeper", daemon=True)
                self._keeper.start()
                atexit.register(self.stop)
            return connection_dsn(self._settings)

    def stop(self) -> None:
        """Leave the server, and stop it if no other process uses it. May be called again."""
        if os.getpid() != self._process:
            return  # a fork of the process that started us: the server is not ours
        with self._mutex:
            if self._keeper is None:
                return
            self._closing.set()
            self._keeper.join()
            self._keeper = None
            atexit.unregister(self.stop)
            try:
                deadline = time.monotonic() + self._settings.start_timeout
                while not self._leaving_lock.acquire() and time.monotonic() < deadline:
                    time.sleep(0.01)
                if self._owner_lock.acquire():
                    self._leave()
            finally:
                self._release()

    def superuser_dsn(self) -> str:
        """The superuser's DSN, for administration and the bootstrap of roles."""
        connection = existing_connection(self._home)
        return connection.superuser_dsn(connection.database)

    @property
    def version(self) -> str:
        """The version of the server that this process started or attached to, as in ``18.6``."""
        if not self._version:
            raise EmbeddedError("The embedded PostgreSQL was not started.")
        return self._version

    @property
    def binaries(self) -> Binaries:
        """The PostgreSQL programs in use."""
        if self._binaries is None:
            self._binaries = find_binaries(self._account, self._home / "binaries", self._chosen_bin_dir)
        return self._binaries

    @property
    def bin_dir(self) -> Path:
        """Where psql, pg_dump and the others are; ``binaries.program(name)`` also looks on the PATH."""
        return self.binaries.folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Joining and leaving

    def _join(self) -> None:
        """Become the owner of the server or attach to it."""
        deadline = time.monotonic() + self._settings.start_timeout
        while True:
            if self._users_lock.acquire(shared=True):  # else somebody is stopping the server right now
                if self._owner_lock.acquire():
                    others = not self._users_lock.acquire()
                    self._own(adopt=others)
                    if not self._users_lock.acquire(shared=True):
                        raise EmbeddedError(f"{self._users_lock.path} cannot be locked.")
                    return
                if version := self._answer():
                    self._version = version
                    log.info("postgres_attached", version=version, owner=self._owner_lock.holder())
                    return
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"Process {self._owner_lock.holder() or '?'} holds {self._owner_lock.path} but its PostgreSQL "
                    f"does not answer within {self._settings.start_timeout:.0f} s; see {self._home / 'log'}."
                )
            time.sleep(0.05)

    def _own(self, adopt: bool) -> None:
        """As the owner: have a server that answers. A server left behind is taken over if ``adopt``, else replaced."""
        cluster = self._cluster()
        left = cluster.running()
        if left and adopt and cluster.ready():
            self._server = left
            self._version = self._answer() or self._version
            log.info("postgres_taken_over", pid=left.pid, version=self._version)
            return
        if left:
            log.warning("postgres_orphan_stopped", pid=left.pid)
            left.stop(self._settings.start_timeout)
        self._launch(cluster)

    def _launch(self, cluster: Cluster) -> None:
        exists = cluster.exists()
        old = read_connection(self._home)
        connection = self._connection(old)
        if not exists:
            cluster.create(connection.superuser_password)
        elif old is None:
            log.warning("postgres_passwords_renewed", reason="connection.json was missing")
            cluster.set_superuser_password(connection.superuser_password)
        if connection != old:  # if we are killed before this, the next start makes new passwords
            write_connection(self._home, connection)
        began = time.monotonic()
        self._server = cluster.start(Path(connection.socket_folder), connection.port, self._closing)
        version = self._answer()
        if version is None:
            try:
                asyncio.run(_bootstrap(connection))
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self._server.stop(self._settings.start_timeout)
                raise EmbeddedError(
                    f"PostgreSQL started, but its database could not be made ready: {error} (log: {cluster.log_file}). "
                    f"If the passwords do not fit, delete {self._home / 'connection.json'}: new ones are then made."
                ) from error
            version = self._answer()
        if version is None:
            self._server.stop(self._settings.start_timeout)
            raise EmbeddedError(f"PostgreSQL started but does not let its owner in; see {cluster.log_file}.")
        self._version = version
        try:
            asyncio.run(harden_database(connection.superuser_dsn(connection.database), connection.user))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.error("postgres_not_hardened", error=str(error))
        log.info(
            "postgres_started",
            version=version,
            pid=self._server.pid,
            folder=str(cluster.data),
            account=self._account.name,
            seconds=round(time.monotonic() - began, 3),
        )

    def _leave(self) -> None:
        """As the owner: stop the server, or leave it to the others that use it."""
        if self._users_lock.acquire():
            server = self._server or self._cluster().running()
            if server:
                server.stop(self._settings.start_timeout)
                log.info("postgres_stopped", version=self._version)
        elif self._server:
            _handed_over.append(self._server)
            log.info("postgres_handed_over", pid=self._server.pid)

    def _release(self) -> None:
        self._server = None
        self._owner_lock.release()
        self._users_lock.release()
        self._leaving_lock.release()

    # The keeper

    def _keep(self) -> None:
        """Restart the server when it died; take it over when its owner has gone. Runs in its own thread."""
        failures = 0
        began = time.monotonic()
        delay = WATCH_INTERVAL
        while not self._closing.wait(delay):
            delay = WATCH_INTERVAL
            try:
                if self._server and self._server.alive():
                    self._cluster().rotate_log()
                    if time.monotonic() - began > STABLE_AFTER:
                        failures = 0
                elif self._server or self._owner_lock.acquire():
                    if self._server:
                        log.warning("postgres_died", pid=self._server.pid)
                    began = time.monotonic()
                    failures += 1
                    delay = min(WATCH_INTERVAL * 2 ** (failures - 1), LONGEST_BACKOFF)
                    self._own(adopt=True)
            except (EmbeddedError, OSError) as error:
                with contextlib.suppress(OSError):  # a closed log must not end the watch
                    if not self._closing.is_set():
                        log.error("postgres_restart_failed", error=str(error), retry_in=delay)

    def _cluster(self) -> Cluster:
        settings = self._settings
        memory = max(settings.sql_max_memory, LEAST_MEMORY)
        return Cluster(self._home, self.binaries, self._account, settings.start_timeout, memory)

    def _connection(self, old: Connection | None) -> Connection:
        """How to connect from now on: with the passwords of ``old``, if there is one, else with new ones."""
        if old and old.user != self._settings.owner_role:
            raise EmbeddedError(
                f"The data in {self._home} belongs to the role {old.user}, not {self._settings.owner_role}: set "
                f"DATASTORE_ROLE_PREFIX={old.user.removesuffix('_owner')}."
            )
        return Connection(
            socket_folder=str(self._socket_folder(old)),
            port=PORT,
            database=DATABASE,
            user=self._settings.owner_role,
            password=old.password if old else secrets.token_urlsafe(24),
            superuser_password=old.superuser_password if old else secrets.token_urlsafe(24),
        )

    def _socket_folder(self, old: Connection | None) -> Path:
        used = Path(old.socket_folder) if old else None
        return folders.socket_folder(self._home, self._account, self._cluster().make_folder, PORT, used)

    def _answer(self) -> str | None:
        """The server's version, if it lets the owner role in; None if not (yet)."""
        connection = read_connection(self._home)
        if connection is None:
            return None
        try:
            return asyncio.run(_server_version(connection))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None


async def _server_version(connection: Connection) -> str:
    server = await asyncpg.connect(connection.dsn(), timeout=5)
    try:
        version = server.get_server_version()
        return f"{version.major}.{version.micro}"  # asyncpg puts a zero between, since 10
    finally:
        await server.close()


async def _bootstrap(connection: Connection) -> None:
    """Make the owner role and its database, and give the role its password. May be repeated."""
    server = await asyncpg.connect(connection.superuser_dsn("postgres"), timeout=30)
    try:
        role = quoting.identifier(connection.user)
        exists = await server.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", connection.user)
        verb = "ALTER" if exists else "CREATE"
        await server.execute(f"{verb} ROLE {role} LOGIN CREATEROLE PASSWORD {quoting.literal(connection.password)}")
        if not await server.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", connection.database):
            await server.execute(f"CREATE DATABASE {quoting.identifier(connection.database)} OWNER {role}")
    finally:
        await server.close()
