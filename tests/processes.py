"""The program as its users run it: processes of their own, on data folders of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

Result = TypeVar("Result")
TOKEN = "service-sysadmin-token-0123456789"
_PROGRAM = [sys.executable, "-m", "datastore.cli"]
_CODE = Path(__file__).resolve().parents[1]


def make_folder() -> Path:
    """A folder that PostgreSQL's account may pass through, with a path short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="ds-", dir="/tmp")).resolve()
    folder.chmod(0o711)
    return folder


def environment(**settings: object) -> dict[str, str]:
    """Ours without any settings of DataStore, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATASTORE_", "DATABASE_URL"))}
    return {
        **kept,
        "PYTHONPATH": str(_CODE),
        "COLUMNS": "200",
        **{name: str(value) for name, value in settings.items()},
    }


def run_command(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run ``datastore`` with arguments and environment variables to its end."""
    return subprocess.run(
        [*_PROGRAM, *arguments],
        env=environment(**settings),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def eventually(question: Callable[[], Result], seconds: float = 60.0) -> Result:
    """The first true answer. Raises :class:`AssertionError` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {question}"
        time.sleep(0.02)


def alive(process: psutil.Process) -> bool:
    """Whether the process runs: one that has ended, but that nobody has asked about, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Service:
    """A ``datastore serve`` on ``data_dir``. Not started by itself; ``kill()`` at the end, whatever happened."""

    def __init__(self, data_dir: Path, port: int, *options: str, **settings: object) -> None:
        self.data_dir = data_dir
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.log_file = data_dir.parent / "service.log"
        self._options = ["--port", str(port), "--data-dir", str(data_dir), *options]
        self._environment = environment(DATASTORE_SYSADMIN_TOKEN=TOKEN, DATASTORE_HOST="127.0.0.1", **settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(
            base_url=f"{self.address}/api/3/action/", headers={"Authorization": TOKEN}, timeout=60
        )

    def launch(self) -> None:
        """Start, and wait for nothing."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [*_PROGRAM, "serve", *self._options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start, and wait until the service answers."""
        self.launch()
        eventually(self.ready)

    def ready(self) -> bool:
        """Whether the service and its database answer. Raises :class:`AssertionError` if the process has ended."""
        assert self.pid
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return httpx.get(f"{self.address}/readyz", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        """The id of the supervising process."""
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """Everything that the service wrote."""
        return self.log_file.read_text()

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        found = []
        for child in psutil.Process(self.pid).children():
            try:
                if any("spawn_main" in word for word in child.cmdline()):
                    found.append(child)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    def postmaster(self) -> psutil.Process:
        """The embedded server's first process."""
        return psutil.Process(int((self.data_dir / "postgres/data/postmaster.pid").read_text().split()[0]))

    def listening(self) -> bool:
        """Whether anybody accepts connections at the port."""
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL to everything: supervisor, workers, PostgreSQL."""
        if self.process is None:
            return
        if self.process.poll() is None:
            victims = psutil.Process(self.pid).children(recursive=True)
            for victim in (psutil.Process(self.pid), *victims):
                try:
                    victim.kill()
                except psutil.NoSuchProcess:
                    continue
        self.process.wait(60)
        self.process = None

    def call(self, action: str, **parameters: Any) -> Any:
        """The result of an action, as the sysadmin. Raises :class:`httpx.HTTPStatusError`."""
        response = self.client.post(action, json=parameters)
        assert response.status_code == 200, response.text
        return response.json()["result"]
