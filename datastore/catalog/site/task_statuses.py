"""Task statuses: what a loader or harvester last did with an object, one row a task (catalog-api.md §B6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import orjson

from datastore.catalog import dates
from datastore.catalog.datasets.resource_rows import decode_row
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Invalid, Problems, is_storable, json_value, required_text, short_text, text, uuid4

_MAX_KEY = 200


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of ``datastore.task_statuses``."""

    id: str
    entity_id: str
    entity_type: str
    task_type: str
    key: str
    value: str | None = None
    state: str | None = None
    error: str | None = None
    last_updated: datetime | None = None


_BY_ID = "SELECT row_to_json(status) FROM datastore.task_statuses AS status WHERE id = $1"
_BY_KEY = """
    SELECT row_to_json(status) FROM datastore.task_statuses AS status
    WHERE entity_id = $1 AND task_type = $2 AND key = $3
"""
_BY_IDS = """
    SELECT row_to_json(status)
    FROM datastore.task_statuses AS status
    JOIN unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) ON wanted.id = status.id
    ORDER BY wanted.place
"""
_OF_ENTITY = """
    SELECT row_to_json(status) FROM datastore.task_statuses AS status
    WHERE entity_id = $1
    ORDER BY last_updated DESC, id
"""

# A row that is there keeps its id.
_SAVE = """
    INSERT INTO datastore.task_statuses
    SELECT wanted.* FROM json_populate_recordset(NULL::datastore.task_statuses, $1::json) AS wanted
    ORDER BY wanted.entity_id, wanted.task_type, wanted.key
    ON CONFLICT ON CONSTRAINT task_statuses_key DO UPDATE
    SET entity_type = excluded.entity_type, value = excluded.value, state = excluded.state, error = excluded.error,
        last_updated = excluded.last_updated
    RETURNING id, entity_id, task_type, key
"""

_MOVE = """
    UPDATE datastore.task_statuses SET entity_id = $2, task_type = $3, key = $4 WHERE id = $1
"""


async def find_task_status(connection: asyncpg.Connection | asyncpg.Pool, *key: str) -> TaskStatus:
    """The status of this id, or of an entity, a type of task and a key. Raises :class:`NotFound`."""
    row = None
    if all(map(is_storable, key)):
        row = await connection.fetchval(_BY_ID if len(key) == 1 else _BY_KEY, *key)
    if row is None:
        raise NotFound("Task status")
    return decode_row(row, TaskStatus)


async def task_statuses_of(pool: asyncpg.Pool, entity_id: str) -> list[TaskStatus]:
    """The statuses of all tasks on an entity, the latest first."""
    return [decode_row(row[0], TaskStatus) for row in await pool.fetch(_OF_ENTITY, entity_id)]


def show_task_status(status: TaskStatus) -> dict[str, Any]:
    """The status as the API shows it."""
    return {**msgspec.structs.asdict(status), "last_updated": dates.render(status.last_updated)}


async def save_task_statuses(tx: Transaction, items: Sequence[Mapping[str, Any]]) -> list[TaskStatus]:
    """Write the statuses, all or none, and give them as they are then, in the same order.

    One with an ``id`` changes that row; otherwise the row of the same entity, type of task and key, or a new one. Of
    several with one key the last one holds. Raises :class:`NotFound` for an unknown id, and :class:`ValidationError`
    with a list of problems, one entry an item, as ``data``.
    """
    problems = [Problems() for _ in items]
    statuses = [_checked(problem, item) for problem, item in zip(problems, items, strict=True)]
    if any(problem.fields for problem in problems):
        raise ValidationError({"data": [problem.fields for problem in problems]})
    given = [status for item, status in zip(items, statuses, strict=True) if item.get("id")]
    if len({status.id for status in given}) < len(given):
        raise ValidationError({"id": ["The same id twice"]})
    for status in given:
        await _move(tx, status)
    distinct = {_key(status): status for status in statuses}
    rows = await tx.connection.fetch(_SAVE, msgspec.json.encode(list(distinct.values())))
    ids = {(row["entity_id"], row["task_type"], row["key"]): row["id"] for row in rows}
    found = await tx.connection.fetch(_BY_IDS, [ids[_key(status)] for status in statuses])
    return [decode_row(row[0], TaskStatus) for row in found]


async def delete_task_status(tx: Transaction, status_id: str) -> None:
    """Delete a status. Raises :class:`NotFound`."""
    status = await find_task_status(tx.connection, status_id)
    await tx.connection.execute("DELETE FROM datastore.task_statuses WHERE id = $1", status.id)


async def _move(tx: Transaction, status: TaskStatus) -> None:
    """Let the row of this id have the key of ``status``, whose other columns are written afterwards."""
    await find_task_status(tx.connection, status.id)
    try:
        async with tx.connection.transaction():
            await tx.connection.execute(_MOVE, status.id, *_key(status))
    except asyncpg.UniqueViolationError:
        raise ValidationError({"key": ["Another task status has this entity, task type and key"]}) from None


def _key(status: TaskStatus) -> tuple[str, str, str]:
    return status.entity_id, status.task_type, status.key


def _checked(problems: Problems, data: Mapping[str, Any]) -> TaskStatus:
    def field(name: str, rule: Callable[[Any], Any], otherwise: Any = None) -> Any:
        return problems.check(name, rule, data.get(name), otherwise)

    return TaskStatus(
        id=problems.check("id", uuid4, data["id"], "") if data.get("id") else str(uuid.uuid4()),
        entity_id=field("entity_id", _indexed, ""),
        entity_type=field("entity_type", required_text, ""),
        task_type=field("task_type", _indexed, ""),
        key=field("key", _indexed, ""),
        value=field("value", _any_text),
        state=field("state", short_text),
        error=field("error", _any_text),
        last_updated=field("last_updated", dates.parse) or dates.now(),
    )


def _indexed(value: Any) -> str:
    """Text that is not blank, short enough for an index."""
    found = required_text(value)
    if len(found) > _MAX_KEY:
        raise Invalid(f"Must be a maximum of {_MAX_KEY} characters long")
    return found


def _any_text(value: Any) -> str | None:
    """Text, or a JSON value as text: the task's own."""
    if isinstance(value, (dict, list)):
        return text(orjson.dumps(json_value(value)).decode())
    return text(value)
