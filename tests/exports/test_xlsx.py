"""xlsx, read back by openpyxl: what a spreadsheet cannot hold is told or marked, never changed in silence."""

from __future__ import annotations

import datetime
import io
from typing import Any

import httpx
import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from datastore.exports import xlsx
from tests.exports.conftest import Fetch, MakeTable


def rows(content: bytes) -> list[tuple[Any, ...]]:
    """The cells of the only sheet, its header first."""
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    assert book.sheetnames == ["Data"]
    return [tuple(unescape(cell) if isinstance(cell, str) else cell for cell in row) for row in book["Data"].values]


async def test_types(make_table: MakeTable, fetch: Fetch) -> None:
    columns: dict[str, tuple[str, Any, Any]] = {
        "i": ("int4", -5, -5),
        "long": ("int8", 2**62, str(2**62)),
        "n": ("numeric", "12.50", 12.5),
        "exact": ("numeric", "0.12345678901234567890", "0.12345678901234567890"),
        "f": ("float8", 0.1, 0.1),
        "nan": ("float8", "NaN", "NaN"),
        "b": ("bool", True, True),
        "d": ("date", "2020-02-29", datetime.datetime(2020, 2, 29)),
        "old": ("date", "1899-12-31", "1899-12-31"),
        "t": ("timestamp", "2020-01-02 03:04:05.678", datetime.datetime(2020, 1, 2, 3, 4, 5, 678_000)),
        "bc": ("timestamp", "0044-03-15 00:00:00 BC", "0044-03-15T00:00:00.000 BC"),
        "z": ("timestamptz", "2020-01-02 03:04:05+01", "2020-01-02T02:04:05+00:00"),
        "s": ("text", " <&>\n\"é' ", " <&>\n\"é' "),
        "j": ("json", {"a": 1}, '{"a": 1}'),
        "l": ("_text", ["a", None], '["a",null]'),
    }
    types = {name: type for name, (type, _, _) in columns.items()}
    resource = await make_table(types, [{name: sent for name, (_, sent, _) in columns.items()}, {}])

    header, first, second = rows(await fetch(resource, format="xlsx"))
    assert header == ("_id", *columns)
    assert first == (1, *(shown for _, _, shown in columns.values()))
    assert second[0] == 2
    assert not any(second[1:])


async def test_odd_texts(make_table: MakeTable, fetch: Fetch) -> None:
    odd = ["\x01", "a\x02b\nc", "_x0041_", "\\.", "\x7f", "😀", "=1+1", "<?x?>", "\ufffe"]
    resource = await make_table({"a_x0041_": "text"}, [{"a_x0041_": text} for text in odd])

    header, *found = rows(await fetch(resource, format="xlsx"))
    assert header == ("_id", "a_x0041_")
    assert [row[1] for row in found] == [*odd[:-1], "\ufffd"]


async def test_texts_too_long_for_a_cell_are_cut_and_marked(make_table: MakeTable, fetch: Fetch) -> None:
    longest = xlsx.LONGEST_CELL
    texts = ["x" * longest, "é" * longest, "x" * (longest + 1), "😀" * (longest // 2), "😀" * longest]
    resource = await make_table({"a": "text"}, [{"a": text} for text in texts])

    found = [row[1] for row in rows(await fetch(resource, format="xlsx"))[1:]]
    assert [len(text.encode("utf-16-le")) // 2 <= longest for text in found] == [True] * len(texts)
    for number in (0, 1, 3):
        assert found[number] == texts[number]
    for number in (2, 4):
        assert found[number].endswith(xlsx.MARK)
        assert texts[number].startswith(found[number].removesuffix(xlsx.MARK))


async def test_more_rows_than_a_sheet_holds(
    make_table: MakeTable, fetch: Fetch, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MOST_ROWS", 5)
    resource = await make_table({"a": "int"}, [{"a": number} for number in range(6)])

    refused = await client.get(f"/datastore/dump/{resource}?format=xlsx")
    assert refused.status_code == 409
    assert "5 rows" in refused.text
    assert len(rows(await fetch(resource, format="xlsx", limit=5))) == 6
    assert len(rows(await fetch(resource, format="xlsx", offset=2, sort="a"))) == 5


async def test_no_rows(make_table: MakeTable, fetch: Fetch) -> None:
    resource = await make_table({"a": "int"}, [])
    assert rows(await fetch(resource, format="xlsx")) == [("_id", "a")]
