"""What the server knows by name: its keywords, and the functions that a name without a schema can call."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from datastore.postgres.reads import ReadPool

RESERVED = frozenset("RT")
"""Categories of keywords that are no names of columns or tables: reserved, and names of functions or types only."""

_LOAD = """
    SELECT
        ARRAY (SELECT ARRAY[word, catcode::text] FROM pg_get_keywords()) AS keywords,
        ARRAY (SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace) AS functions,
        ARRAY (SELECT relname::text FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace) AS relations,
        ARRAY (SELECT nspname::text FROM pg_namespace
               WHERE nspname ~ '^(pg_|datastore)' OR nspname IN ('information_schema', 'public')) AS schemas
"""


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """A snapshot of one server. It does not change while the server runs: nobody adds to ``pg_catalog``."""

    keywords: dict[str, str]
    """Category by lower-case word: ``U`` unreserved, ``C`` also a column's name, ``T`` a function's or type's,
    ``R`` reserved."""
    functions: frozenset[str]
    """Names of the functions in ``pg_catalog``, the only schema of our search path."""
    relations: frozenset[str]
    """Names of its tables, views and indexes."""
    schemas: frozenset[str]
    """Schemas that are no dataset's."""


async def load(connection: asyncpg.Connection | asyncpg.Pool | ReadPool) -> Catalogue:
    """Ask the server."""
    [row] = await connection.fetch(_LOAD)
    return Catalogue(
        dict(row["keywords"]), frozenset(row["functions"]), frozenset(row["relations"]), frozenset(row["schemas"])
    )
