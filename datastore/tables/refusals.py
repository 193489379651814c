"""What PostgreSQL says against a read of a table, in the API's words: the same for every action that reads."""

from __future__ import annotations

import asyncpg

from datastore.errors import NotFound
from datastore.postgres.translate import query_error
from datastore.tables.schema import TableSchema

STALE_SCHEMA = (
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.DatatypeMismatchError,
)
"""What PostgreSQL says to a statement that was planned for a schema of a moment ago."""


def gone(schema: TableSchema) -> NotFound:
    """The error for a table that was dropped meanwhile."""
    return NotFound(f'DataStore table "{schema.resource_id}" was not found.')


class refusals:
    """Raise :class:`NotFound` if the table has gone, :class:`ValidationError` ``query`` for whatever is refused.

    :data:`STALE_SCHEMA` passes: the caller tries again with a fresh schema.
    """

    __slots__ = ("_schema",)

    def __init__(self, schema: TableSchema) -> None:
        self._schema = schema

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)):
            raise gone(self._schema) from None
        if isinstance(error, asyncpg.PostgresError) and not isinstance(error, STALE_SCHEMA):
            raise query_error(error, "query", "Invalid query") from None
