"""Relationships between datasets: ``subject <type> object`` (catalog-api.md §B6).

Each pair of types says the same from the two sides; the forward one is stored.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import asyncpg

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess, may_update_dataset, require_update
from datastore.catalog.datasets.rows import dataset_id, lock_accesses
from datastore.catalog.editing.finish import touched
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Invalid, Problems, required_text, text, uuid4

_PAIRS = (
    ("depends_on", "dependency_of"),
    ("derives_from", "has_derivation"),
    ("links_to", "linked_from"),
    ("child_of", "parent_of"),
)
_REVERSE = {**dict(_PAIRS), **{reverse: forward for forward, reverse in _PAIRS}}
_FORWARD = frozenset(forward for forward, _ in _PAIRS)

_SAVE = """
    INSERT INTO datastore.relationships AS stored (id, subject_id, object_id, type, comment)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT ON CONSTRAINT relationships_key DO UPDATE SET comment = excluded.comment
    WHERE stored.comment <> excluded.comment
    RETURNING true
"""

_EXISTS = """
    SELECT true FROM datastore.relationships WHERE subject_id = $1 AND object_id = $2 AND type = $3
"""

_DELETE = """
    DELETE FROM datastore.relationships WHERE subject_id = $1 AND object_id = $2 AND type = $3 RETURNING true
"""

# Of two datasets that are loaded at the same moment, the second one waits until it can see the first.
_ONE_BY_ONE = """
    SELECT pg_advisory_xact_lock(hashtextextended(wanted.id, 0))
    FROM (SELECT id FROM unnest($1::text[]) AS given (id) ORDER BY id) AS wanted
"""

# Of datasets that were loaded anew; the id stays what it was unless somebody else has it now.
_RESTORE = """
    INSERT INTO datastore.relationships (id, subject_id, object_id, type, comment)
    SELECT CASE WHEN EXISTS (SELECT FROM datastore.relationships AS other WHERE other.id = wanted.id)
                THEN gen_random_uuid()::text ELSE wanted.id END,
           wanted.subject_id, wanted.object_id, wanted.type, wanted.comment
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
         AS wanted (id, subject_id, object_id, type, comment)
    ON CONFLICT DO NOTHING
"""

# Seen from $1; of the other dataset only what the actor may see.
_LIST = """
    SELECT $1 = relationship.subject_id AS forward, relationship.type, relationship.comment, this.name,
           other.name AS other_name
    FROM datastore.relationships AS relationship
    JOIN datastore.datasets AS this ON this.id = $1
    JOIN datastore.datasets AS other
        ON other.id = CASE WHEN relationship.subject_id = $1 THEN relationship.object_id
                           ELSE relationship.subject_id END
    WHERE $1 IN (relationship.subject_id, relationship.object_id)
          AND ($2::text IS NULL OR other.id = $2)
          AND datastore.may_read(other, $3, $4, $5)
    ORDER BY other.name COLLATE "C", relationship.type, forward
