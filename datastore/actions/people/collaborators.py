"""Actions on the collaborators of datasets, where the site allows them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.collaborators import (
    capacity,
    list_collaborators,
    remove_collaborator,
    set_collaborator,
)
from datastore.accounts.permissions import (
    may_manage_collaborators,
    refusal,
    require_login,
)
from datastore.accounts.users import find_user
from datastore.actions.catalog.fields import AnyText
from datastore.actions.parameters import Parameters, RequiredText, Text
from datastore.actions.people.users import own_account
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import load_dataset, lock_access
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Problems


class _Collaborator(Parameters):
    """A dataset and a user."""

    id: RequiredText = Field(description="Id or name of the dataset.")
    user_id: RequiredText = Field(description="Id or name of the user.")


class PackageCollaboratorCreate(_Collaborator):
    """Whom to let into a dataset."""

    capacity: AnyText = Field(None, description="`member` may read it, `editor` may change it.")


class PackageCollaboratorDelete(_Collaborator):
    """Whom to let into a dataset no longer."""


class PackageCollaboratorList(Parameters):
    """Whose collaborators."""

    id: RequiredText = Field(description="Id or name of the dataset.")
    capacity: Text = Field(None, description="Only of this capacity.")


class PackageCollaboratorListForUser(Parameters):
    """Which user's datasets."""

    id: RequiredText = Field(description="Id or name of the user.")
    capacity: Text = Field(None, description="Only of this capacity.")


@action(PackageCollaboratorCreate)
async def package_collaborator_create(call: Call, parameters: PackageCollaboratorCreate) -> dict[str, Any]:
    """Let a user into a dataset, its tables included, or change what they may; admins of its organization may."""
    _check_allowed(call, "package_collaborator_create")
    problems = Problems()

    async def work(tx: Transaction) -> dict[str, Any]:
        dataset_id, user_id = await _find(tx, call, parameters, "package_collaborator_create")
        wanted = problems.check("capacity", lambda value: capacity(value, call.settings), parameters.capacity, "")
        problems.raise_if_any()
        return await set_collaborator(tx, dataset_id, user_id, wanted)

    return await call.write(work)


@action(PackageCollaboratorDelete)
async def package_collaborator_delete(call: Call, parameters: PackageCollaboratorDelete) -> None:
    """Let a user into a dataset no longer; admins of its organization may."""
    _check_allowed(call, "package_collaborator_delete")

    async def work(tx: Transaction) -> None:
        dataset_id, user_id = await _find(tx, call, parameters, "package_collaborator_delete")
        if not await remove_collaborator(tx, dataset_id, user_id):
            raise NotFound(f"User {parameters.user_id} is not a collaborator on this package")

    await call.write(work)


@action(PackageCollaboratorList, get=True)
async def package_collaborator_list(call: Call, parameters: PackageCollaboratorList) -> list[dict[str, Any]]:
    """The collaborators of a dataset; admins of its organization may see them."""
    _check_allowed(call, "package_collaborator_list")
    pool = call.services.database.owner
    dataset = await load_dataset(pool, parameters.id)
    if not may_manage_collaborators(call.actor, dataset.access, call.settings):
        raise refusal(call.actor, "package_collaborator_list", f"dataset {parameters.id}")
    return await list_collaborators(pool, dataset_id=dataset.id, capacity=parameters.capacity or None)


@action(PackageCollaboratorListForUser, get=True)
async def package_collaborator_list_for_user(
    call: Call, parameters: PackageCollaboratorListForUser
) -> list[dict[str, Any]]:
    """The datasets on which a user collaborates: yourself, or anybody as a sysadmin."""
    _check_allowed(call, "package_collaborator_list_for_user")
    user = await own_account(call, parameters.id, "package_collaborator_list_for_user")
    pool = call.services.database.owner
    found = await list_collaborators(pool, user_id=user.id, capacity=parameters.capacity or None)
    return [{key: row[key] for key in ("package_id", "capacity", "modified")} for row in found]


def _check_allowed(call: Call, action_name: str) -> None:
    require_login(call.actor, action_name)
    if not call.settings.allow_dataset_collaborators:
        raise ValidationError({"message": "Dataset collaborators not enabled"})


async def _find(tx: Transaction, call: Call, parameters: _Collaborator, action_name: str) -> tuple[str, str]:
    """The ids of the locked dataset, whose collaborators the actor manages, and of the user."""
    access = await lock_access(tx, parameters.id)
    if not may_manage_collaborators(call.actor, access, call.settings):
        raise refusal(call.actor, action_name, f"dataset {parameters.id}")
    user = await find_user(tx.connection, parameters.user_id)
    if user is None or user.state == "deleted":
        raise NotFound("User")
    return access.id, user.id
