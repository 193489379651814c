"""datastore_search: a request and a table's schema → one SQL statement → JSON bytes (datastore-api.md §6).

:func:`plan` is pure. A page is one round trip: total and records come from one statement, so they agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import asyncpg
import orjson

from datastore.errors import ValidationError
from datastore.postgres.copy_out import Copy, copy_out
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier, literal
from datastore.tables import render
from datastore.tables.names import ID, cut, printable
from datastore.tables.reading import cursor as cursors
from datastore.tables.reading import fulltext, highlighting, matching, paging, sorting
from datastore.tables.reading.filter_sql import finds_one
from datastore.tables.reading.filters import Arguments
from datastore.tables.reading.matching import Match
from datastore.tables.reading.sorting import Term
from datastore.tables.refusals import gone, refusals
from datastore.tables.schema import Column, TableSchema

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
    cursor: str | None = None
    """Empty or ``*`` for the first page; None if the client does not page by cursor."""
    include_next_page: bool = False
    include_total: bool = True
    highlight: bool | Sequence[str] = False
    """Snippets of all text columns, or of these."""
    records_format: str = "objects"
    milliseconds: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result: of the table, or computed (a rank)."""

    column: Column
    sql: str


@dataclass(frozen=True)
class Plan:
    """The statements of a search. ``arguments`` belong to all; a COPY has none, its values stand in its text."""

    outputs: tuple[Output, ...]
    terms: tuple[Term, ...]
    limit: int | None
    total: str | None
    records: str | None
    last: str | None
    """Gives the number of rows of the page and the last row's sort values, as a JSON list of texts."""
    with_: str
    """Common table expressions that ``records`` and ``last`` share."""
    arguments: tuple[Any, ...]
    copy_format: str | None
    registry: str | None
    """FROM and WHERE of the table's row in the registry, as ``registry``; None if it has none."""
    source: str | None = None
    """The rows of the page with their columns as they are, as it may stand in FROM."""
    unordered: str | None = None
    """The same without an order; None if the order decides which rows there are."""
    every_row: bool = False
    """The page has all rows of the table, in whatever order."""
    whole: bool = False
    """It has them by ``_id``, which is one of its columns."""
    full_text: bool = False
    """The rows are found by full text."""
    generic: bool = False
    """PostgreSQL's best way does not depend on the arguments."""

    @cached_property
    def statement(self) -> str | None:
        """The one statement of a page in JSON: ``version``, ``total``, ``records``, ``last``, as far as there are."""
        parts = (("total", self.total), ("records", self.records), ("last", self.last))
        columns = [f"({sql}) AS {name}" for name, sql in parts if sql]
        return f"{self.with_}{self._select(columns)}" if columns else None

    def further(self, rows: int) -> Plan:
        """The page so many rows behind this one, which has nothing but an offset among its arguments, a power of two;
        fewer rows than that.
        """
        further = object.__new__(Plan)
        self.statement, self.fields  # noqa: B018 -- what is made once for all of them
        further.__dict__.update(self.__dict__, arguments=(str(rows),), generic=True)
        return further

    @cached_property
    def counts(self) -> str | None:
        """The statement for ``version`` and ``total`` beside a COPY."""
        columns = [f"({self.total}) AS total"] if self.total else []
        return self._select(columns) if columns or self.registry else None

    def _select(self, columns: list[str]) -> str:
        if self.registry is None:
            return f"SELECT {', '.join(columns)}"
        return f"SELECT {', '.join(['registry.version', *columns])} {self.registry}"

    @cached_property
    def fields(self) -> list[dict[str, Any]]:
        """The ``fields`` of the result: ``{id, type, info?}`` in output order. Shared: not to be changed."""
        return [_field(output.column) for output in self.outputs]


def _field(column: Column) -> dict[str, Any]:
    if column.name == ID:
        return {"id": ID, "type": "int"}
    shown: dict[str, Any] = {"id": column.name, "type": column.type}
    return shown if column.info is None else {**shown, "info": column.info}


