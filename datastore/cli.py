"""The command line: ``datastore serve`` and what an operator needs beside it.

Every command works on a running service as well as without one: the embedded PostgreSQL is started for the time of the
command if it does not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

import datastore
from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.api import logs
from datastore.bootstrap import (
    Server,
    StartError,
    check_prepared,
    connected,
    ensure_admin,
    load_settings,
    opened,
    prepare,
    running_postgres,
    without_password,
)
from datastore.catalog.search import index as search_index
from datastore.errors import DataStoreError, NotFound, ValidationError
from datastore.exports import dump as exported
from datastore.exports.formats import FORMATS, by_extension
from datastore.exports.local import save, whole_file
from datastore.exports.rows import of_table
from datastore.exports.writer import Options
from datastore.jobs.queue import Job, list_jobs
from datastore.postgres.binaries import EmbeddedError
from datastore.settings import Settings
from datastore.tables.reading.search import Search, plan
from datastore.tables.schema import TableSchema

Result = TypeVar("Result")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="DataStore turns tables into a fast, safe, queryable API on PostgreSQL.\n\n"
    "Start with `datastore serve`: it brings its own PostgreSQL and demo data. Settings are environment variables "
    "(`DATASTORE_…`, `DATABASE_URL`); docs/configuration.md lists them.",
    epilog="Each command explains itself with examples: `datastore serve --help`",
)
users = typer.Typer(no_args_is_help=True, help="Users of the site.")
triggers = typer.Typer(
    no_args_is_help=True, help="Ready-made functions that check and mend records as they are written."
)
tokens = typer.Typer(no_args_is_help=True, help="API tokens, by which programs say who they are.")
app.add_typer(users, name="user")
app.add_typer(tokens, name="token")
app.add_typer(triggers, name="triggers")

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of everything that the service keeps (DATASTORE_DATA_DIR).", show_default=False),
]


def examples(*lines: str) -> str:
    """The epilog of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"`{line}`" for line in lines)


