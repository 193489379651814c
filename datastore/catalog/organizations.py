"""Organizations: creating, showing and listing them (catalog-api.md §B3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson

from datastore.accounts.actor import Actor
from datastore.accounts.images import image_display_url
from datastore.accounts.members import capacity, set_user_role
from datastore.accounts.permissions import ADMIN, MEMBER
from datastore.accounts.users import USER_COLUMNS, User, find_user, show_user
from datastore.catalog import dates
from datastore.catalog.dataset_fields import check_extras
from datastore.errors import NotFound, ValidationError
from datastore.postgres.constraints import taken
from datastore.postgres.database import Transaction
from datastore.validation import Problems, is_storable, name, objects, required_text, text, uuid4

NAME_TAKEN = "Group name already exists in database"
ID_TAKEN = "Group id already exists"
MAX_NAMES, MAX_DETAILED = 1000, 25


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """An organization as stored, and how many of its active datasets the actor may see."""

    id: str
    name: str
    title: str | None
    description: str | None
    image_url: str | None
    type: str
    is_organization: bool
    approval_status: str
    state: str
    extras: dict[str, str | None]
    created: datetime
    package_count: int


class Member(User, frozen=True, kw_only=True):
    """A user with their role in an organization."""

    capacity: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Which organizations a list names, in what order."""

    sort: str = "title asc"
    query: str | None = None
    names: Sequence[str] | None = None
    type: str | None = None
    limit: int = MAX_NAMES
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Include:
    """What is shown of an organization besides its own fields."""

    dataset_count: bool = True
    extras: bool = True
    users: bool = True
    groups: bool = True
    followers: bool = True


_INSERT = """
    INSERT INTO datastore.groups (
        id, name, title, description, image_url, type, is_organization, approval_status, state, extras, created)
    VALUES ($1, $2, $3, $4, $5, $6, true, 'approved', 'active', $7, $8)
"""

_COLUMNS = """
    organization.*,
    (
        SELECT count(*) FROM datastore.datasets AS dataset
        WHERE dataset.owner_org = organization.id AND dataset.state = 'active'
              AND datastore.may_read(dataset, $1, $2, $3)
    ) AS package_count
"""

_FIND = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {_COLUMNS}
        FROM datastore.groups AS organization
        WHERE (organization.id = $4 OR organization.name = $4) AND organization.is_organization
        ORDER BY organization.id = $4 DESC
        LIMIT 1
    ) AS found
"""

_ORDERS = {
    "name": 'found.name COLLATE "C"',
    "title": "lower(coalesce(nullif(found.title, ''), found.name))",
    "package_count": "found.package_count",
}

_LIST = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {_COLUMNS}
        FROM datastore.groups AS organization
        WHERE organization.is_organization AND organization.state = 'active'
              AND ($4::text[] IS NULL OR organization.name = ANY ($4) OR organization.id = ANY ($4))
              AND ($5::text IS NULL OR concat_ws(' ', organization.name, organization.title, organization.description)
                   ILIKE '%' || $5 || '%')
              AND ($6::text IS NULL OR organization.type = $6)
    ) AS found
    ORDER BY {{order}}, found.name COLLATE "C"
    LIMIT $7 OFFSET $8
"""

_MEMBERS = f"""
    SELECT row_to_json(found)
    FROM (
        SELECT {USER_COLUMNS}, member.capacity
        FROM datastore.members AS member
        JOIN datastore.users AS usr ON usr.id = member.table_id
        WHERE member.group_id = $1 AND member.table_name = 'user' AND usr.state = 'active'
        ORDER BY usr.name
    ) AS found
"""


