"""Writing records into tables: datastore_upsert."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from datastore.actions.parameters import (
    Boolean,
    OfResource,
    RequiredText,
    one_of,
)
from datastore.actions.registry import Call, RawJson, action
from datastore.actions.tables.access import writable
from datastore.actions.tables.records import CountMode, RecordList, with_records
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.tables.schema import ID_COLUMN, TableSchema
from datastore.tables.upkeep import bulk
from datastore.tables.writing import write
from datastore.tables.writing.diagnosis import add_other_errors
from datastore.tables.writing.sources import JsonList


class DatastoreUpsert(OfResource):
    """The records to write, and how."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    records: RecordList = Field(None, description="Rows: a list of objects.")
    method: Annotated[str, one_of("upsert", "insert", "update")] = Field(
        "upsert", description="upsert: update the row with the same key, or insert. insert, update: just that."
    )
    force: Boolean = Field(False, description="Also write the table of a resource that is filled from a file.")
    include_records: Boolean = Field(False, description="Return the rows as they are stored.")
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")
    dry_run: Boolean = Field(False, description="Do everything, report every error, then undo it.")


class _DryRunDone(Exception):
    """Carries the result of a dry run out of the transaction, and so undoes it."""

    def __init__(self, written: write.Written) -> None:
        super().__init__()
        self.written = written


@action(DatastoreUpsert, raw=("records",), reads_all=True)
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
            await _spare_index(call, table, parameters)
            return await call.write(transaction)
        except _DryRunDone as done:
            return done.written
        except ValidationError as error:
            if parameters.records is None:
                raise
            columns = [ID_COLUMN, *table.columns]
            raise await add_other_errors(call.services.database, columns, parameters.records, error) from None

    written = await writable(call, parameters.resource_id, parameters.force, "datastore_upsert", work)
    if not parameters.dry_run:
        call.services.maintenance.touch(parameters.resource_id)
    result: dict[str, Any] = {"resource_id": parameters.resource_id}
    for name in ("method", "dry_run"):
        if name in parameters.model_fields_set:
            result[name] = getattr(parameters, name)
    result["calculate_record_count"] = parameters.calculate_record_count
    return with_records(result, written.records)


async def _spare_index(call: Call, table: TableSchema, parameters: DatastoreUpsert) -> None:
    if parameters.records is None or parameters.method == "update" or parameters.dry_run:
        return
    await bulk.spare_index(call.services.database, table, parameters.records.size)


async def _write_records(tx: Transaction, table: TableSchema, parameters: DatastoreUpsert) -> write.Written:
    records = JsonList(b"[]") if parameters.records is None else parameters.records
    if parameters.method == "insert":
        return await write.insert(tx, table, records, parameters.include_records)
    return await write.merge(tx, table, records, parameters.method, parameters.include_records)
