"""Records of a request → rows for COPY.

Two ways, with one behaviour. The *strict* way decodes JSON straight into a struct type made for the table and goes by
binary COPY; it refuses whatever is not plainly of the column's type. What it refuses goes the *text* way: each value
becomes the text that PostgreSQL's own input function reads, so PostgreSQL decides, and its error names the row.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from datastore.tables.arguments import array_literal
from datastore.tables.names import ID, printable
from datastore.tables.schema import Column
from datastore.tables.types import INTEGERS, JSON
from datastore.tables.writing import numerics
from datastore.tables.writing.sources import records_error

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


# --- the strict way ---------------------------------------------------------------------------------------------------


def _integer(bits: int) -> Any:
    return Annotated[int, msgspec.Meta(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]


_STRICT: dict[str, Any] = {
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64),
    "float8": float,
    "numeric": msgspec.Raw,
    "bool": bool,
    "text": str,
    # An empty string means NULL in every type but text: the text way knows.
    "varchar": Annotated[str, msgspec.Meta(min_length=1)],
    "date": datetime.date,
    "timestamp": Annotated[datetime.datetime, msgspec.Meta(tz=False)],
    "timestamptz": Annotated[datetime.datetime, msgspec.Meta(tz=True)],
    "uuid": uuid.UUID,
    "json": msgspec.Raw,
    "jsonb": msgspec.Raw,
}


def _strict_type(column: Column) -> Any:
    """The Python type that holds a column's values exactly, or None if only the text way can."""
    if column.element is not None:
        element = decimal.Decimal if column.element == "numeric" else _STRICT.get(column.element)
        return None if element is None or column.element in JSON else list[element | None]  # type: ignore[valid-type]
    return _STRICT.get(column.type)


@lru_cache(maxsize=512)
def _decoder(columns: tuple[tuple[str, Any], ...], required: bool) -> msgspec.json.Decoder[Any]:
    """A decoder of lists of records; the field of column ``n`` is ``f<n>``."""
    fields: list[Any] = []
    for number, (_, kind) in enumerate(columns):
        # Raw holds null by itself.
        if kind is msgspec.Raw:
            fields.append((f"f{number}", kind) if required else (f"f{number}", kind, _NULL))
        else:
            fields.append((f"f{number}", kind | None) if required else (f"f{number}", kind | None, None))
    struct = msgspec.defstruct(
        "Row",
        fields,
        rename={f"f{number}": name for number, (name, _) in enumerate(columns)},
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]


_NULL = msgspec.Raw(b"null")


class Strict:
    """The strict way for records of certain columns. Make it with :func:`strict`."""

    def __init__(self, columns: Sequence[Column], kinds: Sequence[tuple[str, Any]], required: bool) -> None:
        self.columns = tuple(columns)
        self.encoded = frozenset(column.name for column in columns if column.type == "numeric")
        """Columns whose values are binary already."""
        self._decode = _decoder(tuple(kinds), required).decode
        self._converted = [
            (column, f"f{number}", attrgetter(f"f{number}"))
            for number, column in enumerate(columns)
            if column.type == "numeric" or column.type in JSON
        ]

    def decode(self, records: bytes, count: int | None = None) -> list[tuple[Any, ...]] | None:
        """A JSON list as rows; None if it is no list of ``count`` such records."""
        try:
            structs = self._decode(records)
            if count is not None and len(structs) != count:
                return None
            for column, name, get in self._converted:
                for struct, value in zip(structs, _converted(column, list(map(get, structs))), strict=True):
                    setattr(struct, name, value)
        except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
            return None
        return list(map(astuple, structs))


def strict(columns: Sequence[Column], required: bool) -> Strict | None:
    """The strict way into ``columns``, or None if they have none.

    ``required``: every record has every column (a partial update must not clear the others).
    """
    kinds = [(column.name, _strict_type(column)) for column in columns]
    # msgspec cannot rename a field to what JSON would have to escape.
    if not columns or any(kind is None or "\\" in name for name, kind in kinds):
        return None
    return Strict(columns, kinds, required)


def _converted(column: Column, values: list[msgspec.Raw]) -> Sequence[Any]:
    """JSON values as asyncpg takes them."""
    if column.type == "numeric":
        return numerics.encode_all(values)
    return [to_text(column, bytes(value)) for value in values]