async def create_organization(tx: Transaction, actor: Actor, data: Mapping[str, Any]) -> str:
    """Create an organization with its members, the creator among them as admin, and give its id.

    Raises :class:`ValidationError`.
    """
    problems = Problems()
    organization_id = str(uuid.uuid4())
    if data.get("id") not in (None, ""):
        if actor.sysadmin:
            organization_id = problems.check("id", uuid4, data["id"], "")
        else:
            problems.add("id", "The input field id was not expected.")
    values = [
        problems.check("name", name, data.get("name"), ""),
        problems.check("title", text, data.get("title"), None),
        problems.check("description", text, data.get("description"), None),
        problems.check("image_url", text, data.get("image_url"), None),
        problems.check("type", name, data.get("type") or "organization", ""),
        orjson.dumps(check_extras(problems, data)).decode(),
    ]
    roles = await _check_users(tx, problems, data)
    if actor.id is not None:
        roles[actor.id] = ADMIN
    problems.raise_if_any()
    with taken(groups_name_key=("name", NAME_TAKEN), groups_pkey=("id", ID_TAKEN)):
        await tx.connection.execute(_INSERT, organization_id, *values, dates.now())
    for user_id, role in roles.items():
        await set_user_role(tx, organization_id, user_id, role)
    return organization_id


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
        if user is None:
            problem.add("name", "Not found: User")
        else:
            roles[user.id] = role
    problems.nested("users", nested)
    return roles


async def find_organization(pool: asyncpg.Pool, actor: Actor, id_or_name: str) -> Organization:
    """The organization of that id or name, in any state. Raises :class:`NotFound`, also for a group."""
    row = None
    if is_storable(id_or_name):
        row = await pool.fetchval(_FIND, actor.id, actor.sysadmin, list(actor.roles), id_or_name)
    if row is None:
        raise NotFound("Organization")
    return msgspec.json.decode(row, type=Organization)


async def list_organizations(pool: asyncpg.Pool, actor: Actor, listing: Listing) -> list[Organization]:
    """The active organizations. Raises :class:`ValidationError` for an order that there is not."""
    query = None
    if listing.query:
        query = listing.query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await pool.fetch(
        _LIST.format(order=_order(listing.sort)),
        actor.id,
        actor.sysadmin,
        list(actor.roles),
        list(listing.names) if listing.names is not None else None,
        query,
        listing.type,
        listing.limit,
        listing.offset,
    )
    return [msgspec.json.decode(row[0], type=Organization) for row in rows]


def _order(sort: str) -> str:
    """``title desc`` as SQL. ``packages`` is an old name of ``package_count``, which sorts descending if unsaid."""
    words = sort.split()
    column = {"packages": "package_count"}.get(words[0], words[0]) if words else ""
    if column not in _ORDERS:
        raise ValidationError({"message": f"Cannot sort by field `{column}`"})
    direction = words[1].lower() if len(words) > 1 else "desc" if column == "package_count" else "asc"
    if len(words) > 2 or direction not in ("asc", "desc"):
        raise ValidationError({"message": f"Cannot sort by `{sort}`: the direction is asc or desc"})
    return f"{_ORDERS[column]} {direction}"


async def show_organization(
    pool: asyncpg.Pool, organization: Organization, site_url: str, include: Include
) -> dict[str, Any]:
    """The organization as the API shows it."""
    shown: dict[str, Any] = {
        "id": organization.id,
        "name": organization.name,
        "title": organization.title,
        "display_name": organization.title or organization.name,
        "description": organization.description,
        "image_url": organization.image_url,
        "image_display_url": image_display_url(site_url, "group", organization.image_url),
        "type": organization.type,
        "is_organization": organization.is_organization,
        "approval_status": organization.approval_status,
        "created": dates.render(organization.created),
        "state": organization.state,
    }
    if include.dataset_count:
        shown["package_count"] = organization.package_count
    if include.followers:
        shown["num_followers"] = 0
    if include.extras:
        shown["extras"] = [{"key": key, "value": value} for key, value in sorted(organization.extras.items())]
    if include.users:
        rows = await pool.fetch(_MEMBERS, organization.id)
        members = [msgspec.json.decode(row[0], type=Member) for row in rows]
        shown["users"] = [{**show_user(member, site_url), "capacity": member.capacity} for member in members]
    if include.groups:
        shown["groups"] = []
    return shown