def plan(search: Search, schema: TableSchema) -> Plan:
    """Write the statements; those for pages of whole tables, which clients ask for again and again, are remembered.

    Raises :class:`ValidationError` naming the bad parameter.
    """
    lists = any(isinstance(value, list) for value in (search.fields, search.sort, search.highlight))
    if search.match != EVERY_ROW or search.cursor or lists:
        return _plan(search, schema)
    if search.offset and search.cursor is None and search.records_format not in COPY_FORMATS:
        begin, rest = paging.split(search.offset)
        return _remembered_plan(replace(search, offset=begin), schema).further(rest)
    return _remembered_plan(search, schema)


def constant(search: Search, schema: TableSchema) -> Plan:
    """The plan without arguments: all values stand in the statement, which PostgreSQL plans once, for them.

    That is for a search that comes again and again. Raises what :func:`plan` raises.
    """
    return _plan(search, schema, inline=True)


def _plan(search: Search, schema: TableSchema, inline: bool = False) -> Plan:
    copy_format = search.records_format if search.records_format in COPY_FORMATS else None
    arguments = Arguments(inline=inline or copy_format is not None)
    matched = matching.plan(search.match, schema, arguments)
    snippets = highlighting.plan(search.highlight, schema, matched)
    outputs = _outputs(search, schema, matched.ranks)
    if snippets is not None:
        outputs.append(Output(highlighting.COLUMN, "NULL"))
    terms = _terms(search, schema, matched.ranks)
    wants_last = not search.distinct and (search.cursor is not None or search.include_next_page)
    page = paging.Page(
        table=schema.sql_name,
        where=matched.where,
        columns={
            output.column.name: _distinguished(output) if search.distinct else output.sql
            for output in outputs
            if output.column is not highlighting.COLUMN
        }
        | ({} if snippets is None else snippets.sources),
        terms=terms,
        limit=search.limit,
        offset=search.offset,
        distinct=search.distinct,
        position=_position(search, terms),
        numbered=wants_last,
    )
    records = with_ = last = source = unordered = None
    everything = search.limit is None and not search.offset and search.cursor is None and not search.distinct
    if search.limit != 0 or copy_format:
        with_, source = page.sql(arguments)
        if search.distinct:
            source = _restored(source, outputs)
        records = _rendered(source, outputs, search, snippets, page.numbered)
        last = page.last if wants_last else None
        if everything and not page.numbered:
            _, unordered = replace(page, terms=()).sql(arguments)
    every_row = everything and not matched.where
    by_id = [(term.name, term.descending) for term in terms] == [(ID, False)]
    return Plan(
        outputs=tuple(outputs),
        terms=tuple(terms),
        limit=search.limit,
        total=_total(search, schema, matched.where, outputs) if search.include_total else None,
        records=records,
        last=last,
        with_=with_ or "",
        arguments=tuple(arguments.values),
        copy_format=copy_format,
        registry=registry_row(schema),
        source=source,
        unordered=unordered,
        every_row=every_row,
        whole=every_row and by_id and any(output.column.name == ID for output in outputs),
        full_text=bool(matched.queries),
        generic=_finds_one(search, schema),
    )


def _finds_one(search: Search, schema: TableSchema) -> bool:
    """A row is looked up by its key: one plan is the best for every value."""
    filters = search.match.filters
    looked_up = schema.counted and search.cursor is None and finds_one(filters, schema)
    return looked_up and search.match == Match(filters, syntax=search.match.syntax, language=search.match.language)


EVERY_ROW = Match()
_remembered_plan = lru_cache(maxsize=256)(_plan)


