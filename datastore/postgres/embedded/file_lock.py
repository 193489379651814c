"""Locks on files between processes, which the kernel frees when the holder dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

_all: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """An flock on ``path``, shared or exclusive; asking never waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        _all.add(self)

    def acquire(self, *, shared: bool = False) -> bool:
        """Take the lock, or turn a held one into the other kind; whether that succeeded.

        A held lock is lost when it cannot be turned (that is how flock does it). Raises OSError if the file cannot
        be opened; a file made by root belongs to the owner of its folder.
        """
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o600)
            give_to_owner_of(self.path.parent, self.path)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not shared:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return True

    def holder(self) -> str:
        """The id of the process that last held the lock exclusively, for messages."""
        return self.path.read_text().strip()

    def release(self) -> None:
        """Let go of the lock, if held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def give_to_owner_of(folder: Path, path: Path) -> None:
    """Let what root makes in somebody's folder belong to them, so that they can go on without root."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _release_in_child() -> None:
    """A lock belongs to the open file: a forked worker that outlives its parent must not go on holding it."""
    for lock in list(_all):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
