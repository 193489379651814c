"""Dates in queries: ISO 8601, or ``NOW``, followed by steps such as ``-7DAYS`` and ``/DAY``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from dateutil.relativedelta import relativedelta

from datastore.catalog.search.query.tree import QuerySyntaxError

_DAY = r"(\d{4}(?:-\d\d(?:-\d\d)?)?)"
_TIME = r"(\d\d(?::?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?)?)(Z|[+-]\d\d:?\d\d)?"
_START = re.compile(rf"NOW|{_DAY}(?:[T ]{_TIME})?Z?")
_STEP = re.compile(r"([+-])(\d{1,6})([A-Z]+)|/([A-Z]+)")
_UNITS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
_MAX_STEPS = 20


def parse(text: str, now: datetime) -> tuple[datetime, datetime]:
    """The first moment that the text means, and the first one after it (naive UTC): ``2026-05`` is a whole month.

    Raises :class:`QuerySyntaxError`.
    """
    found = _START.match(text.strip())
    if found is None:
        raise _invalid(text)
    try:
        start, length = _start(found, now)
        steps = text.strip()[found.end() :]
        first, after = _stepped(start, steps, text), _stepped(start + length, steps, text)
        return first, max(after, first + timedelta(microseconds=1))
    except (ValueError, OverflowError):
        raise _invalid(text) from None


def looks_like_date(text: str) -> bool:
    """Whether the text is a date rather than a word or a number."""
    return re.match(r"NOW\b|\d{4}-\d\d", text) is not None


def _invalid(text: str) -> QuerySyntaxError:
    return QuerySyntaxError(f"Invalid Date String:'{text[:100]}'")


def _start(found: re.Match[str], now: datetime) -> tuple[datetime, relativedelta]:
    day, time, _ = found.groups()
    if day is None:
        return now, relativedelta(microseconds=1)
    full = found[0] if time else day + {4: "-01-01", 7: "-01", 10: ""}[len(day)]
    value = datetime.fromisoformat(full.replace(",", "."))
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if time is None:
        return value, _one({4: "years", 7: "months", 10: "days"}[len(day)])
    seconds = len(time.replace(":", ""))
    if seconds > 6:
        return value, relativedelta(microseconds=1)
    return value, _one({2: "hours", 4: "minutes", 6: "seconds"}[seconds])


def _stepped(value: datetime, steps: str, text: str) -> datetime:
    position = 0
    for _ in range(_MAX_STEPS):
        if position == len(steps):
            return value
        found = _STEP.match(steps, position)
        if found is None:
            break
        position = found.end()
        sign, number, unit, rounded = found.groups()
        value = _floor(value, _unit(rounded, text)) if rounded else value + _delta(sign, int(number), _unit(unit, text))
    raise _invalid(text)


def _unit(word: str, text: str) -> str:
    unit = {"DATE": "day", "MILLI": "millisecond"}.get(word.removesuffix("S"), word.removesuffix("S").lower())
    if unit not in _UNITS:
        raise _invalid(text)
    return unit


def _delta(sign: str, number: int, unit: str) -> relativedelta | timedelta:
    signed = -number if sign == "-" else number
    if unit == "millisecond":
        return timedelta(milliseconds=signed)
    return _one(f"{unit}s") * signed


def _one(units: str) -> relativedelta:
    length: dict[str, Any] = {units: 1}
    return relativedelta(**length)


def _floor(value: datetime, unit: str) -> datetime:
    if unit == "week":
        value, unit = value - timedelta(days=value.weekday()), "day"
    if unit == "millisecond":
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    kept = ("year", "month", "day", "hour", "minute", "second").index(unit) + 1
    year, month, day, hour, minute, second = (*value.timetuple()[:kept], *(0, 1, 1, 0, 0, 0)[kept:])
    return datetime(year, month, day, hour, minute, second)
