"""What every format is: a statement whose rows PostgreSQL copies out, and what becomes of the bytes that arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastore.errors import ValidationError
from datastore.postgres.copy_out import Copy

BOM = b"\xef\xbb\xbf"
_MOST_ARGUMENTS = 99


class Unfit(ValidationError):
    """The rows cannot be written in this format: 409, ``format``."""

    def __init__(self, reason: str) -> None:
        super().__init__({"format": [reason]})


@dataclass(frozen=True, slots=True)
class Options:
    """How to write."""

    bom: bool = False
    """Text begins with a byte order mark."""
    crlf: bool = False
    """Lines of csv and tsv end with CR LF."""
    milliseconds: bool = True
    """Timestamps in text have three digits of milliseconds."""


def lines(query: str) -> Copy:
    """A COPY of one text a row, which comes out as it is, with a line feed behind it.

    That holds as long as the text has neither line breaks nor the two control characters.
    """
    return Copy(query, delimiter="\x02", quote="\x01")


class Writer:
    """Turns the bytes of a COPY into a file. It is fed whole rows; by itself it passes them on."""

    batch = 128 * 1024
    """Bytes that it is fed at a time, about."""
    threaded = False
    """Feeding it takes long: it is done in a thread."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy

    def begin(self) -> bytes:
        """What comes before the first row."""
        return b""

    def feed(self, rows: bytes) -> bytes:
        """What is written for further rows; may be empty."""
        return rows

    def end(self) -> bytes:
        """What comes after the last row."""
        return b""

    def abandon(self) -> None:
        """Nobody wants the rest: let go of what a library would otherwise try to finish."""


class Listed(Writer):
    """Lines between an opening and a closing. Each ends with a comma in SQL; the last one's is left out."""

    def __init__(self, copy: Copy, opening: bytes, closing: bytes) -> None:
        super().__init__(copy)
        self._opening = opening
        self._closing = closing
        self._held = b"\n"

    def begin(self) -> bytes:
        return self._opening

    def feed(self, rows: bytes) -> bytes:
        text = self._held + rows[:-2]
        self._held = rows[-2:]
        return text

    def end(self) -> bytes:
        return b"\n" + self._closing


def joined(parts: Sequence[str], separator: str = "") -> str:
    """An SQL expression that joins texts, none of them NULL. A function of PostgreSQL takes at most 100 arguments."""
    while len(parts) > _MOST_ARGUMENTS:
        groups = [parts[at : at + _MOST_ARGUMENTS] for at in range(0, len(parts), _MOST_ARGUMENTS)]
        parts = [joined(group, separator) for group in groups]
    return f"concat_ws('{separator}', {', '.join(parts)})" if parts else "''"
