"""What a load costs: others, who read meanwhile; the worker's memory; CPU time; the same rows as files; full text."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterator
from functools import partial
from time import perf_counter

import asyncpg
import orjson
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from benchmarks import clients, sample
from benchmarks.harness import Measurement, Spread, against_floor, at_most, interleave
from benchmarks.load import forget, records_of
from benchmarks.run import Run
from benchmarks.service import HOST, exchange
from datastore.tables.upkeep.maintenance import INDEX_FROM

ROWS = 50_000
LARGE = 200_000
"""Records of a body of about 50 MB."""
FILE = 1_400_000
"""Rows of a file of about 200 MB."""
READERS = 4


def measure(run: Run) -> list[Measurement]:
    """Slices beside a load, memory of large bodies, CPU time, the forms that records can have, and full text."""
    return [*_beside(run), *_memory(run), *_forms(run), *_full_text(run)]


def _beside(run: Run) -> list[Measurement]:
    """Slices of one table while large bodies are loaded into another one; the floor is the idle service."""
    service = run.service
    read = service.create_table(sample.FIELDS)
    service.fill(read, sample.rows(1, 10_000))
    url = f"http://{HOST}:{service.server.port}/api/3/action/datastore_search?resource_id={read}&limit=100"
    url += clients.ANEW
    records = records_of(run, sample.rows(1, run.size(LARGE)))

    def slices() -> clients.Load:
        return clients.run(url, READERS, run.seconds, numbers=clients.MANY)

    def loaded() -> clients.Load:
        with _loading(run, records):
            return slices()

    pairs = interleave(loaded, slices, run.pairs)
    name = f"slice limit=100, {READERS} clients, beside a load; floor: idle"
    return [
        against_floor(f"{name}: {quantile}", "ms", figures, goal, less_is_better=True)
        for quantile, goal, figures in (
            ("p50", None, [(ours.p50, idle.p50) for ours, idle in pairs]),
            ("p99", 0.333, [(ours.p99, idle.p99) for ours, idle in pairs]),
        )
    ]


@contextlib.contextmanager
def _loading(run: Run, records: bytes) -> Iterator[None]:
    """Bodies are loaded, one after the other, while the block runs."""
    done, failures = threading.Event(), list[RuntimeError]()
    resource = run.service.create_table(sample.FIELDS)

    def load() -> None:
        try:
            while not done.is_set():
                _send(run, resource, "application/json", records)
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        run.service.action("datastore_delete", resource_id=resource)
    if failures:
        raise failures[0]


def _memory(run: Run) -> list[Measurement]:
    service = run.service
    records = records_of(run, sample.rows(1, run.size(LARGE)))
    path = service.folder / "large.csv"
    service.copy_out(sample.rows(1, run.size(FILE)), path)
    csv = f"{sample.COLUMNS.replace(' ', '')}\n".encode() + path.read_bytes()
    found = []
    for media_type, body, most in (("application/json", records, 4 * len(records) / 2**20), ("text/csv", csv, 120.0)):
        service.restart()
        resource = service.create_table(sample.FIELDS)
        with service.server.watch_memory() as memory:
            _send(run, resource, media_type, body)
        service.action("datastore_delete", resource_id=resource)
        name = f"{len(body) / 2**20:,.0f} MiB of {media_type}: growth of the worker's memory"
        found.append(at_most(name, "MiB", [memory.growth], round(most)))
    return found


def _forms(run: Run) -> list[Measurement]:
    """Time and CPU time of one load in each form."""
    rows = run.size(ROWS)
    records = records_of(run, sample.rows(1, rows))
    table = pa.Table.from_pylist(orjson.loads(records))
    csv, arrow, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pa.csv.write_csv(table, csv)
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    pa.parquet.write_table(table, parquet)
    bodies = {
        "application/json": records,
        "application/x-ndjson": b"\n".join(map(orjson.dumps, orjson.loads(records))),
        "text/csv": csv.getvalue(),
        "application/vnd.apache.arrow.stream": arrow.getvalue(),
        "application/vnd.apache.parquet": parquet.getvalue(),
    }
    found: dict[str, list[tuple[float, float, float]]] = {media_type: [] for media_type in bodies}
    for _ in range(1 + run.pairs):
        for media_type, body in bodies.items():
            resource = run.service.create_table(sample.FIELDS)
            before, started = _cpu(run), perf_counter()
            _send(run, resource, media_type, body)
            seconds, after = perf_counter() - started, _cpu(run)
            forget(run, resource, rows)
            found[media_type].append((rows / seconds, after[0] - before[0], after[1] - before[1]))
    measurements = []
    for media_type, figures in found.items():
        speeds, python, postgres = zip(*figures[1:], strict=True)
        name = f"insert {rows:,} rows as {media_type}"
        measurements.append(Measurement(name, "rows/s", Spread.of(speeds)))
        measurements.append(Measurement(f"{name}: CPU of the workers", "ms", Spread.of(python)))
        measurements.append(Measurement(f"{name}: CPU of PostgreSQL", "ms", Spread.of(postgres)))
    return measurements


def _full_text(run: Run) -> list[Measurement]:
    """Loads into a table that has its full-text index; the floor is the same load into the same table without.

    A new table has none yet when its first load is acknowledged: that is what ``load`` measures.
    """
    rows = max(run.size(ROWS), INDEX_FROM)
    first = records_of(run, sample.rows(1, rows))
    built: list[float] = []
    found = []
    for added, goal in ((rows, 0.9), (rows // 10, None)):
        more = records_of(run, sample.rows(rows + 1, rows + added))
        ours = partial(_load_more, run, first, more, built)
        floor = partial(_load_more, run, first, more)
        pairs = [(added / our, added / its) for our, its in interleave(ours, floor, run.pairs)]
        name = f"insert {added:,} JSON records into {rows:,} with full text; floor: without"
        found.append(against_floor(name, "rows/s", pairs, goal))
    per_row = [seconds / rows * 1e6 for seconds in built]
    return [at_most(f"full text of {rows:,} rows: the index", "µs a row", per_row, 55), *found]


def _load_more(run: Run, first: bytes, more: bytes, built: list[float] | None = None) -> float:
    """The seconds that it takes to load ``more`` behind ``first``; with ``built``, which notes its seconds, the table
    has its full-text index by then."""
    resource = run.service.create_table(sample.FIELDS)
    _send(run, resource, "application/json", first)
    if built is not None:
        built.append(asyncio.run(_indexed(run, resource)))
    started = perf_counter()
    _send(run, resource, "application/json", more)
    seconds = perf_counter() - started
    run.service.action("datastore_delete", resource_id=resource)
    return seconds


async def _indexed(run: Run, resource: str) -> float:
    """Wait until the service has built the full-text index; the seconds that this took, without the rest before."""
    connection = await asyncpg.connect(run.service.dsn)
    seen = [0.0]
    try:
        while True:
            building, ready = await connection.fetchrow(_BUILDING, resource)
            if building:
                seen.append(perf_counter())
            if ready:
                return seen[-1] - seen[min(1, len(seen) - 1)]
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


_BUILDING = """
    SELECT EXISTS (SELECT FROM pg_stat_progress_create_index JOIN pg_class ON oid = relid WHERE relname = $1),
           (SELECT fulltext = 'ready' FROM datastore.tables WHERE resource_id = $1)
"""


def _cpu(run: Run) -> tuple[float, float]:
    """Milliseconds of CPU time of the service's processes, and of PostgreSQL's, until now."""
    postmaster = int(next(run.service.folder.rglob("postmaster.pid")).read_text().split()[0])
    return _spent(run.service.server.processes()[0]), _spent(psutil.Process(postmaster))


def _spent(parent: psutil.Process) -> float:
    """Milliseconds of a process and of its children, those that have ended included."""
    seconds = 0.0
    for child in parent.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = child.cpu_times()
            seconds += spent.user + spent.system
    own = parent.cpu_times()
    return (seconds + own.user + own.system + own.children_user + own.children_system) * 1000


def _send(run: Run, resource: str, media_type: str, body: bytes) -> None:
    address = "/api/3/action/datastore_upsert"
    if media_type == "application/json":
        body = b'{"resource_id": "%s", "method": "insert", "records": %s}' % (resource.encode(), body)
    else:
        address += f"?resource_id={resource}&method=insert"
    headers = {"Authorization": run.service.token, "Content-Type": media_type}
    status, answer = exchange(run.service.server.port, "POST", address, body, headers)
    if status != 200:
        raise RuntimeError(f"{media_type}: {status} {answer[:2000].decode(errors='replace')}")
