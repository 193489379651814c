"""A whole table over HTTP in each format, against PostgreSQL writing the same text to /dev/null; for typed formats,
against the slower of PostgreSQL writing csv and pyarrow encoding the same rows.
"""

from __future__ import annotations

import asyncio
import http.client
import shutil
import socket
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import sample
from benchmarks.harness import Measurement, Spread, against_floor, at_most, interleave
from benchmarks.run import Run
from benchmarks.service import HOST
from datastore.exports.formats import FORMATS
from datastore.exports.rows import Rows
from datastore.exports.writer import Options
from datastore.tables.schema import ID_COLUMN, Column

ROWS = 1_000_000
GOALS = {"csv": 0.9, "tsv": 0.9, "json": 0.85, "ndjson": 0.85, "xml": 0.7, "parquet": 0.8, "arrow": 0.8}
"""The least share of the floor's speed. xlsx has no floor and is left to its memory and first byte."""
COLUMNAR = ("parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Download:
    """How long it took, in seconds, and how many bytes came, headers and chunk sizes included."""

    seconds: float
    first_byte: float
    size: int


def measure(run: Run) -> list[Measurement]:
    """Rows per second, time to the first byte of the data, and growth of the worker's memory, of each format."""
    service, rows = run.service, run.size(ROWS)
    resource = service.create_table(sample.FIELDS)
    service.fill(resource, sample.rows(1, rows))
    found = []
    for format in (*GOALS, "xlsx"):
        found += _format(run, resource, rows, format)
    service.action("datastore_delete", resource_id=resource)
    return found


def _format(run: Run, resource: str, rows: int, format: str) -> list[Measurement]:
    service = run.service
    target = f"/datastore/dump/{resource}?format={format}"
    path = service.folder / f"dump.{format}"
    service.restart()  # what was needed before would hide what this dump needs
    first_bytes: list[float] = []
    growths: list[float] = []
    peaks: list[float] = []
    with service.server.watch_memory() as memory:
        _fetch(service.server.port, target, path)
    growths.append(memory.growth)
    _check(path, format, rows)
    floor = _floor(run, resource, rows, format, path)

    def ours() -> float:
        with service.server.watch_memory() as memory:
            found = download(service.server.port, target)
        first_bytes.append(found.first_byte * 1000)
        growths.append(memory.growth)
        peaks.append(memory.peak)
        return rows / found.seconds

    if floor is None:
        speeds = [ours() for _ in range(min(run.pairs, 2))]
        speed = Measurement(f"dump {format}, {rows:,} rows", "rows/s", Spread.of(speeds))
    else:
        pairs = interleave(ours, floor, run.pairs)
        speed = against_floor(f"dump {format}, {rows:,} rows", "rows/s", pairs, goal=GOALS[format])
    path.unlink()
    changed = [_changed(run, resource, target) for _ in range(min(run.pairs, 3))] if format in COLUMNAR else []
    most = 64 if FORMATS[format].text else 256
    return [
        speed,
        at_most(f"dump {format}: first byte", "ms", first_bytes, goal=200),
        *([Measurement(f"dump {format}: first byte after a change", "ms", Spread.of(changed))] if changed else []),
        at_most(f"dump {format}: growth of the worker's memory, most of all dumps", "MiB", [max(growths)], goal=most),
        Measurement(f"dump {format}: memory of the worker", "MiB", Spread.of(peaks)),
    ]


def _changed(run: Run, resource: str, target: str) -> float:
    """Milliseconds to the first byte when nothing that was remembered of the table is true any more."""
    run.service.psql(f"UPDATE datastore.tables SET record_count = record_count WHERE resource_id = '{resource}'")
    return download(run.service.server.port, target).first_byte * 1000


def _floor(run: Run, resource: str, rows: int, format: str, path: Path) -> Callable[[], float] | None:
    service = run.service
    table = service.sql_name(resource)
    if format in ("csv", "tsv"):
        delimiter = " delimiter e'\\t'" if format == "tsv" else ""
        return lambda: rows / service.psql(f"\\copy {table} to stdout csv header{delimiter}")
    if format in COLUMNAR:
        data = _read(path, format)

        def slower() -> float:
            return min(rows / service.psql(f"\\copy {table} to stdout csv"), rows / _encode(data, format))

        return slower
    if format not in GOALS:
        return None
    query = " ".join(asyncio.run(_query(service.dsn, table, format)).split("\n"))
    return lambda: rows / service.psql(f"\\copy ({query}) to stdout csv quote e'\\x01' delimiter e'\\x02'")


async def _query(dsn: str, table: str, format: str) -> str:
    """The statement whose text a dump passes on."""
    columns = (ID_COLUMN, *(Column(field["id"], field["type"], field["type"]) for field in sample.FIELDS))
    connection = await asyncpg.connect(dsn)
    try:
        rows = Rows(columns, [], f"(SELECT * FROM {table} ORDER BY _id)")
        return (await FORMATS[format].writer(connection, rows, Options())).copy.query
    finally:
        await connection.close()


def _read(path: Path, format: str) -> pa.Table:
    return pq.read_table(path) if format == "parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()


def _encode(table: pa.Table, format: str) -> float:
    """The seconds that pyarrow takes."""
    started = perf_counter()
    with Path("/dev/null").open("wb") as file:
        if format == "parquet":
            pq.write_table(table, file, compression="zstd", compression_level=1)
        else:
            with pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
    return perf_counter() - started


def download(port: int, target: str) -> Download:
    """Fetch and forget. Raises :class:`RuntimeError` for an error or a broken transfer."""
    request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    buffer = bytearray(2**18)
    view = memoryview(buffer)
    started = perf_counter()
    with socket.create_connection((HOST, port)) as connection:
        connection.sendall(request)
        size, first_byte, last, head = 0, 0.0, b"", b""
        while count := connection.recv_into(buffer):
            size += count
            if first_byte == 0.0:
                head += view[:count].tobytes()
                # Data has come when something follows the empty line after the headers.
                if head.partition(b"\r\n\r\n")[2]:
                    first_byte = perf_counter() - started
            last = (last + view[max(0, count - 5) : count].tobytes())[-5:]
    seconds = perf_counter() - started
    if not head.startswith(b"HTTP/1.1 200 ") or last != b"0\r\n\r\n":
        raise RuntimeError(f"not a whole answer: {head[:300].decode(errors='replace')}")
    return Download(seconds, first_byte, size)


def _fetch(port: int, target: str, path: Path) -> None:
    """Keep the file."""
    connection = http.client.HTTPConnection(HOST, port, timeout=600)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{target}: {response.status} {response.read(2000).decode(errors='replace')}")
        with path.open("wb") as file:
            shutil.copyfileobj(response, file, 2**18)
    finally:
        connection.close()


def _check(path: Path, format: str, rows: int) -> None:
    """The dump has as many rows as the table."""
    if format in COLUMNAR:
        found = _read(path, format).num_rows
    elif format == "xlsx":
        with zipfile.ZipFile(path) as archive, archive.open("xl/worksheets/sheet1.xml") as sheet:
            found = sum(block.count(b"\n") for block in iter(lambda: sheet.read(2**20), b"")) - 2
    else:
        with path.open("rb") as file:
            lines = sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))
        found = lines - {"csv": 1, "tsv": 1, "json": 4, "ndjson": 0, "xml": 2}[format]
    if found != rows:
        raise RuntimeError(f"{format}: {found} rows came, not {rows}")
