"""The unique key and the indexes of a table: replaced as a whole, never twice the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, qualified
from datastore.postgres.translate import about_input, message, reason
from datastore.tables.locking import exclusively
from datastore.tables.names import ID, printable
from datastore.tables.reading import fulltext
from datastore.tables.reading.matching import column_vector
from datastore.tables.registry import count_rows
from datastore.tables.schema import CACHE_KIND, TableSchema, key_expression

KINDS = {"btree": "idx", "fulltext": "fts", "trigram": "trg"}
"""Kinds of index by their public name, with the mark in the index's name: for filters and sorting; for ``q`` by
column; for ``similar``, ``contains`` and ``like``."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index as a client declares it: over one or several columns; full text and trigrams over one."""

    columns: tuple[str, ...]
    kind: str = "btree"


def _check_columns(schema: TableSchema, names: Sequence[str]) -> None:
    for name in names:
        if name not in schema.by_name or name == ID:
            raise ValidationError({"index": [f'The field "{printable(name)}" is not a valid column name.']})


def _name(schema: TableSchema, columns: Sequence[str], mark: str) -> str:
    digest = hashlib.sha256("\0".join([schema.resource_id, *columns]).encode()).hexdigest()
    return f"{schema.resource_id[:36]}_{mark}_{digest[:20]}"


def _index_name(schema: TableSchema, index: Index) -> str:
    # An index of words belongs to a language.
    parts = [*index.columns, schema.language] if index.kind == "fulltext" else index.columns
    return _name(schema, parts, KINDS[index.kind])


def _refused(error: asyncpg.PostgresError) -> Exception:
    return ValidationError({"index": [reason(error)]}) if about_input(error) else error


async def set_key(tx: Transaction, schema: TableSchema, columns: Sequence[str]) -> None:
    """Make ``columns`` the unique key (NULLs are distinct), or remove it if empty; the same key again is a no-op.

    Raises :class:`ValidationError`: ``index`` for an unknown column, ``constraints`` when rows violate it.
    """
    _check_columns(schema, columns)
    columns = list(dict.fromkeys(columns))
    if set(columns) == set(schema.key):
        return
    if schema.key:
        await exclusively(tx, schema)
        await tx.connection.execute(f"DROP INDEX {qualified(schema.dataset_id, _name(schema, schema.key, 'key'))}")
    if columns:
        expressions = ", ".join(key_expression(schema.by_name[name]) for name in columns)
        name = identifier(_name(schema, columns, "key"))
        try:
            await tx.connection.execute(f"CREATE UNIQUE INDEX {name} ON {schema.sql_name} ({expressions})")
        except asyncpg.UniqueViolationError as error:
            text = "Cannot insert records or create index because of uniqueness constraint"
            info = {"orig": message(error), "pgcode": error.sqlstate}
            raise ValidationError({"constraints": [text], "info": info}) from None
        except asyncpg.PostgresError as error:
            raise _refused(error) from None
    await tx.connection.execute(
        "UPDATE datastore.tables SET key = $2 WHERE resource_id = $1",
        schema.resource_id,
        columns,
    )
    tx.changed(CACHE_KIND, schema.resource_id)


_EXISTING = """
    SELECT class.relname::text AS name
    FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
    WHERE index.indrelid = $1::bigint::oid AND class.relname ~ '_(idx|fts|trg)_[0-9a-f]{20}$'
"""


async def set_indexes(tx: Transaction, schema: TableSchema, indexes: Sequence[Index]) -> None:
    """Replace all non-unique indexes by these; those that are there already stay.

    Readers go on while an index is built, writers wait. Raises :class:`ValidationError` ``index`` for an unknown column
    or one that cannot be indexed.
    """
    for index in indexes:
        _check_columns(schema, index.columns)
    wanted = {_index_name(schema, index): index for index in indexes if index.columns}
    existing = {row["name"] for row in await tx.connection.fetch(_EXISTING, schema.oid)}
    obsolete = existing - wanted.keys()
    if obsolete:
        await exclusively(tx, schema)
    for name in obsolete:
        await tx.connection.execute(f"DROP INDEX {qualified(schema.dataset_id, name)}")
    for name, index in wanted.items():
        if name not in existing:
            try:
                await tx.connection.execute(
                    f"CREATE INDEX {identifier(name)} ON {schema.sql_name} {_body(schema, index)}"
                )
            except asyncpg.PostgresError as error:
                raise _refused(error) from None
    if obsolete or wanted.keys() - existing:
        count_rows(tx, schema.resource_id, 0)
    tx.changed(CACHE_KIND, schema.resource_id)


def _body(schema: TableSchema, index: Index) -> str:
    columns = [schema.by_name[name] for name in index.columns]
    if index.kind == "fulltext":
        return f"USING gin (({column_vector(columns[0], fulltext.configuration(schema.language))}))"
    if index.kind == "trigram":
        return f"USING gin ({identifier(columns[0].name)} datastore.gin_trgm_ops)"
    return f"({', '.join(key_expression(column) for column in columns)})"
