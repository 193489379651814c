"""datastore_info: what a table is like (datastore-api.md §9)."""

from __future__ import annotations

from typing import Any

import asyncpg

from datastore.errors import NotFound
from datastore.postgres.database import Database
from datastore.tables.reading import fulltext
from datastore.tables.schema import TableSchema, key_expression

_META = """
    SELECT registry.record_count, pg_table_size(class.oid) AS size, pg_indexes_size(class.oid) AS idx_size
    FROM datastore.tables AS registry JOIN pg_class AS class ON class.oid = $2::bigint::oid
    WHERE registry.resource_id = $1
"""
# Each index with what it is made of: the columns, or expressions over them.
_INDEXES = """
    SELECT class.relname::text AS name, index.indisunique AS is_unique,
           ARRAY (SELECT pg_get_indexdef(index.indexrelid, place, true)
                  FROM generate_series(1, index.indnkeyatts) AS place) AS members
    FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
    WHERE index.indrelid = $1::bigint::oid AND NOT index.indisprimary AND index.indisvalid
    ORDER BY index.indisunique DESC, class.relname
"""


async def info(database: Database, schema: TableSchema, meta: bool, fields_schema: bool) -> dict[str, Any]:
    """The result of datastore_info. Raises :class:`NotFound` if the table has gone."""
    result: dict[str, Any] = {}
    if meta:
        row = await database.owner.fetchrow(_META, schema.resource_id, schema.oid)
        if row is None:
            raise NotFound(f'Resource "{schema.resource_id}" was not found.')
        result["meta"] = {
            "id": schema.resource_id,
            "count": row["record_count"],
            "table_type": "BASE TABLE",
            "size": row["size"],
            "db_size": await database.size(),
            "idx_size": row["idx_size"],
            "aliases": list(schema.aliases),
        }
        result["full_text"] = await fulltext.state(database, schema)
        if schema.triggers:
            result["triggers"] = [
                {"function": trigger.function, "arguments": list(trigger.arguments)} for trigger in schema.triggers
            ]
        if schema.history is not None:
            result["history"] = schema.history
    indexes = await database.owner.fetch(_INDEXES, schema.oid) if fields_schema else []
    result["fields"] = [_field(schema, number, indexes, fields_schema) for number in range(len(schema.columns))]
    return result


def _field(schema: TableSchema, number: int, indexes: list[asyncpg.Record], fields_schema: bool) -> dict[str, Any]:
    column = schema.columns[number]
    shown: dict[str, Any] = {"id": column.name, "type": column.type}
    if column.info is not None:
        shown["info"] = column.info
    if fields_schema:
        # pg_get_indexdef quotes only where it must; compare without quotes and parentheses.
        own = {_bare(column.name), _bare(key_expression(column))}
        covering = [index for index in indexes if own & {_bare(member) for member in index["members"]}]
        shown["schema"] = {
            "native_type": column.native_type,
            "notnull": column.not_null,
            "index_name": covering[0]["name"] if covering else None,
            "is_index": bool(covering),
            "uniquekey": column.name in schema.key,
        }
    return shown


def _bare(expression: str) -> str:
    return expression.translate({ord(character): None for character in '"() '})
