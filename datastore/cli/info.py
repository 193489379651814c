"""``datastore info``."""

from __future__ import annotations

import asyncio
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

import datastore
from datastore.bootstrap import Server, check_prepared, connected, running_postgres, without_password
from datastore.cli.shared import DataDir, examples, settings_for
from datastore.settings import Settings

commands = typer.Typer()


@commands.command(epilog=examples("datastore info", "datastore info --data-dir /srv/datastore"))
def info(data_dir: DataDir = None) -> None:
    """Show versions, paths, the connection (without password) and sizes."""
    settings = settings_for("warning", data_dir=data_dir)
    with running_postgres(settings) as server:
        asyncio.run(check_prepared(server, settings))
        sizes = asyncio.run(_sizes(server, settings))
    rows: dict[str, object] = {
        "DataStore": f"{datastore.__version__} in {Path(datastore.__file__).parent}",
        "Python": f"{platform.python_version()} at {sys.executable}",
        "PostgreSQL": f"{server.version}, {server.kind}",
        "Libraries": ", ".join(f"{name} {version(name)}" for name in ("asyncpg", "starlette", "uvicorn", "pyarrow")),
        "Data folder": settings.data_dir,
        "Connection": without_password(server.dsn),
        **sizes,
    }
    if server.embedded is not None:
        rows["Programs of PostgreSQL"] = server.embedded.bin_dir
    table = Table.grid(padding=(0, 2))
    for label, value in rows.items():
        table.add_row(label, str(value))
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(table, highlight=False)


async def _sizes(server: Server, settings: Settings) -> dict[str, str]:
    async with connected(server.dsn, settings) as connection:
        row = await connection.fetchrow(
            """
            SELECT pg_size_pretty(pg_database_size(current_database())) AS size,
                   (SELECT count(*) FROM datastore.datasets WHERE state <> 'deleted') AS datasets,
                   (SELECT count(*) FROM datastore.tables) AS tables,
                   (SELECT coalesce(sum(record_count), 0)::bigint FROM datastore.tables) AS records,
                   (SELECT count(*) FROM datastore.users WHERE state = 'active') AS users
            """
        )
    content = f"{row['datasets']:,} datasets, {row['tables']:,} tables, {row['records']:,} rows, {row['users']:,} users"
    return {"Database": row["size"], "Content": content}
