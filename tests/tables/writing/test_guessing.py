"""Types of columns of texts: what Arrow says of a column is what is said of its values one by one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastore.tables.definition import guess
from datastore.tables.writing.guessing import kind_of_text, kinds_of_texts

_whole = st.integers(-(2**66), 2**66).map(str) | st.integers(-9, 9).map("{:+d}".format)
_number = (
    st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.floats().map(str)
    | st.sampled_from([".5", "1.", "1e999"])
)
_time = (
    st.datetimes().map(str)
    | st.datetimes().map(lambda time: time.isoformat(timespec="seconds"))
    | st.dates().map(str)
    | st.sampled_from(
        ["0000-01-01", "2020-02-30", "2020-01-01 10:11", "2020-01-01T10:11:12Z", "2020-01-01 10:11:12+01"]
    )
)
_bool = st.sampled_from(["true", "false", "TRUE", "False"])
_odd = st.text() | st.sampled_from(
    ["0xff", "nan(1)", "nan", "inf", "-Infinity", " 5", "5\n", "1_000", "٣", "-", "2020-1-1", "2020-01-01 10:11:12+01"]
)
_columns = st.sampled_from([_whole, _whole | _number, _time, _bool, _odd, _whole | _odd, _number | _odd, _time | _odd])


def _widest(kinds: set[str]) -> str | None:
    return guess.widest(kinds) if kinds else None


@given(_columns.flatmap(lambda values: st.lists(values | st.sampled_from(["", None]), max_size=6)))
@example(["7", "0xff"])
@example(["+5", "7"])
@example(["1", "1.5"])
@example(["1.5", "nan(1)"])
@example(["2020-01-01", "0000-01-01"])
@example(["2020-01-01", "2020-01-01 10:11"])
def test_a_column_is_what_its_values_are(values: list[str | None]) -> None:
    one_by_one = {kind_of_text(value) for value in values if value}
    assert _widest(kinds_of_texts(pa.array(values, pa.string()))) == _widest(one_by_one)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2147483648"], "int"),
        (["1", "2147483648"], "bigint"),
        (["9223372036854775808", "1"], "numeric"),
        (["1", "0.10"], "numeric"),
        (["2020-01-01", "2020-01-01 23:59:59.999999"], "timestamp"),
        (["0000-01-01"], "text"),  # PostgreSQL knows no year 0
        (["TRUE", "", None], "bool"),
        (["0x1f"], "text"),  # PostgreSQL reads it from version 16 on
        (["٣"], "text"),
        (["", None], None),
    ],
)
def test_columns(values: list[str | None], expected: str | None) -> None:
    assert _widest(kinds_of_texts(pa.array(values, pa.string()))) == expected
