"""``datastore serve``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from datastore.cli.shared import DataDir, examples, settings_for

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "datastore serve",
        "datastore serve --host 0.0.0.0 --port 80 --workers 4 --no-demo",
        "datastore serve --data-dir /srv/datastore",
        "DATABASE_URL=postgresql://me:secret@db.example.org/data datastore serve",
    )
)
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8080")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.", show_default="the cores")] = None,
    data_dir: DataDir = None,
    demo: Annotated[
        bool | None, typer.Option("--demo/--no-demo", help="Load the demo if the store is empty.", show_default="demo")
    ] = None,
) -> None:
    """Start the service: PostgreSQL (unless DATABASE_URL names one), the demo if the store is empty, the API.

    SIGTERM or Ctrl-C stops it: requests in flight finish, then PostgreSQL stops. SIGHUP replaces the workers.
    """
    from datastore import serving  # the other commands need no web server

    settings = settings_for(None, host=host, port=port, workers=workers, data_dir=data_dir, demo=demo)
    raise typer.Exit(serving.serve(settings, Console()))