"""


def relationship_type(value: Any) -> str:
    """A type of relationship, forward or reverse."""
    found = required_text(value)
    if found not in _REVERSE:
        raise Invalid(f"Value must be one of {[type for pair in _PAIRS for type in pair]}")
    return found


async def list_relationships(
    pool: asyncpg.Pool, actor: Actor, subject: str, other: str | None = None, type: str | None = None
) -> list[dict[str, Any]]:
    """The relationships of a dataset (an id) as seen from it: all, those with ``other``, those of one type."""
    rows = await pool.fetch(_LIST, subject, other, *actor.who)
    found = [
        {
            "subject": row["name"],
            "type": row["type"] if row["forward"] else _REVERSE[row["type"]],
            "object": row["other_name"],
            "comment": row["comment"],
        }
        for row in rows
    ]
    return [relationship for relationship in found if type in (None, relationship["type"])]


async def save_relationship(
    tx: Transaction, actor: Actor, data: Mapping[str, Any], *, must_exist: bool
) -> dict[str, Any]:
    """Create a relationship, or give an existing one another comment, and show it.

    Raises :class:`NotFound`, :class:`NotAuthorized` (the actor must be allowed to change both datasets) and
    :class:`ValidationError`.
    """
    problems = Problems()
    comment = problems.check("comment", text, data.get("comment"), None) or ""
    problems.raise_if_any()
    operation = "package_relationship_update" if must_exist else "package_relationship_create"
    subject, object, type, names = await _locked(tx, actor, data, operation)
    if must_exist and not await tx.connection.fetchval(_EXISTS, subject.id, object.id, type):
        raise NotFound("This relationship between the datasets was not found.")
    if await tx.connection.fetchval(_SAVE, str(uuid.uuid4()), subject.id, object.id, type, comment):
        await touched(tx, [subject, object])
    return {"subject": names[0], "type": str(data["type"]), "object": names[1], "comment": comment}


async def delete_relationship(tx: Transaction, actor: Actor, data: Mapping[str, Any]) -> None:
    """Delete a relationship. Raises :class:`NotFound`, :class:`NotAuthorized` and :class:`ValidationError`."""
    subject, object, type, _ = await _locked(tx, actor, data, "package_relationship_delete")
    if not await tx.connection.fetchval(_DELETE, subject.id, object.id, type):
        raise NotFound("This relationship between the datasets was not found.")
    await touched(tx, [subject, object])


async def restore_relationships(tx: Transaction, actor: Actor, dataset: DatasetAccess, data: Mapping[str, Any]) -> None:
    """The relationships that a new dataset was shown with, as far as the other datasets are there and the actor may
    change them: so that a dump that is loaded has them again. Others are passed over.
    """
    rows = {}
    for field in ("relationships_as_subject", "relationships_as_object"):
        items = data.get(field)
        for row in map(_shown_row, items if isinstance(items, list) else ()):
            if row is not None and row[1] != row[2] and dataset.id in row[1:3]:
                rows[row[1:4]] = row
    if not rows:
        return
    await tx.connection.execute(_ONE_BY_ONE, [row[0] for row in rows.values()])
    others = await lock_accesses(tx, [id for row in rows.values() for id in row[1:3] if id != dataset.id])
    allowed = {access.id: access for access in others if may_update_dataset(actor, access, tx.settings)}
    kept = [row for row in rows.values() if {*row[1:3]} <= {dataset.id, *allowed}]
    if kept:
        await tx.connection.execute(_RESTORE, *(list(column) for column in zip(*kept, strict=True)))
        await touched(tx, list(allowed.values()))


def _shown_row(item: Any) -> tuple[str, str, str, str, str] | None:
    """A relationship as datasets show it, if it is one."""
    if not isinstance(item, Mapping):
        return None
    problems = Problems()
    keys = ("id", "subject_package_id", "object_package_id")
    id, subject, object = (problems.check(key, uuid4, item.get(key), "") for key in keys)
    type = problems.check("type", relationship_type, item.get("type"), "")
    comment = problems.check("comment", text, item.get("comment"), None)
    return None if problems.fields or type not in _FORWARD else (id, subject, object, type, comment or "")


async def _locked(
    tx: Transaction, actor: Actor, data: Mapping[str, Any], operation: str
) -> tuple[DatasetAccess, DatasetAccess, str, tuple[str, str]]:
    """Subject, object and type as stored, the two datasets locked; and their names in the order of the request."""
    problems = Problems()
    keys = [problems.check(field, required_text, data.get(field), "") for field in ("subject", "object")]
    type = problems.check("type", relationship_type, data.get("type"), "")
    problems.raise_if_any()
    ids = [await dataset_id(tx.connection, key) for key in keys]
    if ids[0] == ids[1]:
        raise ValidationError({"object": ["A dataset has no relationship with itself"]})
    accesses = {access.id: access for access in await lock_accesses(tx, ids)}
    if len(accesses) < 2:
        raise NotFound("Dataset")
    for id, key in zip(ids, keys, strict=True):
        require_update(actor, accesses[id], tx.settings, operation, f"dataset {key}")
    subject, object = (accesses[id] for id in ids)
    names = (subject.name, object.name)
    return (subject, object, type, names) if type in _FORWARD else (object, subject, _REVERSE[type], names)
