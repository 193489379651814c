"""datastore_stats: what the columns of a selection look like, in two scans however many columns there are.

The first scan (extents.py) reads every row and is exact: counts, least and greatest value, mean, deviation. The second
one (distribution.py) groups the values of each column: how many distinct ones, the most frequent ones, a histogram
between the bounds that the first scan found. It reads all rows of a small selection, and of a larger one a sample. The
result says what is an estimate. Results are kept until the table's version changes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import asyncpg
import msgspec
from msgspec import structs

from datastore.errors import ValidationError
from datastore.postgres.database import Database
from datastore.postgres.reads import ReadPool
from datastore.tables.analysis import distribution, extents
from datastore.tables.analysis.distribution import Distribution
from datastore.tables.analysis.extents import Extent
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable
from datastore.tables.reading import matching
from datastore.tables.reading.matching import Match
from datastore.tables.refusals import gone, refusals
from datastore.tables.schema import ID_COLUMN, Column, TableSchema

_Key = tuple[str, int, tuple[tuple[str, str], ...], str]
_SCANNED = ("count", "nulls", "min", "max", "mean", "stddev")
ESTIMATES = ("distinct", "top_values", "histogram")
"""What is an estimate if the selection is larger than :attr:`Effort.exact`."""
_TOGETHER = 50
"""Columns of one statement: a statement has at most 1664 results, and a function 100 arguments."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many rows are worth reading."""

    exact: int = 100_000
    """Up to so many rows everything is exact."""
    sample: int = 30_000
    """Rows of the sample if there are more."""
    scanned: int = 5_000_000
    """Of a table with more rows, if all of it is asked for, not even the first scan reads all."""
    scan_sample: int = 1_000_000
    """Rows that it reads then."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for."""

    match: Match = field(default_factory=Match)
    fields: Sequence[str] | None = None
    """The columns; all but ``_id`` if None."""
    top: int = 10
    """Most frequent values of each column."""
    buckets: int = 20
    """Most buckets of a histogram."""
    milliseconds: bool = True
    effort: Effort = Effort()


class Statistics:
    """Computes statistics, and keeps results as long as their table stays as it was; at most ``size`` bytes."""

    def __init__(self, database: Database, size: int = 16 * 2**20) -> None:
        self._database = database
        self._kept: OrderedDict[_Key, tuple[int, bytes]] = OrderedDict()
        self._size = size
        self._used = 0
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    async def get(self, schema: TableSchema, request: Request) -> bytes:
        """The statistics as the members of a JSON object: ``total``, ``approximate``, ``estimates``, ``fields``.

        Raises :class:`ValidationError` naming the bad parameter, :class:`NotFound` if the table has gone.
        """
        selection = _Selection.plan(schema, request)
        pool = self._database.public if schema.public else self._database.reader
        with refusals(schema):
            version, _ = await _registered(pool, schema)
            key = (schema.resource_id, schema.oid, selection.types, repr(request))
            if (kept := self._find(version, key)) is not None:
                return kept
            # Who asks the same meanwhile waits, instead of computing it once more.
            lock = self._locks.setdefault(key, asyncio.Lock())
            async with lock:
                if (kept := self._find(version, key)) is not None:
                    return kept
                version, computed = await _compute(pool, selection)
                self._keep(version, key, computed)
                return computed

    def _find(self, version: int, key: _Key) -> bytes | None:
        known, result = self._kept.get(key, (-1, b""))
        if known < version:
            return None
        self._kept.move_to_end(key)
        return result

    def _keep(self, version: int, key: _Key, result: bytes) -> None:
        _, old = self._kept.pop(key, (-1, b""))
        self._kept[key] = (version, result)
        self._used += len(result) - len(old)
        while self._used > self._size:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._used -= len(dropped)


@dataclass(frozen=True, slots=True)
class _Selection:
    """What is read: the rows and the columns."""

    schema: TableSchema
    columns: Sequence[Column]
    where: str
    arguments: Sequence[str | list[str]]
    request: Request

    @classmethod
    def plan(cls, schema: TableSchema, request: Request) -> _Selection:
        arguments = Arguments()
        where = matching.plan(request.match, schema, arguments).where
        return cls(schema, _columns(schema, request.fields), where, arguments.values, request)

    @property
    def types(self) -> tuple[tuple[str, str], ...]:
        return tuple((column.name, column.type) for column in self.columns)

    def source(self, sample: str = "") -> str:
        """The FROM clause."""
        return f"FROM {self.schema.sql_name} AS t{sample}" + (f" WHERE {self.where}" if self.where else "")


def _columns(schema: TableSchema, names: Sequence[str] | None) -> Sequence[Column]:
    if not names:
        return schema.columns
    for name in names:
        if name not in schema.by_name:
            raise ValidationError({"fields": [f'invalid value "{printable(name)}"']})
    return [schema.by_name[name] for name in dict.fromkeys(names)]


async def _registered(connection: asyncpg.Connection | ReadPool, schema: TableSchema) -> tuple[int, int]:
    """The table's version and its number of rows. Roles see the registry rows of what they may read."""
    rows = await connection.fetch(
        "SELECT version, record_count FROM datastore.tables WHERE resource_id = $1", schema.resource_id
    )
    if not rows:
        raise gone(schema)
    return rows[0]["version"], rows[0]["record_count"]


