"""The formats by their names: one registry for dumps, for results of statements and for the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from datastore.exports import json_text, text, xlsx, xml
from datastore.exports.rows import Rows
from datastore.exports.writer import Options, Writer


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    name: str
    """Also the extension of such a file."""
    media_type: str
    writer: Callable[[asyncpg.Connection, Rows, Options], Awaitable[Writer]]
    text: bool = True
    """It is text in UTF-8, and may begin with a byte order mark."""
    lines: bool = False
    """Its line ending may be chosen."""
    statements: bool = False
    """Results of datastore_search_sql may have it as well."""

    @property
    def content_type(self) -> str:
        """The header of that name."""
        return f"{self.media_type}; charset=utf-8" if self.text else self.media_type


async def _arrow(connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    from datastore.exports import arrow  # pyarrow takes 80 MB, which a worker may never need

    return await arrow.arrow(connection, rows, options)


async def _parquet(connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    from datastore.exports import arrow

    return await arrow.parquet(connection, rows, options)


FORMATS = {
    format.name: format
    for format in (
        Format("csv", "text/csv", text.csv, lines=True, statements=True),
        Format("tsv", "text/tab-separated-values", text.tsv, lines=True),
        Format("json", "application/json", json_text.rows_as_lists),
        Format("ndjson", "application/x-ndjson", json_text.ndjson, statements=True),
        Format("xml", "text/xml", xml.xml),
        Format("geojson", "application/geo+json", json_text.geojson),
        Format("parquet", "application/vnd.apache.parquet", _parquet, text=False, statements=True),
        Format("arrow", "application/vnd.apache.arrow.stream", _arrow, text=False, statements=True),
        Format("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", xlsx.xlsx, text=False),
    )
}
"""By name."""

_SYNONYMS = {"tab": "tsv", "jsonl": "ndjson", "pq": "parquet", "arrows": "arrow"}


def by_extension(file_name: str) -> Format | None:
    """The format that the name of a file tells, or None."""
    extension = file_name.rpartition(".")[2].lower()
    return FORMATS.get(_SYNONYMS.get(extension, extension)) if "." in file_name else None
