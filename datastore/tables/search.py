"""datastore_search: a request and a table's schema → one SQL statement → JSON bytes (datastore-api.md §6).

:func:`plan` is pure. A slice is one round trip: total and records come from one statement, so they agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import query_error
from datastore.tables import matching, render
from datastore.tables.filters import Arguments
from datastore.tables.matching import Match
from datastore.tables.names import ID, printable
from datastore.tables.schema import ID_COLUMN, Column, TableSchema

COPY_FORMATS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Search:
    """What a client asks for, already coerced."""

    match: Match = field(default_factory=Match)
    fields: Sequence[str] | None = None
    sort: Sequence[str] | None = None
    distinct: bool = False
    limit: int | None = 100
    offset: int = 0
    include_total: bool = True
    records_format: str = "objects"
    milliseconds: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result: of the table, or computed (a rank)."""

    column: Column
    sql: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The statements of a search. ``arguments`` belong to both; a COPY has none, its values stand in its text."""

    outputs: tuple[Output, ...]
    total: str | None
    records: str | None
    arguments: tuple[Any, ...]
    copy_format: str | None

    def fields(self) -> list[dict[str, Any]]:
        """The ``fields`` of the result: ``{id, type, info?}`` in output order."""
        return [_field(output.column) for output in self.outputs]


def _field(column: Column) -> dict[str, Any]:
    if column is ID_COLUMN:
        return {"id": ID, "type": "int"}
    shown: dict[str, Any] = {"id": column.name, "type": column.type}
    return shown if column.info is None else {**shown, "info": column.info}


def plan(search: Search, schema: TableSchema) -> Plan:
    """Write the statements. Raises :class:`ValidationError` naming the bad parameter."""
    copy_format = search.records_format if search.records_format in COPY_FORMATS else None
    arguments = Arguments(inline=copy_format is not None)
    matched = matching.plan(search.match, schema, arguments)
    where, ranks = matched.where, matched.ranks
    outputs = _outputs(search, schema, ranks)
    source = f"FROM {schema.sql_name} AS t" + (f" WHERE {where}" if where else "")
    chosen = ", ".join(f"{output.sql} AS {identifier(output.column.name)}" for output in outputs)
    distinct = "DISTINCT " if search.distinct else ""

    total = None
    if search.include_total:
        if search.distinct:
            total = f"SELECT count(*) FROM (SELECT DISTINCT {chosen} {source}) AS d"
        elif where:
            total = f"SELECT count(*) {source}"
        else:
            total = f"SELECT record_count FROM datastore.tables WHERE resource_id = {literal(schema.resource_id)}"
    records = None
    if search.limit != 0 or copy_format:
        page = f"SELECT {distinct}{chosen} {source}{_order(search, schema, ranks, outputs)}"
        page += "" if search.limit is None else f" LIMIT {search.limit}"
        page += f" OFFSET {search.offset}" if search.offset else ""
        records = _rendered(page, outputs, search)
    return Plan(tuple(outputs), total, records, tuple(arguments.values), copy_format)


def _rendered(page: str, outputs: Sequence[Output], search: Search) -> str:
    """The page's rows as JSON, or as the columns of a COPY."""
    if search.records_format in COPY_FORMATS:
        cells = [
            f"{render.as_csv(output.column, search.milliseconds, 'page')} AS {identifier(output.column.name)}"
            for output in outputs
        ]
        return f"SELECT {', '.join(cells)} FROM ({page}) AS page"
    cells = [render.as_json(output.column, search.milliseconds, "page") for output in outputs]
    if search.records_format == "lists":
        return f"SELECT coalesce(json_agg({_json_list(cells)}), '[]') FROM ({page}) AS page"
    named = [f"{cell} AS {identifier(output.column.name)}" for cell, output in zip(cells, outputs, strict=True)]
    rows = f"SELECT {', '.join(named)} FROM ({page}) AS page"
    return f"SELECT coalesce(json_agg(r), '[]') FROM ({rows}) AS r"


def _json_list(cells: Sequence[str]) -> str:
    """A JSON list of the cells. A function takes at most 100 arguments: longer lists are joined as text."""
    lists = [f"json_build_array({', '.join(cells[at : at + 100])})" for at in range(0, len(cells), 100)]
    if len(lists) == 1:
        return lists[0]
    insides = [f"substr({part}::text, 2, length({part}::text) - 2)" for part in lists]
    return f"('[' || {' || chr(44) || '.join(insides)} || ']')::json"


