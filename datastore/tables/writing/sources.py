"""Where the records of a write come from: JSON text in memory, or a file of lines.

Records are read in pieces, so that neither a large request nor a long file is ever decoded as a whole; and they can be
read again, since a transaction may have to run once more.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from datastore.errors import ValidationError

PIECE = 2**17
"""Bytes of JSON decoded between two turns of the event loop, about a millisecond's work."""
MAX_LINE = 2**26
"""Longest line of a file, in bytes."""

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BETWEEN = re.compile(rb"\}\s*,")
_BOM = b"\xef\xbb\xbf"


def records_error(message: str, row: int | None = None) -> ValidationError:
    """The error ``records``, with ``records_row`` if it is about one of them."""
    return ValidationError({"records": [message]} if row is None else {"records": [message], "records_row": row})


def members(record: msgspec.Raw | bytes, row: int) -> dict[str, msgspec.Raw]:
    """One record as its values by key, each still JSON text. Raises :class:`ValidationError` ``records``."""
    try:
        return _RAW_RECORD.decode(record)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise records_error(f'row "{row}" is not a json object') from None


class Piece(ABC):
    """Some consecutive records."""

    data: bytes
    """A JSON list of them, once :meth:`align` has been called, or when it decodes as a list of objects."""
    count: int | None = None
    """The number of records that there must be."""

    def align(self) -> bool:
        """Make sure that ``data`` is a whole list; True if it has been changed for that."""
        return False

    @abstractmethod
    def rows(self, first: int, most: int | None = None) -> list[dict[str, msgspec.Raw]]:
        """The records by key, at most ``most``; ``first`` is the index of the first one.

        Raises :class:`ValidationError` ``records``.
        """


class JsonRecords(ABC):
    """Records that are JSON objects."""

    size: int
    """Bytes of JSON text, at least."""

    @abstractmethod
    def pieces(self) -> Iterator[Piece]:
        """The records from the first one. Raises :class:`ValidationError` ``records`` for what is no list of them."""

    def first(self) -> dict[str, msgspec.Raw] | None:
        """The first record, None if there is none. Raises :class:`ValidationError` ``records`` if it is no object."""
        for piece in self.pieces():
            if rows := piece.rows(0, most=1):
                return rows[0]
        return None


# --- a JSON list ------------------------------------------------------------------------------------------------------


class JsonList(JsonRecords):
    """The text of a JSON list, without blanks around it. If all pieces can be decoded, it is one."""

    def __init__(self, text: bytes | memoryview) -> None:
        self.text = text
        self.size = len(text)

    def pieces(self) -> Iterator[Piece]:
        text = self.text
        if text[:1] != b"[" or text[-1:] != b"]":
            raise records_error("Records has to be a list of dicts")
        position, end = 1, len(text) - 1
        while position < end:
            piece = _ListPiece(text, position, end)
            if piece.stop == end and position > 1 and piece.data[1:-1].isspace():
                break
            yield piece
            position = piece.stop + 1
        if 1 < position <= end:  # nothing behind a comma
            raise records_error("Records has to be a list of dicts")


class _ListPiece(Piece):
    """Part of a list, cut where one of its objects seems to end.

    A brace and a comma may also stand in a nested list, or in a string. But what was cut there is no list: text from
    one record's beginning that decodes as a list ends with a record.
    """

    def __init__(self, text: bytes | memoryview, start: int, end: int) -> None:
        self._text, self._start, self._end = text, start, end
        self._cut(start + PIECE)

    def _cut(self, beyond: int) -> None:
        found = _BETWEEN.search(self._text, beyond, self._end)
        self.stop = self._end if found is None else found.end() - 1
        self.data = b"".join((b"[", self._text[self._start : self.stop], b"]"))

    def align(self) -> bool:
        changed, length = False, PIECE
        while True:
            try:
                _RAW_LIST.decode(self.data)
            except (msgspec.DecodeError, RecursionError):
                if self.stop == self._end:
                    raise records_error("Records has to be a list of dicts") from None
                self._cut(self.stop + length)
                changed, length = True, 2 * length
            else:
                return changed

    def rows(self, first: int, most: int | None = None) -> list[dict[str, msgspec.Raw]]:
        self.align()
        return [members(record, number) for number, record in enumerate(_RAW_LIST.decode(self.data)[:most], first)]


# --- lines ------------------------------------------------------------------------------------------------------------


class JsonLines(JsonRecords):
    """A file with one JSON object on each line (``application/x-ndjson``); blank lines count for nothing."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def pieces(self) -> Iterator[Piece]:
        position, rest = 0, b""
        while True:
            self._file.seek(position)
            block = self._file.read(PIECE)
            position += len(block)
            if position == len(block):
                block = block.removeprefix(_BOM)
            lines = (rest + block).split(b"\n") if b"\n" in block or not block else [rest + block]
            rest = lines.pop() if block else b""
            if len(rest) > MAX_LINE:
                raise records_error(f"a line is longer than {MAX_LINE} bytes")
            records = [line for line in lines if line and not line.isspace()]
            if records:
                yield _LinesPiece(records)
            if not block:
                return


class _LinesPiece(Piece):
    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self.count = len(lines)
        self.data = b"[%b]" % b",".join(lines)

    def rows(self, first: int, most: int | None = None) -> list[dict[str, msgspec.Raw]]:
        return [members(line, number) for number, line in enumerate(self._lines[:most], first)]
