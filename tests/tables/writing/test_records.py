from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.tables.schema import Column
from datastore.tables.writing.records import json_text, to_text


def column(type: str, element: str | None = None) -> Column:
    return Column("c", type, type, element)


@pytest.mark.parametrize(
    ("type", "raw", "text"),
    [
        ("text", b"25", "25"),
        ("text", b"1.50", "1.50"),
        ("text", b"true", "true"),
        ("text", b'""', ""),
        ("text", b'{"a": [1]}', '{"a": [1]}'),
        ("varchar", b'""', None),
        ("int4", b'""', None),
        ("int4", b"null", None),
        ("int4", b"2.5", "3"),
        ("int4", b"-2.5", "-3"),
        ("int4", b"1e3", "1000"),
        ("int4", b'"1.5"', "1.5"),
        ("int4", b"1e400", "1e400"),
        ("int4", b"true", "true"),
        ("numeric", b"123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("bool", b"1", "1"),
        ("json", b"null", None),
        ("json", b'""', '""'),
        ("json", b'{"b":1.10,"a":[1,2]}', '{"b": 1.10, "a": [1, 2]}'),
        ("json", '{"k":"ü"}'.encode(), '{"k": "\\u00fc"}'),
        ("jsonb", b'"{\\"a\\": 1}"', '{"a": 1}'),
        ("jsonb", b'"plain"', '"plain"'),
        ("jsonb", b"[1]", "[1]"),
    ],
)
def test_to_text(type: str, raw: bytes, text: str | None) -> None:
    assert to_text(column(type), raw) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"[]", "{}"),
        (b'["a", null, "x\\"y\\\\z"]', '{"a",NULL,"x\\"y\\\\z"}'),
        (b"[[1, 2], [3, 4]]", '{{"1","2"},{"3","4"}}'),
        (b"[1.10, true]", '{"1.10","true"}'),
        (b'"{1,2}"', "{1,2}"),
    ],
)
def test_arrays(raw: bytes, text: str) -> None:
    assert to_text(column("_text", "text"), raw) == text


@pytest.mark.parametrize(
    ("type", "raw"),
    [("text", b'"\\u0000"'), ("json", b'{"a": "\\u0000"}'), ("json", b'{"\\ud800": 1}'), ("_text", b'["\\u0000"]')],
)
def test_what_postgresql_cannot_hold(type: str, raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"NUL|surrogate"):
        to_text(column(type, "text" if type == "_text" else None), raw)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(_json, st.booleans())
def test_json_has_one_layout(value: Any, ascii: bool) -> None:
    """Whatever the layout of the input, the text is what json.dumps writes."""
    expected = json.dumps(value)
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii)
    spaced = json.dumps(value, indent=2, ensure_ascii=not ascii)
    assert json_text(compact.encode()) == json_text(spaced.encode()) == json_text(expected.encode()) == expected
