"""What the commands share: settings, the database, and who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.bootstrap import Server, check_prepared, ensure_admin, load_settings, opened, running_postgres
from datastore.http import logs
from datastore.settings import Settings

Result = TypeVar("Result")
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of everything that the service keeps (DATASTORE_DATA_DIR).", show_default=False),
]


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"`{line}`" for line in lines)


def settings_for(log_level: str | None, **overrides: Any) -> Settings:
    """The settings of the environment with the options given; logging is set up accordingly."""
    if overrides["data_dir"] is not None:
        overrides["data_dir"] = overrides["data_dir"].expanduser().absolute()
    settings = load_settings(overrides)
    logs.configure(settings if log_level is None else settings.model_copy(update={"log_level": log_level}))
    return settings


def on_services(settings: Settings, work: Callable[[Services], Awaitable[Result]]) -> Result:
    """Run ``work`` on the database of the settings, prepared if it is new."""

    async def within(server: Server) -> Result:
        await check_prepared(server, settings)
        async with opened(server, settings) as services:
            await ensure_admin(services)
            return await work(services)

    with running_postgres(settings) as server:
        return asyncio.run(within(server))


async def run_action(services: Services, action: str, fields: Mapping[str, Any]) -> Any:
    """Who may run commands on this machine is a sysadmin."""
    actor = Actor(name=services.settings.site_id, sysadmin=True)
    return await run(action, Call(services, actor, services.settings.site_url), fields)
