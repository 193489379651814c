"""A file that libraries write to, and that is emptied while they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Sink:
    """Keeps what is written until it is taken. It cannot seek, but knows where it is.

    Closing does nothing: a library that is abandoned in the middle of a file may still want to write its end.
    """

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """As of a file."""
        return True

    def seekable(self) -> bool:
        """As of a file."""
        return False

    def write(self, data: Buffer) -> int:
        """Keep ``data``."""
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def tell(self) -> int:
        """The number of bytes that were written."""
        return self._position

    def flush(self) -> None:
        """Nothing: all is kept."""

    def close(self) -> None:
        """Nothing."""

    def take(self) -> bytes:
        """What has been written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
