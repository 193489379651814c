"""Writing records: insert, upsert, update, delete; each within the caller's transaction (datastore-api.md §5, §8).

An insert is one COPY into the table. An upsert or update is a COPY into a staging table, then one statement for all
the records that name the same columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import asyncpg
import msgspec

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier
from datastore.postgres.translate import query_error
from datastore.tables.functions.triggers import announce
from datastore.tables.names import ID, printable
from datastore.tables.reading import filters as filtering
from datastore.tables.reading.filters import Arguments
from datastore.tables.registry import count_rows
from datastore.tables.schema import Column, TableSchema
from datastore.tables.writing import parts, staging
from datastore.tables.writing.columns import ColumnRecords, copy_columns
from datastore.tables.writing.copying import Run, Target, copy_json
from datastore.tables.writing.merge import group
from datastore.tables.writing.records import strict
from datastore.tables.writing.sources import JsonRecords, records_error

Records = JsonRecords | ColumnRecords

STRICT_FROM = 2**15
"""From this many bytes on the strict way pays for its savepoint; fewer go the text way at once."""

UNORDERED_FROM = 2**20
"""From this many bytes on an upsert saves more than a deadlock, which is rare, would cost."""

_FEW_GROUPS = 50
"""So many may read the whole staging table each."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did."""

    rows: int
    """Records written or deleted."""
    records: bytes | None = None
    """The rows as they are stored now, a JSON list of objects, if asked for."""


async def insert(tx: Transaction, schema: TableSchema, records: Records, include: bool = False) -> Written:
    """Add records.

    Raises :class:`ValidationError` ``records`` with ``records_row``, the index of the failing record.
    """
    await announce(tx, schema)
    if not include:
        rows = await _copy_whole(tx, Target(schema.dataset_id, schema.resource_id, numbered=False), schema, records)
        if rows or schema.triggers:  # whose functions may have written elsewhere
            count_rows(tx, schema.resource_id, rows)
        return Written(rows)
    await staging.create(tx, schema, schema.columns)
    rows = await _copy_whole(tx, staging.TARGET, schema, records)
    names = "".join(f", {identifier(column.name)}" for column in schema.columns)
    written = await staging.apply(
        tx,
        lambda chosen: (
            f"INSERT INTO {schema.sql_name} (_id{names}) SELECT {staging.NEW_ID}{names}"
            f" FROM {staging.STAGE} WHERE {chosen} ORDER BY _row RETURNING _id"
        ),
        range(rows),
    )
    await staging.drop(tx)
    if rows:  # of the staging table, which has no triggers
        count_rows(tx, schema.resource_id, len(written))
    return Written(len(written), await staging.stored(tx, schema, [row["_id"] for row in written]))


async def _copy_whole(tx: Transaction, target: Target, schema: TableSchema, records: Records) -> int:
    """Copy records of an insert: a missing key is NULL, an unknown one an error. Gives the number of rows written."""
    if isinstance(records, ColumnRecords):
        names = records.names()
        check_keys([dict.fromkeys(names)], schema)
        return await copy_columns(tx, target, [schema.by_name[name] for name in names], records)
    first = records.first() or {}
    columns = [column for column in schema.columns if column.name in first]

    def plan(rows: Sequence[dict[str, msgspec.Raw]], first: int) -> Iterator[tuple[tuple[Column, ...], int]]:
        check_keys(rows, schema, first)
        yield schema.columns, len(rows)

    way = strict(columns, required=False) if _many(records) else None
    return (await copy_json(tx, target, records, way, plan)).rows


def check_keys(rows: Sequence[Mapping[str, Any]], schema: TableSchema, first: int = 0) -> None:
    """Raise :class:`ValidationError` for the first record with an unknown key (an insert cannot set ``_id``)."""
    names = schema.by_name.keys() - {ID}
    for number, row in enumerate(rows, first):
        if not names >= row.keys():
            extra = ", ".join(printable(name) for name in row if name not in names)
            raise records_error(f'row "{number + 1}" has extra keys "{extra}"')


def _many(records: JsonRecords) -> bool:
    return records.size >= STRICT_FROM


