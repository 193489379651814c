"""Streams of activities: of a dataset, a group, a user, the whole site, and a user's dashboard (catalog-api.md §C1).

An activity is seen by whoever could see its object then (its labels) and can see it now as well: what happened while a
dataset was private stays with those who could see it, also when the dataset is public by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from datastore.accounts.activities import Activity, record
from datastore.accounts.actor import Actor
from datastore.accounts.permissions import (
    DatasetAccess,
    actor_labels,
    has_permission,
    may_act_for_user,
    may_update_dataset,
)
from datastore.catalog import dates
from datastore.errors import NotFound
from datastore.postgres.database import Transaction
from datastore.settings import Settings
from datastore.validation import is_storable

DEFAULT_LIMIT, MAX_LIMIT = 31, 100
_MAX_OFFSET = 1_000_000_000
_SUMMARY = ("id", "name", "title", "display_name", "type", "view_type", "resource_id", "package_id")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a stream."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    before: datetime | None = None
    """Only what is older than that."""
    after: datetime | None = None
    """Only what is newer; without ``before`` the first that came after it."""
    types: Sequence[str] | None = None
    without: Sequence[str] | None = None
    hidden: bool = False
    """Also what the site user did."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An activity as stored."""

    id: str
    timestamp: datetime
    user_id: str | None
    object_id: str
    activity_type: str
    permission_labels: list[str]
    group_id: str | None
    access: DatasetAccess | None
    """Who may see and change the dataset that it is about, now."""
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """Where the activities of a stream come from: column by column the values that they have there, as SQL that gives
    ``id``. ``key`` is $12 of that. Without any, all activities belong to it."""

    sources: Sequence[tuple[str, str]] = ()
    key: str | None = None


_FOLLOWED = "SELECT object_id AS id FROM datastore.followers WHERE follower_id = $12 AND object_type = '{kind}'"
_COLLECTED = "SELECT table_id AS id FROM datastore.members WHERE table_name = 'package' AND group_id = $12"
_KEY = "SELECT $12 AS id"

EVERYTHING = Stream()


def of_dataset(dataset_id: str) -> Stream:
    """What happened to the dataset, its resources and its views."""
    return Stream([("dataset_id", _KEY)], dataset_id)


def of_organization(group_id: str) -> Stream:
    """What happened to the organization, and to datasets while it owned them."""
    return Stream([("group_id", _KEY)], group_id)


def of_group(group_id: str) -> Stream:
    """What happened to the group, and to the datasets that are in it."""
    return Stream([("group_id", _KEY), ("dataset_id", _COLLECTED)], group_id)


def of_user(user_id: str) -> Stream:
    """What the user did, and what was done to them."""
    return Stream([("user_id", _KEY), ("object_id", _KEY)], user_id)


def dashboard(user_id: str) -> Stream:
    """The user's own stream, and those of all that they follow."""
    users = f"{_KEY} UNION {_FOLLOWED.format(kind='user')}"
    groups = _FOLLOWED.format(kind="group")
    in_groups = f"""
        SELECT table_id AS id FROM datastore.members
        WHERE table_name = 'package' AND group_id IN ({groups})"""
    return Stream(
        [
            ("user_id", users),
            ("object_id", users),
            ("group_id", groups),
            ("dataset_id", f"{_FOLLOWED.format(kind='dataset')} UNION {in_groups}"),
        ],
        user_id,
    )


# $1 to $3 are those of datastore.may_read, $4 the actor's labels.
_VISIBLE = """
    ($2::boolean OR (activity.permission_labels && $4::text[] AND CASE
        WHEN activity.dataset_id IS NOT NULL THEN EXISTS (
            SELECT FROM datastore.datasets AS seen
            WHERE seen.id = activity.dataset_id AND datastore.may_read(seen, $1::text, $2::boolean, $3::text[]))
        WHEN activity.group_id IS NOT NULL THEN EXISTS (
            SELECT FROM datastore.groups AS grp WHERE grp.id = activity.group_id AND grp.state = 'active')
        ELSE EXISTS (
            SELECT FROM datastore.users AS usr WHERE usr.id = activity.object_id AND usr.state <> 'deleted')
    END))
"""

