"""Making and changing tables: datastore_create."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field

from datastore.accounts.permissions import require_login
from datastore.actions.parameters import (
    Boolean,
    Json,
    OfResource,
    Strings,
    Text,
    invalid,
    split_list,
)
from datastore.actions.registry import Call, RawJson, action
from datastore.actions.tables.access import check_no_history, check_update, check_writable
from datastore.actions.tables.fields import field_list, plan_fields
from datastore.actions.tables.functions import as_trigger, trigger_list
from datastore.actions.tables.records import CountMode, RecordList, with_records
from datastore.catalog.datasets.resource_rows import find_resource
from datastore.catalog.editing.resources import create_resource, set_datastore_active
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.tables.definition import define
from datastore.tables.functions import triggers
from datastore.tables.names import check_alias_names
from datastore.tables.schema import TableSchema, load
from datastore.tables.upkeep import indexes
from datastore.tables.upkeep.indexes import KINDS, Index
from datastore.tables.writing import write
from datastore.tables.writing.diagnosis import add_other_errors


def _index_list(value: Any) -> list[Any] | None:
    """The members of ``indexes`` as they were sent: each a name, a list of names, or an object."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            decoded = None
        value = decoded if isinstance(decoded, list) else split_list(value)
    if not isinstance(value, list):
        raise invalid("Not a list")
    for member in value:
        _index(member)
    return value


def _index(member: Any) -> Index:
    """One index: `"a"`, `"a,b"`, `["a", "b"]`, or `{"fields": …, "type": "btree|fulltext|trigram"}`."""
    if isinstance(member, str):
        return Index(tuple(split_list(member)))
    if isinstance(member, list) and all(isinstance(name, str) for name in member):
        return Index(tuple(member))
    if isinstance(member, dict) and member.keys() <= {"fields", "type"} and "fields" in member:
        kind = member.get("type", "btree")
        if kind not in KINDS:
            raise invalid(f"Value must be one of {list(KINDS)}")
        columns = _index(member["fields"]).columns
        if kind != "btree" and len(columns) != 1:
            raise invalid(f"An index of type {kind} is over one column")
        return Index(columns, kind)
    raise invalid(f"Neither a string nor a list: {member!r}")


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
    records: RecordList = Field(None, description="Rows to insert: a list of objects.")
    include_records: Boolean = Field(False, description="Return the rows as they were stored.")
    primary_key: Strings = Field(None, description="Columns of the unique key. Given, they replace the one it had.")
    indexes: Annotated[list[Any] | None, BeforeValidator(_index_list)] = Field(
        None,
        description="Indexes, each a column, a list of columns, or `{fields, type}` with the type btree, fulltext (for "
        "`q` by column) or trigram (for `similar`, `contains`, `like`). Given, they replace all it had.",
    )
    language: Text = Field(None, description="Text-search configuration of the table's full text, such as `german`.")
    convert: Boolean = Field(
        False, description="Change existing columns to the types in `fields` and convert their data, all or nothing."
    )
    triggers: Annotated[list[dict[str, Any]] | None, BeforeValidator(trigger_list)] = Field(
        None,
        description="Functions that see each record before it is stored: a list of `{function, arguments}`, in the "
        "order in which they fire. Given, they replace all it had.",
    )
    calculate_record_count: CountMode = Field("background", description="Accepted; counts are always exact.")


@action(DatastoreCreate, raw=("records",))
async def datastore_create(call: Call, parameters: DatastoreCreate) -> RawJson:
    """Make a table, or change it, and insert records, in one transaction: columns, triggers, records, indexes, aliases.

    Either an existing resource (`resource_id`), or a new one (`resource`, with its `package_id`). Whatever fails,
    nothing of the request remains.
    """
    if parameters.resource_id:
        await _check_resource(call, parameters)
    else:
        require_login(call.actor, "datastore_create")
        if parameters.resource is None:
            raise ValidationError({"resource_id": ["resource_id or resource required"]})
    check_alias_names(parameters.aliases or [])

    creation = _Creation(parameters)

    async def work(tx: Transaction) -> str:
        resource_id = parameters.resource_id or await _new_resource(tx, call, parameters.resource)
        await creation.run(tx, resource_id)
        return resource_id

    try:
        resource_id = await call.write(work)
    except ValidationError as error:
        if creation.table is None or parameters.records is None:
            raise
        raise await add_other_errors(
            call.services.database, creation.table.columns, parameters.records, error
        ) from None
    call.services.maintenance.touch(resource_id)
    fields, records = creation.echo, creation.stored
    result: dict[str, Any] = {"resource_id": resource_id}
    for name in ("resource", "aliases", "primary_key", "indexes", "triggers"):
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


async def _check_resource(call: Call, parameters: DatastoreCreate) -> None:
    """The resource is there, the actor may change it, it stands alone, and it is not filled from a file."""
    resource_id = str(parameters.resource_id)
    try:
        resource, access = await find_resource(call.services.database.owner, resource_id)
    except NotFound:
        raise ValidationError({"resource_id": [f"Resource not found: {resource_id}"]}) from None
    check_update(call, access, resource_id, "datastore_create")
    if parameters.resource is not None:
        raise ValidationError({"resource": ["resource cannot be used with resource_id"]})
    check_writable(resource.url_type, parameters.force)


async def _new_resource(tx: Transaction, call: Call, resource: Any) -> str:
    if not isinstance(resource, dict):
        raise ValidationError({"resource": ["Must be a dict"]})
    if resource.get("url"):
        raise ValidationError({"resource": ["The datapusher has to be enabled."]})
    data = {**resource, "url_type": "datastore", "url": ""}
    shown = await create_resource(tx, call.actor, call.settings, call.site_url, data)
    return str(shown["id"])


# What may not be changed of a history.
_ROWS_AND_COLUMNS = frozenset({"fields", "records", "primary_key", "triggers"})


class _Creation:
    """The work of one datastore_create, and what is known of it when it is done or has failed."""

    def __init__(self, parameters: DatastoreCreate) -> None:
        self.parameters = parameters
        self.table: TableSchema | None = None
        self.echo: list[dict[str, Any]] = []
        self.stored: bytes | None = None

    async def run(self, tx: Transaction, resource_id: str) -> None:
        """Columns, data dictionary, language → triggers → records → key and indexes → aliases."""
        parameters = self.parameters
        await define.lock(tx, resource_id)
        table = await load(tx.connection, resource_id)
        is_new = table is None
        if table is not None and parameters.model_fields_set & _ROWS_AND_COLUMNS:
            check_no_history(table)
        fields, self.echo = await plan_fields(parameters.fields or [], parameters.records, table)
        if table is None or fields:
            table = await define.define(tx, resource_id, fields, parameters.delete_fields, parameters.convert)
        if parameters.language:
            table = await define.set_language(tx, table, parameters.language)
        if parameters.triggers is not None:
            table = await triggers.set_triggers(tx, table, [as_trigger(member) for member in parameters.triggers])
        self.table = table
        if parameters.records is not None:
            self.stored = (await write.insert(tx, table, parameters.records, parameters.include_records)).records
        if parameters.primary_key is not None:
            await indexes.set_key(tx, table, parameters.primary_key)
        if parameters.indexes is not None:
            await indexes.set_indexes(tx, table, [_index(member) for member in parameters.indexes])
        if parameters.aliases is not None:
            await define.set_aliases(tx, table, parameters.aliases)
        await set_datastore_active(tx, resource_id, active=True, touch=is_new)
