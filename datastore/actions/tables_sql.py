"""Read-only SQL: datastore_search_sql."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.actions.parameters import Json, Parameters, RequiredText
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.errors import BadRequest, ValidationError


class DatastoreSearchSql(Parameters):
    """A statement, with values for its parameters."""

    sql: RequiredText = Field(
        description="One SELECT statement of PostgreSQL. Tables are named by resource id, by alias, or as "
        '"dataset-name"."resource name".'
    )
    params: Json = Field(None, description="Values for `$1`, `$2` … in the statement, as a list.")


@action(DatastoreSearchSql, get=True)
async def datastore_search_sql(call: Call, parameters: DatastoreSearchSql) -> RawJson:
    """Search tables with SQL: joins, aggregates, window functions, sub-selects. The statement can only read, and only
    what the caller may read."""
    if not call.settings.sql_enabled:
        raise BadRequest("Action name not known: datastore_search_sql")
    values: Any = [] if parameters.params is None else parameters.params
    if not isinstance(values, list):
        raise ValidationError({"params": ["Not a list"]})
    result = await call.services.sql.run(parameters.sql, values, call.actor)
    head: dict[str, Any] = {"sql": parameters.sql, "fields": result.fields}
    if result.truncated:
        head["records_truncated"] = True
    return RawJson(encode(head)[:-1] + b',"records":' + result.records + b"}")