_WANTED = f"""
    ($5::timestamp IS NULL OR activity.timestamp < $5)
    AND ($6::timestamp IS NULL OR activity.timestamp > $6)
    AND ($7::text[] IS NULL OR activity.activity_type = ANY ($7))
    AND ($8::text[] IS NULL OR activity.activity_type <> ALL ($8))
    AND ($9::boolean OR NOT activity.hidden)
    AND {_VISIBLE}
"""

# Of each source no more than the page can need is read, from its index.
_SOURCE = """
    SELECT activity.id, activity.timestamp, activity.user_id
    FROM ({ids}) AS wanted
    CROSS JOIN LATERAL (
        SELECT activity.id, activity.timestamp, activity.user_id
        FROM datastore.activities AS activity
        WHERE {condition} AND {wanted}
        ORDER BY activity.timestamp {direction}, activity.id {direction}
        LIMIT $10::bigint + $11::bigint
    ) AS activity
"""

_PAGE = """
    SELECT page.id, page.user_id
    FROM ({sources}) AS page
    ORDER BY page.timestamp {direction}, page.id {direction}
    LIMIT $10 OFFSET $11
"""

_COLUMNS = """
    activity.id, activity.timestamp, activity.user_id, activity.object_id, activity.activity_type,
    activity.permission_labels, activity.group_id, activity.data,
    dataset.id AS dataset_id, dataset.name, dataset.owner_org, dataset.private, dataset.state, dataset.creator_user_id
"""

_LOAD = """
    SELECT {columns}
    FROM ({page}) AS page
    JOIN datastore.activities AS activity ON activity.id = page.id
    LEFT JOIN datastore.datasets AS dataset ON dataset.id = activity.dataset_id
    ORDER BY activity.timestamp DESC, activity.id DESC
"""

_FIND = f"""
    SELECT {_COLUMNS}, {_VISIBLE} AS visible
    FROM datastore.activities AS activity
    LEFT JOIN datastore.datasets AS dataset ON dataset.id = activity.dataset_id
    WHERE activity.id = $5
"""

_PREVIOUS = f"""
    SELECT {_COLUMNS}
    FROM datastore.activities AS activity
    LEFT JOIN datastore.datasets AS dataset ON dataset.id = activity.dataset_id
    WHERE activity.object_id = $5 AND (activity.timestamp, activity.id) < ($6::timestamp, $7::text)
          AND activity.activity_type NOT LIKE 'follow %' AND {_VISIBLE}
    ORDER BY activity.timestamp DESC, activity.id DESC
    LIMIT 1
"""


async def list_activities(pool: asyncpg.Pool, actor: Actor, stream: Stream, window: Window) -> list[Recorded]:
    """A part of the stream, newest first, as far as the actor may see it."""
    page = _page(stream, ascending=window.after is not None and window.before is None)
    rows = await pool.fetch(_LOAD.format(columns=_COLUMNS, page=page), *_arguments(actor, stream, window))
    return [_recorded(row) for row in rows]


async def count_others(pool: asyncpg.Pool, actor: Actor, stream: Stream, window: Window) -> int:
    """How many activities of that part of the stream were done by others than the actor."""
    sql = f"SELECT count(*) FROM ({_page(stream, ascending=False)}) AS page WHERE page.user_id IS DISTINCT FROM $1"
    return int(await pool.fetchval(sql, *_arguments(actor, stream, window)))


async def find_activity(pool: asyncpg.Pool, actor: Actor, activity_id: str) -> tuple[Recorded, bool] | None:
    """The activity of that id, and whether the actor may see it; None if there is none."""
    if not is_storable(activity_id):
        return None
    row = await pool.fetchrow(_FIND, *actor.who, actor_labels(actor), activity_id)
    return (_recorded(row), bool(row["visible"])) if row is not None else None


