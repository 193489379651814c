"""A CSV file whose types are found from all of its rows. Floor: ``\\copy`` of that file into a table that has them."""

from __future__ import annotations

import json
from time import perf_counter
from urllib.parse import urlencode

from benchmarks import sample
from benchmarks.harness import Measurement, against_floor, at_most, interleave
from benchmarks.load import CREATE_FLOOR, FLOOR, forget
from benchmarks.run import Run
from benchmarks.service import exchange

ROWS = 1_000_000
TYPES = {**{field["id"]: field["type"] for field in sample.FIELDS}, "reading": "numeric", "day": "timestamp"}
"""What the values look like, without knowing: decimals are not taken for floats, nor days for dates."""


def measure(run: Run) -> list[Measurement]:
    """A million rows of ten columns, until they are acknowledged; and the worker's memory meanwhile."""
    service, rows = run.service, run.size(ROWS)
    path = service.folder / "file.csv"
    columns = sample.COLUMNS.replace('"valid"', '"valid"::text')  # true and false, as other programs write them
    service.copy_out(f"SELECT {columns} FROM ({sample.rows(1, rows)}) AS row", path)
    body = f"{sample.COLUMNS.replace(' ', '')}\n".encode() + path.read_bytes()

    def ours() -> float:
        return rows / _create(run, body, rows)

    def floor() -> float:
        service.psql(CREATE_FLOOR)
        seconds = service.psql(f"\\copy {FLOOR} ({sample.COLUMNS}) from '{path}' csv")
        service.psql(f"DROP TABLE {FLOOR}")
        return rows / seconds

    name = f"create a table from a CSV file of {rows:,} rows × 10 columns"
    found = [against_floor(name, "rows/s", interleave(ours, floor, run.pairs), goal=0.6)]
    service.restart()
    with service.server.watch_memory() as memory:
        _create(run, body, rows)
    found.append(at_most(f"{name}: memory of the worker", "MiB", [memory.peak], 512))
    return found


def _create(run: Run, body: bytes, rows: int) -> float:
    """The seconds until the answer."""
    service = run.service
    wanted = urlencode({"resource": json.dumps({"package_id": service.dataset, "name": "a file"})})
    headers = {"Authorization": service.token, "Content-Type": "text/csv"}
    started = perf_counter()
    status, answer = exchange(service.server.port, "POST", f"/api/3/action/datastore_create?{wanted}", body, headers)
    seconds = perf_counter() - started
    if status != 200:
        raise RuntimeError(f"{status} {answer[:2000].decode(errors='replace')}")
    resource = json.loads(answer)["result"]["resource_id"]
    info = service.action("datastore_info", resource_id=resource)
    types = {field["id"]: field["type"] for field in info["fields"]}
    if types != TYPES:
        raise RuntimeError(f"the types are {types}")
    forget(run, resource, rows)
    return seconds
