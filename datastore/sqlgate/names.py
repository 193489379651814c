"""Names in a statement → tables that the caller may read.

A table that is not there and one that the caller may not see get the same answer, so that it tells nothing: for what
looks like a resource id, 403 `Not authorized to read resource.`; for any other name, and for sysadmins, from whom
nothing is hidden, 409 `relation "x" does not exist`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import may_read_dataset
from datastore.postgres.database import Database
from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.refusal import no_system_table, refused, unreadable
from datastore.tables.definition import metadata
from datastore.tables.schema import Schemas, TableSchema

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PUBLIC = "public"
"""The schema in which clients of the original expect the tables."""

_IN_DATASET = """
    SELECT registry.resource_id
    FROM datastore.tables AS registry
    JOIN datastore.resources AS resource ON resource.id = registry.resource_id
    JOIN datastore.datasets AS dataset ON dataset.id = registry.dataset_id
    WHERE (dataset.name = $1 OR dataset.id = $1) AND (resource.name = $2 OR resource.id = $2)
          AND resource.state = 'active'
    ORDER BY resource.position
"""


async def resolve(
    parts: Sequence[str], actor: Actor, database: Database, schemas: Schemas, catalogue: Catalogue
) -> TableSchema:
    """The table of a resource id or alias, or of a dataset and a resource in it (each by name or id).

    Raises :class:`NotAuthorized` and :class:`ValidationError` ``query``.
    """
    *before, name = parts
    if before == [_PUBLIC]:
        before = []
    if (
        name == metadata.NAME
        or any(part.startswith("pg_") for part in parts)
        or (before and before[0] in catalogue.schemas)
    ):
        raise no_system_table()
    if not before:
        candidates = [name]
    else:
        rows = await database.owner.fetch(_IN_DATASET, before[0], name)
        candidates = [row["resource_id"] for row in rows]
    found = [schema for candidate in candidates if (schema := await schemas.get(candidate)) is not None]
    readable = [schema for schema in found if may_read_dataset(actor, schema.access)]
    if not readable:
        if not before and _ID.fullmatch(name) and not actor.sysadmin:
            raise unreadable()
        raise refused(f'relation "{".".join(parts)}" does not exist')
    if len(readable) > 1:
        raise refused(f'table reference "{".".join(parts)}" is ambiguous: use a resource id')
    return readable[0]
