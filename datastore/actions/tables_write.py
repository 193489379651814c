"""Writing tables: datastore_create, datastore_upsert, datastore_delete."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from datastore.accounts.permissions import require_login
from datastore.actions.parameters import (
    Boolean,
    Json,
    OfResource,
    RequiredText,
    Strings,
    Text,
    invalid,
    one_of,
    split_list,
)
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.table_access import check_update, check_writable, record_list, writable
from datastore.actions.table_fields import field_list, plan_fields
from datastore.catalog.resource_rows import find_resource
from datastore.catalog.resources import create_resource, set_datastore_active
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.tables import define, write
from datastore.tables.names import check_alias_names
from datastore.tables.schema import TableSchema, load


def _count_mode(value: Any) -> Any:
    """A boolean in any spelling, or ``background``. Counts here are always exact, so it changes nothing."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("", "background"):
            return word
        if word in ("true", "yes", "t", "y", "1", "on"):
            return True
        if word in ("false", "no", "f", "n", "0", "off"):
            return False
    elif value is None or isinstance(value, (bool, int)):
        return bool(value)
    raise invalid("Value must be boolean or one of: background")


def _index_list(value: Any) -> list[list[str]] | None:
    """Each index as its list of columns: members are a name, a comma-separated string or a list of names."""
    if value is None:
        return None
    if isinstance(value, str):
        return [[name] for name in split_list(value)]
    if not isinstance(value, list):
        raise invalid("Not a list")
    indexes = []
    for member in value:
        if isinstance(member, str):
            indexes.append(split_list(member))
        elif isinstance(member, list) and all(isinstance(name, str) for name in member):
            indexes.append(member)
        else:
            raise invalid(f"Neither a string nor a list: {member!r}")
    return indexes


Records = Annotated[bytes | None, BeforeValidator(record_list)]
CountMode = Annotated[Any, BeforeValidator(_count_mode)]


class DatastoreCreate(OfResource):
    """The table to make or change, and its first records."""

    resource_id: Text = Field(None, description="The resource whose table this is; `id` means the same.")
    resource: Json = Field(None, description="Instead of resource_id: a resource to create, with its `package_id`.")
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    aliases: Strings = Field(None, description="Further names of the table. Given, they replace all it had.")
    fields: Annotated[list[dict[str, Any]] | None, BeforeValidator(field_list)] = Field(
        None, description="Columns: a list of `{id, type, info}`. Without a type it is guessed from the records."
    )
    delete_fields: Boolean = Field(False, description="Drop existing columns that `fields` does not list.")
    records: Records = Field(None, description="Rows to insert: a list of objects.")
    include_records: Boolean = Field(False, description="Return the rows as they were stored.")
    primary_key: Strings = Field(None, description="Columns of the unique key. Given, they replace the one it had.")
    indexes: Annotated[list[list[str]] | None, BeforeValidator(_index_list)] = Field(
        None, description="Indexes, each a column or a list of columns. Given, they replace all it had."
    )
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")


class DatastoreUpsert(OfResource):
    """The records to write, and how."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    records: Records = Field(None, description="Rows: a list of objects.")
    method: Annotated[str, one_of("upsert", "insert", "update")] = Field(
        "upsert", description="upsert: update the row with the same key, or insert. insert, update: just that."
    )
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    include_records: Boolean = Field(False, description="Return the rows as they are stored.")
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")
    dry_run: Boolean = Field(False, description="Do everything, report every error, then undo it.")


def _filters(value: Any) -> Any:
    if value is not None and not isinstance(value, dict):
        raise invalid("filters must be either a dict or null.")
    return value


class DatastoreDelete(OfResource):
    """Which rows to delete, or the whole table."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    filters: Annotated[dict[str, Any] | None, BeforeValidator(_filters)] = Field(
        None, description="Conditions as in datastore_search; `{}` deletes all rows; without, the table is dropped."
    )
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    include_deleted_records: Boolean = Field(False, description="Return the deleted rows.")
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")


@action(DatastoreCreate, raw=("records",))
async def datastore_create(call: Call, parameters: DatastoreCreate) -> RawJson:
    """Make a table, or change it, and insert records: columns, records, indexes, aliases in one transaction.

    Either an existing resource (`resource_id`), or a new one (`resource`, with its `package_id`). Whatever fails,
    nothing of the request remains.
    """
    require_login(call.actor, "datastore_create")
    if parameters.resource is None:
        if not parameters.resource_id:
            raise ValidationError({"resource_id": ["resource_id or resource required"]})
        await _check_resource(call, parameters.resource_id, parameters.force)
    elif parameters.resource_id:
        raise ValidationError({"resource": ["resource cannot be used with resource_id"]})
    check_alias_names(parameters.aliases or [])

    async def work(tx: Transaction) -> tuple[str, list[dict[str, Any]], bytes | None]:
        resource_id = parameters.resource_id or await _new_resource(tx, call, parameters.resource)
        return await _create(tx, resource_id, parameters)

    resource_id, fields, records = await call.services.database.write(work)
    call.services.maintenance.touch(resource_id)
    result: dict[str, Any] = {"resource_id": resource_id}
    for name in ("resource", "aliases", "primary_key", "indexes"):
        if getattr(parameters, name) is not None:
            result[name] = getattr(parameters, name)
    if parameters.fields is not None:
        result["fields"] = fields
    result |= {
        "delete_fields": parameters.delete_fields,
        "calculate_record_count": parameters.calculate_record_count,
        "method": "insert",
    }
    return with_records(result, records)


