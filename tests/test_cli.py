"""The command line, run as the program that it is, on a real embedded server and on one of DATABASE_URL."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from datastore.bootstrap import StartError, load_settings, without_password
from datastore.cli.program import app
from datastore.postgres.embedded import EmbeddedPostgres
from datastore.settings import Settings
from datastore.tables.functions.library import library
from tests.processes import make_folder, run_command


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data folder whose server runs, so that commands attach to it."""
    folder = make_folder()
    with EmbeddedPostgres(Settings(data_dir=folder / "store", database_url=None)):
        yield folder / "store"
    shutil.rmtree(folder)


def ok(*arguments: str, **settings: object) -> str:
    """The standard output of a command that succeeds."""
    done = run_command(*arguments, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: str, **settings: object) -> str:
    """The message of a command that fails: words, not a traceback."""
    done = run_command(*arguments, **settings)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["migrate"],
        ["reindex"],
        ["user", "add"],
        ["token", "create"],
        ["triggers", "list"],
        ["triggers", "show"],
        ["triggers", "install"],
        ["dump"],
        ["jobs"],
        ["info"],
        ["psql"],
    ],
    ids=" ".join,
)
def test_help_teaches_by_examples(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="datastore")

    assert shown.exit_code == 0
    assert f"datastore {' '.join(command)}" in shown.output.partition("Examples:")[2]


def test_without_a_command_it_explains_itself() -> None:
    shown = CliRunner().invoke(app, [])

    for name in ("serve", "migrate", "reindex", "user", "token", "triggers", "dump", "jobs", "info", "psql"):
        assert name in shown.output


def test_a_new_store_has_an_admin_who_gets_tokens(data_dir: Path) -> None:
    token = ok("token", "create", "admin", "--expires-days", "2", DATASTORE_DATA_DIR=data_dir)

    assert len(token.strip().split()) == 1
    assert len(token.strip()) > 30
    expires = ok(
        *["psql", "-XAtc", "SELECT name, expires_at - created_at > '47 hours' FROM datastore.api_tokens"],
        DATASTORE_DATA_DIR=data_dir,
    )
    assert "command line|t" in expires


def test_jobs_tell_why_they_failed(data_dir: Path) -> None:
    ok("migrate", DATASTORE_DATA_DIR=data_dir)
    ok(
        "psql",
        "-qc",
        "INSERT INTO datastore.jobs (queue, kind, key, title, parameters, priority, due, state, most_attempts, error)"
        " VALUES ('q', 'k', 'x', 'About [x]', '{}', 0, now(), 'failed', 3, 'out of luck')",
        DATASTORE_DATA_DIR=data_dir,
    )
    header, line = ok("jobs", DATASTORE_DATA_DIR=data_dir).splitlines()
    assert header.split()[:4] == ["created", "(UTC)", "queue", "state"]
    assert line.split()[2:] == ["q", "failed", "0×", "About", "[x]", "out", "of", "luck"]


def test_users(data_dir: Path) -> None:
    name = f"user-{uuid.uuid4().hex[:8]}"
    shown = ok("user", "add", name, "--email", f"{name}@example.org", "--sysadmin", DATASTORE_DATA_DIR=data_dir)

    assert shown.startswith(f"Added the sysadmin {name}.\nPassword: ")
    row = ok(
        "psql", "-XAtc", f"SELECT sysadmin FROM datastore.users WHERE name = '{name}'", "--data-dir", str(data_dir)
    )
    assert row == "t\n"

    again = refused("user", "add", name, "--email", "b@example.org", DATASTORE_DATA_DIR=data_dir)
    assert again == "datastore: name: That login name is not available.\n"
    short = refused(
        "user", "add", "other", "--email", "c@example.org", "--password", "short", DATASTORE_DATA_DIR=data_dir
    )
    assert "8 characters or longer" in short
    unknown = refused("token", "create", "nobody", DATASTORE_DATA_DIR=data_dir)
    assert "datastore user add nobody" in unknown


