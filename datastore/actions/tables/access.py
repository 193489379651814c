"""Which table an action is about, and whether the actor may: the first lines of every datastore action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import msgspec
import orjson

from datastore.accounts.permissions import DatasetAccess, require_login, require_read, require_update
from datastore.actions.parameters import invalid
from datastore.actions.registry import Call, RawJson
from datastore.catalog.datasets.resource_rows import find_resource
from datastore.errors import NotFound, ValidationError
from datastore.loading.upload import Upload
from datastore.tables.definition import metadata
from datastore.tables.refusals import STALE_SCHEMA
from datastore.tables.schema import TableSchema
from datastore.tables.writing.columns import ColumnRecords
from datastore.tables.writing.sources import JsonList, JsonRecords
from datastore.tables.writing.write import Records

Result = TypeVar("Result")
_READ_ONLY = (
    "Cannot edit read-only resource because changes made may be lost. Use a force=True parameter to force write."
)

WRITABLE_URL_TYPES = frozenset({"datastore", "tabledesigner"})


async def readable(
    call: Call, name: str, work: Callable[[TableSchema], Awaitable[Result]], kind: str = "Resource"
) -> Result:
    """Run ``work`` with the table of a resource id or alias, which the actor may read.

    Again with a fresh schema if the cached one proves out of date; ``kind`` is what an error calls it.
    ``_table_metadata`` is for everybody, who see in it what they may. Raises :class:`NotFound`, :class:`NotAuthorized`,
    :class:`NotModified` if the client has the answer already.
    """
    if name == metadata.NAME:
        return await work(metadata.visible_to(call.actor))

    async def checked(schema: TableSchema) -> Result:
        require_read(call.actor, schema.access, "resource_show", f"resource {name}")
        if call.freshness is not None:
            await call.freshness.check(call.services.database, schema, call.actor)
        return await work(schema)

    return await _with_schema(call, name, await call.services.schemas.get(name), checked, kind)


async def writable(
    call: Call, resource_id: str, force: bool, action_name: str, work: Callable[[TableSchema], Awaitable[Result]]
) -> Result:
    """Run ``work`` with the table of a resource (no alias), which the actor may change.

    Raises :class:`NotAuthorized`, :class:`NotFound`, and :class:`ValidationError` ``read-only`` for a resource that is
    filled from a file, unless ``force``.
    """
    schema = await call.services.schemas.get(resource_id)
    if schema is not None and schema.resource_id != resource_id:
        schema = None
    if schema is None:
        await _refuse_without_table(call, resource_id, action_name)

    async def checked(schema: TableSchema) -> Result:
        check_update(call, schema.access, schema.resource_id, action_name)
        check_writable(schema.url_type, force)
        check_no_history(schema)
        return await work(schema)

    return await _with_schema(call, resource_id, schema, checked)


def check_update(call: Call, access: DatasetAccess, resource_id: str, action_name: str) -> None:
    """Raise :class:`NotAuthorized` unless the actor may change the resource."""
    require_login(call.actor, action_name)
    require_update(call.actor, access, call.settings, "resource_update", f"resource {resource_id}")


def check_writable(url_type: str | None, force: bool) -> None:
    """Raise :class:`ValidationError` ``read-only`` for the table of a file, unless ``force``."""
    if not force and url_type not in WRITABLE_URL_TYPES:
        raise ValidationError({"read-only": [_READ_ONLY]})


def check_no_history(schema: TableSchema) -> None:
    """Raise :class:`ValidationError` ``read-only`` for the history of a table, whoever asks."""
    if schema.history_of is not None:
        raise ValidationError(
            {"read-only": [f"This is the history of {schema.history_of}: it is written by that alone"]}
        )


async def _refuse_without_table(call: Call, resource_id: str, action_name: str) -> None:
    """Permission comes before existence: who may not write learns nothing more."""
    require_login(call.actor, action_name)
    try:
        _, access = await find_resource(call.services.database.owner, resource_id)
    except NotFound:
        raise _not_found(resource_id) from None
    check_update(call, access, resource_id, action_name)


def _not_found(name: str, kind: str = "Resource") -> NotFound:
    return NotFound(f'{kind} "{name}" was not found.')


async def _with_schema(
    call: Call,
    name: str,
    schema: TableSchema | None,
    work: Callable[[TableSchema], Awaitable[Result]],
    kind: str = "Resource",
) -> Result:
    if schema is not None:
        try:
            return await work(schema)
        except (
            ValidationError,
            NotFound,
            asyncpg.UndefinedTableError,
            asyncpg.InvalidSchemaNameError,
            *STALE_SCHEMA,
        ) as error:
            # Another worker may have changed the table a moment ago: if so, once more with what is there now.
            fresh = await call.services.schemas.fresh(name)
            if fresh is None and isinstance(error, asyncpg.PostgresError):
                raise _not_found(name, kind) from None
            if fresh is None or fresh == schema:
                raise
            schema = fresh
    else:
        schema = await call.services.schemas.fresh(name)
        if schema is None:
            raise _not_found(name, kind)
    return await work(schema)


def record_list(value: Any) -> Records | None:
    """The ``records`` parameter; None if there are none. A form sends it as JSON text already."""
    if value is None or isinstance(value, (JsonRecords, ColumnRecords)):
        return value
    if isinstance(value, Upload):
        return value.records()
    if isinstance(value, msgspec.Raw):
        return JsonList(memoryview(value))  # known to be JSON
    if isinstance(value, RawJson):
        return JsonList(value)
    try:
        text = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else orjson.dumps(value)
        return JsonList(bytes(_ANY_JSON.decode(text)))
    except (TypeError, ValueError, RecursionError):
        raise invalid("Records has to be a list of dicts") from None


_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)
