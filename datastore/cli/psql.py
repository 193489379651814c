"""``datastore psql``."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from datastore.bootstrap import Server, StartError, running_postgres, without_password
from datastore.cli.shared import DataDir, examples, settings_for

commands = typer.Typer()


@commands.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples(
        "datastore psql",
        "datastore psql -c 'SELECT name, state FROM datastore.datasets'",
        "datastore psql --superuser -c 'ALTER SYSTEM SET shared_buffers = 4GB'",
    ),
)
def psql(
    context: typer.Context,
    superuser: Annotated[bool, typer.Option("--superuser", help="As PostgreSQL's superuser (embedded only).")] = False,
    data_dir: DataDir = None,
) -> None:
    """Open PostgreSQL's shell, or pass all other options to it. Changes made there bypass the service: take care."""
    settings = settings_for("warning", data_dir=data_dir)
    with running_postgres(settings) as server:
        if superuser and server.embedded is None:
            raise StartError("--superuser is for the embedded PostgreSQL; put such a user into DATABASE_URL instead.")
        dsn = server.embedded.superuser_dsn() if superuser and server.embedded else server.dsn
        environment = dict(os.environ)
        if password := urlsplit(dsn).password:
            environment["PGPASSWORD"] = unquote(password)
        command = [_psql_program(server), f"--dbname={without_password(dsn)}", *context.args]
        with _interrupts_left_to_child():
            status = subprocess.run(command, env=environment, check=False).returncode
    raise typer.Exit(status)


def _psql_program(server: Server) -> str:
    if server.embedded is not None:
        return str(server.embedded.binaries.program("psql"))
    if found := shutil.which("psql"):
        return found
    raise StartError("There is no psql on the PATH. Install PostgreSQL's client programs.")


@contextlib.contextmanager
def _interrupts_left_to_child() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
