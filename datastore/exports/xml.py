"""xml: a ``<row>`` a line; JSON and arrays become nested elements."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from html import escape, unescape
from typing import Any

import asyncpg

from datastore.exports.json_text import NUMBERS, json_text, plain_text
from datastore.exports.rows import Rows, reference
from datastore.exports.writer import Options, Writer, joined, lines
from datastore.postgres.quoting import literal
from datastore.tables import render
from datastore.tables.names import ID
from datastore.tables.schema import Column
from datastore.tables.types import JSON

# Types whose text has none of the characters that XML escapes.
_SAFE = NUMBERS | {"date", "time", "timetz", "interval", "uuid", "bytea"}
_NIL = 'xsi:nil="true"'
# What XML 1.0 cannot hold, however it is written.
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_LEGAL_BYTES = bytes(byte for byte in range(256) if byte >= 0x20 or byte in b"\t\n\r")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_ENTITIES = (("'&'", "&amp;"), ("'<'", "&lt;"), ("'>'", "&gt;"), (r"E'\n'", "&#10;"), (r"E'\r'", "&#13;"))
_CELL = re.compile(rb"<\?(\S+) (.*?)\?>")
_LEADING = re.compile(r"\d*xml\d*|\d+", re.IGNORECASE)
# Name characters of XML 1.0, fifth edition, among those that \w takes.
_NOT_IN_NAME = re.compile(
    "[^-._0-9A-Za-z\u00b7\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u037d\u037f-\u1fff\u203f\u2040\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff]|[^-.\u00b7\\w]"
)
_NOT_AT_START = re.compile("^[-.\\d\u00b7\u0300-\u036f\u203f\u2040]+")


async def xml(_connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """``<data>``, and a ``<row>`` for each row, with ``_id`` as its attribute if that is the first column."""
    columns = list(rows.columns)
    if columns and columns[0].name == ID:
        opening = ["""'<row _id="'""", f"coalesce({reference(columns.pop(0))}::text, '')", """'">'"""]
    else:
        opening = ["'<row>'"]
    names = element_names(column.name for column in columns)
    cells = [_cell(column, name, options) for column, name in zip(columns, names, strict=True)]
    nested = any(_is_nested(column) for column in columns)
    return _Xml(rows.select([joined([*opening, *cells, "'</row>'"])]), nested)


class _Xml(Writer):
    def __init__(self, query: str, nested: bool) -> None:
        super().__init__(lines(query))
        self._nested = nested

    def begin(self) -> bytes:
        return b'<data xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'

    def feed(self, rows: bytes) -> bytes:
        if b"\x01" in rows or b"\x02" in rows:
            rows = b"".join(map(unquoted, rows.splitlines(keepends=True)))
        if self._nested:
            rows = _CELL.sub(_expanded, rows)
        return legal(rows)

    def end(self) -> bytes:
        return b"</data>\n"


def legal(xml: bytes) -> bytes:
    """The text without what XML 1.0 cannot hold: control characters and U+FFFE, U+FFFF become U+FFFD."""
    if xml.translate(None, _LEGAL_BYTES) or b"\xef\xbf\xbe" in xml or b"\xef\xbf\xbf" in xml:
        return _ILLEGAL.sub(_REPLACEMENT, xml)
    return xml


def unquoted(line: bytes) -> bytes:
    """A line as it was before COPY quoted it for one of the two control characters in it."""
    return line[1:-2].replace(b"\x01\x01", b"\x01") + b"\n" if line.startswith(b"\x01") else line


def escaped(sql: str) -> str:
    """The expression of a text with what XML keeps for itself, and line breaks, as entities."""
    for character, entity in _ENTITIES:
        sql = f"replace({sql}, {character}, '{entity}')"
    return sql


def _is_nested(column: Column) -> bool:
    return column.type in JSON or column.element is not None or column.type == "record"


def _cell(column: Column, name: str, options: Options) -> str:
    sql = reference(column)
    start, end = literal(f"<{name}>"), literal(f"</{name}>")
    nil, empty = literal(f"<{name} {_NIL} />"), literal(f"<{name} />")
    if _is_nested(column):
        # Unpacked on this side, cell by cell: see _expanded. No other text has "<?".
        text = escaped(json_text(column))
        return f"coalesce({literal(f'<?{name} ')} || {text} || '?>', {nil})"
    if column.type == "bool":
        yes, no = literal(f"<{name}>True</{name}>"), literal(f"<{name}>False</{name}>")
        return f"CASE {sql} WHEN true THEN {yes} WHEN false THEN {no} ELSE {nil} END"
    if column.type == "timestamp":
        return f"coalesce({start} || {render.timestamp(sql, options.milliseconds)} || {end}, {nil})"
    if column.type in _SAFE:
        return f"coalesce({start} || {sql}::text || {end}, {nil})"
    text = plain_text(column)
    return f"CASE {text} WHEN '' THEN {empty} ELSE coalesce({start} || {escaped(text)} || {end}, {nil}) END"


def _expanded(match: re.Match[bytes]) -> bytes:
    """The elements of a JSON value; one that is nested too deep for that stays JSON."""
    name, text = match[1].decode(), unescape(match[2].decode())
    try:
        value = json.loads(text, object_pairs_hook=_Members, parse_int=str, parse_float=str, strict=False)
        return "".join(_elements(name, "", value)).encode("utf-8", "replace")
    except RecursionError:
        return f"<{name}>{escape(text, quote=False)}</{name}>".encode()


class _Members(list[tuple[str, Any]]):
    """The members of an object, also those that share a name."""


def _elements(name: str, attribute: str, value: Any) -> Iterable[str]:
    if value is None:
        yield f"<{name} {_NIL}{attribute} />"
    elif isinstance(value, list):
        if not value:
            yield f"<{name}{attribute} />"
            return
        yield f"<{name}{attribute}>"
        for key, item in value if isinstance(value, _Members) else enumerate(value):
            yield from _elements("value", f' key="{_text(str(key), quote=True)}"', item)
        yield f"</{name}>"
    elif value == "":
        yield f"<{name}{attribute} />"
    else:
        yield f"<{name}{attribute}>{_text(str(value))}</{name}>"


def _text(text: str, quote: bool = False) -> str:
    text = escape(text, quote=quote).replace("\r", "&#13;").replace("\n", "&#10;")
    return text.replace("\t", "&#9;") if quote else text


def element_names(columns: Iterable[str]) -> list[str]:
    """A name for the element of each column; none comes twice.

    >>> element_names(["Größe (m)", "2020", "1a", "a", "a!"])
    ['Größe_m', '_2020', 'a', 'a_0', 'a_1']
    """
    taken: set[str] = set()
    names = []
    for column in columns:
        text = unicodedata.normalize("NFC", column)
        leading = _LEADING.match(text)
        plain = re.sub(r"\s+", "_", text[leading.end() :] if leading else text)
        name = _NOT_AT_START.sub("", _NOT_IN_NAME.sub("", plain)) or "_" + _NOT_IN_NAME.sub("", text)
        unique, number = name, 0
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        names.append(unique)
    return names