async def merge(
    tx: Transaction, schema: TableSchema, records: Records, method: str = "upsert", include: bool = False
) -> Written:
    """Upsert or update records, each addressed by ``_id``, else by the unique key.

    Only the columns that a record names are changed. Raises :class:`ValidationError`: ``table`` without any key,
    ``key`` for missing key columns or (``update``) a record that matches no row, ``fields`` for unknown columns,
    ``records`` with ``records_row`` for values.
    """
    # What locks rows in any order is tried for large writes alone, and not again after a deadlock.
    unordered = (
        method == "upsert"
        and not include
        and not schema.triggers
        and records.size >= UNORDERED_FROM
        and tx.attempt == 1
    )
    if unordered and isinstance(records, JsonRecords) and not schema.fires:
        try:
            if (counts := await _in_parts(tx, schema, records)) is not None:
                count_rows(tx, schema.resource_id, counts.added)
                return Written(counts.rows)
        except parts.Refused:
            unordered = False
    runs = await _stage(tx, schema, records, numbered=not unordered)
    if not runs:
        return Written(0, b"[]" if include else None)
    await announce(tx, schema)
    groups = await group(tx, schema, runs)
    if unordered and len(groups) > 1:
        await staging.number(tx, schema)
        unordered = False
    if len(groups) > _FEW_GROUPS:
        await staging.index(tx)
    ids: list[tuple[int, int]] = []
    added = 0
    for each in groups:
        added += await each.apply(tx, method, unordered)
        if include:
            ids += await each.ids(tx)
    await staging.drop(tx)
    count_rows(tx, schema.resource_id, added)
    rows = runs[-1].numbers.stop
    written = list(dict.fromkeys(row_id for _, row_id in sorted(ids)))
    return Written(rows, await staging.stored(tx, schema, written) if include else None)


async def _in_parts(tx: Transaction, schema: TableSchema, records: JsonRecords) -> parts.Counts | None:
    """None, and nothing is done, if the records need another way. Raises :class:`parts.Refused`."""
    first = records.first()
    if first is None or ID in first:
        return None
    _check_columns(schema, first)
    way = strict(_columns(schema, first), required=True)
    return None if way is None else await parts.upsert(tx, schema, records, way)


async def _stage(tx: Transaction, schema: TableSchema, records: Records, numbered: bool) -> list[Run]:
    """Copy the records into the staging table; gives the runs of those that name the same columns."""
    if isinstance(records, ColumnRecords):
        names = records.names()
        _check_columns(schema, names)
        columns = _columns(schema, names)
        await staging.create(tx, schema, columns, numbered)
        rows = await copy_columns(tx, staging.TARGET, [schema.by_name[name] for name in names], records)
        return [Run(columns, range(rows))] if rows else []
    first = records.first()
    if first is None:
        return []
    _check_columns(schema, first)
    columns = _columns(schema, first)
    # Later records may name other columns than the first.
    await staging.create(tx, schema, list(schema.by_name.values()), numbered)
    way = strict(columns, required=True) if _many(records) else None
    return (await copy_json(tx, staging.TARGET, records, way, partial(_by_names, schema))).runs


def _by_names(
    schema: TableSchema, rows: Sequence[dict[str, msgspec.Raw]], _first: int
) -> Iterator[tuple[tuple[Column, ...], int]]:
    """Runs of records that name the same columns: applied one after the other, as if each record were."""
    for names, run in groupby(rows, key=dict.keys):
        _check_columns(schema, names)
        yield _columns(schema, names), sum(1 for _ in run)


def _columns(schema: TableSchema, names: Iterable[str]) -> tuple[Column, ...]:
    wanted = frozenset(names)
    return tuple(column for column in schema.by_name.values() if column.name in wanted)


def _check_columns(schema: TableSchema, names: Collection[str]) -> None:
    """A merge may name these columns: all are known, and the key is among them."""
    unknown = [printable(name) for name in names if name not in schema.by_name]
    if unknown:
        raise ValidationError({"fields": [f'fields "{", ".join(unknown)}" do not exist']})
    if ID in names:
        return
    if not schema.key:
        raise ValidationError({"table": ["unique key must be passed for update/upsert"]})
    missing = [name for name in schema.key if name not in names]
    if missing:
        raise ValidationError({"key": [f'fields "{", ".join(missing)}" are missing but needed as key']})


async def delete(
    tx: Transaction, schema: TableSchema, filters: dict[str, Any], include: bool = False, limit: int = 0
) -> Written:
    """Delete the rows that fit ``filters`` (all of them for ``{}``); ``records`` shows at most ``limit`` of them.

    Raises :class:`ValidationError` ``filters``.
    """
    arguments = Arguments()
    condition = filtering.plan(filters, schema, arguments) or "true"
    await announce(tx, schema)
    records: bytes | None = None
    try:
        if include:
            found = await tx.connection.fetch(
                f"SELECT _id FROM {schema.sql_name} WHERE {condition} ORDER BY _id LIMIT {limit} FOR UPDATE",
                *arguments.values,
            )
            records = await staging.stored(tx, schema, [row["_id"] for row in found])
        status = await tx.connection.execute(f"DELETE FROM {schema.sql_name} WHERE {condition}", *arguments.values)
    except asyncpg.PostgresError as error:
        raise query_error(error, "filters", "Invalid query") from None
    rows = int(status.split()[-1])
    if rows:
        count_rows(tx, schema.resource_id, -rows)
    return Written(rows, records)
