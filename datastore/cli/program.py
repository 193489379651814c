"""The program ``datastore``: all commands, and how their errors are told."""

from __future__ import annotations

import sys

import asyncpg
import structlog
import typer

from datastore.bootstrap import StartError
from datastore.cli import accounts, dump, info, jobs, psql, serve, triggers, upkeep
from datastore.errors import DataStoreError, ValidationError
from datastore.postgres.embedded.binaries import EmbeddedError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="DataStore turns tables into a fast, safe, queryable API on PostgreSQL.\n\n"
    "Start with `datastore serve`: it brings its own PostgreSQL and demo data. Settings are environment variables "
    "(`DATASTORE_…`, `DATABASE_URL`); docs/configuration.md lists them.",
    epilog="Each command explains itself with examples: `datastore serve --help`",
)

# In the order in which the help lists them.
for commands in (serve, upkeep, info, dump, jobs, psql):
    app.add_typer(commands.commands)
app.add_typer(accounts.users, name="user")
app.add_typer(accounts.tokens, name="token")
app.add_typer(triggers.triggers, name="triggers")


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
