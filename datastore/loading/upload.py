"""Records that a client sends as a file: the body of a request, spooled to a temporary file, and what it holds.

The body is complete before anything is written, so a client that stops in the middle has written nothing, and a slow
one holds no transaction open. Memory stays small however large the file is.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from datastore.errors import ValidationError
from datastore.loading import arrow_sizes, parquet_sizes
from datastore.tables.writing.columns import ColumnRecords
from datastore.tables.writing.sources import JsonLines, JsonRecords, records_error

_BATCH = 8_000
"""Rows at a time."""
_UNPACKED, _RATIO = 2**28, 16
"""Bytes that a record batch, or a row group, may have when unpacked: so many, and so many for each byte sent."""
_EXPANDED = 2**26
"""Bytes that the rows of a batch may have if each has the longest text of its row group."""
_BLOCKS = (2**20, 2**24)
"""Bytes of CSV at a time; no row may be longer than the last."""
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
"""What every Arrow stream ends with: without it a stream that broke off between two batches would look complete."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that was received."""

    file: BinaryIO
    """A temporary file without a name; it goes when it is closed, or with the process."""
    size: int
    media_type: str
    charset: str

    def records(self) -> JsonRecords | ColumnRecords:
        """What is in it; reading starts later."""
        return _FORMATS[self.media_type](self)


class _File(ColumnRecords):
    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self.size = upload.size

    def _open(self) -> pa.OSFile:
        """The file from its beginning, read by Arrow itself: past Python's memory and Python's lock."""
        return pa.OSFile(f"/dev/fd/{self._upload.file.fileno()}")

    def _check_unpacked(self, size: int) -> None:
        """A part that is read at once takes no more memory than what was sent lets expect."""
        most = _UNPACKED + _RATIO * self._upload.size
        if size > most:
            raise records_error(f"a batch is {size} bytes when unpacked, more than {most}: send smaller ones")


def _check_names(names: list[str]) -> list[str]:
    if not names:
        raise records_error("there is no column")
    for name in names:
        if not name:
            raise records_error("a column has no name")
        if names.count(name) > 1:
            raise records_error(f'the column "{name}" is there twice')
    return names


class _Csv(_File):
    guessed = True

    def __init__(self, upload: Upload, delimiter: str) -> None:
        super().__init__(upload)
        self._delimiter = delimiter

    def names(self) -> list[str]:
        charset = self._upload.charset
        try:
            with self._open() as file:
                text = io.TextIOWrapper(file, "utf-8-sig" if charset == "utf-8" else charset, newline="")
                return _check_names(next(csv.reader(text, delimiter=self._delimiter), []))
        except (UnicodeDecodeError, csv.Error) as error:
            raise records_error(f"the header cannot be read: {error}") from None

    def batches(self) -> Iterator[pa.RecordBatch]:
        names = self.names()
        bad_rows: list[pa.csv.InvalidRow] = []

        def keep(row: pa.csv.InvalidRow) -> str:
            bad_rows.append(row)
            return "error"

        parse = pa.csv.ParseOptions(
            delimiter=self._delimiter,
            newlines_in_values=True,
            ignore_empty_lines=len(names) > 1,  # a row of a single column may well be empty
            invalid_row_handler=keep,
        )
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        try:
            yield from self._read(parse, convert)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            if not bad_rows:
                raise records_error(f"not valid CSV: {error}") from None
            row = bad_rows[0]
            message = f"{row.actual_columns} cells where the header has {row.expected_columns}"
            raise records_error(message, None if row.number is None else row.number - 2) from None

    def _read(self, parse: pa.csv.ParseOptions, convert: pa.csv.ConvertOptions) -> Iterator[pa.RecordBatch]:
        """The rows. Arrow keeps some 30 blocks in memory, so they are small, unless a row is too long for one."""
        done = 0
        for size in _BLOCKS:
            read = pa.csv.ReadOptions(use_threads=False, block_size=size, encoding=self._upload.charset)
            skipped = 0
            try:
                with self._open() as file, pa.csv.open_csv(file, read, parse, convert) as reader:
                    for batch in reader:
                        rest = batch.slice(min(done - skipped, batch.num_rows))
                        skipped += batch.num_rows - rest.num_rows
                        done, skipped = done + rest.num_rows, skipped + rest.num_rows
                        yield rest
                return
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error) or size == _BLOCKS[-1]:
                    raise


