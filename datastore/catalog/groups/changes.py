"""Creating, changing, deleting and purging groups and organizations (catalog-api.md §B3, §C3–C6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson

from datastore.accounts.activities import Activity, record
from datastore.accounts.actor import CACHE_KIND, Actor
from datastore.accounts.members import capacity, roles_change, set_users
from datastore.accounts.permissions import ADMIN, MEMBER, group_labels, may_delete_group, refusal
from datastore.accounts.user_fields import picture
from datastore.accounts.users import find_user
from datastore.catalog import dates
from datastore.catalog.datasets.fields import check_extras
from datastore.catalog.editing.datasets import update_dataset
from datastore.catalog.groups.packages import check_packages, set_packages
from datastore.catalog.groups.parents import check_parents, set_parents, stored_parents
from datastore.catalog.groups.rows import Group, Include, show_group
from datastore.errors import ValidationError
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.tables.schema import CACHE_KIND as TABLE_KIND
from datastore.validation import Invalid, Problems, is_sent, name, objects, required_text, text, uuid4

NAME_TAKEN = "Group name already exists in database"
ID_TAKEN = "Group id already exists"
# Keys that an extra may not have, because a group has a field of that name.
_FIELDS = frozenset(
    {
        "id",
        "name",
        "title",
        "description",
        "image_url",
        "type",
        "state",
        "extras",
        "users",
        "groups",
        "packages",
        "tags",
    }
)
_PLAIN: dict[str, Callable[[Any], str | None]] = {"title": text, "description": text}

_INSERT = """
    INSERT INTO datastore.groups (
        id, name, title, description, image_url, type, is_organization, approval_status, state, extras, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

_UPDATE = """
    UPDATE datastore.groups
    SET name = $2, title = $3, description = $4, image_url = $5, type = $6, is_organization = $7, approval_status = $8,
        state = $9, extras = $10, created = $11
    WHERE id = $1
"""

_CONTENTS = "SELECT table_name, table_id, capacity FROM datastore.members WHERE group_id = $1 ORDER BY 1, 2, 3"

_OWNED = "SELECT id FROM datastore.datasets WHERE owner_org = $1 AND state <> 'deleted' ORDER BY id"

# Deleted datasets keep their privacy: whoever brings one back has to choose an owner first.
_DISOWN = "UPDATE datastore.datasets SET owner_org = NULL WHERE owner_org = $1 RETURNING id"

_BELOW = "SELECT group_id FROM datastore.members WHERE table_name = 'group' AND table_id = $1"


async def create_group(tx: Transaction, actor: Actor, data: Mapping[str, Any], is_organization: bool) -> str:
    """Create a group with its members, the creator among them as admin, and give its id.

    Raises :class:`ValidationError`, and :class:`NotAuthorized` for a parent that is not the actor's.
    """
    problems = Problems()
    group_id = str(uuid.uuid4())
    if data.get("id") not in (None, ""):
        if actor.sysadmin:
            group_id = problems.check("id", uuid4, data["id"], group_id)
        else:
            problems.add("id", "The input field id was not expected.")
    group = Group(
        id=group_id,
        name=problems.check("name", name, data.get("name"), ""),
        title=problems.check("title", text, data.get("title"), None),
        description=problems.check("description", text, data.get("description"), None),
        image_url=problems.check("image_url", text, picture(data, None), None),
        type=problems.check("type", name, data.get("type") or ("organization" if is_organization else "group"), ""),
        is_organization=is_organization,
        approval_status="approved",
        state="active",
        extras=check_extras(problems, data, _FIELDS),
        created=dates.now(),
    )
    users = await _check_users(tx, problems, data)
    if actor.id is not None:
        users[actor.id] = ADMIN
    parents = await check_parents(tx, problems, actor, data, group_id, is_organization)
    packages = set() if is_organization else await check_packages(tx, problems, actor, data)
    problems.raise_if_any()
    with taken(groups_name_key=("name", NAME_TAKEN), groups_pkey=("id", ID_TAKEN)):
        await tx.connection.execute(_INSERT, *_columns(group))
    await set_users(tx, group_id, users)
    if parents:
        await set_parents(tx, group_id, sorted(parents))
    await set_packages(tx, actor, group_id, packages)
    await _record(tx, "new", group)
    return group_id


async def update_group(
    tx: Transaction, actor: Actor, settings: Settings, stored: Group, data: Mapping[str, Any], *, merge: bool
) -> Group:
    """Change a locked group by what was sent; the lists of users, parents and datasets are replaced where they are
    sent. What was not sent stays, but without ``merge`` the extras are emptied. An organization keeps its datasets.

    The actor may change the group. Raises :class:`ValidationError`, and :class:`NotAuthorized` for a new parent that
    is not theirs, and for a deletion that is not.
    """
    problems = Problems()
    values: dict[str, Any] = {}
    for field, rule in _PLAIN.items():
        if field in data:
            values[field] = problems.check(field, rule, data[field], None)
    values["image_url"] = problems.check("image_url", text, picture(data, stored.image_url), None)
    if data.get("name") not in (None, "", stored.name):
        values["name"] = problems.check("name", name, data["name"], stored.name)
    if "extras" in data or not merge:
        values["extras"] = check_extras(problems, data, _FIELDS)
    if data.get("state") not in (None, ""):
        values["state"] = problems.check("state", _state, data["state"], stored.state)
    group = msgspec.structs.replace(stored, **values)
    users = await _check_users(tx, problems, data) if is_sent(data.get("users")) else None
    parents = None
    if is_sent(data.get("groups")):
        parents = await check_parents(tx, problems, actor, data, group.id, group.is_organization)
    packages = None
    if is_sent(data.get("packages")) and not group.is_organization:
        packages = await check_packages(tx, problems, actor, data)
    problems.raise_if_any()
    if group.state == "deleted" and stored.state != "deleted":
        await _leave_datasets(tx, actor, settings, stored, "deleted")
    before = await tx.connection.fetch(_CONTENTS, group.id)
    if group != stored:
        await _store(tx, stored, group)
    if users is not None:
        await set_users(tx, group.id, users)
    if parents is not None and parents != await stored_parents(tx, group.id):
        await set_parents(tx, group.id, sorted(parents))
    if packages is not None:
        await set_packages(tx, actor, group.id, packages)
    if group != stored or await tx.connection.fetch(_CONTENTS, group.id) != before:
        deleted = group.state == "deleted" and stored.state != "deleted"
        await _record(tx, "deleted" if deleted else "changed", group)
    return group


async def delete_group(tx: Transaction, actor: Actor, settings: Settings, stored: Group) -> None:
    """Set the state of a locked group to deleted. A sysadmin brings it back by setting ``state`` to ``active``.

    Raises :class:`NotAuthorized`, and :class:`ValidationError` for an organization that still has datasets, unless
    the site lets datasets be without one.
    """
    await update_group(tx, actor, settings, stored, {"state": "deleted"}, merge=True)


async def purge_group(tx: Transaction, actor: Actor, settings: Settings, stored: Group) -> None:
    """Remove a locked group for good. Datasets stay; those of an organization are left without one.

    Raises :class:`ValidationError` as :func:`delete_group` does.
    """
    await _leave_datasets(tx, actor, settings, stored, "purged")
    await roles_change(tx, stored.id)
    for row in await tx.connection.fetch(_DISOWN, stored.id):
        _owner_changed(tx, row["id"])
    for row in await tx.connection.fetch(_BELOW, stored.id):
        await roles_change(tx, row["group_id"])
    await tx.connection.execute(
        "DELETE FROM datastore.members WHERE group_id = $1 OR (table_name = 'group' AND table_id = $1)", stored.id
    )
    await tx.connection.execute("DELETE FROM datastore.activities WHERE object_id = $1", stored.id)
    await tx.connection.execute("DELETE FROM datastore.followers WHERE object_id = $1", stored.id)
    await tx.connection.execute("DELETE FROM datastore.groups WHERE id = $1", stored.id)
    data = {"group": {"id": stored.id, "name": stored.name}}
    await record(tx, [Activity(f"deleted {stored.kind.lower()}", stored.id, data, [])])


async def _record(tx: Transaction, verb: str, group: Group) -> None:
    # Who the members are is not for everybody to see on every site.
    include = Include(dataset_count=False, users=False, followers=False)
    data = {"group": await show_group(tx.connection, group, tx.author.site_url, include)}
    labels = group_labels(group.id, group.state)
    await record(tx, [Activity(f"{verb} {group.kind.lower()}", group.id, data, labels, group_id=group.id)])


async def _leave_datasets(tx: Transaction, actor: Actor, settings: Settings, stored: Group, verb: str) -> None:
    """An organization goes: its datasets may stay without one, where the site allows such and they are not private."""
    if not may_delete_group(actor, stored.id, stored.is_organization, settings):
        raise refusal(actor, f"{stored.kind.lower()}_delete", f"{stored.kind.lower()} {stored.id}")
    if not stored.is_organization:
        return
    owned = await tx.connection.fetch(_OWNED, stored.id)
    if owned and not settings.create_unowned_dataset:
        raise ValidationError({"message": f"Organization cannot be {verb} while it still has datasets"})
    for row in owned:
        try:
            await update_dataset(tx, actor, settings, row["id"], {"owner_org": ""}, merge=True)
        except ValidationError:
            raise ValidationError(
                {"message": f"Organization cannot be {verb} while it still has private datasets"}
            ) from None


def _owner_changed(tx: Transaction, dataset_id: str) -> None:
    """Whoever remembers who may read the dataset has to look again."""
    tx.changed(TABLE_KIND, dataset_id)
    tx.changed(CACHE_KIND, dataset_id)


async def _store(tx: Transaction, stored: Group, group: Group) -> None:
    with taken(groups_name_key=("name", NAME_TAKEN)):
        await tx.connection.execute(_UPDATE, *_columns(group))
    if group.state != stored.state:
        await roles_change(tx, group.id)


def _columns(group: Group) -> list[Any]:
    """The arguments of the two statements."""
    values = msgspec.structs.asdict(group)
    del values["package_count"]
    values["extras"] = orjson.dumps(group.extras).decode()
    return list(values.values())


def _state(value: Any) -> str:
    if value not in ("active", "deleted"):
        raise Invalid("Value must be one of ['active', 'deleted']")
    return str(value)


async def _check_users(tx: Transaction, problems: Problems, data: Mapping[str, Any]) -> dict[str, str]:
    """Roles by user id from the list ``users`` of ``{name or id, capacity}``."""
    roles = {}
    nested = []
    for member in objects("users", data.get("users")):
        problem = Problems()
        nested.append(problem)
        key = problem.check("name", required_text, member.get("name") or member.get("id"), "")
        role = problem.check("capacity", capacity, member.get("capacity") or MEMBER, MEMBER)
        if problem.fields:
            continue
        user = await find_user(tx.connection, key)
        if user is None or user.state == "deleted":
            problem.add("name", "Not found: User")
        else:
            roles[user.id] = role
    problems.nested("users", nested)
    return roles