def _total(search: Search, schema: TableSchema, where: str, outputs: Sequence[Output]) -> str:
    condition = f" WHERE {where}" if where else ""
    if search.distinct:
        chosen = ", ".join(_distinguished(output) for output in outputs)
        return f"SELECT count(*) FROM (SELECT DISTINCT {chosen} FROM {schema.sql_name} AS t{condition}) AS d"
    if where or not schema.counted:
        return f"SELECT count(*) FROM {schema.sql_name} AS t{condition}"
    return "registry.record_count"


def _distinguished(output: Output) -> str:
    """What tells the values of a column apart: for json, which PostgreSQL cannot compare, its text."""
    if output.column.element == "json":
        return f"{output.sql}::text[]"
    return f"{output.sql}::text" if output.column.type == "json" else output.sql


def _restored(source: str, outputs: Sequence[Output]) -> str:
    """Distinct rows, as a FROM item, with json columns of their own type again."""
    if not any("json" in (output.column.type, output.column.element) for output in outputs):
        return source
    cells = []
    for output in outputs:
        name = identifier(output.column.name)
        cast = f"::{output.column.cast}" if "json" in (output.column.type, output.column.element) else ""
        cells.append(f"compared.{name}{cast} AS {name}")
    return f"(SELECT {', '.join(cells)} FROM {source} AS compared)"


def registry_row(schema: TableSchema) -> str | None:
    """FROM and WHERE of the table's row in the registry, as ``registry``; None if it has none."""
    if not schema.counted:
        return None
    return f"FROM datastore.tables AS registry WHERE registry.resource_id = {literal(schema.resource_id)}"


def _position(search: Search, terms: Sequence[Term]) -> cursors.Position | None:
    if search.cursor is None:
        return None
    if search.distinct:
        raise ValidationError({"cursor": ["distinct rows cannot be paged by cursor"]})
    if search.offset:
        raise ValidationError({"cursor": ["cannot be used with offset"]})
    return None if search.cursor in cursors.START else cursors.decode(search.cursor, terms)


def _rendered(
    source: str, outputs: Sequence[Output], search: Search, snippets: highlighting.Snippets | None, numbered: bool
) -> str:
    """The page's rows as JSON, or as the columns of a COPY."""
    as_text = search.records_format in COPY_FORMATS
    cell = render.as_csv if as_text else render.as_json
    cells = [
        snippets.sql if snippets is not None and output.column is highlighting.COLUMN
        else cell(output.column, search.milliseconds, "page")
        for output in outputs
    ]  # fmt: skip
    order = f" ORDER BY page.{paging.NUMBER}" if numbered else ""
    if search.records_format == "lists":
        return f"SELECT coalesce(json_agg({_json_list(cells)}{order}), '[]') FROM {source} AS page"
    names = [identifier(output.column.name) for output in outputs]
    named = ", ".join(f"{cell} AS {name}" for cell, name in zip(cells, names, strict=True))
    rows = f"SELECT {named} FROM {source} AS page{order}"
    return (
        rows if as_text else f"SELECT coalesce(json_agg(_row), '[]') FROM ({rows}) AS _row"
    )  # no column of a client begins with _


def _json_list(cells: Sequence[str]) -> str:
    """A JSON list of the cells. A function takes at most 100 arguments: longer lists are joined as text."""
    lists = [f"json_build_array({', '.join(cells[at : at + 100])})" for at in range(0, len(cells), 100)]
    if len(lists) == 1:
        return lists[0]
    insides = [f"substr({part}::text, 2, length({part}::text) - 2)" for part in lists]
    return f"('[' || {' || chr(44) || '.join(insides)} || ']')::json"


def _outputs(search: Search, schema: TableSchema, ranks: dict[str, str]) -> list[Output]:
    # A column may have the name of a rank, which then is for sorting alone.
    computed = {
        name: Output(Column(cut(name), "float", "real"), sql)
        for name, sql in ranks.items()
        if cut(name) not in schema.by_name
    }
    if not search.fields:
        columns = [Output(column, f"t.{identifier(column.name)}") for column in schema.by_name.values()]
        return [*columns, *computed.values()]
    outputs = []
    for name in dict.fromkeys(search.fields):
        if (column := schema.by_name.get(name)) is not None:
            outputs.append(Output(column, f"t.{identifier(column.name)}"))
        elif name in computed:
            outputs.append(computed[name])
        else:
            raise ValidationError({"fields": [f'invalid value "{printable(name)}"']})
    return outputs