class _Arrow(_File):
    def names(self) -> list[str]:
        with _whole("Arrow data"), self._reader() as reader:
            return _check_names(reader.schema.names)

    def batches(self) -> Iterator[pa.RecordBatch]:
        with _whole("Arrow data"), self._reader() as reader:
            is_file = isinstance(reader, pa.ipc.RecordBatchFileReader)
            for size in arrow_sizes.unpacked_sizes(self._upload.file, self._upload.size, is_file):
                self._check_unpacked(size)
            if isinstance(reader, pa.ipc.RecordBatchFileReader):
                found: Iterator[pa.RecordBatch] = map(reader.get_batch, range(reader.num_record_batches))
            else:
                found = iter(reader)
            for batch in found:
                batch.validate(full=True)  # offsets that point outside would end the process
                for start in range(0, batch.num_rows, _BATCH):
                    yield batch.slice(start, _BATCH)

    @contextmanager
    def _reader(self) -> Iterator[pa.ipc.RecordBatchReader | pa.ipc.RecordBatchFileReader]:
        with self._open() as file:
            is_file = file.read(6) == b"ARROW1"
            file.seek(-min(len(_END_OF_STREAM), self._upload.size), os.SEEK_END)
            if not is_file and file.read() != _END_OF_STREAM:
                raise records_error("the Arrow stream is not complete")
            file.seek(0)
            with pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file) as reader:
                yield reader


class _Parquet(_File):
    def names(self) -> list[str]:
        with _whole("Parquet"), self._reader() as reader:
            return _check_names(reader.schema_arrow.names)

    def batches(self) -> Iterator[pa.RecordBatch]:
        with _whole("Parquet"), self._reader() as reader:
            rows = _BATCH
            for sizes in parquet_sizes.unpacked_sizes(self._upload.file, reader.metadata, _texts(reader.metadata)):
                self._check_unpacked(sizes.unpacked)
                rows = min(rows, max(1, _EXPANDED // max(sizes.expanding, 1)))
            yield from reader.iter_batches(rows)

    @contextmanager
    def _reader(self) -> Iterator[pa.parquet.ParquetFile]:
        with self._open() as file:
            # A dictionary's long text, repeated by a few bits a row, stays one text in memory.
            names = _texts(pa.parquet.read_metadata(file))
            with pa.parquet.ParquetFile(file, read_dictionary=names, buffer_size=2**20, pre_buffer=False) as reader:
                yield reader


def _texts(metadata: pa.parquet.FileMetaData) -> set[str]:
    """The columns that are stored with dictionaries of texts."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    texts = {one.path_in_schema for one in columns if one.has_dictionary_page and one.physical_type == "BYTE_ARRAY"}
    return texts.intersection(metadata.schema.to_arrow_schema().names)


@contextmanager
def _whole(what: str) -> Iterator[None]:
    """Raise :class:`ValidationError` ``records`` for a file that cannot be read."""
    try:
        yield
    except ValidationError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise records_error(f"not valid {what}: {error}") from None


def _lines(upload: Upload) -> JsonRecords:
    return JsonLines(upload.file, upload.size)


_FORMATS: dict[str, Callable[[Upload], JsonRecords | ColumnRecords]] = {
    "application/x-ndjson": _lines,
    "application/jsonl": _lines,
    "application/x-jsonlines": _lines,
    "text/csv": lambda upload: _Csv(upload, ","),
    "text/tab-separated-values": lambda upload: _Csv(upload, "\t"),
    "application/vnd.apache.arrow.stream": _Arrow,
    "application/vnd.apache.arrow.file": _Arrow,
    "application/vnd.apache.parquet": _Parquet,
}
MEDIA_TYPES = frozenset(_FORMATS)
"""The content types of bodies that are records alone."""
