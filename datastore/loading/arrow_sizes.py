"""How large the messages of Arrow data become in memory, told before anything is unpacked.

Source: the Arrow columnar format, "Serialization and Interprocess Communication", and its Message.fbs and File.fbs. A
compressed buffer starts with its unpacked length (int64, -1 if it is stored as it is).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_CONTINUATION = 0xFFFFFFFF
_HEADER, _BODY_LENGTH = 2, 3  # fields of Message
_DICTIONARIES, _RECORD_BATCHES = 2, 3  # fields of Footer
_BUFFERS, _COMPRESSION = 2, 3  # fields of RecordBatch
_DICTIONARY_DATA = 1  # field of DictionaryBatch
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # types of a header
_HEADER_TYPE = 1
_BLOCK, _BUFFER = 24, 16  # sizes of structs


def unpacked_sizes(file: BinaryIO, size: int, is_file: bool) -> Iterator[int]:
    """The bytes that the buffers of each record batch and dictionary take when they are unpacked.

    ``is_file``: the file format, else a stream. Raises :class:`ValueError` for what is neither.
    """
    try:
        for position in _in_footer(file, size) if is_file else [None]:
            if position is None:
                yield from _in_stream(file, size)
            else:
                yield _message(file, position)[1]
    except (struct.error, OverflowError):
        raise ValueError("a message cannot be read") from None


def _in_footer(file: BinaryIO, size: int) -> Iterator[int]:
    """Where the messages of the file format begin."""
    file.seek(size - 10)
    (length,) = struct.unpack("<i", file.read(4))
    file.seek(size - 10 - length)
    footer = _Table(file.read(length))
    for field in (_DICTIONARIES, _RECORD_BATCHES):
        for offset in footer.structs(field, _BLOCK):
            yield footer.number("<q", offset)


def _in_stream(file: BinaryIO, size: int) -> Iterator[int]:
    position = 0
    while position < size - 4:
        end, unpacked = _message(file, position)
        if end == position:
            return
        position = end
        yield unpacked


def _message(file: BinaryIO, position: int) -> tuple[int, int]:
    """Where the message ends (where it begins, if it is the end of the stream), and how large it is unpacked."""
    file.seek(position)
    (length,) = struct.unpack("<I", file.read(4))
    start = position + 4
    if length == _CONTINUATION:
        (length,) = struct.unpack("<I", file.read(4))
        start += 4
    if length == 0:
        return position, 0
    message = _Table(file.read(length))
    kind = message.scalar(_HEADER_TYPE, "<B")
    end = start + length + message.scalar(_BODY_LENGTH, "<q")
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return end, 0
    batch = message.table(_HEADER)
    if kind == _DICTIONARY_BATCH:
        batch = batch.table(_DICTIONARY_DATA)
    unpacked = 0
    for offset in batch.structs(_BUFFERS, _BUFFER):
        stored = batch.number("<q", offset + 8)
        if batch.field(_COMPRESSION) and stored >= 8:
            file.seek(start + length + batch.number("<q", offset))
            (announced,) = struct.unpack("<q", file.read(8))
            stored = max(stored, announced)
        unpacked += stored
    return end, unpacked


class _Table:
    """A table of FlatBuffers."""

    def __init__(self, data: bytes, position: int | None = None) -> None:
        self._data = data
        self._position = self.number("<I", 0) if position is None else position

    def number(self, kind: str, offset: int) -> int:
        found: int = struct.unpack_from(kind, self._data, offset)[0]
        return found

    def field(self, number: int) -> int:
        """Where the field's value is, 0 if it is not there."""
        fields = self._position - self.number("<i", self._position)
        if 4 + 2 * number >= self.number("<H", fields):
            return 0
        offset = self.number("<H", fields + 4 + 2 * number)
        return self._position + offset if offset else 0

    def scalar(self, number: int, kind: str) -> int:
        offset = self.field(number)
        return self.number(kind, offset) if offset else 0

    def table(self, number: int) -> _Table:
        offset = self.field(number)
        return _Table(self._data, offset + self.number("<I", offset))

    def structs(self, number: int, size: int) -> Iterator[int]:
        """Where the members of a list of structs are."""
        if offset := self.field(number):
            offset += self.number("<I", offset)
            for member in range(self.number("<I", offset)):
                yield offset + 4 + member * size
