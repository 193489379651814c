"""What the headers of Parquet's pages tell, against what the file's own metadata say of them in sum."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datastore.loading.parquet_sizes import unpacked_sizes

ROWS = 5_000
TABLE = pa.table(
    {
        "n": pa.array(range(ROWS), pa.int64()),
        "few": pa.array([f"word {number % 7}" for number in range(ROWS)]),
        "text": pa.array([None if number % 3 == 0 else "long " * (number % 50) for number in range(ROWS)]),
        "tags": pa.array([["a", None, "b"][: number % 4] for number in range(ROWS)]),
        "nothing": pa.nulls(ROWS, pa.float64()),
    }
)


def written(**options: Any) -> tuple[io.BytesIO, pq.FileMetaData]:
    """The file, and what its metadata say."""
    file = io.BytesIO()
    pq.write_table(TABLE, file, **options)
    return file, pq.read_metadata(file)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_group_size": 700, "data_page_size": 100, "write_batch_size": 50},
        {"data_page_version": "2.0", "data_page_size": 1000, "write_page_checksum": True},
        {"use_dictionary": False, "column_encoding": {"n": "DELTA_BINARY_PACKED", "text": "DELTA_LENGTH_BYTE_ARRAY"}},
    ],
    ids=["plain", "small pages", "version 2", "delta"],
)
def test_pages_are_as_large_as_the_file_says(options: dict[str, Any], compression: str) -> None:
    file, metadata = written(compression=compression, **options)
    found = list(unpacked_sizes(file, metadata, {"few", "text"}))
    assert len(found) == metadata.num_row_groups
    for number, sizes in enumerate(found):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        # What the pages have without their headers, and 16 bytes for each element of a list.
        elements = next(column.num_values for column in columns if column.path_in_schema.startswith("tags"))
        lengths = columns[2].num_values * 8 if "DELTA_LENGTH_BYTE_ARRAY" in columns[2].encodings else 0
        unpacked = sizes.unpacked - elements * 16 - lengths
        assert group.total_byte_size / 4 < unpacked < group.total_byte_size


def test_a_text_that_may_expand() -> None:
    file, metadata = written(use_dictionary=["text"])
    [sizes] = unpacked_sizes(file, metadata, {"text"})
    assert sizes.expanding == 0
    [sizes] = unpacked_sizes(file, metadata, ())
    words = {value.as_py() for value in TABLE["text"] if value.is_valid}
    assert sizes.expanding == sum(4 + len(word) for word in words)


def test_what_is_no_header_of_a_page() -> None:
    file, metadata = written(use_dictionary=False)
    start = metadata.row_group(0).column(0).data_page_offset
    whole = file.getvalue()
    for damaged in (whole[:start] + b"\xff" * 40 + whole[start + 40 :], whole[:start], whole[: start + 5]):
        with pytest.raises(ValueError, match="page"):
            list(unpacked_sizes(io.BytesIO(damaged), metadata, ()))
