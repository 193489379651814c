"""Parameters that the streams of activities share, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from datastore.accounts.activities import TYPES
from datastore.accounts.permissions import may_see_users
from datastore.actions.parameters import Natural, Parameters, invalid
from datastore.actions.registry import Call
from datastore.catalog.activity.streams import (
    DEFAULT_LIMIT,
    Recorded,
    Stream,
    Window,
    list_activities,
    may_see_details,
    show_activity,
)
from datastore.errors import ValidationError

_EPOCH = datetime(1970, 1, 1)


def _timestamp(value: Any) -> datetime | None:
    """Seconds since 1970 as naive UTC, exact to the microsecond."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        seconds = float(value)
        if not isfinite(seconds):
            raise ValueError
        return _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
    except (TypeError, ValueError, OverflowError):
        raise invalid("Must be a time in seconds since 1970") from None


Timestamp = Annotated[
    datetime | None, BeforeValidator(_timestamp), WithJsonSchema({"type": ["number", "null"], "format": "unix-time"})
]


class Page(Parameters):
    """Which part of a list."""

    offset: Natural = Field(None, description="How many to leave out first.")
    limit: Natural = Field(None, description="How many at most: 31 by default, up to 100.")


class TimedPage(Page):
    """Which part of a stream."""

    before: Timestamp = Field(None, description="Only what is older: a time in seconds since 1970.")
    after: Timestamp = Field(
        None, description="Only what is newer. Without `before` the first that came after it, not the latest."
    )


def window(parameters: Page, **others: Any) -> Window:
    """The part of a stream that is asked for."""
    return Window(
        limit=DEFAULT_LIMIT if parameters.limit is None else parameters.limit,
        offset=parameters.offset or 0,
        **others,
    )


def check_types(types: Sequence[str] | None, without: Sequence[str] | None) -> None:
    """Raise :class:`ValidationError` for types that there are not, and for both lists at once."""
    problems: dict[str, list[str]] = {}
    for field, given in (("activity_types", types), ("exclude_activity_types", without)):
        unknown = [type for type in given or () if type not in TYPES]
        if unknown:
            problems[field] = [f"No activity type: {unknown[0]}"]
    if types and without:
        problems.setdefault("activity_types", []).append("Cannot be used together with `exclude_activity_types`")
    if problems:
        raise ValidationError(problems)


async def shown_stream(call: Call, stream: Stream, wanted: Window) -> list[dict[str, Any]]:
    """A part of the stream as the actor may see it."""
    found = await list_activities(call.services.database.owner, call.actor, stream, wanted)
    return [shown(call, activity) for activity in found]


def shown(call: Call, activity: Recorded) -> dict[str, Any]:
    """The activity as the actor may see it."""
    details = may_see_details(call.actor, activity, call.settings)
    return show_activity(activity, details=details, names=may_see_users(call.actor, call.settings))