def test_the_library_of_triggers(data_dir: Path) -> None:
    shown = ok("triggers", "list", DATASTORE_DATA_DIR=data_dir)
    assert {line.split()[0]: line.split()[1] for line in shown.splitlines()} == dict.fromkeys(library(), "absent")

    done = ok("triggers", "install", "trim_text", "check_codes", DATASTORE_DATA_DIR=data_dir)
    assert done == "Installed trim_text, check_codes.\n"
    states = dict(line.split()[:2] for line in ok("triggers", "list", DATASTORE_DATA_DIR=data_dir).splitlines())
    assert {name for name, state in states.items() if state == "installed"} == {"trim_text", "check_codes"}
    definition = ok("triggers", "show", "trim_text", "--data-dir", str(data_dir))
    assert definition == library()["trim_text"].definition

    unknown = refused("triggers", "install", "no_such", DATASTORE_DATA_DIR=data_dir)
    assert unknown.startswith('datastore: name: the library has no function "no_such"; it has check_codes, ')
    assert "or say --all" in refused("triggers", "install", DATASTORE_DATA_DIR=data_dir)
    everything = ok("triggers", "install", "--all", DATASTORE_DATA_DIR=data_dir)
    assert everything == f"Installed {', '.join(library())}.\n"


def test_migrate(data_dir: Path) -> None:
    ok("migrate", DATASTORE_DATA_DIR=data_dir)

    assert ok("migrate", DATASTORE_DATA_DIR=data_dir) == "Everything is up to date.\n"


def test_reindex(data_dir: Path) -> None:
    assert ok("reindex", DATASTORE_DATA_DIR=data_dir) == "Indexed 0 datasets.\n"


def test_a_store_behind_the_program_is_told(data_dir: Path) -> None:
    ok("migrate", DATASTORE_DATA_DIR=data_dir)
    saved = ok("psql", "-XAtc", "DELETE FROM datastore.migrations WHERE number = 2 RETURNING name", "-q",
               DATASTORE_DATA_DIR=data_dir).strip()  # fmt: skip
    try:
        assert "Run `datastore migrate`" in refused("token", "create", "admin", DATASTORE_DATA_DIR=data_dir)
    finally:
        ok("psql", "-XAtc", f"INSERT INTO datastore.migrations VALUES (2, '{saved}')", DATASTORE_DATA_DIR=data_dir)


def test_info_shows_no_password(data_dir: Path) -> None:
    shown = ok("info", DATASTORE_DATA_DIR=data_dir)
    secrets = json.loads((data_dir / "postgres/connection.json").read_text())

    assert str(data_dir) in shown
    assert "embedded" in shown
    assert "0 datasets, 0 tables, 0 rows" in shown
    assert secrets["password"] not in shown
    assert secrets["superuser_password"] not in shown


def test_psql(data_dir: Path) -> None:
    def rights(*options: str) -> str:
        sql = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        return ok("psql", *options, "--no-psqlrc", "-At", "-c", sql, DATASTORE_DATA_DIR=data_dir)

    assert rights() == "f\n"
    assert rights("--superuser") == "t\n"
    assert run_command("psql", "-Xc", "nonsense", DATASTORE_DATA_DIR=data_dir).returncode == 1


