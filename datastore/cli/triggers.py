"""The library of trigger functions: ``datastore triggers``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from datastore.actions.services import Services
from datastore.bootstrap import StartError
from datastore.cli.shared import DataDir, examples, on_services, run_action, settings_for

triggers = typer.Typer(
    no_args_is_help=True, help="Ready-made functions that check and mend records as they are written."
)


@triggers.command("list", epilog=examples("datastore triggers list"))
def list_triggers(data_dir: DataDir = None) -> None:
    """Show the functions of the library, and which are installed."""
    settings = settings_for("warning", data_dir=data_dir)
    functions = on_services(settings, lambda services: run_action(services, "datastore_trigger_library", {}))
    table = Table.grid(padding=(0, 2))
    for function in functions:
        table.add_row(function["name"], function["state"], function["summary"])
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(table, highlight=False)


@triggers.command("show", epilog=examples("datastore triggers show check_codes"))
def show_trigger(name: Annotated[str, typer.Argument(help="Name of the function.")], data_dir: DataDir = None) -> None:
    """Print a function of the library: what it does, its arguments, an example, and its code."""
    settings = settings_for("warning", data_dir=data_dir)
    [function] = on_services(
        settings, lambda services: run_action(services, "datastore_trigger_library", {"name": name})
    )
    print(function["definition"], end="")


@triggers.command(
    "install", epilog=examples("datastore triggers install check_codes trim_text", "datastore triggers install --all")
)
def install_triggers(
    names: Annotated[list[str] | None, typer.Argument(help="Names of functions.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All functions of the library.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Install functions of the library, or bring them up to date, so that tables may use them."""
    if bool(names) == everything:
        raise StartError("Name the functions to install, or say --all. `datastore triggers list` shows them.")
    settings = settings_for("warning", data_dir=data_dir)

    async def install(services: Services) -> list[str]:
        wanted = names or [function["name"] for function in await run_action(services, "datastore_trigger_library", {})]
        for name in wanted:
            await run_action(services, "datastore_trigger_install", {"name": name})
        return wanted

    print(f"Installed {', '.join(on_services(settings, install))}.")
