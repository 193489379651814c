"""Upkeep of our own tables: ``datastore migrate``, ``datastore reindex``."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console

from datastore.bootstrap import prepare, running_postgres
from datastore.catalog.search import index as search_index
from datastore.cli.shared import DataDir, examples, on_services, settings_for

commands = typer.Typer()


@commands.command(epilog=examples("datastore migrate", "DATABASE_URL=postgresql://… datastore migrate"))
def migrate(data_dir: DataDir = None) -> None:
    """Bring the service's own tables up to date. `datastore serve` does this by itself."""
    settings = settings_for("warning", data_dir=data_dir)
    with running_postgres(settings) as server:
        applied = asyncio.run(prepare(server, settings))
    for name in applied:
        print(f"Applied {name}")
    if not applied:
        print("Everything is up to date.")


@commands.command(epilog=examples("datastore reindex"))
def reindex(data_dir: DataDir = None) -> None:
    """Index all datasets anew for the search. It is kept up to date by itself; the service goes on meanwhile."""
    settings = settings_for("warning", data_dir=data_dir)
    console = Console(stderr=True)
    with console.status("Indexing") as status:
        count = on_services(
            settings,
            lambda services: search_index.reindex(
                services.database, lambda done: status.update(f"Indexing: {done:,} datasets")
            ),
        )
    print(f"Indexed {count:,} datasets.")
