"""Reading tables: datastore_search, datastore_info."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from time import perf_counter
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field, TypeAdapter

from datastore.actions import freshness
from datastore.actions.parameters import (
    Boolean,
    Integer,
    Json,
    KnownOnly,
    Natural,
    OfResource,
    RequiredText,
    Strings,
    Text,
    invalid,
    one_of,
    split_list,
)
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.tables.access import readable
from datastore.errors import ValidationError
from datastore.settings import Settings
from datastore.tables import registry
from datastore.tables.definition import describe
from datastore.tables.names import ID
from datastore.tables.reading import cursor as cursors
from datastore.tables.reading import paging, search
from datastore.tables.reading.matching import Match
from datastore.tables.reading.remembered import Heat
from datastore.tables.reading.sorting import ID_TERM
from datastore.tables.schema import TableSchema


def _query(value: Any) -> Any:
    """An object as it is; text that is a JSON object becomes it; anything else is text."""
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
        return decoded if isinstance(decoded, dict) else value
    if value is None or isinstance(value, dict):
        return value
    return json.dumps(value) if isinstance(value, list) else str(value)


def _similar(value: Any) -> Any:
    decoded = _query(value)
    if decoded is not None and not isinstance(decoded, dict):
        raise invalid("Must be an object of column: text")
    return decoded


def _highlighted(value: Any) -> Any:
    """A boolean in any spelling, or the columns."""
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return value.strip().lower() in _WORDS[: len(_WORDS) // 2]
    if value is None or isinstance(value, (bool, int)):
        return bool(value)
    return split_list(value) if isinstance(value, str) else TypeAdapter(Strings).validate_python(value)


_WORDS = ("true", "yes", "t", "y", "1", "on", "false", "no", "f", "n", "0", "off")
Query = Annotated[Any, BeforeValidator(_query)]


class Selection(OfResource):
    """Which rows of a table."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    filters: Json = Field(
        None, description='Conditions: an object of column: value, list or operators (`{"gte": 1}`), or a list of such.'
    )
    q: Query = Field(None, description="Full text: words to find anywhere in a row, or an object of column: words.")
    full_text: Text = Field(None, description="Words to find anywhere in a row, beside `q` by column.")
    plain: Boolean = Field(True, description="False: `q` is in PostgreSQL's query language (`&`, `|`, `!`, `word:*`).")
    websearch: Boolean = Field(
        False, description='`q` as in a web search engine: `"a phrase"`, `or`, `-without`; instead of `plain`.'
    )
    language: Text = Field(None, description="Text-search configuration of `q`; the table's own if not given.")
    similar: Annotated[dict[str, Any] | None, BeforeValidator(_similar)] = Field(
        None, description="Fuzzy search: an object of column: text. The column needs an index of type trigram."
    )

    def match(self) -> Match:
        """The selection as the engine takes it."""
        syntax = "web" if self.websearch else "plain" if self.plain else "query"
        return Match(self.filters, self.q, self.full_text or None, self.similar, syntax, self.language or None)


class DatastoreSearch(Selection, KnownOnly):
    """Which rows of a table, in which order and shape."""

    limit: Natural = Field(None, description="Most rows to return; lowered to the site's maximum.")
    offset: Integer = Field(None, description="Rows to leave out first.")
    cursor: Text = Field(
        None,
        description="Page by cursor: `*` for the first page, then the `next_cursor` of each answer. Costs the same for "
        "every page, whatever the order, and neither skips nor repeats rows that stay.",
    )
    fields: Strings = Field(None, description="Columns to return, in this order.")
    sort: Strings = Field(None, description="`column [asc|desc] [nulls first|last]`, several separated by commas.")
    distinct: Boolean = Field(False, description="Leave out duplicate rows.")
    include_total: Boolean = Field(True, description="Also return the number of all rows that fit.")
    total_estimation_threshold: Integer = Field(None, description="Accepted; totals are always exact.")
    include_next_page: Boolean = Field(
        False, description="Also return `next_page`, filters for the rows behind this page (order by `_id` only)."
    )
    highlight: Annotated[Any, BeforeValidator(_highlighted)] = Field(
        False, description="Also return snippets with the words found: true for all text columns, or a list of columns."
    )
    records_format: Annotated[str, one_of("objects", "lists", "csv", "tsv")] = Field(
        "objects", description="Shape of the rows: objects, lists, csv or tsv."
    )

    @cached_property
    def memory(self) -> _Memory:
        """The same parameters may come again, for the same table as a rule: see the endpoint of actions."""
        return _Memory()

    def at(self, offset: int) -> DatastoreSearch | None:
        """Another page of a whole table, which needs next to nothing that is not known of the first."""
        if self.offset is not None or self.cursor is not None or self.records_format in search.COPY_FORMATS:
            return None
        if self.match() != search.EVERY_ROW:
            return None
        further = self.model_copy(update={"offset": offset})
        further.__dict__["memory"] = _Memory(first=self)
        return further


