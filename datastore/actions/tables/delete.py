"""Deleting records and tables: datastore_delete, datastore_records_delete."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from datastore.actions.parameters import (
    Boolean,
    KnownOnly,
    RequiredText,
    invalid,
)
from datastore.actions.registry import Call, RawJson, action, encode
from datastore.actions.tables.access import writable
from datastore.actions.tables.records import CountMode
from datastore.catalog.editing.resources import set_datastore_active
from datastore.postgres.database import Transaction
from datastore.tables.definition import define
from datastore.tables.schema import TableSchema
from datastore.tables.writing import write


def _filters(value: Any) -> Any:
    if value is not None and not isinstance(value, dict):
        raise invalid("filters must be either a dict or null.")
    return value


class DatastoreDelete(KnownOnly):
    """Which rows to delete, or the whole table."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    filters: Annotated[dict[str, Any] | None, BeforeValidator(_filters)] = Field(
        None, description="Conditions as in datastore_search; `{}` deletes all rows; without, the table is dropped."
    )
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    include_deleted_records: Boolean = Field(False, description="Return the deleted rows.")
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise invalid("Must be a dict")
    return value


class DatastoreRecordsDelete(KnownOnly):
    """Which rows to delete."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    filters: Annotated[dict[str, Any], BeforeValidator(_object)] = Field(
        description="Conditions as in datastore_search; `{}` deletes all rows."
    )
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    include_deleted_records: Boolean = Field(False, description="Return the deleted rows.")
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")


@action(DatastoreDelete)
async def datastore_delete(call: Call, parameters: DatastoreDelete) -> RawJson:
    """Delete the rows that fit `filters`; without `filters`, drop the table with its data dictionary and aliases."""

    if parameters.filters is not None:
        return await _delete_records(call, parameters, parameters.filters, "datastore_delete")

    async def work(table: TableSchema) -> None:
        async def transaction(tx: Transaction) -> None:
            await define.lock(tx, table.resource_id)
            await define.drop_table(tx, table.resource_id)
            await set_datastore_active(tx, table.resource_id, active=False, touch=False)

        await call.write(transaction)

    await writable(call, parameters.resource_id, parameters.force, "datastore_delete", work)
    result: dict[str, Any] = {"resource_id": parameters.resource_id}
    if "filters" in parameters.model_fields_set:
        result["filters"] = None
    return RawJson(encode(result))


@action(DatastoreRecordsDelete)
async def datastore_records_delete(call: Call, parameters: DatastoreRecordsDelete) -> RawJson:
    """Delete the rows that fit `filters`; the table, its data dictionary and aliases stay, whatever they are."""
    return await _delete_records(call, parameters, parameters.filters, "datastore_records_delete")


async def _delete_records(
    call: Call, parameters: DatastoreDelete | DatastoreRecordsDelete, filters: dict[str, Any], action_name: str
) -> RawJson:
    async def work(table: TableSchema) -> bytes | None:
        async def transaction(tx: Transaction) -> bytes | None:
            limit = call.settings.search_rows_max
            return (await write.delete(tx, table, filters, parameters.include_deleted_records, limit)).records

        return await call.write(transaction)

    deleted = await writable(call, parameters.resource_id, parameters.force, action_name, work)
    call.services.maintenance.touch(parameters.resource_id)
    text = encode({"resource_id": parameters.resource_id, "filters": filters})
    return RawJson(text if deleted is None else text[:-1] + b',"deleted_records":' + deleted + b"}")