# --- the text way -----------------------------------------------------------------------------------------------------

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r"[\\\n\r\t]")


def text_rows(
    rows: Sequence[dict[str, msgspec.Raw]],
    columns: Sequence[Column],
    numbers: Sequence[int],
    first_cells: Iterable[str] | None = None,
) -> bytes:
    """Lines for ``COPY … (FORMAT text)`` into ``columns``; a missing key is NULL.

    ``numbers`` are the indexes of the records in the request; ``first_cells`` is what each line starts with. Raises
    :class:`ValidationError` ``records`` with ``records_row`` for a value that no column can hold.
    """
    lines = []
    starts = itertools.repeat(None, len(rows)) if first_cells is None else first_cells
    for number, start, row in zip(numbers, starts, rows, strict=True):
        cells = [] if start is None else [start]
        try:
            for column in columns:
                raw = row.get(column.name)
                cells.append("\\N" if raw is None else _cell(to_text(column, bytes(raw))))
        except ValueError as error:
            raise records_error(str(error), number) from None
        lines.append("\t".join(cells))
    return "\n".join([*lines, ""]).encode()


def _cell(text: str | None) -> str:
    return "\\N" if text is None else _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text)


def to_text(column: Column, raw: bytes) -> str | None:
    """A JSON value as the text that the input function of the column's type reads; None for NULL (§3.6).

    Raises :class:`ValueError` with a message for the client, for text that PostgreSQL cannot hold.
    """
    first = raw[:1]
    if first == b"n":
        return None
    if column.type == "json":
        return json_text(raw)
    if first == b'"':
        return _string_to_text(column, _string(raw))
    if column.type == "jsonb" or first in b"tf":
        return raw.decode()
    if first in b"[{":
        if column.element is not None and first == b"[":
            return array_literal(json_elements(raw))
        return json_text(raw)
    text = raw.decode()
    # Nobody means another row than they say.
    if column.name == ID and decimal.Decimal(text) != decimal.Decimal(text).to_integral_value():
        return text
    return _rounded(text) if column.type in INTEGERS else text


def _string_to_text(column: Column, text: str) -> str | None:
    if text == "" and column.type != "text":
        return None
    if column.type == "jsonb":
        # Clients of the original send JSON text; a string that is none is itself the value.
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return json.dumps(text)
    return text


def _string(raw: bytes) -> str:
    try:
        text: str = json.loads(raw)
    except UnicodeDecodeError:
        raise ValueError("a text is not valid UTF-8") from None
    if "\0" in text:
        raise ValueError("a text cannot hold the NUL character")
    if printable(text) != text:
        raise ValueError("a text cannot hold a lone surrogate")
    return text


def json_elements(raw: bytes) -> list[Any]:
    """A JSON list (its text) for :func:`array_literal`: each element the text that its input function reads."""
    elements: list[Any] = []
    for member in _RAW_LIST.decode(raw):
        element = bytes(member)
        first = element[:1]
        if first == b"n":
            elements.append(None)
        elif first == b"[":
            elements.append(json_elements(element))
        elif first == b'"':
            elements.append(_string(element))
        else:
            elements.append(json_text(element) if first == b"{" else element.decode())
    return elements


def _rounded(number: str) -> str:
    """A JSON number for an integer column: ``2.5`` is rounded half away from zero, as PostgreSQL rounds numerics."""
    if number.lstrip("-").isdigit():
        return number
    value = decimal.Decimal(number)
    if value.adjusted() > 30:
        return number  # PostgreSQL says that it is out of range
    return str(value.quantize(decimal.Decimal(1), decimal.ROUND_HALF_UP) + 0)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[,:]|\s+')


def json_text(raw: bytes) -> str:
    """JSON in the one layout that json columns keep: ``, `` and ``: ``, other characters than ASCII as ``\\uXXXX``.

    Numbers keep their digits and objects their order and duplicate keys.
    """

    def normal(match: re.Match[str]) -> str:
        found = match[0]
        if found in ",:":
            return f"{found} "
        if found[0] != '"':
            return ""
        if found.isascii() and found.isprintable() and "\\" not in found:
            return found
        return json.dumps(_string(found.encode()))

    try:
        return _TOKEN.sub(normal, raw.decode())
    except UnicodeDecodeError:
        raise ValueError("a text is not valid UTF-8") from None
