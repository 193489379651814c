"""Records of a request → rows for COPY.

Two ways, with one behaviour. The *strict* way decodes JSON straight into a struct type made for the table and goes by
binary COPY; it refuses whatever is not plainly of the column's type. What it refuses goes the *text* way: each value
becomes the text that PostgreSQL's own input function reads, so PostgreSQL decides, and its error names the row.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from datastore.errors import ValidationError
from datastore.tables.arguments import array_literal
from datastore.tables.names import ID, printable
from datastore.tables.schema import Column
from datastore.tables.types import INTEGERS, JSON

CHUNK = 2_000
"""Records decoded between two turns of the event loop."""

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _error(message: str) -> ValidationError:
    return ValidationError({"records": [message]})


def split(records: bytes) -> list[msgspec.Raw]:
    """A JSON list as its members, each still JSON text.

    Raises :class:`ValidationError` ``records`` if it is no list.
    """
    try:
        return _RAW_LIST.decode(records)
    except (msgspec.DecodeError, RecursionError):
        raise _error("Records has to be a list of dicts") from None


def members(record: msgspec.Raw, row: int) -> dict[str, msgspec.Raw]:
    """One record as its values by key, each still JSON text. Raises :class:`ValidationError` ``records``."""
    try:
        return _RAW_RECORD.decode(record)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _error(f'row "{row}" is not a json object') from None


# --- the strict way ---------------------------------------------------------------------------------------------------


def _integer(bits: int) -> Any:
    return Annotated[int, msgspec.Meta(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]


_STRICT: dict[str, Any] = {
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64),
    "float8": float,
    "numeric": decimal.Decimal,
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
        element = _STRICT.get(column.element)
        return None if element is None or column.element in JSON else list[element | None]  # type: ignore[valid-type]
    return _STRICT.get(column.type)


@lru_cache(maxsize=512)
def _struct(columns: tuple[tuple[str, Any], ...], required: bool) -> msgspec.json.Decoder[Any]:
    fields: list[Any] = []
    for number, (_, kind) in enumerate(columns):
        # Raw holds null by itself; None stands for a key that is missing.
        optional = kind if kind is msgspec.Raw and required else kind | None
        fields.append((f"f{number}", optional) if required else (f"f{number}", optional, None))
    struct = msgspec.defstruct(
        "Row",
        fields,
        rename={f"f{number}": name for number, (name, _) in enumerate(columns)},
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(struct)


def _embedded(column: Column) -> Callable[[Any], str | None]:
    return lambda raw: None if raw is None else to_text(column, bytes(raw))


async def strict_rows(
    records: Sequence[msgspec.Raw], columns: Sequence[Column], required: bool, numbered: bool
) -> AsyncIterator[tuple[Any, ...]] | None:
    """Rows for binary COPY into ``columns``; None if one of the records, or the type of a column, has no strict way.

    All are decoded first, with turns for other tasks: a COPY that stops in the middle would use up numbers for ``_id``.
    ``required``: every record has every column (a partial update must not clear the others). ``numbered``: a row
    starts with its index.
    """
    kinds = [(column.name, _strict_type(column)) for column in columns]
    # msgspec cannot rename a field to what JSON would have to escape.
    if any(kind is None or "\\" in name for name, kind in kinds):
        return None
    decode = _struct(tuple(kinds), required).decode
    structs: list[Any] = []
    for start in range(0, len(records), CHUNK):
        try:
            structs += [decode(record) for record in records[start : start + CHUNK]]
        except (msgspec.DecodeError, RecursionError, ValueError):
            return None
        await asyncio.sleep(0)
    converters = [(number, _embedded(column)) for number, column in enumerate(columns) if column.type in JSON]
    return _rows(structs, converters, numbered)


async def _rows(
    structs: list[Any], converters: list[tuple[int, Callable[[Any], str | None]]], numbered: bool
) -> AsyncIterator[tuple[Any, ...]]:
    for start in range(0, len(structs), CHUNK):
        rows: Iterable[tuple[Any, ...]] = map(msgspec.structs.astuple, structs[start : start + CHUNK])
        if converters:
            rows = (_convert(row, converters) for row in rows)
        if numbered:
            rows = ((number, *row) for number, row in enumerate(rows, start))
        for row in rows:
            yield row
        await asyncio.sleep(0)


def _convert(row: tuple[Any, ...], converters: list[tuple[int, Callable[[Any], str | None]]]) -> tuple[Any, ...]:
    values = list(row)
    for number, convert in converters:
        values[number] = convert(values[number])
    return tuple(values)


# --- the text way -----------------------------------------------------------------------------------------------------

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r"[\\\n\r\t]")


async def text_rows(
    rows: Sequence[dict[str, msgspec.Raw]], columns: Sequence[Column], numbers: Sequence[int], numbered: bool
) -> AsyncIterator[bytes]:
    """Lines for ``COPY … (FORMAT text)`` into ``columns``; a missing key is NULL.

    ``numbers`` are the indexes of the records in the request; ``numbered``: each line starts with its own. Raises
    :class:`ValidationError` ``records`` with ``records_row`` for a value that no column can hold.
    """
    for start in range(0, len(rows), CHUNK):
        lines = []
        for number, row in zip(numbers[start : start + CHUNK], rows[start : start + CHUNK], strict=True):
            cells = [str(number)] if numbered else []
            try:
                for column in columns:
                    raw = row.get(column.name)
                    cells.append("\\N" if raw is None else _cell(to_text(column, bytes(raw))))
            except ValueError as error:
                raise ValidationError({"records": [str(error)], "records_row": number}) from None
            lines.append("\t".join(cells))
        yield "\n".join([*lines, ""]).encode()
        await asyncio.sleep(0)


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
            return array_literal(_elements(raw))
        return json_text(raw)
    text = raw.decode()
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
    text: str = json.loads(raw)
    if "\0" in text:
        raise ValueError("a text cannot hold the NUL character")
    if printable(text) != text:
        raise ValueError("a text cannot hold a lone surrogate")
    return text


def _elements(raw: bytes) -> list[Any]:
    """A JSON list for :func:`array_literal`: each element the text that its input function reads."""
    elements: list[Any] = []
    for member in _RAW_LIST.decode(raw):
        element = bytes(member)
        first = element[:1]
        if first == b"n":
            elements.append(None)
        elif first == b"[":
            elements.append(_elements(element))
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

    return _TOKEN.sub(normal, raw.decode())


def check_keys(rows: Sequence[dict[str, msgspec.Raw]], known: Iterable[str]) -> None:
    """Raise :class:`ValidationError` for the first record with other keys than ``known`` (an insert cannot set _id)."""
    names = frozenset(known) - {ID}
    for number, row in enumerate(rows):
        if not names.issuperset(row):
            extra = ", ".join(printable(name) for name in row if name not in names)
            raise _error(f'row "{number + 1}" has extra keys "{extra}"')
