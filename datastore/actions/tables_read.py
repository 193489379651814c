"""Reading tables: datastore_search, datastore_info."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import orjson
from pydantic import BeforeValidator, Field, model_validator

from datastore.actions.parameters import (
    Boolean,
    Integer,
    Json,
    Natural,
    OfResource,
    RequiredText,
    Strings,
    Text,
    one_of,
)
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.table_access import readable
from datastore.errors import ValidationError
from datastore.tables import describe, search
from datastore.tables.matching import Match
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


Query = Annotated[Any, BeforeValidator(_query)]


class DatastoreSearch(OfResource):
    """Which rows of a table, in which order and shape."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    filters: Json = Field(
        None, description="Conditions: an object of column: value or list of values, or a list of such."
    )
    q: Query = Field(None, description="Full text: words to find anywhere in a row, or an object of column: words.")
    plain: Boolean = Field(True, description="False: `q` is in PostgreSQL's query language (`&`, `|`, `!`, `word:*`).")
    language: Text = Field(None, description="Text-search configuration of `q`.")
    limit: Natural = Field(None, description="Most rows to return; lowered to the site's maximum.")
    offset: Integer = Field(None, description="Rows to leave out first.")
    fields: Strings = Field(None, description="Columns to return, in this order.")
    sort: Strings = Field(None, description="`column [asc|desc] [nulls first|last]`, several separated by commas.")
    distinct: Boolean = Field(False, description="Leave out duplicate rows.")
    include_total: Boolean = Field(True, description="Also return the number of all rows that fit.")
    records_format: Annotated[str, one_of("objects", "lists", "csv", "tsv")] = Field(
        "objects", description="Shape of the rows: objects, lists, csv or tsv."
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        for name in data:
            if name not in cls.model_fields and name != "id":
                raise ValidationError({"__extras": [f'invalid value "{name}"']})
        return data


_ECHOED = ("filters", "q", "plain", "language", "offset", "sort", "distinct")


@action(DatastoreSearch, get=True)
async def datastore_search(call: Call, parameters: DatastoreSearch) -> RawJson:
    """Search a table: filters, full text, sorting, paging. Everybody may search the tables of public datasets."""
    settings = call.settings
    limit = settings.search_rows_default if parameters.limit is None else parameters.limit
    if parameters.offset is not None and parameters.offset < 0:
        raise ValidationError({"offset": [f'invalid value "{parameters.offset}"']})
    if parameters.offset is not None and parameters.offset > 2**62:
        raise ValidationError({"offset": ["Invalid integer"]})
    request = search.Search(
        match=Match(
            filters=parameters.filters,
            q=parameters.q,
            syntax="plain" if parameters.plain else "query",
            language=parameters.language,
        ),
        fields=parameters.fields or None,
        sort=parameters.sort or None,
        distinct=parameters.distinct,
        limit=min(limit, settings.search_rows_max),
        offset=parameters.offset or 0,
        include_total=parameters.include_total,
        records_format=parameters.records_format,
        milliseconds=settings.ms_in_timestamp,
    )

    async def find(schema: TableSchema) -> tuple[TableSchema, search.Found]:
        plan = search.plan(request, schema)
        return schema, await search.run(call.services.database, schema, plan)

    schema, found = await readable(call, parameters.resource_id, find)
    head: dict[str, Any] = {
        "resource_id": schema.resource_id,
        "fields": found.fields,
        "limit": request.limit,
        "include_total": request.include_total,
        "records_format": request.records_format,
    }
    head |= {name: getattr(parameters, name) for name in _ECHOED if name in parameters.model_fields_set}
    if found.total is not None:
        head["total"] = found.total
    as_text = parameters.records_format in search.COPY_FORMATS
    records = orjson.dumps(found.records.decode()) if as_text else found.records
    return RawJson(encode(head)[:-1] + b',"records":' + records + b"}")


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
