"""The folders of the embedded PostgreSQL: its home, and where its socket is."""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from datastore.postgres.embedded.binaries import Account, EmbeddedError
from datastore.postgres.embedded.file_lock import give_to_owner_of

LONGEST_SOCKET_PATH = 107


def prepare_home(home: Path, account: Account) -> None:
    """Make the folder of the server's files, reachable by its account.

    Raises :class:`EmbeddedError`, saying what to do, if that cannot be.
    """
    data_dir = home.parent
    try:
        for folder in (*reversed(home.parents), home):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711 if account.switch else 0o700)
        if account.switch:
            give_to_owner_of(data_dir, home)
            for folder in (data_dir, home):  # PostgreSQL's account passes; it cannot list or read
                folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o001)
        if not os.access(home, os.W_OK | os.X_OK):
            raise PermissionError(None, "not writable", str(home))
    except PermissionError as error:
        raise EmbeddedError(
            f"User {account.name} may not write {error.filename}. Set DATASTORE_DATA_DIR to a folder of "
            "this user, or run as the user that runs the service."
        ) from error
    if barrier := account.unreachable(home):
        raise EmbeddedError(
            f"PostgreSQL runs as user {account.name}, who may not enter {barrier}. Allow it (chmod o+x "
            f"{shlex.quote(str(barrier))}), or set DATASTORE_DATA_DIR to another folder."
        )


def socket_folder(
    home: Path, account: Account, make_folder: Callable[[Path], None], port: int, used: Path | None
) -> Path:
    """A folder (0700, the account's) whose name is short enough for a socket; the one ``used`` before, if any.

    ``make_folder`` makes one. Raises :class:`EmbeddedError` if there is none that is short enough.
    """
    folder = home / "socket"
    if _fits(folder, port):
        make_folder(folder)
        return folder
    if used is not None:  # the one used before, unless somebody else made a folder of this name meanwhile
        folder = used
        try:
            folder.mkdir(mode=0o700)
            make_folder(folder)
        except FileExistsError:
            pass
        except OSError:
            return _short_folder(home, account, make_folder, port)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and not found.st_mode & 0o077:
            return folder
    return _short_folder(home, account, make_folder, port)


def _short_folder(home: Path, account: Account, make_folder: Callable[[Path], None], port: int) -> Path:
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  # mkdtemp makes a private folder
        if parent.is_dir() and _fits(parent / "datastore-12345678", port) and not account.unreachable(parent):
            folder = Path(tempfile.mkdtemp(prefix="datastore-", dir=parent))
            make_folder(folder)
            return folder
    raise EmbeddedError(
        f"The path of a socket in {home} would be longer than {LONGEST_SOCKET_PATH} bytes, and no folder "
        "for temporary files can take it: set TMPDIR or a shorter DATASTORE_DATA_DIR."
    )


def _fits(folder: Path, port: int) -> bool:
    """Whether a socket in ``folder`` can be named: by its length, and in a DSN, where a comma separates hosts."""
    path = os.fsencode(folder / f".s.PGSQL.{port}")
    return len(path) <= LONGEST_SOCKET_PATH and b"," not in path
