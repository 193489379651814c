"""Actions on the members of groups and organizations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from datastore.accounts.permissions import (
    ADMIN,
    EDITOR,
    MEMBER,
    may_read_group,
    may_see_users,
    refusal,
    require_login,
    require_permission,
)
from datastore.accounts.users import find_user
from datastore.actions.catalog.fields import AnyText
from datastore.actions.parameters import Parameters, RequiredText, Text, one_of
from datastore.actions.registry import Call, action
from datastore.catalog.groups.membership import TYPES, add_member, add_user, list_members, remove_member
from datastore.catalog.groups.rows import Group, find_group, lock_group
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction

_ROLES = {
    ADMIN: {"text": "Admin", "value": ADMIN},
    EDITOR: {"text": "Editor", "value": EDITOR},
    MEMBER: {"text": "Member", "value": MEMBER},
}


class _Members(Parameters):
    """A group or organization and something in it."""

    id: RequiredText = Field(description="Id or name of the group or organization.")
    object: RequiredText = Field(description="Id or name of the user, dataset or parent.")
    object_type: RequiredText = Field(description="`user`, `package` or `group`: a group or organization above.")


class MemberCreate(_Members):
    """Who or what gets into a group or organization."""

    capacity: AnyText = Field(
        None, description="`admin`, `editor` or `member` for a user; `public` for a dataset, `parent` for a group."
    )


class MemberDelete(_Members):
    """Who or what is taken out of a group or organization."""


class MemberList(Parameters):
    """Whose members."""

    id: RequiredText = Field(description="Id or name of the group or organization.")
    object_type: Text = Field(None, description="Only `user`, `package` or `group`.")
    capacity: Text = Field(None, description="Only of this capacity, such as `editor`.")


class MemberRolesList(Parameters):
    """Roles where."""

    group_type: Annotated[str, one_of("organization", "group")] = Field(
        "organization", description="`organization` or `group`."
    )


class _NewUser(Parameters):
    """A user and their role."""

    id: RequiredText = Field(description="Id or name of the group or organization.")
    username: RequiredText = Field(description="Id or name of the user.")
    role: RequiredText = Field(description="`admin`, `editor` or `member`.")


class OrganizationMemberCreate(_NewUser):
    """A user and their role in an organization."""


class GroupMemberCreate(_NewUser):
    """A user and their role in a group."""


class _User(Parameters):
    """A user in a group or organization."""

    id: RequiredText = Field(description="Id or name of the group or organization.")
    username: RequiredText = Field(description="Id or name of the user.")


class OrganizationMemberDelete(_User):
    """A user in an organization."""


class GroupMemberDelete(_User):
    """A user in a group."""


@action(MemberCreate)
async def member_create(call: Call, parameters: MemberCreate) -> dict[str, Any]:
    """Put a user, a dataset or a parent into a group or organization, or change their capacity."""
    require_login(call.actor, "member_create")
    object_type = _type(parameters.object_type)

    async def work(tx: Transaction) -> dict[str, Any]:
        group = await lock_group(tx, parameters.id, None)
        return await add_member(tx, call.actor, group, object_type, parameters.object, parameters.capacity)

    return await call.write(work)


@action(MemberDelete)
async def member_delete(call: Call, parameters: MemberDelete) -> None:
    """Take a user, a dataset or a parent out of a group or organization."""
    require_login(call.actor, "member_delete")
    object_type = _type(parameters.object_type)

    async def work(tx: Transaction) -> None:
        group = await lock_group(tx, parameters.id, None)
        await remove_member(tx, call.actor, group, object_type, parameters.object)

    await call.write(work)


@action(MemberList, get=True)
async def member_list(call: Call, parameters: MemberList) -> list[list[str]]:
    """The members as `[id, type, capacity]`: users, datasets that you may see, and what is right above."""
    pool = call.services.database.owner
    group = await _find_either(call, parameters.id)
    if not may_read_group(call.actor, group.state):
        raise refusal(call.actor, "member_list", f"{group.kind.lower()} {parameters.id}")
    types: tuple[str, ...] = (_type(parameters.object_type),) if parameters.object_type else TYPES
    if not may_see_users(call.actor, call.settings):
        types = tuple(each for each in types if each != "user")
    return await list_members(pool, call.actor, group, types, parameters.capacity or None)


@action(MemberRolesList, get=True)
async def member_roles_list(_call: Call, parameters: MemberRolesList) -> list[dict[str, str]]:
    """The roles that members may have. Groups have no editors."""
    roles = (ADMIN, MEMBER) if parameters.group_type == "group" else (ADMIN, EDITOR, MEMBER)
    return [_ROLES[role] for role in roles]


@action(OrganizationMemberCreate)
async def organization_member_create(call: Call, parameters: OrganizationMemberCreate) -> dict[str, Any]:
    """Make a user a member of an organization, or give them another role; its admins may."""
    return await _add(call, parameters, True, "organization_member_create")


@action(GroupMemberCreate)
async def group_member_create(call: Call, parameters: GroupMemberCreate) -> dict[str, Any]:
    """Make a user a member of a group, or give them another role; its admins may."""
    return await _add(call, parameters, False, "group_member_create")


@action(OrganizationMemberDelete)
async def organization_member_delete(call: Call, parameters: OrganizationMemberDelete) -> None:
    """Take a user out of an organization; its admins may."""
    await _remove(call, parameters, True, "organization_member_delete")


@action(GroupMemberDelete)
async def group_member_delete(call: Call, parameters: GroupMemberDelete) -> None:
    """Take a user out of a group; its admins may."""
    await _remove(call, parameters, False, "group_member_delete")


async def _add(call: Call, parameters: _NewUser, is_organization: bool, action_name: str) -> dict[str, Any]:
    require_login(call.actor, action_name)

    async def work(tx: Transaction) -> dict[str, Any]:
        group = await lock_group(tx, parameters.id, is_organization)
        require_permission(call.actor, group.id, "membership", action_name)
        user = await find_user(tx.connection, parameters.username)
        if user is None or user.state == "deleted":
            raise ValidationError({"message": f"User {parameters.username} does not exist."})
        return await add_user(tx, call.actor, group, user, parameters.role, "role")

    return await call.write(work)


async def _remove(call: Call, parameters: _User, is_organization: bool, action_name: str) -> None:
    require_login(call.actor, action_name)

    async def work(tx: Transaction) -> None:
        group = await lock_group(tx, parameters.id, is_organization)
        require_permission(call.actor, group.id, "membership", action_name)
        await remove_member(tx, call.actor, group, "user", parameters.username)

    await call.write(work)


async def _find_either(call: Call, id_or_name: str) -> Group:
    pool = call.services.database.owner
    try:
        return await find_group(pool, call.actor, id_or_name, True)
    except NotFound:
        return await find_group(pool, call.actor, id_or_name, False)


def _type(value: str) -> str:
    if value not in TYPES:
        raise ValidationError({"object_type": [f"Value must be one of {list(TYPES)}"]})
    return value
