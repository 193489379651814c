"""``datastore dump``."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from datastore.actions.services import Services
from datastore.bootstrap import StartError
from datastore.cli.shared import DataDir, examples, on_services, settings_for
from datastore.exports import dump as exported
from datastore.exports.formats import FORMATS, by_extension
from datastore.exports.local import save, whole_file
from datastore.exports.rows import of_table
from datastore.exports.writer import Options
from datastore.tables.reading.search import Search, plan
from datastore.tables.schema import TableSchema

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "datastore dump flights flights.parquet",
        "datastore dump flights --format ndjson --limit 1000 | head",
        "datastore dump 64133dc8-6915-4c67-8f74-324fc8d47bcf table.csv --bom",
    )
)
def dump(
    id: Annotated[str, typer.Argument(help="Id of the resource, or an alias of its table.")],
    file: Annotated[Path | None, typer.Argument(help="File to write; standard output if not given.")] = None,
    format: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(FORMATS)}.", show_default="by the file's extension, else csv"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Most rows.", show_default="all")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Rows to leave out first.")] = 0,
    bom: Annotated[bool, typer.Option("--bom", help="Begin with a byte order mark, for spreadsheet programs.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a table to a file or to standard output. The file appears when it is whole, or not at all."""
    kind = FORMATS.get(format) if format is not None else by_extension(file.name if file else "") or FORMATS["csv"]
    if kind is None:
        raise StartError(f"There is no format {format}; there are: {', '.join(FORMATS)}.")
    if file is None and not kind.text and sys.stdout.isatty():
        raise StartError(f"{kind.name} is nothing for a terminal: name a file.")
    settings = settings_for("warning", data_dir=data_dir)

    async def work(services: Services) -> None:
        schema = await services.schemas.get(id)
        if schema is None:
            raise StartError(f"There is no table {id}.")
        columns = Progress.get_default_columns()
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
            task = shown.add_task(f"{schema.resource_id}", total=await _expected(services, schema, limit, offset))
            search = Search(limit=limit, offset=offset, include_total=False, records_format="csv")
            rows = of_table(services.database, schema, plan(search, schema))
            options = Options(bom=bom, milliseconds=settings.ms_in_timestamp)
            chunks = await exported.start(
                rows, kind, options, settings.dump_stall_timeout, lambda count: shown.advance(task, count)
            )
            with contextlib.nullcontext(sys.stdout.buffer) if file is None else whole_file(file) as output:
                await save(chunks, output)

    try:
        on_services(settings, work)
    except BrokenPipeError:
        # Whoever read has enough, such as head. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


async def _expected(services: Services, schema: TableSchema, limit: int | None, offset: int) -> int:
    """The rows of a dump."""
    count = await services.database.owner.fetchval(
        "SELECT record_count FROM datastore.tables WHERE resource_id = $1", schema.resource_id
    )
    left = max(0, int(count or 0) - offset)
    return left if limit is None else min(left, limit)
