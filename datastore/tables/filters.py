"""Filters: a client's JSON → a condition → SQL (datastore-api.md §7).

Parsing knows names, operators and limits only; planning knows the table. Both are pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier, literal
from datastore.tables.names import printable
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import JSON, TEXT

MAX_OPERATIONS = 100
MAX_DEPTH = 10
COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass
class Arguments:
    """The arguments of a statement, collected while its text is written: ``$n``, or constants for COPY."""

    inline: bool = False
    values: list[str | list[str]] = field(default_factory=list)

    def add(self, value: str | list[str]) -> str:
        """Append a text or a list of texts; gives what stands for it in the statement."""
        if self.inline:
            return literal(value) if isinstance(value, str) else f"ARRAY[{', '.join(map(literal, value))}]"
        self.values.append(value)
        return f"${len(self.values)}"


def plan(filters: Any, schema: TableSchema, arguments: Arguments) -> str | None:
    """The condition as SQL, or None if every row fits.

    ``filters`` is an object (all its entries must hold) or a list of objects (one of them must). Raises
    :class:`ValidationError` for ``filters``.
    """
    return _Planner(schema, arguments).top(filters)


def _error(message: str) -> ValidationError:
    return ValidationError({"filters": [message]})


class _Planner:
    def __init__(self, schema: TableSchema, arguments: Arguments) -> None:
        self._schema = schema
        self._arguments = arguments
        self._operations = 0

    def top(self, filters: Any) -> str | None:
        if isinstance(filters, list):
            return self._any(filters, 1) if filters else None
        if not isinstance(filters, dict):
            raise _error("Filters must be defined as a dict or a list of dicts")
        return self._all(filters, 1) if filters else None

    def _all(self, entries: dict[str, Any], depth: int) -> str:
        """Every entry holds."""
        self._count(len(entries), depth)
        return _join(" AND ", [self._entry(name, value, depth) for name, value in entries.items()]) or "true"

    def _any(self, members: Any, depth: int) -> str:
        """One of the objects holds."""
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise _error(f"Filter operations must be defined as a list of dicts: {_shown(members)}")
        self._count(len(members), depth)
        return _join(" OR ", [self._all(member, depth + 1) for member in members])

    def _entry(self, name: str, value: Any, depth: int) -> str:
        if name.startswith("$") and not name.startswith("$$"):
            return self._group(name, value, depth)
        column = self._column(name[1:] if name.startswith("$$") else name, value)
        if isinstance(value, list):
            return self._in(column, value)
        if isinstance(value, dict):
            return self._operators(column, value)
        return self._compare(column, "eq", value)

    def _group(self, name: str, members: Any, depth: int) -> str:
        if name not in ("$and", "$or"):
            raise _error(f"Unknown operators (must be one of $or, $and): {printable(name)}")
        if members == []:
            raise _error(f'invalid value "{name}"')
        if name == "$or":
            return self._any(members, depth + 1)
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise _error(f"Filter operations must be defined as a list of dicts: {_shown(members)}")
        self._count(len(members), depth + 1)
        return _join(" AND ", [self._all(member, depth + 2) for member in members])

    def _column(self, name: str, value: Any) -> Column:
        column = self._schema.by_name.get(name)
        if column is None:
            shown = printable(name)
            raise _error(f'invalid value "{shown}"' if isinstance(value, list) else f"Unknown field: {shown}")
        return column

    def _count(self, items: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise _error("Maximum nesting depth for filter operations reached")
        self._operations += items
        if self._operations > MAX_OPERATIONS:
            raise _error("Maximum number of filter operations exceeded")

    def _operators(self, column: Column, operators: dict[str, Any]) -> str:
        if not operators:
            raise _error(f'invalid value "{printable(column.name)}"')
        self._count(len(operators), 1)
        return _join(" AND ", [self._operator(column, name, value) for name, value in operators.items()])

    def _operator(self, column: Column, name: str, value: Any) -> str:
        if name == "in":
            if not isinstance(value, list):
                raise _error(f'invalid value "{printable(column.name)}"')
            return self._in(column, value)
        if name not in COMPARISONS:
            raise _error(f"Unknown filter operation: {printable(name)}")
        return self._compare(column, name, value)

    def _in(self, column: Column, members: list[Any]) -> str:
        """One of the values, or one of the operator objects; an empty list fits nothing."""
        objects = [member for member in members if isinstance(member, dict) and column.type not in JSON]
        plain = [member for member in members if not any(member is found for found in objects)]
        parts = [self._operators(column, member) for member in objects]
        if None in plain:
            parts.append(f"{identifier(column.name)} IS NULL")
        values = [_text(member, column) for member in plain if member is not None]
        if len(values) == 1 or column.element is not None:
            parts += [self._equal(column, self._arguments.add(value)) for value in values]
        elif values:
            listed = f"{self._arguments.add(values)}::text[]"
            parts.append(f"{_comparable(column)} = ANY ({_converted(listed, column, '[]')})")
        return _join(" OR ", parts) or "false"

    def _compare(self, column: Column, operator: str, value: Any) -> str:
        if value is None:
            if operator != "eq":
                raise _error(f'invalid value "{printable(column.name)}"')
            return f"{identifier(column.name)} IS NULL"
        placeholder = self._arguments.add(_text(value, column))
        if operator == "eq":
            return self._equal(column, placeholder)
        return f"{_comparable(column)} {COMPARISONS[operator]} {_converted(placeholder + '::text', column)}"

    def _equal(self, column: Column, placeholder: str) -> str:
        return f"{_comparable(column)} = {_converted(placeholder + '::text', column)}"


def _comparable(column: Column) -> str:
    """The column in a type that has comparison operators: json itself has none."""
    return f"{identifier(column.name)}::jsonb" if column.type == "json" else identifier(column.name)


def _converted(sql: str, column: Column, array: str = "") -> str:
    """A text (or, with ``array="[]"``, a list) in the column's type; PostgreSQL's input function says if it fits."""
    if column.type in TEXT:
        return sql  # without a cast to bpchar, which would pad, or to varchar, which needs none
    return f"({sql})::jsonb{array}" if column.type in JSON else f"({sql})::{column.cast}{array}"


def _text(value: Any, column: Column) -> str:
    """A filter's value as the text that PostgreSQL's input function reads."""
    if column.type in JSON:
        return _json_text(value)
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, list) and column.element is not None:
        text = array_literal(value)
    elif isinstance(value, (dict, list)):
        text = _json_text(value)
    else:
        text = str(value)
    if "\0" in text or printable(text) != text:
        raise _error(f'invalid value "{printable(column.name)}"')
    return text


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=_number)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value))


def array_literal(members: Sequence[Any]) -> str:
    """A JSON list as a PostgreSQL array literal: every element quoted, nested lists nested, null as NULL."""
    parts = []
    for member in members:
        if member is None:
            parts.append("NULL")
        elif isinstance(member, list):
            parts.append(array_literal(member))
        else:
            text = member if isinstance(member, str) else _json_text(member)
            parts.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(parts) + "}"


def _join(operator: str, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({operator.join(parts)})" if parts else ""


def _shown(value: Any) -> str:
    return printable(repr(value))[:200]
