"""The library of trigger functions, and the history of tables."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import Field

from datastore.accounts.permissions import require_sysadmin
from datastore.actions.parameters import OfResource, Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.actions.tables.access import writable
from datastore.actions.tables.functions import Name
from datastore.catalog.datasets.resource_rows import find_resource
from datastore.catalog.editing.resources import create_resource, set_datastore_active
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.tables.definition import define
from datastore.tables.functions import history, library
from datastore.tables.functions.plpgsql import keep_function
from datastore.tables.schema import TableSchema, load
from datastore.tables.upkeep import indexes


class DatastoreTriggerLibrary(Parameters):
    """Which functions to show."""

    name: Text = Field(None, description="Only this function, with its definition.")


class DatastoreTriggerInstall(Parameters):
    """Which function to install."""

    name: Name = Field(description="A function of the library, as datastore_trigger_library names it.")


class DatastoreHistoryCreate(OfResource):
    """Whose history to keep, and where."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")
    name: Text = Field(None, description="Name of the new resource; the table's own and “history” if not given.")


class DatastoreHistoryDelete(OfResource):
    """Whose history to keep no longer."""

    resource_id: RequiredText = Field(description="The resource; `id` means the same.")


@action(DatastoreTriggerLibrary, get=True)
async def datastore_trigger_library(call: Call, parameters: DatastoreTriggerLibrary) -> list[dict[str, Any]]:
    """List the ready-made trigger functions: what each does, its arguments, an example, and its state.

    The state is `absent`, `installed`, `outdated` (installing it again brings it up to date), or `other` (there is a
    function of this name that is not from the library).
    """
    wanted = [library.find(parameters.name)] if parameters.name else list(library.library().values())
    states = await library.states(call.services.database.owner)
    return [_shown(function, states[function.name], bool(parameters.name)) for function in wanted]


def _shown(function: library.LibraryFunction, state: str, whole: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": function.name,
        "summary": function.summary,
        "arguments": [{"name": name, "description": meaning} for name, meaning in function.arguments],
        "example": msgspec.json.decode(function.example),
        "notes": function.notes,
        "state": state,
    }
    return shown | {"definition": function.definition} if whole else shown


@action(DatastoreTriggerInstall)
async def datastore_trigger_install(call: Call, parameters: DatastoreTriggerInstall) -> None:
    """Install a function of the library, or bring it up to date; tables that use it go on with the new one.

    Sysadmins only. datastore_function_delete removes it.
    """
    require_sysadmin(call.actor, "datastore_trigger_install")
    await call.write(lambda tx: library.install(tx, parameters.name))


@action(DatastoreHistoryCreate)
async def datastore_history_create(call: Call, parameters: DatastoreHistoryCreate) -> dict[str, Any]:
    """From now on keep each old record of a table in a new resource of the same dataset. Sysadmins only.

    The result is the new resource. Its table has the columns `changed_at`, `changed_by` (a user's name), `operation`
    (`update` or `delete`), `record_id` (the `_id`) and `record`. Nobody can write it.
    """
    require_sysadmin(call.actor, "datastore_history_create")

    async def work(table: TableSchema) -> dict[str, Any]:
        async def transaction(tx: Transaction) -> dict[str, Any]:
            await define.lock(tx, table.resource_id)
            source = await load(tx.connection, table.resource_id)
            if source is None or source.resource_id != table.resource_id:
                raise ValidationError({"resource_id": ["The table has just been deleted"]})
            return await _create_history(tx, call, source, parameters.name)

        return await call.write(transaction)

    # The table of a file may have one as well: what its owner may not do by hand is recorded too.
    return await writable(call, parameters.resource_id, True, "datastore_history_create", work)


async def _create_history(tx: Transaction, call: Call, source: TableSchema, name: str | None) -> dict[str, Any]:
    if source.history is not None:
        raise ValidationError({"resource_id": [f"The table has a history already: {source.history}"]})
    await keep_function(tx, history.FUNCTION)
    await library.install(tx, history.FUNCTION)
    resource, _ = await find_resource(tx.connection, source.resource_id)
    data = {
        "package_id": source.dataset_id,
        "name": name or f"{resource.name or 'Table'}: history",
        "description": "Records as they were before each change, and who made it when.",
        "url_type": "datastore",
        "url": "",
    }
    created = await create_resource(tx, call.actor, call.settings, call.site_url, data)
    fields = [define.Field(column, type) for column, type in history.COLUMNS.items()]
    table = await define.define(tx, created["id"], fields)
    await indexes.set_indexes(tx, table, [indexes.Index(("record_id",)), indexes.Index(("changed_at",))])
    await history.attach(tx, source, table)
    await set_datastore_active(tx, created["id"], active=True, touch=True)
    return {**created, "datastore_active": True}


@action(DatastoreHistoryDelete)
async def datastore_history_delete(call: Call, parameters: DatastoreHistoryDelete) -> None:
    """Keep the history of a table no longer; what it has stays, as a resource like any other. Sysadmins only."""
    require_sysadmin(call.actor, "datastore_history_delete")

    async def work(table: TableSchema) -> None:
        async def transaction(tx: Transaction) -> None:
            await define.lock(tx, table.resource_id)
            source = await load(tx.connection, table.resource_id)
            if source is None or source.history is None:
                raise ValidationError({"resource_id": ["The table has no history"]})
            await history.detach(tx, source)

        await call.write(transaction)

    await writable(call, parameters.resource_id, True, "datastore_history_delete", work)