async def previous_activity(pool: asyncpg.Pool, actor: Actor, activity: Recorded) -> Recorded | None:
    """What happened to the same object before that, the last that the actor may see."""
    row = await pool.fetchrow(
        _PREVIOUS, *actor.who, actor_labels(actor), activity.object_id, activity.timestamp, activity.id
    )
    return _recorded(row) if row is not None else None


async def add_activity(tx: Transaction, activity: Activity, user_id: str) -> Recorded:
    """Write down an activity of a user, and give it as stored."""
    (activity_id,) = await record(tx, [activity], user_id)
    row = await tx.connection.fetchrow(_FIND, None, True, [], [], activity_id)
    return _recorded(row)


async def delete_activity(tx: Transaction, activity_id: str) -> None:
    """Remove an activity for good. Raises :class:`NotFound`."""
    sql = "DELETE FROM datastore.activities WHERE id = $1 RETURNING true"
    if not await tx.connection.fetchval(sql, activity_id):
        raise NotFound("Activity")


def may_see_details(actor: Actor, activity: Recorded, settings: Settings) -> bool:
    """The whole object as it was is for whoever may change it now, or for everybody if the site says so."""
    if actor.sysadmin or settings.public_activity_stream_detail:
        return True
    if activity.access is not None:
        return may_update_dataset(actor, activity.access, settings)
    if activity.group_id is not None:
        return has_permission(actor, activity.group_id, "update")
    return may_act_for_user(actor, activity.object_id)


def show_activity(activity: Recorded, *, details: bool, names: bool) -> dict[str, Any]:
    """The activity as the API shows it: of its object all or a summary, with or without the name of who did it."""
    data = activity.data
    if not details:
        data = {key: _summary(value) if isinstance(value, dict) else value for key, value in data.items()}
    if not names:
        data = {**data, "actor": None}
    return {
        "id": activity.id,
        "timestamp": dates.render(activity.timestamp),
        "user_id": activity.user_id,
        "object_id": activity.object_id,
        "activity_type": activity.activity_type,
        "data": data,
        "permission_labels": activity.permission_labels,
    }


def _summary(shown: dict[str, Any]) -> dict[str, Any]:
    return {key: shown[key] for key in _SUMMARY if key in shown}


def _page(stream: Stream, *, ascending: bool) -> str:
    direction = "ASC" if ascending else "DESC"
    sources = stream.sources or [("", "SELECT")]
    parts = [
        _SOURCE.format(
            ids=ids,
            condition=f"activity.{column} = wanted.id" if column else "true",
            wanted=_WANTED,
            direction=direction,
        )
        for column, ids in sources
    ]
    return _PAGE.format(sources=" UNION ".join(parts), direction=direction)


def _arguments(actor: Actor, stream: Stream, window: Window) -> list[Any]:
    arguments = [
        *actor.who,
        actor_labels(actor),
        window.before,
        window.after,
        list(window.types) if window.types else None,
        list(window.without) if window.without else None,
        window.hidden,
        min(window.limit, MAX_LIMIT),
        min(window.offset, _MAX_OFFSET),
    ]
    return arguments if stream.key is None else [*arguments, stream.key]


def _recorded(row: asyncpg.Record) -> Recorded:
    access = None
    if row["dataset_id"] is not None:
        access = DatasetAccess(
            row["dataset_id"], row["name"], row["owner_org"], row["private"], row["state"], row["creator_user_id"]
        )
    return Recorded(
        id=row["id"],
        timestamp=row["timestamp"],
        user_id=row["user_id"],
        object_id=row["object_id"],
        activity_type=row["activity_type"],
        permission_labels=list(row["permission_labels"]),
        group_id=row["group_id"],
        access=access,
        data=orjson.loads(row["data"]),
    )
