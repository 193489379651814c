"""Conditions about columns → SQL. Pure; what they mean is told in filters.py.

Values go as text arguments and get their type by a cast, so PostgreSQL's own input functions decide what fits. Equality
and ranges compare the bare column, so that its indexes serve them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_never

from datastore.postgres.quoting import identifier
from datastore.tables.arguments import Arguments, array_literal, json_literal
from datastore.tables.names import ID
from datastore.tables.reading.conditions import AllOf, AnyOf, Compare, Condition, IsNull, Not, OneOf, error, invalid
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import JSON

_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_PATTERNS = {"like": ("LIKE", "{}"), "ilike": ("ILIKE", "{}")}
"""Operators that take a pattern as it is."""
_SUBSTRINGS = {"contains": ("LIKE", "%{}%"), "icontains": ("ILIKE", "%{}%"), "startswith": ("LIKE", "{}%")}
"""Operators that look for a text as it is."""
_ARRAYS = {"contains": "@>", "overlaps": "&&"}

_AS_TEXT = frozenset({"text", "varchar", "name"})
"""Types whose values compare with text; `bpchar` has rules of its own about blanks at the end."""
_INTEGER_BITS = {"int2": 15, "int4": 31, "int8": 63}
_NUMERIC = 'pg_catalog."numeric"'


def write(condition: Condition, arguments: Arguments) -> str:
    """The condition as a boolean expression over unqualified columns; its values are added to ``arguments``.

    Raises :class:`ValidationError` ``filters`` for an operator that the column's type does not have.
    """
    match condition:
        case AllOf(conditions):
            return _joined(" AND ", [write(part, arguments) for part in conditions]) or "true"
        case AnyOf(conditions):
            return _joined(" OR ", [write(part, arguments) for part in conditions]) or "false"
        case Not(IsNull(column)):
            return f"{identifier(column.name)} IS NOT NULL"
        case Not(negated):
            return f"({write(negated, arguments)}) IS NOT TRUE"
        case IsNull(column):
            return f"{identifier(column.name)} IS NULL"
        case OneOf(column, values):
            return _one_of(column, values, arguments)
        case Compare(column, operator, value):
            if operator in _COMPARISONS:
                argument = f"{arguments.add(_text(value, column))}::text"
                return f"{_operand(column)} {_COMPARISONS[operator]} {_typed(argument, _type(column, value))}"
            return _search(column, operator, value, arguments)
        case _:
            assert_never(condition)


def finds_one(filters: Any, schema: TableSchema) -> bool:
    """At most one row has these values: of ``_id``, or of all columns of the unique key. Whatever they are, one plan
    is the best for them, and PostgreSQL takes each as a value of its column's type.
    """
    if not isinstance(filters, dict) or not filters or filters.keys() not in ({ID}, set(schema.key)):
        return False
    return all(_is_plain(value, schema.by_name[name]) for name, value in filters.items())


def _is_plain(value: Any, column: Column) -> bool:
    if column.type in _AS_TEXT:
        return isinstance(value, str)
    bits = _INTEGER_BITS.get(column.type)
    return bits is not None and type(value) is int and -(2**bits) <= value < 2**bits


def _joined(operator: str, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({operator.join(parts)})" if parts else ""


def _one_of(column: Column, values: tuple[Any, ...], arguments: Arguments) -> str:
    by_type: dict[str | None, list[str]] = {}
    for value in values:
        by_type.setdefault(_type(column, value), []).append(_text(value, column))
    parts = []
    for type_, texts in by_type.items():
        if len(texts) == 1:
            parts.append(f"{_operand(column)} = {_typed(arguments.add(texts[0]) + '::text', type_)}")
        elif column.element is not None:
            # An array of arrays would be one array with more dimensions.
            members = f"SELECT {_typed('member', type_)} FROM unnest({arguments.add(texts)}::text[]) AS member"
            parts.append(f"{_operand(column)} IN ({members})")
        else:
            listed = _typed(f"{arguments.add(texts)}::text[]", type_ and f"{type_}[]")
            parts.append(f"{_operand(column)} = ANY ({listed})")
    return _joined(" OR ", parts) or "false"


def _search(column: Column, operator: str, value: Any, arguments: Arguments) -> str:
    if column.element is not None and operator in _ARRAYS:
        members = value if isinstance(value, list) else [value]
        argument = _typed(f"{arguments.add(_array(members, column))}::text", _type(column, value))
        return f"{_operand(column)} {_ARRAYS[operator]} {argument}"
    if column.type in JSON and operator == "contains":
        return f"{_operand(column)} @> {_typed(f'{arguments.add(json_literal(value))}::text', 'jsonb')}"
    if column.element is not None or operator == "overlaps":
        raise error(f'Operation "{operator}" does not apply to "{column.name}", which is {column.native_type}')
    if isinstance(value, (dict, list)):
        raise invalid(column.name)
    text = _scalar(value)
    if operator in _SUBSTRINGS:
        text = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    like, pattern = (_SUBSTRINGS | _PATTERNS)[operator]
    name = identifier(column.name)
    searched = name if column.type in ("text", "varchar") else f"{name}::text"
    return f"{searched} {like} {arguments.add(pattern.format(text))}::text"


def _operand(column: Column) -> str:
    """The column in a type that has comparison operators: json itself has none."""
    name = identifier(column.name)
    if column.type == "json":
        return f"{name}::jsonb"
    return f"{name}::jsonb[]" if column.element == "json" else name


def _typed(sql: str, type_: str | None) -> str:
    return sql if type_ is None else f"({sql})::{type_}"


def _type(column: Column, value: Any) -> str | None:
    """The type, as the target of a cast, in which a value is compared with the column; None for text.

    A JSON number that an integer column cannot hold is compared as a number, for it is one; a string is not.
    """
    if column.type in _AS_TEXT:
        return None
    if column.type in JSON:
        return "jsonb"
    if column.element == "json":
        return "jsonb[]"
    bits = _INTEGER_BITS.get(column.type)
    if bits is None or not _is_number(value):
        return column.cast
    return column.cast if _is_whole(value) and -(2**bits) <= int(value) < 2**bits else _NUMERIC


def _text(value: Any, column: Column) -> str:
    """A value as the text that the input function of the column's type reads."""
    if column.type in JSON:
        return json_literal(value)
    if column.element is not None and isinstance(value, list):
        return _array(value, column)
    if column.type in _INTEGER_BITS and _is_number(value) and _is_whole(value):
        return str(int(value))
    return _scalar(value)


def _scalar(value: Any) -> str:
    """Strings as they are, numbers in Python's spelling (1.0 keeps its fraction), anything else as JSON text."""
    if isinstance(value, str):
        return value
    return str(value) if _is_number(value) else json_literal(value)


def _array(members: list[Any], column: Column) -> str:
    if column.element in JSON:
        return array_literal([member if member is None else json_literal(member) for member in members])
    whole = column.element in _INTEGER_BITS
    return array_literal(
        [int(member) if whole and _is_number(member) and _is_whole(member) else member for member in members]
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _is_whole(number: float | Decimal) -> bool:
    if isinstance(number, Decimal):
        return number == number.to_integral_value()
    return isinstance(number, int) or number.is_integer()
