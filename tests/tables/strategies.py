"""Hypothesis strategies for tables: column names, and values of each type as JSON with what search shows for them."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import strategies as st

from datastore.tables.names import valid_column_name

# What PostgreSQL can hold as text: no NUL, no lone surrogate.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)

column_names = st.text(st.characters(exclude_categories=["C"], exclude_characters='"'), min_size=1, max_size=20).filter(
    lambda name: valid_column_name(name) and len(name.encode()) <= 63
)


@dataclass(frozen=True)
class Value:
    """A value as it is sent, and as search (JSON) shows it."""

    sent: Any
    shown: Any


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Value]:
    """Values that are shown as they were sent."""
    return values.map(lambda value: Value(value, value))


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def _timestamp_shown(value: datetime.datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{value.microsecond // 1000:03}"


def _floats() -> st.SearchStrategy[Value]:
    return st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Value(value, value)) | (
        st.sampled_from(["NaN", "Infinity", "-Infinity"]).map(lambda word: Value(word, word))
    )


_datetimes = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))

BY_TYPE: dict[str, st.SearchStrategy[Value]] = {
    "text": same(texts),
    "varchar": texts.map(lambda text: Value(text, text or None)),
    "int2": same(st.integers(-(2**15), 2**15 - 1)),
    "int4": same(st.integers(-(2**31), 2**31 - 1)),
    "int8": same(st.integers(-(2**63), 2**63 - 1)),
    "float8": _floats(),
    "numeric": same(st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=6)),
    "bool": same(st.booleans()),
    "date": st.dates().map(lambda day: Value(day.isoformat(), day.isoformat())),
    "timestamp": _datetimes.map(lambda value: Value(value.isoformat(), _timestamp_shown(value))),
    "uuid": st.uuids().map(lambda value: Value(str(value), str(value))),
    "json": same(_json_values.filter(lambda value: value is not None)),
    "_text": same(st.lists(st.none() | texts, max_size=4)),
    "_int4": same(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=4)),
    "interval": st.integers(0, 10**6).map(
        lambda days: Value(f"{days} days", "00:00:00" if days == 0 else f"{days} day{'s' * (days != 1)}")
    ),
    "bytea": st.binary(max_size=20).map(
        lambda data: Value("\\x" + data.hex(), "\\x" + data.hex()) if data else Value(None, None)
    ),
}


@dataclass(frozen=True)
class Table:
    """A table to create: its columns with their types, and its records, as they are sent and as they are shown."""

    fields: list[dict[str, str]]
    sent: list[dict[str, Any]]
    shown: list[dict[str, Any]]


@st.composite
def tables(draw: st.DrawFn, min_records: int = 0, max_records: int = 6) -> Table:
    """Any table of up to five columns."""
    names = draw(st.lists(column_names, min_size=1, max_size=5, unique=True))
    types = [draw(st.sampled_from(sorted(BY_TYPE))) for _ in names]
    fields = [{"id": name, "type": type} for name, type in zip(names, types, strict=True)]
    sent, shown = [], []
    for _ in range(draw(st.integers(min_records, max_records))):
        values = {
            name: draw(st.just(Value(None, None)) | BY_TYPE[type]) for name, type in zip(names, types, strict=True)
        }
        given = draw(st.sets(st.sampled_from(names))) if draw(st.booleans()) else set(names)
        sent.append({name: values[name].sent for name in names if name in given})
        shown.append({name: values[name].shown if name in given else None for name in names})
    return Table(fields, sent, shown)


def as_shown(value: Any) -> Any:
    """Floats compared by value, so that 1 and 1.0 are one; -0.0 stays itself."""
    if isinstance(value, float) and value.is_integer() and not (value == 0 and math.copysign(1, value) < 0):
        return int(value)
    if isinstance(value, dict):
        return {key: as_shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_shown(item) for item in value]
    return value


_encode = msgspec.json.Encoder(decimal_format="number").encode


def dumps(value: Any) -> bytes:
    """JSON text; decimals as numbers with all their digits."""
    return _encode(value)