_MOST_COLUMNS_KEPT = 100
"""A thousand plans for five hundred columns would take a worker's memory."""
_ECHOED = (
    "filters",
    "q",
    "full_text",
    "similar",
    "plain",
    "websearch",
    "language",
)
_ECHOED_LAST = ("sort", "distinct", "highlight")
"""Behind the offset."""


@dataclass(slots=True)
class _Prepared:
    """A search as far as it can be made before it runs; for a request that comes again, once."""

    schema: TableSchema
    settings: Settings
    request: search.Search
    plan: search.Plan
    offset: int | None
    """As it was asked for; :attr:`request` may be of another page."""
    opening: tuple[bytes, bytes]
    """The result as JSON up to what the rows decide: before the offset and behind it."""
    moves: bool
    """The same request finds other rows tomorrow, with nobody having written any."""
    pages: dict[int, search.Plan]
    """Plans of further pages by the part of the offset that stands in them."""

    heat: Heat | None
    """None for what may not be kept."""


@dataclass(slots=True)
class _Memory:
    """What is known of a search that has come before."""

    prepared: _Prepared | None = None
    times: int = 0
    first: DatastoreSearch | None = None
    """The same search without an offset."""


_OFTEN = 3
"""A search that comes so often is written without arguments. One that comes once costs less with them: PostgreSQL
analyzes the statement once for all values, even if it plans it for each."""


@action(DatastoreSearch, get=True)
async def datastore_search(call: Call, parameters: DatastoreSearch) -> RawJson:
    """Search a table: filters, full text, sorting, paging. Everybody may search the tables of public datasets."""

    async def find(schema: TableSchema) -> RawJson:
        prepared = _prepared(parameters, schema, call.settings)
        started = perf_counter()
        database = call.services.database
        if prepared.heat is None:
            found = await search.run(database, schema, prepared.plan)
        else:
            found = await call.services.answers.find(prepared.heat, database, schema, prepared.plan)
        call.timings["db"] = perf_counter() - started
        if call.freshness is not None and not prepared.moves:
            call.freshness.keep(schema, found.version, call.actor)
        return _result(call, prepared, found)

    return await readable(call, parameters.resource_id, find)


def _prepared(parameters: DatastoreSearch, schema: TableSchema, settings: Settings) -> _Prepared:
    memory = parameters.memory
    known = memory.prepared
    if known is not None and known.schema is schema and known.settings is settings:
        if known.plan.arguments and not known.plan.generic and not known.moves:
            memory.times += 1
            if memory.times >= _OFTEN:
                known.plan = search.constant(known.request, schema)
        return known
    if memory.first is None:
        prepared = _prepare(parameters, schema, settings)
    else:
        prepared = _further(_prepared(memory.first, schema, settings), parameters.offset or 0)
    if len(schema.columns) <= _MOST_COLUMNS_KEPT:
        memory.prepared, memory.times = prepared, 1
    return prepared


def _prepare(parameters: DatastoreSearch, schema: TableSchema, settings: Settings) -> _Prepared:
    request = _request(parameters, settings)
    plan = search.plan(request, schema)
    opening: dict[str, Any] = {
        "resource_id": schema.resource_id,
        "fields": plan.fields,
        "limit": request.limit,
        "include_total": request.include_total,
        "records_format": request.records_format,
        "include_next_page": request.include_next_page,
    }
    given = parameters.model_fields_set
    opening |= {name: getattr(parameters, name) for name in _ECHOED if name in given}
    names = [*(["offset"] if parameters.offset is None else []), *_ECHOED_LAST]
    behind = {name: getattr(parameters, name) for name in names if name in given}
    texts = encode(opening)[:-1], b"," + encode(behind)[1:-1] if behind else b""
    moves = freshness.moves(parameters.filters)
    heat = None if moves or not schema.counted else Heat()
    return _Prepared(schema, settings, request, plan, parameters.offset, texts, moves, {}, heat)


