"""Writing records: insert, upsert, update, delete; each within the caller's transaction (datastore-api.md §5, §8).

An insert is one COPY into the table. An upsert or update is a COPY into a staging table, then one statement for all
the records that name the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import asyncpg
import msgspec

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier
from datastore.postgres.translate import query_error
from datastore.tables import filters as filtering
from datastore.tables.filters import Arguments
from datastore.tables.names import ID, printable
from datastore.tables.registry import count_rows
from datastore.tables.schema import Column, TableSchema
from datastore.tables.triggers import announce
from datastore.tables.writing import records as decoding
from datastore.tables.writing import staging
from datastore.tables.writing.copying import STRICT_FROM, Target, copy_records, copy_strict, copy_text
from datastore.tables.writing.merge import Group


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did."""

    rows: int
    """Records written or deleted."""
    records: bytes | None = None
    """The rows as they are stored now, a JSON list of objects, if asked for."""


async def insert(tx: Transaction, schema: TableSchema, records: bytes, include: bool = False) -> Written:
    """Add records (JSON text, a list of objects).

    Raises :class:`ValidationError` ``records`` with ``records_row``, the index of the failing record.
    """
    raw = decoding.split(records)
    if not raw:
        return Written(0, b"[]" if include else None)
    await announce(tx, schema)
    if not include:
        rows = await copy_records(tx, Target(schema.dataset_id, schema.resource_id, numbered=False), schema, raw)
        count_rows(tx, schema.resource_id, rows)
        return Written(rows)
    await staging.create(tx, schema, schema.columns)
    await copy_records(tx, staging.TARGET, schema, raw)
    names = "".join(f", {identifier(column.name)}" for column in schema.columns)
    written = await staging.apply(
        tx,
        lambda chosen: (
            f"INSERT INTO {schema.sql_name} (_id{names}) SELECT {staging.NEW_ID}{names}"
            f" FROM {staging.STAGE} WHERE {chosen} ORDER BY _row RETURNING _id"
        ),
        range(len(raw)),
    )
    await staging.drop(tx)
    count_rows(tx, schema.resource_id, len(written))
    return Written(len(written), await staging.stored(tx, schema, [row["_id"] for row in written]))


async def merge(
    tx: Transaction, schema: TableSchema, records: bytes, method: str = "upsert", include: bool = False
) -> Written:
    """Upsert or update records (JSON text, a list of objects), each addressed by ``_id``, else by the unique key.

    Only the columns that a record names are changed. Raises :class:`ValidationError`: ``table`` without any key,
    ``key`` for missing key columns or (``update``) a record that matches no row, ``fields`` for unknown columns,
    ``records`` with ``records_row`` for values.
    """
    raw = decoding.split(records)
    if not raw:
        return Written(0, b"[]" if include else None)
    await announce(tx, schema)
    groups = await _stage(tx, schema, raw)
    ids: dict[int, None] = {}
    added = 0
    for group in groups:
        added += await group.apply(tx, method)
        if include:
            ids.update(dict.fromkeys(await group.ids(tx)))
    await staging.drop(tx)
    count_rows(tx, schema.resource_id, added)
    return Written(len(raw), await staging.stored(tx, schema, list(ids)) if include else None)


async def _stage(tx: Transaction, schema: TableSchema, raw: Sequence[msgspec.Raw]) -> list[Group]:
    """Copy the records into the staging table; gives what to apply, in order."""
    first = decoding.members(raw[0], 0)
    if len(raw) >= STRICT_FROM and schema.by_name.keys() >= first.keys():
        columns = _columns(schema, first)
        _check_addressed(schema, first)
        await staging.create(tx, schema, columns)
        if await copy_strict(tx, staging.TARGET, columns, raw, required=True) is not None:
            return [Group(schema, tuple(columns), ID in first, range(len(raw)))]
        await staging.drop(tx)
    rows = [decoding.members(record, number) for number, record in enumerate(raw)]
    for row in rows:
        _check_known(schema, row)
        _check_addressed(schema, row)
    await staging.create(tx, schema, _columns(schema, {name for row in rows for name in row}))
    return [group async for group in _grouped(tx, schema, rows)]


async def _grouped(tx: Transaction, schema: TableSchema, rows: list[dict[str, msgspec.Raw]]) -> Any:
    """Runs of records that name the same columns: applied one after the other, as if each record were."""
    for names, run in groupby(range(len(rows)), key=lambda number: frozenset(rows[number])):
        numbers = list(run)
        columns = _columns(schema, names)
        await copy_text(tx, staging.TARGET, columns, [rows[number] for number in numbers], numbers)
        yield Group(schema, tuple(columns), ID in names, range(numbers[0], numbers[-1] + 1))


def _columns(schema: TableSchema, names: Any) -> list[Column]:
    return [column for column in schema.by_name.values() if column.name in names]


def _check_known(schema: TableSchema, row: dict[str, Any]) -> None:
    unknown = [printable(name) for name in row if name not in schema.by_name]
    if unknown:
        raise ValidationError({"fields": [f'fields "{", ".join(unknown)}" do not exist']})


def _check_addressed(schema: TableSchema, row: dict[str, Any]) -> None:
    if ID in row:
        return
    if not schema.key:
        raise ValidationError({"table": ["unique key must be passed for update/upsert"]})
    missing = [name for name in schema.key if name not in row]
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
