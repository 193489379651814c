"""Pages that are found: filters, words, order, far into the table, very long. Floors: the bare handler with the page's
own statement, the first page, and COPY.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from time import monotonic, perf_counter, sleep
from urllib.parse import urlencode

import asyncpg

from benchmarks import bare, clients, sample
from benchmarks.harness import Measurement, against_floor, at_most, interleave
from benchmarks.run import Run
from benchmarks.service import HOST, exchange
from datastore.postgres.quoting import literal
from datastore.tables.reading import fulltext
from datastore.tables.schema import TableSchema, load
from datastore.tables.upkeep import maintenance

ROWS = 1_000_000
LONG = 32_000
_INDEX_TIMEOUT = 900.0
_TARGET = "/api/3/action/datastore_search"


def measure(run: Run) -> list[Measurement]:
    """One client; each page without its total, which the bare handler does not count. All pages but the long ones are
    asked for as if they never came before; those that are found again and again too.
    """
    service, rows = run.service, run.size(ROWS)
    resource = service.create_table(sample.FIELDS, indexes=["code"])
    service.fill(resource, sample.rows(1, rows))
    vector, words = _index_words(run, resource, rows), "ST-000042"
    query = f"plainto_tsquery({fulltext.configuration('english')}, {literal(words)})"
    pages = {
        "filter on an indexed column": ({"filters": '{"code": "ST-000042"}'}, "WHERE code = 'ST-000042' ORDER BY _id"),
        "filter on an unindexed column": ({"filters": '{"station": 77}'}, "WHERE station = 77 ORDER BY _id"),
        "sort by an unindexed column": ({"sort": "reading desc"}, "ORDER BY reading DESC NULLS LAST, _id"),
        "full text, by rank": (
            {"q": words},
            f"WHERE {vector} @@ {query} ORDER BY ts_rank({vector}, {query}, 32) DESC, _id",
        ),
    }
    statements = {
        str(number): bare.page(run, resource, f"{tail} LIMIT 100") for number, (_, tail) in enumerate(pages.values())
    }
    long = min(LONG, rows)
    statements["long"] = bare.page(run, resource, f"ORDER BY _id LIMIT {long}")
    found = []
    with bare.serve(run, statements) as floor:
        for number, (name, (parameters, _)) in enumerate(pages.items()):
            ours = _address(run, resource, limit=100, include_total="false", **parameters)
            asked = partial(clients.run, f"http://{HOST}:{floor.port}/{number}", 1, run.seconds)
            found.append(_rates(run, name, partial(_anew, ours, run.seconds), asked, 0.8))
            found.append(
                _rates(run, f"{name}, again and again", partial(clients.run, ours, 1, run.seconds), asked, 0.8)
            )
        target = f"{_TARGET}?resource_id={resource}&limit={long}&include_total=false"
        pairs = interleave(
            lambda: long / _seconds(service.server.port, target),
            lambda: long / _seconds(floor.port, "/long"),
            run.pairs,
        )
        found.append(against_floor(f"page of {long:,} rows, objects", "rows/s", pairs, 0.8))
    found.append(_csv(run, resource, long))
    first = _address(run, resource, limit=100, include_total="false", cursor="*")
    far = _address(run, resource, limit=100, include_total="false", cursor=_cursor(run, resource, rows * 9 // 10))
    name = f"page by cursor at row {rows * 9 // 10:,}, against the first"
    found.append(_rates(run, name, partial(_anew, far, run.seconds), partial(_anew, first, run.seconds), 0.5))
    total = _address(run, resource, limit=0)
    times = [_anew(total, run.seconds).p50 for _ in range(run.pairs)]
    found.append(at_most(f"total of {rows:,} rows, over HTTP", "ms", times, 1.0))
    service.action("datastore_delete", resource_id=resource)
    return found


def _index_words(run: Run, resource: str, rows: int) -> str:
    """Let the service build the full-text index, by a write, and wait for it; gives the search vector of a row."""
    run.service.action("datastore_upsert", resource_id=resource, method="insert", records=[{"station": 0}])
    deadline = monotonic() + _INDEX_TIMEOUT
    while rows >= maintenance.INDEX_FROM:
        info = run.service.action("datastore_info", resource_id=resource)
        if info["full_text"]["state"] == "ready":
            break
        if monotonic() > deadline:
            raise RuntimeError(f"no full-text index: {info['full_text']}")
        sleep(0.2)
    table = asyncio.run(_schema(run, resource))
    return fulltext.vector(table.columns, table.language)


async def _schema(run: Run, resource: str) -> TableSchema:
    connection = await asyncpg.connect(run.service.dsn)
    try:
        table = await load(connection, resource)
    finally:
        await connection.close()
    if table is None:
        raise LookupError(resource)
    return table


def _address(run: Run, resource: str, **parameters: object) -> str:
    query = urlencode({"resource_id": resource, **parameters})
    return f"http://{HOST}:{run.service.server.port}{_TARGET}?{query}"


def _seconds(port: int, target: str) -> float:
    """How long one answer takes."""
    started = perf_counter()
    status, _ = exchange(port, "GET", target)
    seconds = perf_counter() - started
    if status != 200:
        raise RuntimeError(f"{status}: {target}")
    return seconds


def _rates(
    run: Run, name: str, ours: Callable[[], clients.Load], floor: Callable[[], clients.Load], goal: float
) -> Measurement:
    pairs = interleave(lambda: ours().rate, lambda: floor().rate, run.pairs)
    return against_floor(name, "req/s", pairs, goal)


def _anew(address: str, seconds: float) -> clients.Load:
    return clients.run(f"{address}{clients.ANEW}", 1, seconds, numbers=clients.MANY)


def _cursor(run: Run, resource: str, row: int) -> str:
    """The cursor behind a row, as the page before it gives it."""
    before = run.service.action(
        "datastore_search", resource_id=resource, limit=1, cursor="*", filters={"_id": {"gte": row}}
    )
    return str(before["next_cursor"])


def _csv(run: Run, resource: str, rows: int) -> Measurement:
    """Against a COPY of the same rows on an open connection."""
    service = run.service
    target = f"{_TARGET}?resource_id={resource}&limit={rows}&include_total=false&records_format=csv"
    if json.loads(exchange(service.server.port, "GET", target)[1])["result"]["records"].count("\n") != rows:
        raise RuntimeError("not all rows came")

    async def copy() -> float:
        connection = await asyncpg.connect(service.dsn)
        try:
            started = perf_counter()
            query = f"SELECT * FROM {service.sql_name(resource)} ORDER BY _id LIMIT {rows}"
            await connection.copy_from_query(query, output=os.devnull, format="csv")
            return rows / (perf_counter() - started)
        finally:
            await connection.close()

    pairs = interleave(lambda: rows / _seconds(service.server.port, target), lambda: asyncio.run(copy()), run.pairs)
    return against_floor(f"page of {rows:,} rows, csv", "rows/s", pairs, 0.9)
