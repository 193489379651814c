"""``datastore jobs``."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastore.actions.services import Services
from datastore.cli.shared import DataDir, examples, on_services, settings_for
from datastore.jobs.queue import Job, list_jobs

commands = typer.Typer()


@commands.command(epilog=examples("datastore jobs"))
def jobs(data_dir: DataDir = None) -> None:
    """List the background jobs: those that wait or run, and those that failed, with the reason."""

    async def work(services: Services) -> list[Job]:
        return await list_jobs(services.database.owner, over=True)

    table = Table("created (UTC)", "queue", "state", "begun", "title", "error", box=None)
    for job in on_services(settings_for("warning", data_dir=data_dir), work):
        created = job.created.isoformat(" ", "seconds")
        cells = [created, job.queue, job.state, f"{job.attempts}×", job.title, job.error or ""]
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)