def _further(first: _Prepared, offset: int) -> _Prepared:
    """Another page of a search of which the first one is prepared."""
    begin, rest = paging.split(offset)
    plan = first.pages.get(begin)
    if plan is None:
        plan = first.pages[begin] = search.plan(replace(first.request, offset=begin), first.schema)
    plan = plan.further(rest) if rest else plan
    heat = first.heat and Heat()
    return _Prepared(
        first.schema, first.settings, first.request, plan, offset, first.opening, first.moves, first.pages, heat
    )


def _result(call: Call, prepared: _Prepared, found: search.Found) -> RawJson:
    request = prepared.request
    opening, behind = prepared.opening
    parts = [opening, behind] if prepared.offset is None else [opening, b',"offset":%d' % prepared.offset, behind]
    if found.total is not None:
        parts.append(b',"total":%d,"total_was_estimated":false' % found.total)
    if further := _next(request, prepared.plan, found):
        parts += (b",", encode(further)[1:-1])
    links = _links(*call.request_target, request.limit or 0, prepared.offset or 0)
    return RawJson(b"".join((*parts, b',"_links":', links, b',"records":', found.records, b"}")))


def _request(parameters: DatastoreSearch, settings: Settings) -> search.Search:
    limit = settings.search_rows_default if parameters.limit is None else parameters.limit
    if parameters.offset is not None and parameters.offset < 0:
        raise ValidationError({"offset": [f'invalid value "{parameters.offset}"']})
    return search.Search(
        match=parameters.match(),
        fields=tuple(parameters.fields) if parameters.fields else None,
        sort=tuple(parameters.sort) if parameters.sort else None,
        distinct=parameters.distinct,
        limit=min(limit, settings.search_rows_max),
        offset=parameters.offset or 0,
        cursor=parameters.cursor,
        include_next_page=parameters.include_next_page,
        include_total=parameters.include_total,
        highlight=parameters.highlight,
        records_format=parameters.records_format,
        milliseconds=settings.ms_in_timestamp,
    )


def _next(request: search.Search, plan: search.Plan, found: search.Found) -> dict[str, Any]:
    """How to get the rows behind this page: ``next_cursor`` (null after the last page) and ``next_page``."""
    result: dict[str, Any] = {}
    if request.cursor is not None:
        more = found.last is not None and found.rows == request.limit
        result["next_cursor"] = cursors.encode(plan.terms, found.last or []) if more else None
    if request.include_next_page and found.last is not None and len(plan.terms) == 1:
        operator = "lt" if plan.terms[0].descending else "gt"
        [last] = found.last
        # A virtual table may have a text there.
        result["next_page"] = {ID: {operator: int(last or 0) if plan.terms[0].type == ID_TERM.type else last}}
    return result


@lru_cache(maxsize=1024)
def _links(path: str, query: str, limit: int, offset: int) -> bytes:
    """Where the first, next and previous pages are, as older clients follow them; as JSON."""
    kept = [part for part in query.split("&") if part and not part.startswith("offset=")]
    start = f"{path}?{'&'.join(kept)}" if kept else path
    glue = "&" if kept else "?"
    links = {"start": start, "next": f"{start}{glue}offset={offset + limit}"}
    if offset - limit > 0:
        links["prev"] = f"{start}{glue}offset={offset - limit}"
    return encode(links)


class DatastoreInfo(OfResource):
    """Which table, and how much about it."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    include_meta: Boolean = Field(True, description="Also counts, sizes and aliases.")
    include_fields_schema: Boolean = Field(True, description="Also the native type and indexes of each column.")


@action(DatastoreInfo, get=True)
async def datastore_info(call: Call, parameters: DatastoreInfo) -> dict[str, Any]:
    """Describe a table: its columns with their data dictionary, its count, sizes and aliases."""

    async def look(schema: TableSchema) -> dict[str, Any]:
        # The version first: what is read after it is never older than the tag says.
        version = None if call.freshness is None else await registry.version(call.services.database, schema)
        found = await describe.info(
            call.services.database, schema, parameters.include_meta, parameters.include_fields_schema
        )
        # While the index is built, its progress changes without a write.
        if call.freshness is not None and found.get("full_text", {}).get("state") != "building":
            call.freshness.keep(schema, version, call.actor)
        return found

    return await readable(call, parameters.resource_id, look)