@app.command(
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

    settings = _settings(None, host=host, port=port, workers=workers, data_dir=data_dir, demo=demo)
    raise typer.Exit(serving.serve(settings, Console()))


@app.command(epilog=examples("datastore migrate", "DATABASE_URL=postgresql://… datastore migrate"))
def migrate(data_dir: DataDir = None) -> None:
    """Bring the service's own tables up to date. `datastore serve` does this by itself."""
    settings = _settings("warning", data_dir=data_dir)
    with running_postgres(settings) as server:
        applied = asyncio.run(prepare(server, settings))
    for name in applied:
        print(f"Applied {name}")
    if not applied:
        print("Everything is up to date.")


@app.command(epilog=examples("datastore reindex"))
def reindex(data_dir: DataDir = None) -> None:
    """Index all datasets anew for the search. It is kept up to date by itself; the service goes on meanwhile."""
    settings = _settings("warning", data_dir=data_dir)
    console = Console(stderr=True)
    with console.status("Indexing") as status:
        count = _on_services(
            settings,
            lambda services: search_index.reindex(
                services.database, lambda done: status.update(f"Indexing: {done:,} datasets")
            ),
        )
    print(f"Indexed {count:,} datasets.")


@users.command(
    "add",
    epilog=examples(
        "datastore user add ada --email ada@example.org",
        "datastore user add root --email root@example.org --sysadmin --password 'correct horse'",
    ),
)
def add_user(
    name: Annotated[str, typer.Argument(help="Login name: lower-case letters, digits, - and _.")],
    email: Annotated[str, typer.Option(help="E-mail address.")],
    sysadmin: Annotated[bool, typer.Option("--sysadmin", help="May do everything.")] = False,
    password: Annotated[
        str | None, typer.Option(help="At least 8 characters; asked for on a terminal, else made up and shown.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a user."""
    settings = _settings("warning", data_dir=data_dir)
    made_up = None
    if password is None and sys.stdin.isatty():
        password = typer.prompt(
            "Password (empty: make one up)", default="", show_default=False, hide_input=True, confirmation_prompt=True
        )
    if not password:
        password = made_up = secrets.token_urlsafe(12)
    fields = {"name": name, "email": email, "password": password, "sysadmin": sysadmin}
    _on_services(settings, lambda services: _run(services, "user_create", fields))
    print(f"Added {'the sysadmin' if sysadmin else 'the user'} {name}.")
    if made_up:
        print(f"Password: {made_up}")


@tokens.command(
    "create",
    epilog=examples(
        "datastore token create admin",
        "datastore token create ada --name harvester --expires-days 90",
        'curl -H "Authorization: $(datastore token create admin)" http://127.0.0.1:8080/api/3/action/user_show',
    ),
)
def create_token(
    user: Annotated[str, typer.Argument(help="Name of the user.")],
    name: Annotated[str, typer.Option(help="By which the user will know the token.")] = "command line",
    expires_days: Annotated[
        int | None, typer.Option(min=1, help="Days for which the token is valid.", show_default="for ever")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create an API token and print it, and nothing else, to standard output. It is shown this once only."""
    settings = _settings("warning", data_dir=data_dir)
    fields = {"user": user, "name": name, "expires_in": expires_days, "unit": 86_400}
    try:
        created = _on_services(settings, lambda services: _run(services, "api_token_create", fields))
    except NotFound:
        raise StartError(
            f"There is no user {user}. Add them: datastore user add {user} --email {user}@example.org"
        ) from None
    print(created["token"])


@triggers.command("list", epilog=examples("datastore triggers list"))
def list_triggers(data_dir: DataDir = None) -> None:
    """Show the functions of the library, and which are installed."""
    settings = _settings("warning", data_dir=data_dir)
    functions = _on_services(settings, lambda services: _run(services, "datastore_trigger_library", {}))
    table = Table.grid(padding=(0, 2))
    for function in functions:
        table.add_row(function["name"], function["state"], function["summary"])
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 200).print(table, highlight=False)


@triggers.command("show", epilog=examples("datastore triggers show check_codes"))
def show_trigger(name: Annotated[str, typer.Argument(help="Name of the function.")], data_dir: DataDir = None) -> None:
    """Print a function of the library: what it does, its arguments, an example, and its code."""
    settings = _settings("warning", data_dir=data_dir)
    [function] = _on_services(settings, lambda services: _run(services, "datastore_trigger_library", {"name": name}))
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
    settings = _settings("warning", data_dir=data_dir)

    async def install(services: Services) -> list[str]:
        wanted = names or [function["name"] for function in await _run(services, "datastore_trigger_library", {})]
        for name in wanted:
            await _run(services, "datastore_trigger_install", {"name": name})
        return wanted

    print(f"Installed {', '.join(_on_services(settings, install))}.")


@app.command(epilog=examples("datastore info", "datastore info --data-dir /srv/datastore"))
def info(data_dir: DataDir = None) -> None:
    """Show versions, paths, the connection (without password) and sizes."""
    settings = _settings("warning", data_dir=data_dir)
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


@app.command(
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
    settings = _settings("warning", data_dir=data_dir)

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
        _on_services(settings, work)
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


@app.command(epilog=examples("datastore jobs"))
def jobs(data_dir: DataDir = None) -> None:
    """List the background jobs: those that wait or run, and those that failed, with the reason."""

    async def work(services: Services) -> list[Job]:
        return await list_jobs(services.database.owner, over=True)

    table = Table("created (UTC)", "queue", "state", "begun", "title", "error", box=None)
    for job in _on_services(_settings("warning", data_dir=data_dir), work):
        created = job.created.isoformat(" ", "seconds")
        cells = [created, job.queue, job.state, f"{job.attempts}×", job.title, job.error or ""]
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


@app.command(
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
    settings = _settings("warning", data_dir=data_dir)
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


# What the commands share


def _settings(log_level: str | None, **overrides: Any) -> Settings:
    """The settings of the environment with the options given; logging is set up accordingly."""
    if overrides["data_dir"] is not None:
        overrides["data_dir"] = overrides["data_dir"].expanduser().absolute()
    settings = load_settings(overrides)
    logs.configure(settings if log_level is None else settings.model_copy(update={"log_level": log_level}))
    return settings


def _on_services(settings: Settings, work: Callable[[Services], Awaitable[Result]]) -> Result:
    """Run ``work`` on the database of the settings, prepared if it is new."""

    async def within(server: Server) -> Result:
        await check_prepared(server, settings)
        async with opened(server, settings) as services:
            await ensure_admin(services)
            return await work(services)

    with running_postgres(settings) as server:
        return asyncio.run(within(server))


async def _run(services: Services, action: str, fields: Mapping[str, Any]) -> Any:
    """Who may run commands on this machine is a sysadmin."""
    actor = Actor(name=services.settings.site_id, sysadmin=True)
    return await run(action, Call(services, actor, services.settings.site_url), fields)


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


def main() -> None:
    """The program ``datastore``: errors that an operator can mend are told in words, without a traceback."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        app()
    except ValidationError as error:
        _fail("; ".join(f"{key}: {' '.join(map(str, messages))}" for key, messages in error.fields.items()))
    except (StartError, EmbeddedError, DataStoreError) as error:
        _fail(str(error))
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _fail(f"PostgreSQL says: {error}")
    except (OSError, TimeoutError) as error:
        _fail(f"{type(error).__name__}: {error}")


def _fail(message: str) -> None:
    print(f"datastore: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
