"""Dates in queries."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.catalog.search.query.datemath import parse
from datastore.catalog.search.query.tree import QuerySyntaxError

NOW = datetime(2026, 8, 20, 13, 14, 15, 123456)  # a Thursday


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("NOW", NOW),
        ("NOW-7DAYS", datetime(2026, 8, 13, 13, 14, 15, 123456)),
        ("NOW/DAY", datetime(2026, 8, 20)),
        ("NOW/WEEK", datetime(2026, 8, 17)),
        ("NOW/MONTH-1YEAR", datetime(2025, 8, 1)),
        ("NOW/YEAR+2MONTHS", datetime(2026, 3, 1)),
        ("NOW/HOUR", datetime(2026, 8, 20, 13)),
        ("NOW/MINUTE", datetime(2026, 8, 20, 13, 14)),
        ("NOW/SECOND", datetime(2026, 8, 20, 13, 14, 15)),
        ("NOW/MILLI", datetime(2026, 8, 20, 13, 14, 15, 123000)),
        ("2026-01-31T00:00:00Z+1MONTH", datetime(2026, 2, 28)),
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1)),
        ("2026-01-01T00:00:00.5Z", datetime(2026, 1, 1, 0, 0, 0, 500000)),
        ("2026-01-01T02:00:00+02:00", datetime(2026, 1, 1)),
        ("2026-05", datetime(2026, 5, 1)),
    ],
)
def test_the_first_moment(text: str, first: datetime) -> None:
    assert parse(text, NOW)[0] == first


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2026", datetime(2027, 1, 1)),
        ("2026-02", datetime(2026, 3, 1)),
        ("2026-02-28", datetime(2026, 3, 1)),
        ("2026-02-28T23", datetime(2026, 3, 1)),
        ("2026-02-28T23:59", datetime(2026, 3, 1)),
        ("2026-02-28T23:59:59Z", datetime(2026, 3, 1)),
    ],
)
def test_what_is_left_out_is_a_span(text: str, after: datetime) -> None:
    assert parse(text, NOW)[1] == after


@pytest.mark.parametrize(
    "text",
    ["", "x", "NOW-", "NOW-DAYS", "NOW-7PARSECS", "2026-13", "2026-02-30", "NOW+999999YEARS", "NOW/DAY" + "+1DAY" * 30],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse(text, NOW)


@given(st.one_of(st.text(max_size=30), st.text(alphabet="NOW0123456789-+:/TZDAYSMONTH .", max_size=30)))
def test_any_text_is_a_date_or_refused(text: str) -> None:
    try:
        first, after = parse(text, NOW)
    except QuerySyntaxError:
        return
    assert first < after