def _outputs(search: Search, schema: TableSchema, ranks: dict[str, str]) -> list[Output]:
    computed = {name: Output(Column(name, "float", "real"), sql) for name, sql in ranks.items()}
    if not search.fields:
        columns = [Output(column, f"t.{identifier(column.name)}") for column in schema.by_name.values()]
        return [*columns, *computed.values()]
    outputs = []
    for name in search.fields:
        if (column := schema.by_name.get(name)) is not None:
            outputs.append(Output(column, f"t.{identifier(column.name)}"))
        elif name in computed:
            outputs.append(computed[name])
        else:
            raise ValidationError({"fields": [f'invalid value "{printable(name)}"']})
    return outputs


_SORT = re.compile(
    r"^(?P<name>.+?)(?:\s+(?P<direction>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?$", re.IGNORECASE | re.DOTALL
)


def _order(search: Search, schema: TableSchema, ranks: dict[str, str], outputs: Sequence[Output]) -> str:
    if search.sort:
        terms = [_sort_term(clause, schema) for clause in search.sort]
    elif ranks:
        terms = [(f"{rank} DESC", "") for rank in ranks.values()]
    else:
        terms = [(f"t.{identifier(ID)}", ID)]
    if search.distinct:
        # Only what is selected can be sorted by; without a sort the order is undefined.
        return f" ORDER BY {', '.join(sql for sql, _ in terms)}" if search.sort else ""
    if all(name != ID for _, name in terms):
        terms.append((f"t.{identifier(ID)}", ID))
    return f" ORDER BY {', '.join(sql for sql, _ in terms)}"


def _sort_term(clause: str, schema: TableSchema) -> tuple[str, str]:
    """A clause ``name [asc|desc] [nulls first|last]``, the name as it is or in double quotes."""
    match = _SORT.match(clause.strip())
    if match is not None:
        name = match["name"].strip()
        if len(name) > 1 and name[0] == name[-1] == '"':
            name = name[1:-1]
        column = schema.by_name.get(name)
        if column is not None:
            sql = f"t.{identifier(column.name)}"
            if column.type == "json":
                sql += "::text"
            sql += f" {(match['direction'] or 'asc').upper()}"
            sql += f" NULLS {match['nulls'].upper()}" if match["nulls"] else ""
            return sql, column.name
    raise ValidationError({"sort": [f'invalid value "{printable(clause)}"']})


STALE_SCHEMA = (
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.DatatypeMismatchError,
)
"""What PostgreSQL says to a statement that was planned for a schema of a moment ago."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: ``records`` is JSON text, for csv and tsv the text itself."""

    fields: list[dict[str, Any]]
    records: bytes
    total: int | None


async def run(database: Database, schema: TableSchema, plan: Plan) -> Found:
    """Execute a plan as the least role that may read the table.

    Raises :class:`NotFound` if the table has gone, :class:`ValidationError` ``query`` for whatever PostgreSQL refuses.
    """
    pool = database.public if schema.public else database.reader
    try:
        if plan.copy_format is None:
            columns = [f"({sql}) AS {name}" for name, sql in (("total", plan.total), ("records", plan.records)) if sql]
            if not columns:
                return Found(plan.fields(), b"[]", None)
            row = await pool.fetchrow(f"SELECT {', '.join(columns)}", *plan.arguments)
            return Found(plan.fields(), row.get("records", b"[]"), row.get("total"))
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            return await _run_copy(connection, plan)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        raise NotFound(f'DataStore table "{schema.resource_id}" was not found.') from None
    except STALE_SCHEMA:
        raise
    except asyncpg.PostgresError as error:
        raise query_error(error, "query", "Invalid query") from None


async def _run_copy(connection: asyncpg.Connection, plan: Plan) -> Found:
    total = None if plan.total is None else await connection.fetchval(plan.total)
    text = bytearray()
    if plan.records is not None and plan.copy_format is not None:

        async def keep(data: bytes) -> None:
            text.extend(data)

        await connection.copy_from_query(
            plan.records, output=keep, format="csv", delimiter=COPY_FORMATS[plan.copy_format]
        )
    return Found(plan.fields(), bytes(text), total)
