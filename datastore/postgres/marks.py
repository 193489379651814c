"""What changed a moment ago, told between the processes of one machine before PostgreSQL's messages have arrived.

A file in shared memory with a mark for each thing that is cached (several may share one). Whoever changes a thing
overwrites its mark after the commit, before the change is acknowledged; whoever caches it compares the mark with that
from before reading. So what one process has answered is true in all others with their next request.
"""

from __future__ import annotations

import mmap
import os
import secrets
import zlib
from collections.abc import Iterable
from pathlib import Path

import structlog

FILE = "changes"
"""Its name in the data folder."""
_COUNT = 4096
_BYTES = 8 * _COUNT
log = structlog.get_logger(__name__)

Seen = tuple[tuple[int, int], ...]
"""Places of marks, and what was there."""


class Marks:
    """The marks of a data folder; without one (or if it cannot be written to), those of this process alone."""

    def __init__(self, folder: Path | None = None) -> None:
        self._memory = _shared(folder / FILE) if folder is not None else mmap.mmap(-1, _BYTES)
        self._marks = memoryview(self._memory).cast("Q")

    def change(self, kind: str, key: str) -> None:
        """The thing has changed."""
        # Random, not counted: of two at the same time none is lost.
        self._marks[_place(kind, key)] = secrets.randbits(64)

    def snapshot(self) -> memoryview:
        """All marks as they are, to be taken before something is read."""
        return memoryview(bytes(self._memory)).cast("Q")

    def seen(self, snapshot: memoryview, kind: str, keys: Iterable[str]) -> Seen:
        """The marks of these things in a snapshot."""
        return tuple((place, snapshot[place]) for place in {_place(kind, key) for key in keys})

    def unchanged(self, seen: Seen) -> bool:
        """None of them has changed since."""
        marks = self._marks
        return all(marks[place] == mark for place, mark in seen)


def _place(kind: str, key: str) -> int:
    return zlib.crc32(f"{kind}:{key}".encode()) % _COUNT


def _shared(file: Path) -> mmap.mmap:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.truncate(handle, _BYTES)
            return mmap.mmap(handle, _BYTES)
        finally:
            os.close(handle)
    except OSError as error:
        log.warning("changes_not_shared", file=str(file), error=str(error))
        return mmap.mmap(-1, _BYTES)
