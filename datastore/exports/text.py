"""csv and tsv: PostgreSQL's own COPY, with a header."""

from __future__ import annotations

import asyncpg

from datastore.exports.rows import SOURCE, Rows
from datastore.exports.writer import Options, Writer
from datastore.postgres.copy_out import Copy
from datastore.postgres.quoting import identifier
from datastore.tables import render


class Crlf(Writer):
    """Lines that end with CR LF. Line breaks inside quotes stay: they belong to the values."""

    def feed(self, rows: bytes) -> bytes:
        if b'"' not in rows:
            return rows.replace(b"\n", b"\r\n")
        # What stands at even places is outside quotes; a doubled quote is an empty part between two of them.
        parts = rows.split(b'"')
        parts[::2] = [part.replace(b"\n", b"\r\n") for part in parts[::2]]
        return b'"'.join(parts)


async def csv(_connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """Separated by commas."""
    return _writer(rows, options, ",")


async def tsv(_connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """Separated by tabs, otherwise as csv."""
    return _writer(rows, options, "\t")


def _writer(rows: Rows, options: Options, delimiter: str) -> Writer:
    cells = [
        f"{render.as_csv(column, options.milliseconds, SOURCE)} AS {identifier(column.name)}" for column in rows.columns
    ]
    kind = Crlf if options.crlf else Writer
    return kind(Copy(rows.select(cells), header=True, delimiter=delimiter))
