"""What is measured: the real service as its own processes, on an embedded PostgreSQL in a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import orjson
import psutil

from benchmarks import sample
from datastore.postgres.embedded import EmbeddedPostgres, connection_dsn
from datastore.settings import Settings

HOST = "127.0.0.1"
START_TIMEOUT = 60.0


class ServerProcess(AbstractContextManager["ServerProcess"]):
    """An HTTP server as a child process with workers of its own; its output goes to ``log``."""

    def __init__(self, command: list[str], environment: Mapping[str, str], port: int, probe: str, log: Path) -> None:
        self.port = port
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**_environment(), **environment},
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait(probe)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _wait(self, probe: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = exchange(self.port, "GET", probe)
                if status == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')[-3000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """The server's processes, its parent first."""
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    @contextmanager
    def watch_memory(self) -> Iterator[Memory]:
        """The memory of the worker that grows most while the block runs, looked at every 10 ms."""
        before = {process: process.memory_info().rss for process in self.processes()[1:]}
        peak = dict(before)
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                for process in before:
                    peak[process] = max(peak[process], process.memory_info().rss)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        memory = Memory()
        try:
            yield memory
        finally:
            done.set()
            thread.join()
            busiest = max(before, key=lambda process: peak[process] - before[process])
            memory.growth = (peak[busiest] - before[busiest]) / 2**20
            memory.peak = peak[busiest] / 2**20


@dataclass(slots=True)
class Memory:
    """Resident memory of one process, in MiB."""

    growth: float = 0.0
    peak: float = 0.0


def _environment() -> dict[str, str]:
    """Ours, without settings of another service."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATASTORE_", "PROMETHEUS_")) and name != "DATABASE_URL"
    }


def exchange(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own; status and body of the answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=600)
    try:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Service(AbstractContextManager["Service"]):
    """PostgreSQL and the service. Enter it to start both; nothing of them remains afterwards."""

    workers: int
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="datastore-bench-")))
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            self.folder.chmod(0o711)  # PostgreSQL runs as another account when root measures
            settings = Settings(data_dir=self.folder, database_url=None)
            self.postgres = stack.enter_context(EmbeddedPostgres(settings))
            self.dsn = connection_dsn(settings)
            self._psql = str(self.postgres.binaries.program("psql"))
            self.server = self._serve()
            stack.callback(lambda: self.server.__exit__(None, None, None))
            owner = self.action("organization_create", name="benchmarks")
            self.dataset = self.action("package_create", name="benchmarks", owner_org=owner["id"])["id"]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _serve(self) -> ServerProcess:
        port = free_port()
        command = [str(Path(sys.executable).with_name("datastore")), "serve", "--no-demo"]
        command += ["--data-dir", str(self.folder), "--port", str(port), "--workers", str(self.workers)]
        environment = {"DATASTORE_SYSADMIN_TOKEN": self.token}
        return ServerProcess(command, environment, port, "/readyz", self.folder / "service.log")

    def restart(self, workers: int | None = None) -> None:
        """New processes, whose memory nothing has used yet; so many from now on, if given."""
        self.workers = workers or self.workers
        self.server.__exit__(None, None, None)
        self.server = self._serve()

    def action(self, name: str, /, **parameters: Any) -> Any:
        """Call an action as the sysadmin; its result. Raises :class:`RuntimeError` with the answer of a failure."""
        return orjson.loads(self.post(name, orjson.dumps(parameters)))["result"]

    def post(self, name: str, body: bytes) -> bytes:
        """Send a JSON body to an action; the envelope. Raises :class:`RuntimeError` unless it succeeded."""
        headers = {"Authorization": self.token, "Content-Type": "application/json"}
        status, answer = exchange(self.server.port, "POST", f"/api/3/action/{name}", body, headers)
        if status != 200:
            raise RuntimeError(f"{name}: {status} {answer[:2000].decode(errors='replace')}")
        return answer

    def psql(self, *commands: str, output: Path | None = None) -> float:
        """Run commands in one psql session as the owner, standard output to a file or nowhere; the seconds it took.

        Raises :class:`RuntimeError` with what psql says if a command fails.
        """
        arguments = [self._psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn]
        for command in commands:
            arguments += ["-c", command]
        with (output or Path(os.devnull)).open("wb") as file:
            started = perf_counter()
            finished = subprocess.run(arguments, stdout=file, stderr=subprocess.PIPE, text=True, check=False)
            seconds = perf_counter() - started
        if finished.returncode:
            raise RuntimeError(f"psql: {finished.stderr}")
        return seconds

    def query(self, statement: str) -> bytes:
        """What psql prints for a statement, without the final line break."""
        path = self.folder / "query.out"
        self.psql(statement, output=path)
        return path.read_bytes().removesuffix(b"\n")

    def copy_out(self, query: str, path: Path) -> None:
        """The rows of a query as a CSV file without a header."""
        self.psql(f"\\copy ({' '.join(query.split())}) to stdout csv", output=path)

    def create_table(self, fields: list[dict[str, str]], **parameters: Any) -> str:
        """The resource id of a new table."""
        resource = {"package_id": self.dataset, "name": "measured"}
        return str(self.action("datastore_create", resource=resource, fields=fields, **parameters)["resource_id"])

    def sql_name(self, resource_id: str) -> str:
        """The table in SQL."""
        return f'"{self.dataset}"."{resource_id}"'

    def fill(self, resource_id: str, query: str) -> None:
        """Put the rows of a query into the table past the API, which would build a full-text index afterwards."""
        table = self.sql_name(resource_id)
        self.psql(
            f"INSERT INTO {table} ({sample.COLUMNS}) {query}",
            f"UPDATE datastore.tables SET record_count = (SELECT count(*) FROM {table})"
            f" WHERE resource_id = '{resource_id}'",
            f"VACUUM (ANALYZE) {table}",
        )
