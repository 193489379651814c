"""Actions on relationships between datasets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_login, require_read
from datastore.actions.catalog.fields import AnyText, Sent
from datastore.actions.parameters import Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import load_dataset
from datastore.catalog.editing.relationships import (
    delete_relationship,
    list_relationships,
    relationship_type,
    save_relationship,
)
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.validation import Problems

_TYPES = (
    "`depends_on`, `dependency_of`, `derives_from`, `has_derivation`, `links_to`, `linked_from`, `child_of` or "
    "`parent_of`."
)


class Relationship(Sent):
    """Two datasets, and what the first one is to the second."""

    subject: AnyText = Field(None, description="Id or name of the one dataset.")
    object: AnyText = Field(None, description="Id or name of the other.")
    type: AnyText = Field(None, description=_TYPES)


class CommentedRelationship(Relationship):
    """A relationship with a comment."""

    comment: AnyText = Field(None, description="A remark.")


class PackageRelationshipsList(Parameters):
    """Which relationships."""

    id: RequiredText = Field(description="Id or name of the dataset from which they are seen.")
    id2: Text = Field(None, description="Only those with this dataset.")
    rel: Text = Field(None, description=f"Only those of this type: {_TYPES}")


@action(CommentedRelationship)
async def package_relationship_create(call: Call, parameters: CommentedRelationship) -> dict[str, Any]:
    """Say what one dataset is to another. One that exists gets the new comment."""
    return await _save(call, parameters, "package_relationship_create", must_exist=False)


@action(CommentedRelationship)
async def package_relationship_update(call: Call, parameters: CommentedRelationship) -> dict[str, Any]:
    """Change the comment of a relationship."""
    return await _save(call, parameters, "package_relationship_update", must_exist=True)


@action(Relationship)
async def package_relationship_delete(call: Call, parameters: Relationship) -> None:
    """Delete a relationship."""
    require_login(call.actor, "package_relationship_delete")

    async def work(tx: Transaction) -> None:
        await delete_relationship(tx, call.actor, parameters.sent())

    await call.write(work)


@action(PackageRelationshipsList, get=True)
async def package_relationships_list(call: Call, parameters: PackageRelationshipsList) -> list[dict[str, Any]]:
    """The relationships of a dataset with others that the caller may see. With `rel`, there must be one."""
    problems = Problems()
    type = problems.check("rel", relationship_type, parameters.rel, "") if parameters.rel else None
    problems.raise_if_any()
    pool = call.services.database.owner
    ids = []
    for key in (parameters.id, parameters.id2):
        if key:
            access = (await load_dataset(pool, key)).access
            require_read(call.actor, access, "package_relationships_list", f"dataset {key}")
            ids.append(access.id)
    found = await list_relationships(pool, call.actor, ids[0], ids[1] if len(ids) > 1 else None, type)
    if type and not found:
        raise NotFound(f"Relationship {type} was not found.")
    return found


async def _save(call: Call, parameters: CommentedRelationship, operation: str, *, must_exist: bool) -> dict[str, Any]:
    require_login(call.actor, operation)

    async def work(tx: Transaction) -> dict[str, Any]:
        return await save_relationship(tx, call.actor, parameters.sent(), must_exist=must_exist)

    return await call.write(work)
