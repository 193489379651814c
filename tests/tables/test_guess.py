from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.actions.services import Services
from datastore.tables.definition.guess import kinds, widest
from datastore.tables.schema import Column
from datastore.tables.types import parse
from datastore.tables.writing.records import to_text


def guessed(*values: Any) -> str | None:
    found = kinds([json.dumps(value).encode() for value in values])
    return widest(found) if found else None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "int"),
        ([1, 2**40], "bigint"),
        ([1, 2**70], "numeric"),
        ([1, 2.5], "float"),
        ([2**40, 2.5], "numeric"),
        (["1", "2"], "integer"),
        ([1, "2"], "integer"),
        (["1", 2**40], "bigint"),
        (["1", "1e5"], "numeric"),
        ([" -7 "], "integer"),
        (["nan", "inf"], "numeric"),
        ([True, False], "bool"),
        ([True, 1], "text"),
        ([1, "x"], "text"),
        (["2026-01-31"], "timestamp"),
        (["2026-01-31T10:00:00", "2026-01-31 10:00:00"], "timestamp"),
        (["2026-1-2", "2026-1-2 3:04:05"], "timestamp"),
        (["2026-02-31"], "text"),
        (["2026-1-32"], "text"),
        (["31/12/2020"], "text"),
        ([{"a": 1}, [1]], "json"),
        ([{"a": 1}, 5], "json"),
        ([{"a": 1}, "x"], "text"),
        ([None, "", 3], "int"),
        ([None, ""], None),
        ([], None),
        (["1_000"], "text"),
    ],
)
def test_guess(values: list[Any], expected: str | None) -> None:
    assert guessed(*values) == expected


_scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
_strings = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_dates = st.dates().map(str) | st.datetimes().map(lambda value: value.isoformat())
_values = _scalars | _strings | _dates | st.lists(st.integers(), max_size=2)


@given(st.lists(_values, min_size=1, max_size=6))
async def test_every_value_fits_the_guessed_type(services: Services, values: list[Any]) -> None:
    """PostgreSQL takes each value as the guessed type: nothing that was looked at can be refused afterwards."""
    raw = [json.dumps(value).encode() for value in values]
    kind = guessed(*values) or "text"
    declared = parse(kind)
    assert declared is not None
    column = Column("c", declared.name, kind)
    texts = [to_text(column, value) for value in raw]
    await services.database.owner.fetch(f"SELECT value::{declared.sql} FROM unnest($1::text[]) AS value", texts)
