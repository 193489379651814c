"""The serving process: listens, keeps PostgreSQL, and runs the workers until it is told to stop.

The port is taken before anything slow, so that "address in use" is told at once; connections that come in meanwhile
wait. The workers get their settings from the environment that this process leaves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import asyncpg
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import datastore
from datastore import demo
from datastore.actions.services import Services
from datastore.bootstrap import ADMIN, Server, StartError, connected, ensure_admin, opened, prepare, running_postgres
from datastore.errors import DataStoreError
from datastore.postgres.database import CONNECTION_LOST
from datastore.settings import Settings, default_data_dir
from datastore.supervisor import Supervisor

log = structlog.get_logger(__name__)

_PORT_PATIENCE = 1.0
"""Seconds that workers of a killed service get to let go of the port."""
_SPARE_CONNECTIONS = 20
"""Of PostgreSQL's max_connections: for background work, commands and people."""


def serve(settings: Settings, console: Console) -> int:
    """Run the service until SIGTERM or SIGINT; the exit status. ``console`` is told what happens.

    Raises :class:`StartError` and :class:`EmbeddedError`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_stopped_by_signals())
        listeners = listen(settings)
        for listener in listeners:
            stack.enter_context(listener)
        server = stack.enter_context(running_postgres(settings))
        stack.enter_context(_metrics_folder(settings))
        max_connections = asyncio.run(_make_ready(server, settings, console))
        _limit_pools(settings, max_connections, console)
        supervisor = Supervisor(settings, listeners)
        supervisor.on_ready = lambda: _greet(console, settings, server, listeners[0])
        supervisor.run()
        return supervisor.status


# Before the workers


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGINT end the process in order, with status 0, also while it starts. Restores what was before."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(settings: Settings) -> list[socket.socket]:
    """A listening socket for each worker, all at one address (SO_REUSEPORT): the kernel spreads connections evenly.

    On one socket shared by all, the worker that wakes first takes most of a burst of connections, and keeps them.
    Raises :class:`StartError` if the address is taken or is not ours.
    """
    host, port = settings.host.strip("[]"), settings.port
    deadline = time.monotonic() + _PORT_PATIENCE
    while True:
        try:
            family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            with socket.socket(family) as probe:  # does not share, so that it finds another service like this one
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                port = probe.getsockname()[1]
            return [
                socket.create_server((host, port), family=family, backlog=settings.backlog, reuse_port=True)
                for _worker in range(settings.workers)
            ]
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise StartError(_listen_help(error, settings)) from None


def _listen_help(error: OSError, settings: Settings) -> str:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Something else listens on {where} already. Stop it, or choose another port: datastore serve --port 8081"
        )
    if error.errno == errno.EACCES:
        return f"Ports below 1024 are not for ordinary users: {where}. Try --port 8080."
    return f"Cannot listen on {where}: {error.strerror or error}. Is the address (DATASTORE_HOST) this machine's?"


@contextlib.contextmanager
def _metrics_folder(settings: Settings) -> Iterator[None]:
    """The folder in which the workers keep their metrics for each other. Removes those of services that were killed."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ or not settings.metrics:
        yield
        return
    parent = settings.data_dir / "metrics"
    folder = parent / str(os.getpid())
    for old in parent.glob("*"):
        if old == folder or not Path("/proc", old.name).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


async def _make_ready(server: Server, settings: Settings, console: Console) -> int:
    """Everything that must be in the database before the first request; PostgreSQL's ``max_connections``."""
    await prepare(server, settings)
    async with opened(server, settings) as services:
        await ensure_admin(services)
        if settings.demo and importlib.util.find_spec(demo.PACKAGE):
            await _load_demo(services, server, console)
    async with connected(server.dsn, settings) as connection:
        return int(await connection.fetchval("SELECT current_setting('max_connections')"))


async def _load_demo(services: Services, server: Server, console: Console) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks = {
            table.name: progress.add_task(f"Demo: {table.name}", total=None, visible=False) for table in demo.TABLES
        }

        def report(table: str, done: int, total: int) -> None:
            progress.update(tasks[table], completed=done, total=total, visible=True)
            if done == total and not console.is_terminal:
                console.print(f"Demo: loaded {table}, {total:,} rows")

        try:
            await demo.load(services, server.dsn, report)
        except (DataStoreError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, *CONNECTION_LOST) as error:
            log.error("demo_not_loaded", error=repr(error), hint="serving without it; the next start tries again")


def _limit_pools(settings: Settings, max_connections: int, console: Console) -> None:
    """Workers × three roles × pool size must fit into what PostgreSQL allows: else the workers get smaller pools."""
    most = max(1, (max_connections - _SPARE_CONNECTIONS) // (3 * settings.workers))
    if settings.pool_size > most:
        os.environ[Settings.variable("pool_size")] = str(most)
        console.print(
            f"PostgreSQL allows {max_connections} connections: each of the {settings.workers} workers keeps at most "
            f"{most} a role, not {settings.pool_size}."
        )


def _greet(console: Console, settings: Settings, server: Server, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    address = f"http://{shown}:{port}"
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    lines = [
        f"DataStore {datastore.__version__} on {address}",
        f"  {workers}, {server.kind} PostgreSQL {server.version}, data in {settings.data_dir}, "
        f"Python {sys.version.split()[0]}",
    ]
    if settings.demo and demo.data_folder() is not None:
        lines.append(f"  Try it:   curl '{address}/api/3/action/datastore_search?resource_id=flights&limit=5'")
    lines.append(f"  A token:  {_command(settings)}")
    lines.append("  Ctrl-C stops it; requests in flight finish first." if console.is_terminal else "  Ready.")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _command(settings: Settings) -> str:
    """How to make a token from here: by the name that the shell knows, for the same data folder."""
    program = Path(sys.argv[0])
    if program.name != "datastore" or shutil.which("datastore") == str(program):
        program = Path("datastore")
    elif program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    here = settings.database_url is None and settings.data_dir != default_data_dir()
    folder = f" --data-dir {shlex.quote(str(settings.data_dir))}" if here else ""
    return f"{program} token create {ADMIN}{folder}"
