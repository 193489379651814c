"""The SQL gate: the time that it adds to a statement, new and repeated.

There is no floor: nothing has to be done between the client's text and PostgreSQL. The limits are the goals. The gate
runs in this process, with the garbage collector set as in a worker, and its own work is timed, in CPU time; what
PostgreSQL does is not in it. Neighbours on the same cores make CPU time longer too (their caches are ours), by half and
more: the 10th percentile, told beside the median, is nearer to a quiet machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import thread_time_ns

from benchmarks.harness import Measurement, Spread, at_most
from benchmarks.run import Run
from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.app import spare_the_collector
from datastore.settings import Settings
from datastore.sqlgate.gate import key
from datastore.sqlgate.run import Sql

STATEMENTS = {
    "select": "SELECT id, name FROM {birds} WHERE id > 100 ORDER BY name LIMIT 20",
    "aggregate": "SELECT name, count(*) AS n, round(avg(amount), 2) AS mean, max(day) FROM {birds}"
    " WHERE day >= '2024-01-01' AND active GROUP BY name HAVING count(*) > 1 ORDER BY n DESC, name LIMIT 10",
    "join": "SELECT b.name, p.city, sum(b.amount) AS total FROM {birds} b JOIN {places} p ON p.id = b.id"
    " LEFT JOIN {places} q ON q.id = b.id + 1 WHERE b.name ILIKE '%a%' AND p.city IN ('Ulm', 'Bonn')"
    " GROUP BY b.name, p.city ORDER BY total DESC NULLS LAST",
    "common table expressions": "WITH recent AS (SELECT * FROM {birds} WHERE day > '2024-01-01'),"
    " ranked AS (SELECT name, amount, row_number() OVER (PARTITION BY name ORDER BY amount DESC) AS rank FROM recent)"
    " SELECT name, amount FROM ranked WHERE rank <= 3 ORDER BY name, rank",
    "windows": "SELECT name, date_trunc('month', day)::date AS month, sum(amount) AS amount, sum(sum(amount)) OVER w AS"
    " running, lag(sum(amount)) OVER w AS before FROM {birds} GROUP BY 1, 2"
    " WINDOW w AS (PARTITION BY name ORDER BY date_trunc('month', day)::date) ORDER BY name, month",
    "sub-selects": "SELECT name, (SELECT count(*) FROM {places} p WHERE p.id = b.id) AS places, CASE WHEN amount > 100"
    " THEN 'large' ELSE 'small' END AS class FROM {birds} b WHERE EXISTS (SELECT 1 FROM {places} p WHERE p.id = b.id)",
}
NEW_MS = 0.35
REPEATED_MS = 0.02
ROUNDS = 200
"""Times that each statement is read in a round of a full run."""


def measure(run: Run) -> list[Measurement]:
    """The median and 10th percentile of the rounds of every statement, new; and of all of them together, repeated."""
    tables = {
        name: run.service.create_table([{"id": column, "type": type} for column, type in columns.items()])
        for name, columns in {
            "birds": {"id": "int", "name": "text", "amount": "numeric", "day": "date", "active": "bool"},
            "places": {"id": "int", "city": "text"},
        }.items()
    }
    texts = {
        label: statement.format(**{name: f'"{table}"' for name, table in tables.items()})
        for label, statement in STATEMENTS.items()
    }
    rounds = max(2, int(ROUNDS * run.scale))
    with _as_a_worker():
        new, repeated = asyncio.run(_timed(run, texts, rounds))
    found = []
    for label, times in new.items():
        name = f"gate, new statement: {label}"
        found += [
            Measurement(name, "ms", Spread.of(times.median), goal=NEW_MS),
            Measurement(f"{name}: 10th percentile", "ms", Spread.of(times.tenth)),
        ]
    return [*found, at_most("gate, repeated statement", "ms", repeated, REPEATED_MS)]


@dataclass(slots=True)
class _Times:
    """Of each round, in milliseconds."""

    median: list[float] = field(default_factory=list)
    tenth: list[float] = field(default_factory=list)
    """The 10th percentile."""


@contextlib.contextmanager
def _as_a_worker() -> Iterator[None]:
    """The garbage collector as a worker has it; afterwards as it was."""
    before = gc.get_threshold()
    spare_the_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def _timed(run: Run, texts: dict[str, str], rounds: int) -> tuple[dict[str, _Times], list[float]]:
    services = await Services.open(run.service.dsn, Settings(data_dir=run.service.folder, database_url=None))
    try:
        new = {label: _Times() for label in texts}
        repeated: list[float] = []
        for text in texts.values():
            await services.sql.run(text, [], ANONYMOUS)
        for number in range(run.pairs + 1):
            for label, text in texts.items():
                spent = [await _new(services.sql, f"{text} -- {uuid.uuid4()}") for _ in range(rounds)]
                if number:
                    new[label].median.append(statistics.median(spent))
                    new[label].tenth.append(statistics.quantiles(spent, n=10, method="inclusive")[0])
            repeated += [_repeated(services.sql, list(texts.values()), rounds)] if number else []
        return new, repeated
    finally:
        await services.close()


async def _new(sql: Sql, text: str) -> float:
    """Milliseconds to decide about a statement whose text never came before; short ones are read on this thread."""
    began = thread_time_ns()
    await sql.gate.decide(text, ANONYMOUS)
    return (thread_time_ns() - began) / 1e6


def _repeated(sql: Sql, texts: list[str], rounds: int) -> float:
    """Milliseconds to find what was decided about a statement. Raises :class:`LookupError` if nothing was."""
    began = thread_time_ns()
    for _ in range(rounds):
        for text in texts:
            if sql.memory.get(key(text, ANONYMOUS)) is None:
                raise LookupError(text)
    return (thread_time_ns() - began) / 1e6 / rounds / len(texts)