async def _check_resource(call: Call, resource_id: str, force: bool) -> None:
    """The resource is there, the actor may change it, and it is not filled from a file."""
    try:
        resource, access = await find_resource(call.services.database.owner, resource_id)
    except NotFound:
        raise ValidationError({"resource_id": [f"Resource not found: {resource_id}"]}) from None
    check_update(call, access, resource_id, "datastore_create")
    check_writable(resource.url_type, force)


async def _new_resource(tx: Transaction, call: Call, resource: Any) -> str:
    if not isinstance(resource, dict):
        raise ValidationError({"resource": ["Must be a dict"]})
    if resource.get("url"):
        raise ValidationError({"resource": ["A resource with a url is filled from there, not by datastore_create"]})
    data = {**resource, "url_type": "datastore", "url": ""}
    shown = await create_resource(tx, call.actor, call.settings, call.site_url, data)
    return str(shown["id"])


async def _create(
    tx: Transaction, resource_id: str, parameters: DatastoreCreate
) -> tuple[str, list[dict[str, Any]], bytes | None]:
    await define.lock(tx, resource_id)
    table: TableSchema | None = await load(tx.connection, resource_id)
    fields, echo = plan_fields(parameters.fields or [], parameters.records, table)
    if table is None or fields:
        table = await define.define(tx, resource_id, fields, parameters.delete_fields)
    stored: bytes | None = None
    if parameters.records is not None:
        stored = (await write.insert(tx, table, parameters.records, parameters.include_records)).records
    if parameters.primary_key is not None:
        await define.set_key(tx, table, parameters.primary_key)
    if parameters.indexes is not None:
        await define.set_indexes(tx, table, parameters.indexes)
    if parameters.aliases is not None:
        await define.set_aliases(tx, table, parameters.aliases)
    await set_datastore_active(tx, resource_id, active=True, touch=False)
    return resource_id, echo, stored


def with_records(result: dict[str, Any], records: bytes | None) -> RawJson:
    """The result as JSON text, with ``records`` that are JSON text already."""
    text = encode(result)
    return RawJson(text if records is None else text[:-1] + b',"records":' + records + b"}")


class _DryRunDone(Exception):
    """Carries the result of a dry run out of the transaction, and so undoes it."""

    def __init__(self, written: write.Written) -> None:
        super().__init__()
        self.written = written


@action(DatastoreUpsert, raw=("records",))
async def datastore_upsert(call: Call, parameters: DatastoreUpsert) -> RawJson:
    """Write records into a table: all of them or, if one is refused, none.

    `upsert` and `update` address a row by `_id`, else by the unique key, and change only the columns that a record
    names.
    """

    async def work(table: TableSchema) -> write.Written:
        async def transaction(tx: Transaction) -> write.Written:
            written = await _write_records(tx, table, parameters)
            if parameters.dry_run:
                raise _DryRunDone(written)
            return written

        try:
            return await call.services.database.write(transaction)
        except _DryRunDone as done:
            return done.written

    written = await writable(call, parameters.resource_id, parameters.force, "datastore_upsert", work)
    if not parameters.dry_run:
        call.services.maintenance.touch(parameters.resource_id)
    result: dict[str, Any] = {"resource_id": parameters.resource_id}
    for name in ("method", "dry_run"):
        if name in parameters.model_fields_set:
            result[name] = getattr(parameters, name)
    result["calculate_record_count"] = parameters.calculate_record_count
    return with_records(result, written.records)


async def _write_records(tx: Transaction, table: TableSchema, parameters: DatastoreUpsert) -> write.Written:
    records = parameters.records or b"[]"
    if parameters.method == "insert":
        return await write.insert(tx, table, records, parameters.include_records)
    return await write.merge(tx, table, records, parameters.method, parameters.include_records)


@action(DatastoreDelete)
async def datastore_delete(call: Call, parameters: DatastoreDelete) -> RawJson:
    """Delete the rows that fit `filters`; without `filters`, drop the table with its data dictionary and aliases."""

    async def work(table: TableSchema) -> bytes | None:
        async def transaction(tx: Transaction) -> bytes | None:
            if parameters.filters is None:
                await define.lock(tx, table.resource_id)
                await define.drop_table(tx, table.resource_id)
                await set_datastore_active(tx, table.resource_id, active=False, touch=False)
                return None
            limit = call.settings.search_rows_max
            return (
                await write.delete(tx, table, parameters.filters, parameters.include_deleted_records, limit)
            ).records

        return await call.services.database.write(transaction)

    deleted = await writable(call, parameters.resource_id, parameters.force, "datastore_delete", work)
    result: dict[str, Any] = {"resource_id": parameters.resource_id}
    if "filters" in parameters.model_fields_set:
        result["filters"] = parameters.filters
    text = encode(result)
    return RawJson(text if deleted is None else text[:-1] + b',"deleted_records":' + deleted + b"}")
