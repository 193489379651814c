"""How cost grows with rows, columns and tables, and what stays flat: ``python -m benchmarks.growth``.

Writes results/growth.json and the charts docs/growth-*.svg, which docs/performance.md shows. Times are medians of
single requests by one client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import orjson

from benchmarks import clients, report, sample
from benchmarks.catalog import processor
from benchmarks.chart import Chart
from benchmarks.dump import download
from benchmarks.report import PAGE, RESULTS
from benchmarks.service import HOST, Service

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = (10, 100, 500)
TABLES = (1, 100, 5_000)
REPEATS = 25
ASKED = 400
TABLES_OF_A_DATASET = 10
SETTLES = 5.0
"""Seconds after which the service begins to look after a new table; 0: do not wait for it."""
IDLE = 0.15
"""Seconds of processor time in a second below which the service and PostgreSQL are idle."""
SEARCH = "/api/3/action/datastore_search"


class Client:
    """One client with one connection, whose requests are timed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._connection = http.client.HTTPConnection(HOST, service.server.port, timeout=600)

    def milliseconds(self, target: str) -> float:
        """One GET. Raises :class:`RuntimeError` unless it succeeds."""
        started = perf_counter()
        self._connection.request("GET", target)
        response = self._connection.getresponse()
        response.read()
        elapsed = perf_counter() - started
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {target}")
        return elapsed * 1000

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def median(self, target: str) -> float:
        """The median of several; the first one, which makes plans, does not count. Searches are asked for anew."""
        self.milliseconds(target)
        anew = [f"{target}{clients.ANEW}{number}" if target.startswith(SEARCH) else target for number in range(REPEATS)]
        return statistics.median(map(self.milliseconds, anew))


def settle(service: Service) -> None:
    """Wait until the service has looked after the tables that were just made, which it does in the background."""
    sleep(SETTLES)
    before = processor(service)
    while SETTLES:
        sleep(1)
        now = processor(service)
        if now - before < IDLE:
            return
        before = now


def inserted(service: Service, resource: str, records: Sequence[object]) -> float:
    """Milliseconds of an insert, until it is acknowledged."""
    body = orjson.dumps({"resource_id": resource, "method": "insert", "records": records})
    started = perf_counter()
    service.post("datastore_upsert", body)
    return (perf_counter() - started) * 1000


