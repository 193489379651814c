"""What there is to know of a table: datastore_info."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.actions.parameters import Boolean, OfResource, RequiredText
from datastore.actions.registry import Call, action
from datastore.actions.tables.access import readable
from datastore.tables import registry
from datastore.tables.definition import describe
from datastore.tables.schema import TableSchema


class DatastoreInfo(OfResource):
    """Which table, and how much about it."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    include_meta: Boolean = Field(True, description="Also counts, sizes and aliases.")
    include_fields_schema: Boolean = Field(True, description="Also the native type and indexes of each column.")


@action(DatastoreInfo, get=True)
async def datastore_info(call: Call, parameters: DatastoreInfo) -> dict[str, Any]:
    """Describe a table: its columns with their data dictionary, its count, sizes and aliases."""

    async def look(schema: TableSchema) -> dict[str, Any]:
        # The version first: what is read after it is never older than the tag says.
        version = None if call.freshness is None else await registry.version(call.services.database, schema)
        found = await describe.info(
            call.services.database, schema, parameters.include_meta, parameters.include_fields_schema
        )
        # While the index is built, its progress changes without a write.
        if call.freshness is not None and found.get("full_text", {}).get("state") != "building":
            call.freshness.keep(schema, version, call.actor)
        return found

    return await readable(call, parameters.resource_id, look, "Resource/Alias")
