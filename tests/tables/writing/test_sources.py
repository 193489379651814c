from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import ValidationError
from datastore.tables.writing import sources
from datastore.tables.writing.sources import JsonLines, JsonList, JsonRecords, members


def read(records: JsonRecords) -> list[dict[str, Any]]:
    """All records, each piece numbered behind the last."""
    found: list[dict[str, Any]] = []
    for piece in records.pieces():
        rows = piece.rows(len(found))
        assert piece.count in (None, len(rows))
        decoded = [{name: json.loads(bytes(raw)) for name, raw in row.items()} for row in rows]
        assert json.loads(piece.data) == decoded
        found += decoded
    return found


# Whatever could be taken for the end of a record.
_texts = st.sampled_from(["},{", '"},{"a":1', "}\t,", "\\", '\\"', "[{}]", "", "a\nb", "ü"])
_inner = st.recursive(
    st.none() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_records = st.lists(st.dictionaries(_texts, _inner, max_size=3), max_size=8)


@pytest.fixture(params=[1, 7, 64])
def small_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE", request.param)


@pytest.mark.usefixtures("small_pieces")
@given(_records, st.sampled_from([None, 1]), st.booleans())
def test_a_list_in_pieces(records: list[Any], indent: int | None, ascii: bool) -> None:
    text = json.dumps(records, indent=indent, ensure_ascii=ascii).encode()
    assert read(JsonList(text)) == records


@pytest.mark.usefixtures("small_pieces")
@given(_records, st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]), st.booleans())
def test_lines_in_pieces(records: list[Any], end: str, last: bool) -> None:
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    text = (end.join(lines) + (end if last else "")).encode()
    assert read(JsonLines(io.BytesIO(text), len(text))) == records


@pytest.mark.parametrize("text", [b'{"a": 1}', b'"x"', b"17", b"null"])
def test_no_list(text: bytes) -> None:
    with pytest.raises(ValidationError, match="Records has to be a list of dicts"):
        read(JsonList(text))


@pytest.mark.usefixtures("small_pieces")
def test_what_is_no_object_is_named_by_its_index() -> None:
    with pytest.raises(ValidationError, match='row "2" is not a json object'):
        read(JsonList(b'[{"a": 1}, {"a": 2}, 3, {"a": 4}]'))
    with pytest.raises(ValidationError, match='row "2" is not a json object'):
        read(JsonLines(io.BytesIO(b'{"a": 1}\n\n{"a": 2}\n{"a": 3}, {"a": 4}\n'), 1))
    with pytest.raises(ValidationError, match='row "3" is not a json object'):
        members(msgspec.Raw(b"[1]"), 3)


def test_lines_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LINE", 100)
    with pytest.raises(ValidationError, match="a line is longer than 100 bytes"):
        read(JsonLines(io.BytesIO(b'{"a": "' + b"x" * 10**6), 1))


def test_byte_order_mark() -> None:
    assert read(JsonLines(io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n'), 1)) == [{"a": 1}]