def test_a_command_starts_the_server_for_its_time() -> None:
    folder = make_folder()
    try:
        assert "Everything is up to date" not in ok("migrate", "--data-dir", str(folder / "store"))
        assert (folder / "store/postgres/data/PG_VERSION").exists()
        assert not (folder / "store/postgres/data/postmaster.pid").exists()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DATASTORE_PORT": "http"}, "DATASTORE_PORT: input should be a valid integer"),
        ({"DATASTORE_POOL_SIZE": "0"}, "DATASTORE_POOL_SIZE: input should be greater than or equal to 1 (it is '0')"),
        ({"DATASTORE_SYSADMIN_TOKEN": "tell-nobody"}, "DATASTORE_SYSADMIN_TOKEN: string should have at least 16"),
        (
            {"DATABASE_URL": "postgresql://u:tell-nobody@127.0.0.1:1/x", "DATASTORE_CONNECT_TIMEOUT": "0.5"},
            "127.0.0.1:1",
        ),
        ({"DATABASE_URL": "mysql://127.0.0.1/x"}, "DATABASE_URL"),
        ({"DATASTORE_SMTP_SERVER": "mail.example.org"}, "DATASTORE_SMTP_SERVER: value error, set DATASTORE_SITE_URL"),
        (
            {"DATASTORE_DEFAULT_VIEWS": "image_view chart_view"},
            "DATASTORE_DEFAULT_VIEWS: no type of views: chart_view.",
        ),
        ({"DATASTORE_ROLES_THAT_CASCADE_TO_SUB_GROUPS": "king"}, "no role: king"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings_are_named(settings: dict[str, str], message: str) -> None:
    shown = refused("migrate", **settings)

    assert message in shown
    assert "tell-nobody" not in shown


def test_two_bad_settings_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORE_WORKERS", "many")

    monkeypatch.setenv("DATASTORE_PORT", "0")  # so that what load_settings sets is taken back

    with pytest.raises(StartError, match=r"(?s)DATASTORE_PORT.*DATASTORE_WORKERS"):
        load_settings({"port": 99_999, "host": None})


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:a%40b@db.example.org:5433/data", "postgresql://me@db.example.org:5433/data"),
        ("postgresql://db/data?user=me&password=x&sslmode=require", "postgresql://db/data?user=me&sslmode=require"),
        ("postgresql://me:p@/data?host=/run/pg&port=5432", "postgresql://me@/data?host=/run/pg&port=5432"),
    ],
)
def test_addresses_are_shown_without_password(dsn: str, shown: str) -> None:
    assert without_password(dsn) == shown


async def test_another_server_where_we_may_not_create_roles(server_url: str, tmp_path: Path) -> None:
    """The administrator gets the SQL to run, and after that everything works."""
    suffix = uuid.uuid4().hex[:8]
    role, prefix = f"app_{suffix}", f"t{suffix}"
    root = await asyncpg.connect(server_url)
    try:
        await root.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
        await root.execute(f"CREATE DATABASE {role} OWNER {role}")
        parts = urlsplit(server_url)
        url = parts._replace(netloc=f"{role}:p@{parts.netloc.rpartition('@')[2]}", path=f"/{role}").geturl()
        settings = {"DATABASE_URL": url, "DATASTORE_ROLE_PREFIX": prefix, "DATASTORE_DATA_DIR": tmp_path}

        shown = await asyncio.to_thread(refused, "migrate", **settings)
        assert "may not create" in shown
        statements = [line for line in shown.splitlines() if line.startswith("CREATE ROLE ")]
        assert len(statements) == 3
        for statement in statements:
            await root.execute(statement)

        assert "Applied 0001" in await asyncio.to_thread(ok, "migrate", **settings)
        token = await asyncio.to_thread(ok, "token", "create", "admin", **settings)
        assert len(token) > 30
        assert "external" in await asyncio.to_thread(ok, "info", **settings)
        superuser = await asyncio.to_thread(refused, "psql", "--superuser", **settings)
        assert "embedded" in superuser

        await root.execute(f"ALTER ROLE {prefix}_reader PASSWORD 'another'")
        changed = await asyncio.to_thread(refused, "token", "create", "admin", **settings)
        assert f'ALTER ROLE "{prefix}_reader"' in changed
    finally:
        await root.execute(f"DROP DATABASE IF EXISTS {role} WITH (FORCE)")
        for name in (f"{prefix}_reader", f"{prefix}_public", f"{prefix}_triggers", role):
            await root.execute(f"DROP ROLE IF EXISTS {name}")
        await root.close()