def _terms(search: Search, schema: TableSchema, ranks: dict[str, str]) -> list[Term]:
    """The order of the rows; it always ends with ``_id``, so that pages neither overlap nor have gaps."""
    if search.sort:
        terms = sorting.parse(search.sort, schema)
    else:
        terms = [Term(name, sql, "pg_catalog.float4", descending=True, nullable=False) for name, sql in ranks.items()]
    if search.distinct:
        # Only what is selected can be sorted by; without a sort the order is undefined.
        return terms if search.sort else []
    return terms if any(term.name == ID for term in terms) else [*terms, sorting.column_term(schema.by_name[ID])]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search: ``records`` is JSON text, a list of rows or one string of csv or tsv."""

    fields: list[dict[str, Any]]
    records: bytes
    total: int | None
    last: list[str | None] | None = None
    """The sort values of the last row of a page that may have a next one."""
    rows: int = 0
    """Rows of the page, where ``last`` was asked for."""
    version: int | None = None
    """Of the table, when the rows were read; None for a table without versions."""


async def run(database: Database, schema: TableSchema, plan: Plan) -> Found:
    """Execute a plan as the least role that may read the table.

    Raises :class:`NotFound` if the table has gone, :class:`ValidationError` ``query`` for whatever PostgreSQL refuses.
    """
    pool = database.public if schema.public else database.reader
    with refusals(schema):
        try:
            if plan.copy_format is None:
                if plan.statement is None:
                    return Found(plan.fields, b"[]", None)
                # Not fetchrow: it asks for one row only, and PostgreSQL then takes no parallel workers.
                rows = await pool.fetch(plan.statement, *plan.arguments, generic=plan.generic)
                if not rows:
                    raise gone(schema)
                return _found(plan, rows[0], rows[0].get("records", b"[]"), rows[0].get("last"))
            async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
                return await _run_copy(connection, schema, plan)
        except asyncpg.QueryCanceledError:
            raise ValidationError({"query": [await _too_long(database, schema, plan)]}) from None


async def _too_long(database: Database, schema: TableSchema, plan: Plan) -> str:
    state = await fulltext.state(database, schema)
    if not plan.full_text or state["state"] == "ready":
        return "Search took too long"
    done = f"being indexed, {state['progress']:.0%} done" if "progress" in state else "not yet indexed"
    return f"Search took too long: the full text of this table is {done}"


async def _run_copy(connection: asyncpg.Connection, schema: TableSchema, plan: Plan) -> Found:
    counts = {} if plan.counts is None else await connection.fetchrow(plan.counts)
    if counts is None:
        raise gone(schema)
    last = None if plan.last is None else await connection.fetchval(f"{plan.with_}{plan.last}")
    parts = [b'"']
    if plan.records is not None and plan.copy_format is not None:

        async def keep(rows: bytes) -> None:
            # In pieces, while PostgreSQL makes the next one: of the whole text it takes three times as long.
            parts.append(orjson.dumps(rows.decode())[1:-1])

        copy = Copy(f"{plan.with_}{plan.records}", delimiter=COPY_FORMATS[plan.copy_format])
        await copy_out(connection, copy, keep, batch=2**17)
    return _found(plan, counts, b"".join((*parts, b'"')), last)


def _found(plan: Plan, counts: Mapping[str, int], records: bytes, last: bytes | None) -> Found:
    rows, values = paging.read_last(last)
    return Found(plan.fields, records, counts.get("total"), values, rows, counts.get("version"))
