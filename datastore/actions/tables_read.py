"""Reading tables: datastore_search, datastore_info."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import orjson
from pydantic import BeforeValidator, Field, TypeAdapter

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
from datastore.actions.table_access import readable
from datastore.errors import ValidationError
from datastore.settings import Settings
from datastore.tables import cursor as cursors
from datastore.tables import describe, search
from datastore.tables.matching import Match
from datastore.tables.names import ID
from datastore.tables.schema import TableSchema
from datastore.tables.sorting import ID_TERM


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


_ECHOED = (
    "filters",
    "q",
    "full_text",
    "similar",
    "plain",
    "websearch",
    "language",
    "offset",
    "sort",
    "distinct",
    "highlight",
)


@action(DatastoreSearch, get=True)
async def datastore_search(call: Call, parameters: DatastoreSearch) -> RawJson:
    """Search a table: filters, full text, sorting, paging. Everybody may search the tables of public datasets."""
    request = _request(parameters, call.settings)

    async def find(schema: TableSchema) -> tuple[TableSchema, search.Plan, search.Found]:
        plan = search.plan(request, schema)
        return schema, plan, await search.run(call.services.database, schema, plan)

    schema, plan, found = await readable(call, parameters.resource_id, find)
    head: dict[str, Any] = {
        "resource_id": schema.resource_id,
        "fields": found.fields,
        "limit": request.limit,
        "include_total": request.include_total,
        "records_format": request.records_format,
        "include_next_page": request.include_next_page,
    }
    head |= {name: getattr(parameters, name) for name in _ECHOED if name in parameters.model_fields_set}
    if found.total is not None:
        head |= {"total": found.total, "total_was_estimated": False}
    head |= _next(request, plan, found)
    head["_links"] = _links(call, request)
    as_text = parameters.records_format in search.COPY_FORMATS
    records = orjson.dumps(found.records.decode()) if as_text else found.records
    return RawJson(encode(head)[:-1] + b',"records":' + records + b"}")


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


def _links(call: Call, request: search.Search) -> dict[str, str]:
    """Where the first, next and previous pages are, as older clients follow them."""
    path, query = call.request_target
    kept = [part for part in query.split("&") if part and not part.startswith("offset=")]
    start = f"{path}?{'&'.join(kept)}" if kept else path
    glue = "&" if kept else "?"
    limit = request.limit or 0
    links = {"start": start, "next": f"{start}{glue}offset={request.offset + limit}"}
    if request.offset - limit > 0:
        links["prev"] = f"{start}{glue}offset={request.offset - limit}"
    return links


class DatastoreInfo(OfResource):
    """Which table, and how much about it."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    include_meta: Boolean = Field(True, description="Also counts, sizes and aliases.")
    include_fields_schema: Boolean = Field(True, description="Also the native type and indexes of each column.")


@action(DatastoreInfo, get=True)
async def datastore_info(call: Call, parameters: DatastoreInfo) -> dict[str, Any]:
    """Describe a table: its columns with their data dictionary, its count, sizes and aliases."""

    async def look(schema: TableSchema) -> dict[str, Any]:
        return await describe.info(
            call.services.database, schema, parameters.include_meta, parameters.include_fields_schema
        )

    return await readable(call, parameters.resource_id, look)