def by_rows(service: Service, sizes: tuple[int, ...]) -> Chart:
    """A table that grows: what reads a page of it, adds to it, and reads all of it."""
    chart = Chart("Rows of a table", "rows", sizes)
    for rows in sizes:
        resource = service.create_table(sample.FIELDS, indexes=["code"])
        settle(service)
        service.fill(resource, sample.rows(1, rows))
        client, base = Client(service), f"{SEARCH}?resource_id={resource}"
        before = service.action(
            "datastore_search", resource_id=resource, limit=1, cursor="*", filters={"_id": {"gte": rows * 9 // 10}}
        )
        chart.add("first page", client.median(f"{base}&limit=100"))
        chart.add("page at 90 % by cursor", client.median(f"{base}&limit=100&cursor={before['next_cursor']}"))
        chart.add("total", client.median(f"{base}&limit=0"))
        indexed = "%7B%22code%22%3A%22ST-000042%22%7D"
        chart.add("20 rows by an index", client.median(f"{base}&limit=20&include_total=false&filters={indexed}"))
        seconds = download(service.server.port, f"/datastore/dump/{resource}?format=csv").seconds
        chart.add("dump, per 100,000 rows", seconds * 1000 / rows * 100_000)
        # Last, as the full-text index is begun some seconds after it.
        records = [{"station": -number, "code": f"new {number}"} for number in range(1, 1001)]
        chart.add("insert 1,000 records", inserted(service, resource, records))
        client.close()
        service.action("datastore_delete", resource_id=resource)
    return chart


def by_columns(service: Service, sizes: tuple[int, ...]) -> Chart:
    """Wider tables of 10,000 rows."""
    chart = Chart("Columns of a table (10,000 rows)", "columns", sizes)
    for columns in sizes:
        fields = [{"id": f"c{number}", "type": ("int4", "text", "float8")[number % 3]} for number in range(columns)]
        resource = service.create_table(fields)
        records = [{field["id"]: 7 if field["type"] != "text" else "seven" for field in fields}] * 1000
        times = [inserted(service, resource, records) for _ in range(10)]
        client, base = Client(service), f"{SEARCH}?resource_id={resource}"
        chart.add("insert 1,000 records", statistics.median(times))
        chart.add("page of 100 rows", client.median(f"{base}&limit=100"))
        chart.add("page of 100 rows, 3 columns", client.median(f"{base}&limit=100&fields=c0,c1,c2"))
        chart.add("datastore_info", client.median(f"/api/3/action/datastore_info?resource_id={resource}"))
        client.close()
        service.action("datastore_delete", resource_id=resource)
    return chart


def by_tables(service: Service, sizes: tuple[int, ...]) -> Chart:
    """More and more tables of 100 rows each, some in each dataset, any of which may be asked for."""
    chart = Chart("Tables on the site", "tables", sizes)
    tables: list[str] = []
    records = [{"name": f"row {number}", "amount": number} for number in range(100)]
    organization = service.action("organization_create", name="many-tables")["id"]
    for size in sizes:
        times = []
        while len(tables) < size:
            if len(tables) % TABLES_OF_A_DATASET == 0:
                name = f"many-tables-{len(tables)}"
                service.dataset = service.action("package_create", name=name, owner_org=organization)["id"]
            started = perf_counter()
            tables.append(service.create_table([{"id": "name"}, {"id": "amount", "type": "int"}], records=records))
            times.append((perf_counter() - started) * 1000)
        settle(service)
        service.restart()  # a new worker knows no table
        client = Client(service)
        asked = random.Random(1).sample(tables, min(ASKED, len(tables)))
        chart.add("create a table", statistics.median(times[-ASKED:]))
        targets = [f"{SEARCH}?resource_id={table}&limit=20" for table in asked]
        chart.add("page of any table, first time", statistics.median(map(client.milliseconds, targets)))
        chart.add("page of any table, again", statistics.median(map(client.milliseconds, targets)))
        chart.add("page of one table", client.median(targets[0]))
        info = "/api/3/action/datastore_info"
        chart.add("datastore_info", client.median(f"{info}?resource_id={tables[-1]}"))
        chart.add("package_search, 10 datasets", client.median("/api/3/action/package_search?q=many&rows=10"))
        chart.add(
            "insert 100 records", statistics.median(inserted(service, tables[0], records) for _ in range(REPEATS))
        )
        client.close()
    return chart


def main() -> None:
    """Measure, and write figures, charts and their place in the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    for name, sizes in (("rows", ROWS), ("columns", COLUMNS), ("tables", TABLES)):
        parser.add_argument(f"--{name}", type=_sizes, default=sizes, metavar="SIZES", help=f"default: {_text(sizes)}")
    parser.add_argument("--quick", action="store_true", help="the first two sizes of each, only prints")
    arguments = parser.parse_args()
    charts = {}
    with Service(1) as service:
        for name, measure in (("rows", by_rows), ("columns", by_columns), ("tables", by_tables)):
            sizes = getattr(arguments, name)
            charts[name] = measure(service, sizes[:2] if arguments.quick else sizes)
            print(charts[name].text(), flush=True)
        machine = report.machine(service)
    if not arguments.quick:
        write(charts, machine)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(","))


def _text(sizes: tuple[int, ...]) -> str:
    return ",".join(map(str, sizes))


def write(charts: dict[str, Chart], machine: dict[str, Any], results: Path = RESULTS, page: Path = PAGE) -> None:
    """Keep the figures in ``results``, and put the charts beside and into the page."""
    found = {name: {"sizes": chart.sizes, "milliseconds": chart.series} for name, chart in charts.items()}
    results.mkdir(parents=True, exist_ok=True)
    (results / "growth.json").write_text(
        json.dumps({"machine": machine, **found}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    lines = [f"{report.where(machine)}; medians of single requests of one client, in milliseconds."]
    for name, chart in charts.items():
        (page.parent / f"growth-{name}.svg").write_text(chart.svg(), encoding="utf-8")
        lines += ["", f"![{chart.title}](growth-{name}.svg)"]
    report.place("growth", "\n".join(lines), page)


if __name__ == "__main__":
    main()
