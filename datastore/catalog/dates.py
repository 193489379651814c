"""Dates of the catalog: naive UTC inside and in the database, ISO 8601 without a zone on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from datastore.validation import Invalid


def now() -> datetime:
    """The present moment, naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def render(value: datetime | None) -> str | None:
    """``2026-08-20T08:18:45.123456``; no fraction when there are no microseconds."""
    return value.isoformat() if value is not None else None


def parse(value: Any) -> datetime | None:
    """A date that a client sent: ISO 8601, with or without a time; one with a zone is brought to UTC. Blank is None."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Invalid("Date format incorrect")
    try:
        found = datetime.fromisoformat(value.strip())
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        raise Invalid("Date format incorrect") from None
