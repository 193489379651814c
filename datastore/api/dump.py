"""``/datastore/dump/<resource id or alias>``: a table as a file (datastore-api.md §14.1)."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from datastore.accounts.permissions import may_read_dataset
from datastore.actions.parameters import Boolean, Natural, Strings, one_of, validate
from datastore.actions.services import Services
from datastore.actions.tables.selection import Selection
from datastore.errors import BadRequest, DataStoreError, NotFound, ValidationError
from datastore.exports import dump
from datastore.exports.formats import FORMATS
from datastore.exports.rows import of_table
from datastore.exports.writer import Options, Unfit
from datastore.http.decode import query_parameters
from datastore.http.download import Download, download_headers
from datastore.http.identity import identify
from datastore.postgres.database import CONNECTION_LOST
from datastore.postgres.translate import about_input, reason
from datastore.tables.reading import search
from datastore.validation import is_storable

_NOT_FOUND = "DataStore resource not found"


class Dump(Selection):
    """What to dump of a table, and how."""

    format: Annotated[str, one_of(*FORMATS)] = Field("csv", description=f"One of {', '.join(FORMATS)}.")
    bom: Boolean = Field(False, description="Start with a byte order mark, for spreadsheet programs.")
    eol: Annotated[str, one_of("lf", "crlf")] = Field("lf", description="Line ending of csv and tsv: lf or crlf.")
    fields: Strings = Field(None, description="Columns, in this order.")
    sort: Strings = Field(None, description="As in datastore_search; by `_id` if not given.")
    distinct: Boolean = Field(False, description="Leave out duplicate rows.")
    limit: Natural = Field(None, description="Most rows; all if not given.")
    offset: Natural = Field(None, description="Rows to leave out first.")


async def _dump(request: Request) -> Response:
    services: Services = request.app.state.services
    name = request.path_params["name"].removesuffix("/")
    if not is_storable(name):
        raise HTTPException(404, _NOT_FOUND)
    try:
        given = {**query_parameters(request.scope), "id": name}
        parameters = validate(Dump, given)
        return await _respond(request, services, parameters)
    except Unfit as error:
        return PlainTextResponse(_text(error), 409)
    except ValidationError as error:
        return PlainTextResponse(_text(error), 400)
    except BadRequest as error:
        return PlainTextResponse(error.detail, error.status)
    except DataStoreError as error:
        return PlainTextResponse(str(error), error.status)
    except CONNECTION_LOST:
        return PlainTextResponse("The database cannot be reached at the moment. Please try again", 503)


async def _respond(request: Request, services: Services, parameters: Dump) -> Response:
    actor = await identify(dict(request.scope["headers"]), services)
    schema = await services.schemas.get(parameters.resource_id)
    # Who may not read a table is not told that it exists.
    if schema is None or not may_read_dataset(actor, schema.access):
        raise HTTPException(404, _NOT_FOUND)
    plan = search.plan(_request(parameters), schema)
    format = FORMATS[parameters.format]
    name = f"{schema.resource_id}.{format.name}"
    if request.method == "HEAD":
        return Response(None, headers=download_headers(name, format.content_type))
    options = Options(parameters.bom, parameters.eol == "crlf", services.settings.ms_in_timestamp)
    opener = of_table(services.database, schema, plan)
    try:
        chunks = await dump.start(opener, format, options, services.settings.dump_stall_timeout)
    except NotFound:
        raise HTTPException(404, _NOT_FOUND) from None
    except asyncpg.PostgresError as error:
        if not about_input(error):
            raise
        return PlainTextResponse(f"query: {reason(error)}", 400)
    return Download(name, format.content_type, chunks)


def _request(parameters: Dump) -> search.Search:
    return search.Search(
        match=parameters.match(),
        fields=parameters.fields or None,
        sort=parameters.sort or None,
        distinct=parameters.distinct,
        limit=parameters.limit,
        offset=parameters.offset or 0,
        include_total=False,
        records_format="csv",
    )


def _text(error: ValidationError) -> str:
    return "\n".join(f"{name}: {_first(messages)}" for name, messages in error.fields.items() if name != "info")


def _first(messages: Any) -> str:
    return str(messages[0]) if isinstance(messages, list) and messages else str(messages)


routes = [Route("/datastore/dump/{name:path}", _dump, methods=["GET"])]
