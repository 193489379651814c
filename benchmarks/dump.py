"""A whole table as CSV over HTTP. Floor: psql's ``\\copy … to stdout`` of the same table, to /dev/null."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks import sample
from benchmarks.harness import Measurement, Spread, against_floor, at_most, interleave
from benchmarks.run import Run
from benchmarks.service import HOST

ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Download:
    """How long it took, in seconds, and how many bytes came, headers and chunk sizes included."""

    seconds: float
    first_byte: float
    size: int


def measure(run: Run) -> list[Measurement]:
    """Rows per second, time to the first byte of the data, and growth of the worker's memory."""
    service, rows = run.service, run.size(ROWS)
    resource = service.create_table(sample.FIELDS)
    service.fill(resource, sample.rows(1, rows))
    service.restart()  # what a load needed before would hide what a dump needs
    with service.server.watch_memory() as first:
        _check(run, resource, rows)
    first_bytes: list[float] = []
    growths = [first.growth]
    peaks = [first.peak]

    def ours() -> float:
        with service.server.watch_memory() as memory:
            found = download(service.server.port, f"/datastore/dump/{resource}?format=csv")
        first_bytes.append(found.first_byte * 1000)
        growths.append(memory.growth)
        peaks.append(memory.peak)
        return rows / found.seconds

    def floor() -> float:
        return rows / service.psql(f"\\copy {service.sql_name(resource)} to stdout csv header")

    pairs = interleave(ours, floor, run.pairs)
    service.action("datastore_delete", resource_id=resource)
    return [
        against_floor(f"dump csv, {rows:,} rows", "rows/s", pairs, goal=0.9),
        at_most("dump csv: first byte", "ms", first_bytes, goal=200),
        at_most("dump csv: growth of the worker's memory, most of all dumps", "MiB", [max(growths)], goal=64),
        Measurement("dump csv: memory of the worker", "MiB", Spread.of(peaks)),
    ]


def download(port: int, target: str, copy: Path | None = None) -> Download:
    """Fetch and forget, or keep in ``copy``. Raises :class:`RuntimeError` for an error or a broken transfer."""
    request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    buffer = bytearray(2**18)
    view = memoryview(buffer)
    started = perf_counter()
    with socket.create_connection((HOST, port)) as connection, (copy or Path("/dev/null")).open("wb") as file:
        connection.sendall(request)
        size, first_byte, last, head = 0, 0.0, b"", b""
        while count := connection.recv_into(buffer):
            size += count
            if first_byte == 0.0:
                head += view[:count].tobytes()
                # Data has come when something follows the empty line after the headers.
                if head.partition(b"\r\n\r\n")[2]:
                    first_byte = perf_counter() - started
            if copy is not None:
                file.write(view[:count])
            last = (last + view[max(0, count - 5) : count].tobytes())[-5:]
    seconds = perf_counter() - started
    if not head.startswith(b"HTTP/1.1 200 ") or last != b"0\r\n\r\n":
        raise RuntimeError(f"not a whole answer: {head[:300].decode(errors='replace')}")
    return Download(seconds, first_byte, size)


def _check(run: Run, resource: str, rows: int) -> None:
    """The dump is what it should be: as many lines as rows, and a header."""
    path = run.service.folder / "dump.http"
    download(run.service.server.port, f"/datastore/dump/{resource}?format=csv", path)
    lines = 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            lines += block.count(b"\n")
    path.unlink()
    # Headers and chunk sizes have lines of their own: \r\n.
    if lines < rows + 1:
        raise RuntimeError(f"{lines} lines came, not {rows + 1}")
