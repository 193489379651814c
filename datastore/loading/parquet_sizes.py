"""How large the pages of a Parquet file become in memory, told before anything is unpacked.

The file's metadata can claim anything; a reader believes the header in front of each page, so these are read here.

Source: the Parquet format, parquet.thrift (PageHeader) and "Data Pages", and the compact protocol of Thrift. Where a
column's pages begin and end is decided as Arrow's reader does (parquet/column_reader.cc, SerializedPageReader).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.parquet as pq

_MOST_PAGES = 500_000
_HEADER, _LONGEST_HEADER = 2**12, 2**24
_TYPE, _UNPACKED, _PACKED, _DATA, _DATA_V2 = 1, 2, 3, 5, 8  # fields of PageHeader
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3  # types of a page
_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4  # fields of DataPageHeader and DataPageHeaderV2
_DELTA_LENGTH, _DELTA_TEXT = 6, 7  # encodings: their lengths are unpacked for a whole page
_LENGTHS, _ELEMENT = 8, 16
"""Bytes in memory of a text's lengths, and of an element of a list with its levels."""


@dataclass(slots=True)
class Sizes:
    """What a row group needs."""

    unpacked: int = 0
    """Bytes of its pages."""
    expanding: int = 0
    """The longest text that may stand in every row and be stored once, at most."""


def unpacked_sizes(file: BinaryIO, metadata: pq.FileMetaData, encoded: Collection[str]) -> Iterator[Sizes]:
    """The sizes of each row group. ``encoded``: paths of columns whose dictionaries stay dictionaries in memory.

    Raises :class:`ValueError` for pages that cannot be read, or are too many.
    """
    pages = 0
    for number in range(metadata.num_row_groups):
        group, sizes = metadata.row_group(number), Sizes()
        for index in range(group.num_columns):
            column = group.column(index)
            described = metadata.schema.column(index)
            for page in _pages(file, column):
                pages += 1
                if pages > _MOST_PAGES:
                    raise ValueError(f"more than {_MOST_PAGES} pages")
                sizes.unpacked += page.unpacked + page.values * (_ELEMENT if described.max_repetition_level else 0)
                if page.encoding in (_DELTA_LENGTH, _DELTA_TEXT):
                    sizes.unpacked += page.values * _LENGTHS
                if page.encoding == _DELTA_TEXT or (page.dictionary and column.path_in_schema not in encoded):
                    longest = {"BYTE_ARRAY": page.unpacked, "FIXED_LEN_BYTE_ARRAY": described.length}
                    sizes.expanding = max(sizes.expanding, longest.get(column.physical_type, 0))
        yield sizes


@dataclass(frozen=True, slots=True)
class _Page:
    unpacked: int
    values: int
    encoding: int | None
    dictionary: bool


def _pages(file: BinaryIO, column: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    position = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < position:
        position = column.dictionary_page_offset
    end, seen = position + column.total_compressed_size, 0
    while seen < column.num_values and position < end:
        header, length = _header(file, position)
        kind, unpacked, packed = (header.get(field) for field in (_TYPE, _UNPACKED, _PACKED))
        if not isinstance(unpacked, int) or not isinstance(packed, int) or unpacked < 0 or packed < 0:
            raise ValueError("a page without a size")
        about = header.get(_DATA_V2 if kind == _DATA_PAGE_V2 else _DATA) if kind in (_DATA_PAGE, _DATA_PAGE_V2) else {}
        values = about.get(_VALUES) if about else 0
        if not isinstance(values, int) or values < 0:
            raise ValueError("a page without a number of values")
        encoding = about.get(_ENCODING_V2 if kind == _DATA_PAGE_V2 else _ENCODING) if about else None
        yield _Page(max(unpacked, packed), values, encoding, kind == _DICTIONARY_PAGE)
        seen += values
        position += length + packed


def _header(file: BinaryIO, position: int) -> tuple[dict[int, Any], int]:
    """The fields of the header of a page by their numbers, and its length. Structs in it are such fields again."""
    size = _HEADER
    while True:
        file.seek(position)
        data = file.read(size)
        reader = _Compact(data)
        try:
            return reader.struct(), reader.position
        except IndexError:
            if len(data) < size or size >= _LONGEST_HEADER:
                raise ValueError("the header of a page cannot be read") from None
        size *= 8


class _Compact:
    """Reads Thrift's compact protocol. Raises :class:`IndexError` at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int, *, listed: bool = False) -> Any:
        if depth > 8:
            raise ValueError("the header of a page is nested too deeply")
        if kind in (1, 2):  # true and false, which stand in the head of a field
            return self._byte() == 1 if listed else kind == 1
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind in (3, 7, 8, 13):  # a byte, a double, bytes, a UUID: nothing that matters here
            self._skip({3: 1, 7: 8, 13: 16}.get(kind) or self._varint())
        elif kind in (9, 10):  # a list, a set
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._value(head & 15, depth + 1, listed=True)
        elif kind == 12:
            return self.struct(depth + 1)
        else:  # maps too: there are none in this header
            raise ValueError("the header of a page cannot be read")
        return None

    def _byte(self) -> int:
        found = self._data[self.position]
        self.position += 1
        return found

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("the header of a page cannot be read")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
