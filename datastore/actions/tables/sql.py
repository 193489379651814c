"""Read-only SQL: datastore_search_sql."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from datastore.actions.parameters import Json, Parameters, RequiredText, one_of
from datastore.actions.registry import Call, File, RawJson, action, encode
from datastore.errors import BadRequest, ValidationError
from datastore.exports import dump
from datastore.exports.formats import FORMATS, Format
from datastore.exports.statement import of_statement
from datastore.exports.writer import Options

_FORMATS = tuple(name for name, format in FORMATS.items() if format.statements)


class DatastoreSearchSql(Parameters):
    """A statement, with values for its parameters."""

    sql: RequiredText = Field(
        description="One SELECT statement of PostgreSQL. Tables are named by resource id, by alias, or as "
        '"dataset-name"."resource name".'
    )
    params: Json = Field(None, description="Values for `$1`, `$2` … in the statement, as a list.")
    format: Annotated[str | None, one_of(*_FORMATS)] = Field(
        None, description=f"Answer with a file instead of records: {', '.join(_FORMATS)}."
    )


@action(DatastoreSearchSql, get=True)
async def datastore_search_sql(call: Call, parameters: DatastoreSearchSql) -> RawJson | File:
    """Search tables with SQL: joins, aggregates, window functions, sub-selects. The statement can only read, and only
    what the caller may read."""
    if not call.settings.sql_enabled:
        raise BadRequest("Action name not known: datastore_search_sql")
    values: Any = [] if parameters.params is None else parameters.params
    if not isinstance(values, list):
        raise ValidationError({"params": ["Not a list"]})
    if parameters.format is not None:
        return await _file(call, parameters.sql, values, FORMATS[parameters.format])
    result = await call.services.sql.run(parameters.sql, values, call.actor)
    head: dict[str, Any] = {"sql": parameters.sql, "fields": result.fields}
    if result.truncated:
        head["records_truncated"] = True
    return RawJson(encode(head)[:-1] + b',"records":' + result.records + b"}")


async def _file(call: Call, sql: str, values: list[Any], format: Format) -> File:
    settings = call.settings
    opener = of_statement(call.services.sql, sql, values, call.actor, settings.sql_file_rows_max)
    options = Options(milliseconds=settings.ms_in_timestamp)
    stall_timeout = min(settings.dump_stall_timeout, settings.sql_timeout)
    chunks = await dump.start(opener, format, options, stall_timeout)
    return File(f"query.{format.name}", format.content_type, chunks)