async def _compute(pool: ReadPool, selection: _Selection) -> tuple[int, bytes]:
    """The result, and the version of the table that it is about."""
    try:
        return await _read(pool, selection, moments=True)
    except asyncpg.NumericValueOutOfRangeError:
        # The square of a value, or their sum, is beyond its type. Everything else can be told.
        return await _read(pool, selection, moments=False)


async def _read(pool: ReadPool, selection: _Selection, moments: bool) -> tuple[int, bytes]:
    """Both scans, of one snapshot."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        version, rows = await _registered(connection, selection.schema)
        effort = selection.request.effort
        partly = not selection.where and rows > effort.scanned
        sample = _sample("SYSTEM", effort.scan_sample / rows) if partly else ""
        scanned, found = await _first_scan(connection, selection, sample, moments)
        total = scanned if selection.where else rows
        if partly:
            found = [structs.replace(extent, count=round(extent.count * total / max(1, scanned))) for extent in found]

        sampled = total > effort.exact
        method = "SYSTEM" if rows > effort.scanned else "BERNOULLI"
        sample = _sample(method, effort.sample / total) if sampled else ""
        distributions = await _second_scan(connection, selection, sample, found)
    columns = [_shown(*parts, total, sampled) for parts in zip(selection.columns, found, distributions, strict=True)]
    estimates = (*_SCANNED, *ESTIMATES) if partly else ESTIMATES if sampled else ()
    head = {"total": total, "approximate": any(column["approximate"] for column in columns), "estimates": estimates}
    return version, _encode({**head, "fields": columns})


async def _first_scan(
    connection: asyncpg.Connection, selection: _Selection, sample: str, moments: bool
) -> tuple[int, list[Extent]]:
    """The number of rows that were read, and the extents of the columns."""
    source, milliseconds = selection.source(sample), selection.request.milliseconds
    scanned, found = 0, []
    for part in _parts(selection.columns):
        for finite_only in (False, True):
            plan = extents.plan(part, source, finite_only=finite_only, moments=moments, milliseconds=milliseconds)
            scanned, of_part = extents.read(await _value(connection, plan, selection.arguments))
            if finite_only or not any(extent.infinite for extent in of_part):
                found += of_part
                break
    return scanned, found


async def _second_scan(
    connection: asyncpg.Connection, selection: _Selection, sample: str, found: Sequence[Extent]
) -> list[Distribution]:
    request, distributions = selection.request, list[Distribution]()
    for part in _parts(selection.columns):
        arguments = Arguments(values=list(selection.arguments))
        statement = distribution.plan(
            part,
            found[len(distributions) : len(distributions) + len(part)],
            selection.source(sample),
            arguments,
            top=request.top,
            least=2 if sample else 1,  # what was met once in a sample may be anything
            buckets=request.buckets,
            milliseconds=request.milliseconds,
        )
        distributions += distribution.read(await _value(connection, statement, arguments.values))
    return distributions


def _parts(columns: Sequence[Column]) -> list[Sequence[Column]]:
    return [columns[at : at + _TOGETHER] for at in range(0, len(columns), _TOGETHER)] or [()]


def _sample(method: str, share: float) -> str:
    """Always the same rows, as long as the table stays as it is: every worker gives the same answer."""
    return f" TABLESAMPLE {method} ({min(100.0, 100 * share):.6f}) REPEATABLE (0)"


async def _value(connection: asyncpg.Connection, statement: str, arguments: Sequence[Any]) -> bytes:
    # Not fetchval: it asks for one row only, and PostgreSQL then takes no parallel workers.
    rows = await connection.fetch(statement, *arguments)
    result: bytes = rows[0][0]
    return result


def _shown(column: Column, extent: Extent, found: Distribution, total: int, sampled: bool) -> dict[str, Any]:
    """The statistics of a column; figures of a sample stand for the rows of the selection."""
    seen = found.grouped + found.long
    scale = extent.count / seen if sampled and seen else 1
    long = min(round(found.long * scale), extent.count)
    distinct = found.distinct
    if sampled:
        distinct = distribution.estimate_distinct(found, max(extent.count - long, found.grouped))
    shown: dict[str, Any] = {
        "id": column.name,
        "type": "int" if column is ID_COLUMN else column.type,
        "count": extent.count,
        "nulls": total - extent.count,
        "distinct": distinct + long,
        "approximate": sampled or long > 0,
    }
    if extents.has_order(column):
        shown |= {"min": extent.min, "max": extent.max}
    if extents.has_moments(column):
        shown |= {"mean": extent.mean, "stddev": extent.stddev}
    shown["top_values"] = [{"value": top.value, "count": round(top.count * scale)} for top in found.top]
    if extents.has_histogram(column):
        shown["histogram"] = None if found.edges is None else {"edges": found.edges, "counts": _counts(found, scale)}
    return shown


def _counts(found: Distribution, scale: float) -> list[int]:
    counts, edges = found.counts or {}, found.edges or []
    return [round(counts.get(str(number), 0) * scale) for number in range(1, len(edges))]


_encode = msgspec.json.Encoder().encode
