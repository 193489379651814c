"""Full text of whole rows: one IMMUTABLE expression over the columns, the same in queries and in the index.

Nothing is stored in the table. Until the index is there, a scan over the expression gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier, literal
from datastore.tables.schema import Column, TableSchema

MAX_CHARACTERS = 250_000
"""What is searched of a row: a vector may have 1 MB, and a character up to four bytes."""

_SUFFIX = "_fulltext"


def column_text(column: Column, source: str = "") -> str:
    """The text of a column (of the table named ``source`` in the query), as an IMMUTABLE expression."""
    name = f"{source}.{identifier(column.name)}" if source else identifier(column.name)
    if column.type == "text":
        return name
    if column.immutable_text and column.element is None:
        return f"{name}::text"
    return f"datastore.stable_text({name})"


def document(columns: Iterable[Column], source: str = "") -> str:
    """All the columns' texts as one, null columns left out; of the table named ``source`` in the query."""
    texts = [f"coalesce({column_text(column, source)}, '')" for column in columns]
    separator = " || ' ' || "
    return f"left({separator.join(texts)}, {MAX_CHARACTERS})" if texts else "''"


def configuration(language: str) -> str:
    """Our text-search configuration of a language, which folds accents, as an expression.

    PostgreSQL refuses the statement if there is none.
    """
    return f"{literal(f'datastore.{identifier(language)}')}::regconfig"


def vector(columns: Iterable[Column], language: str, source: str = "") -> str:
    """The search vector of a row (of the table named ``source`` in the query), IMMUTABLE."""
    return f"to_tsvector({configuration(language)}, {document(columns, source)})"


def index_name(schema: TableSchema) -> str:
    """The name of the table's full-text index."""
    return f"{schema.resource_id[: 63 - len(_SUFFIX)]}{_SUFFIX}"


def create_index(schema: TableSchema) -> str:
    """The statement that builds the index without blocking readers or writers."""
    return (
        f"CREATE INDEX CONCURRENTLY {identifier(index_name(schema))} ON {schema.sql_name}"
        f" USING gin (({vector(schema.columns, schema.language)}))"
    )


_PROGRESS = """
    SELECT progress.phase, progress.tuples_done::float8 / nullif(progress.tuples_total, 0) AS tuples,
           progress.blocks_done::float8 / nullif(progress.blocks_total, 0) AS blocks
    FROM pg_stat_progress_create_index AS progress
    WHERE progress.relid = $1::bigint::oid
"""


async def state(database: Database, schema: TableSchema) -> dict[str, Any]:
    """How the table's full text stands: language, ``state`` (none, building, ready), and ``progress`` (0..1)."""
    shown: dict[str, Any] = {"language": schema.language, "state": schema.fulltext}
    if schema.fulltext == "none":
        row = await database.owner.fetchrow(_PROGRESS, schema.oid)
        if row is not None:
            shown |= {"state": "building", "progress": round(row["tuples"] or row["blocks"] or 0.0, 3)}
    return shown
