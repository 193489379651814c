"""The workers: processes that serve the application, and the supervisor that keeps them running.

A worker inherits its socket and the environment, and knows only ``worker_app``. When its supervisor is killed, it stops
by itself.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from datastore.http.writes import HttpProtocol
from datastore.settings import Settings

log = structlog.get_logger(__name__)

STOP_MARGIN = 10.0
"""Seconds that a worker gets, after the requests in flight, to close its connections."""
WORKER_SILENCE = 30
"""A worker that does not answer its supervisor for so many seconds hangs; decoding a large body takes a few."""


class Worker(Process):
    """Uvicorn's worker process, whose death is seen at once, also by a supervisor that waits for its answer."""

    def start(self) -> None:
        super().start()
        self.child_conn.close()  # with ours open, the pipe would outlive the worker, and the answer be waited for


class Supervisor(Multiprocess):
    """Uvicorn's supervisor of worker processes, with what an unattended service needs besides.

    Gives each worker its own socket, lets go of the port as soon as it stops, waits a bounded time for the workers,
    and outlives a time in which workers cannot start because the database is away.
    """

    def __init__(self, settings: Settings, listeners: list[socket.socket]) -> None:
        config = uvicorn.Config(
            f"{__name__}:worker_app",
            factory=True,
            loop="uvloop",
            http=HttpProtocol,
            ws="none",
            lifespan="on",
            workers=settings.workers,
            log_config=None,  # the application sets up logging
            log_level="warning",
            access_log=False,  # it logs requests, too
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            server_header=False,
            backlog=settings.backlog,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=math.ceil(settings.graceful_timeout),
            timeout_worker_healthcheck=WORKER_SILENCE,
        )
        self._hang_up_stops = sys.stdin is not None and sys.stdin.isatty()
        self._patience = settings.graceful_timeout + STOP_MARGIN
        self._ready = False
        self.status = 1
        self.on_ready: Callable[[], None] = lambda: None
        super().__init__(config, listeners)

    def init_processes(self) -> None:
        self.processes = [self._launch(index) for index in range(self.processes_num)]

    def _launch(self, index: int) -> Worker:
        process = Worker(self.config, [self.sockets[index]])
        process.start()
        return process

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died or hang; called twice a second."""
        if self.should_exit.is_set():
            return
        if not self._ready and any(process.is_ready(timeout=0.1) for process in self.processes):
            self._ready = True
            self.on_ready()
        for index, process in enumerate(self.processes):
            if process.is_alive(timeout=WORKER_SILENCE):
                continue
            process.kill()
            process.process.join()
            log.warning("worker_died", pid=process.pid, status=process.exitcode)
            if not self._ready and (process.exitcode or 0) >= 0:  # it gave up: the next one would, too
                self.should_exit.set()
                return
            self.processes[index] = self._launch(index)

    def restart_all(self) -> None:
        """Put a new worker beside each old one, and stop the old one when the new one answers."""
        for index, old in enumerate(self.processes):
            new = self._launch(index)
            if not new.wait_until_ready(WORKER_SILENCE, self.should_exit):
                log.error("worker_not_ready", pid=new.pid, hint="the old workers stay")
                new.kill()
                new.process.join()
                return
            self.processes[index] = new
            old.terminate()
            old.process.join()

    def handle_int(self) -> None:
        self._stop("SIGINT")

    def handle_term(self) -> None:
        self._stop("SIGTERM")

    def handle_ttin(self) -> None:
        """Not here: the number of workers is a setting."""

    handle_ttou = handle_ttin

    def handle_hup(self) -> None:
        """The terminal has gone: stop. Without a terminal: replace the workers, one after the other."""
        if self._hang_up_stops:
            self._stop("SIGHUP")
        else:
            log.info("workers_restarting")
            self.restart_all()

    def _stop(self, reason: str) -> None:
        log.info("stopping", reason=reason)
        self.status = 0
        self.should_exit.set()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()  # else connections would go on queueing while the last requests finish
        super().terminate_all()

    def join_all(self) -> None:
        deadline = time.monotonic() + self._patience
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.process.exitcode is None:
                log.warning("worker_killed", pid=process.pid, waited=self._patience)
                process.process.kill()
                process.process.join()


def worker_app() -> Starlette:
    """The application of a worker process, which stops when its supervisor is gone."""
    settings = Settings()
    parent = multiprocessing.parent_process()
    if parent is not None:
        patience = settings.graceful_timeout + STOP_MARGIN
        threading.Thread(target=_stop_after, args=(parent, patience), name="orphan-watch", daemon=True).start()

    from datastore.app import create_app  # the supervisor needs none of it

    return create_app(settings)


def _stop_after(parent: BaseProcess, patience: float) -> None:
    parent.join()  # its end of a pipe closes, however it dies
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os._exit(1)
