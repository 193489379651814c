"""Searching a table: datastore_search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from time import perf_counter
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter

from datastore.actions import freshness
from datastore.actions.parameters import (
    Boolean,
    Integer,
    KnownOnly,
    Limit,
    Strings,
    Text,
    one_of,
    split_list,
)
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.tables.access import readable
from datastore.actions.tables.selection import Selection
from datastore.errors import ValidationError
from datastore.settings import Settings
from datastore.tables.names import ID
from datastore.tables.reading import cursor as cursors
from datastore.tables.reading import paging, search
from datastore.tables.reading.repeated import Repeated
from datastore.tables.reading.sorting import ID_TERM
from datastore.tables.schema import TableSchema


def _highlighted(value: Any) -> Any:
    """A boolean in any spelling, or the columns."""
    if isinstance(value, str) and value.strip().lower() in _WORDS:
        return value.strip().lower() in _WORDS[: len(_WORDS) // 2]
    if value is None or isinstance(value, (bool, int)):
        return bool(value)
    return split_list(value) if isinstance(value, str) else TypeAdapter(Strings).validate_python(value)


_WORDS = ("true", "yes", "t", "y", "1", "on", "false", "no", "f", "n", "0", "off")


class DatastoreSearch(Selection, KnownOnly):
    """Which rows of a table, in which order and shape."""

    limit: Limit = Field(None, description="Most rows to return; lowered to the site's maximum.")
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
    repeated: Repeated
    offset: int | None
    """As it was asked for; :attr:`request` may be of another page."""
    opening: tuple[bytes, bytes]
    """The result as JSON up to what the rows decide: before the offset and behind it."""
    pages: dict[int, search.Plan]
    """Plans of further pages by the part of the offset that stands in them."""


@dataclass(slots=True)
class _Memory:
    """What is known of a search that has come before."""

    prepared: _Prepared | None = None
    first: DatastoreSearch | None = None
    """The same search without an offset."""


@action(DatastoreSearch, get=True)
async def datastore_search(call: Call, parameters: DatastoreSearch) -> RawJson:
    """Search a table: filters, full text, sorting, paging. Everybody may search the tables of public datasets."""

    async def find(schema: TableSchema) -> RawJson:
        prepared = _prepared(parameters, schema, call.settings)
        started = perf_counter()
        found = await call.services.answers.find(call.services.database, prepared.repeated)
        call.timings["db"] = perf_counter() - started
        if call.freshness is not None and prepared.repeated.lasting:
            call.freshness.keep(schema, found.version, call.actor)
        return _result(call, prepared, found)

    return await readable(call, parameters.resource_id, find)


def _prepared(parameters: DatastoreSearch, schema: TableSchema, settings: Settings) -> _Prepared:
    memory = parameters.memory
    known = memory.prepared
    if known is not None and known.schema is schema and known.settings is settings:
        return known
    if memory.first is None:
        prepared = _prepare(parameters, schema, settings)
    else:
        prepared = _further(_prepared(memory.first, schema, settings), parameters.offset or 0)
    if len(schema.columns) <= _MOST_COLUMNS_KEPT:
        memory.prepared = prepared
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
    # Null says nothing, and is not echoed.
    given = {name for name in parameters.model_fields_set if getattr(parameters, name) is not None}
    opening |= {name: getattr(parameters, name) for name in _ECHOED if name in given}
    behind = {name: getattr(parameters, name) for name in _ECHOED_LAST if name in given}
    texts = encode(opening)[:-1], b"," + encode(behind)[1:-1] if behind else b""
    lasting = not freshness.moves(parameters.filters)
    values = request if lasting and plan.arguments and not plan.generic else None
    return _Prepared(schema, settings, request, Repeated(schema, plan, lasting, values), parameters.offset, texts, {})


def _further(first: _Prepared, offset: int) -> _Prepared:
    """Another page of a search of which the first one is prepared."""
    begin, rest = paging.split(offset)
    plan = first.pages.get(begin)
    if plan is None:
        plan = first.pages[begin] = search.plan(replace(first.request, offset=begin), first.schema)
    repeated = Repeated(first.schema, plan.further(rest) if rest else plan, first.repeated.lasting)
    return _Prepared(first.schema, first.settings, first.request, repeated, offset, first.opening, first.pages)


def _result(call: Call, prepared: _Prepared, found: search.Found) -> RawJson:
    request = prepared.request
    opening, behind = prepared.opening
    parts = [opening, behind] if prepared.offset is None else [opening, b',"offset":%d' % prepared.offset, behind]
    if found.total is not None:
        parts.append(b',"total":%d,"total_was_estimated":false' % found.total)
    if further := _next(request, prepared.repeated.plan, found):
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
