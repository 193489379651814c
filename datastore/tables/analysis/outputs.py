"""The columns of a computed result as a client writes them: :mod:`groups` and :mod:`measures` make SQL of them.

A client writes an object, ``{"function": "avg", "column": "dep_delay"}``, or the same in short: ``avg(dep_delay)``.
Everything here is pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from datastore.errors import ValidationError
from datastore.tables.arguments import Arguments
from datastore.tables.names import printable, too_long, valid_column_name
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import FLOATS, INTEGERS

NUMBERS = INTEGERS | FLOATS | {"numeric"}
TIMES = frozenset({"date", "timestamp", "timestamptz"})
MAX_OUTPUTS = 100
"""Most columns of a result: as many as a function of PostgreSQL takes arguments."""
_MAX_LENGTH = 500
"""Of the short form, in characters: longer than any function, column and name together."""

# Types without an order: their values are told apart by their text.
UNORDERED = frozenset({"xml", "point", "lseg", "path", "box", "polygon", "line", "circle", "jsonpath", "int2vector"})

_CALL = re.compile(r"(?P<function>[a-z_]+[0-9.]*)\s*\((?P<column>.*)\)", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r"(?P<what>.+?)\s+as\s+(?P<name>.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Output:
    """A column of the result, computed from a row or from a group of rows, which stand under the name ``t``."""

    column: Column
    sql: str
    bounds: tuple[str, ...] = ()
    """Aggregates over the whole selection that ``sql`` refers to: see :func:`bound`."""


def items(value: Any, parameter: str) -> list[Any]:
    """The members of a list, of JSON text, or of a text with commas (those in brackets or quotes do not count).

    Raises :class:`ValidationError` for ``parameter`` if they are neither texts nor objects, or too many.
    """
    if isinstance(value, str):
        value = _from_text(value)
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, list):
        raise ValidationError({parameter: ["Not a list"]})
    if len(value) > MAX_OUTPUTS:
        raise ValidationError({parameter: [f"more than {MAX_OUTPUTS} columns"]})
    for member in value:
        if not isinstance(member, (str, Mapping)):
            raise ValidationError({parameter: [f"Neither a string nor an object: {printable(repr(member))[:200]}"]})
        if isinstance(member, str) and len(member) > _MAX_LENGTH:
            raise ValidationError({parameter: [f'invalid value "{printable(member[:100])}…"']})
    return value


def _from_text(text: str) -> Any:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass  # a column's name may begin so
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == '"'
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "," and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


class Item:
    """One member of ``group_by`` or ``aggregates``, taken apart key by key."""

    def __init__(self, given: Any, parameter: str, schema: TableSchema, arguments: Arguments) -> None:
        self.parameter = parameter
        self.schema = schema
        self.arguments = arguments
        self.given = dict(given) if isinstance(given, Mapping) else self._short(given)

    def _short(self, text: str) -> dict[str, Any]:
        if text in self.schema.by_name and self.parameter == "group_by":
            return {"column": text}
        found: dict[str, Any] = {}
        if (named := _NAMED.fullmatch(text)) is not None and not text.endswith(")"):
            text, found["as"] = named["what"], _unquoted(named["name"])
        if (call := _CALL.fullmatch(text)) is not None:
            found["function"] = call["function"].lower()
            if (column := _unquoted(call["column"])) not in ("", "*"):
                found["column"] = column
        else:
            found["column" if self.parameter == "group_by" else "function"] = _unquoted(text)
        return found

    def error(self, message: str) -> ValidationError:
        """What refuses it."""
        return ValidationError({self.parameter: [message]})

    def text(self, key: str) -> str | None:
        """The text under a key, or None; whatever is taken counts as understood."""
        value = self.given.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise self.error(f'"{key}" is not a text')
        return value or None

    def column(self) -> Column | None:
        """The column that is named, or None."""
        name = self.text("column")
        if name is None:
            return None
        if (column := self.schema.by_name.get(name)) is None:
            raise self.error(f'invalid value "{printable(name)}"')
        return column

    def number(self, key: str) -> Decimal | None:
        """The number under a key, or None."""
        value = self.given.pop(key, None)
        if value is None:
            return None
        try:
            number = Decimal(str(value)) if not isinstance(value, bool) else None
        except (InvalidOperation, ValueError):
            number = None
        if number is None or not number.is_finite() or abs(number.adjusted()) > 300:
            raise self.error(f'"{key}" is not a number')
        return number

    def named(self, output: Output, default: str) -> Output:
        """The output under the name that was asked for, once everything that was given has been understood."""
        name = self.text("as") or default
        if self.given:
            raise self.error(f'invalid value "{printable(str(next(iter(self.given))))}"')
        if not valid_column_name(name) and name != output.column.name:
            raise self.error(f'"{printable(name)}" is not a valid name')
        if too_long(name):
            raise self.error(f'"{printable(name)}" is too long a name: give another one with "as"')
        return output if name == output.column.name else replace(output, column=replace(output.column, name=name))


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] == '"' else name


def comparable(column: Column, sql: str) -> tuple[str, Column]:
    """A value as something that can be grouped and sorted, and what it is then. JSON compares by its structure."""
    if column.type == "json" or column.element == "json":
        native = "jsonb" if column.element is None else "jsonb[]"
        type, element = ("jsonb", None) if column.element is None else ("_jsonb", "jsonb")
        return f"{sql}::{native}", replace(column, type=type, native_type=native, element=element)
    if column.type in UNORDERED or column.element in UNORDERED:
        return f"{sql}::text", replace(column, type="text", native_type="text", element=None)
    return sql, column


def bound(number: int) -> str:
    """What stands for ``bounds[number]`` of all outputs in their SQL, once the plan knows their order."""
    return f"(SELECT b{number} FROM bounds)"


def finite(sql: str) -> str:
    """The condition that a number, date or timestamp is neither infinite nor NaN (which is above infinity)."""
    return f"{sql} > '-infinity' AND {sql} < 'infinity'"
