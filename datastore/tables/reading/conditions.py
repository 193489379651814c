"""A client's filters, read: JSON → a tree of conditions about columns. Pure; what they mean is told in filters.py."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from datastore.errors import ValidationError
from datastore.tables.names import printable
from datastore.tables.schema import Column

MAX_OPERATIONS = 100
"""Most operations of one request; one object or list of objects must have fewer members than this."""
MAX_NESTING = 10
"""Groups within groups must be fewer than this."""
MAX_VALUE_NESTING = 64
"""Deepest lists and objects of a value."""

COMPARISONS = frozenset({"gt", "gte", "lt", "lte"})
SEARCHES = frozenset({"contains", "icontains", "startswith", "like", "ilike", "overlaps"})


@dataclass(frozen=True, slots=True)
class Compare:
    """The column's value stands in a relation to one value: ``eq``, one of COMPARISONS, or one of SEARCHES."""

    column: Column
    operator: str
    value: Any
    """JSON, not null."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The column's value equals one of the values."""

    column: Column
    values: tuple[Any, ...]
    """JSON, none of them null."""


@dataclass(frozen=True, slots=True)
class IsNull:
    """The column has no value."""

    column: Column


@dataclass(frozen=True, slots=True)
class Not:
    """Every row that the condition does not find."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """All conditions hold; without any, every row fits."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds; without any, no row fits."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Compare | OneOf | IsNull | Not | AllOf | AnyOf


def read(filters: Any, columns: Mapping[str, Column]) -> Condition:
    """The condition that ``filters``, decoded JSON, means for a table with these columns, by their names.

    Raises :class:`ValidationError` for ``filters``. Whether values fit their columns' types is not looked at.
    """
    return _Reader(columns).top(filters)


def error(message: str) -> ValidationError:
    """The error that names the parameter."""
    return ValidationError({"filters": [message]})


def invalid(name: str) -> ValidationError:
    """The value that stands with a column or a group cannot be."""
    return error(f'invalid value "{printable(name)}"')


class _Reader:
    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._operations = 0

    def top(self, filters: Any) -> Condition:
        if isinstance(filters, dict):
            return self._object(filters, 0)
        if not isinstance(filters, list):
            raise error("Filters must be defined as a dict or a list of dicts")
        return AnyOf(self._objects(filters, 1)) if filters else AllOf(())

    def _object(self, entries: dict[str, Any], groups: int) -> Condition:
        """Every entry holds."""
        _check_size(entries)
        return AllOf(tuple(self._entry(name, value, groups) for name, value in entries.items()))

    def _objects(self, members: Any, groups: int) -> tuple[Condition, ...]:
        """The members of a group, which is the ``groups``-th of those within each other."""
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise error(f"Filter operations must be defined as a list of dicts: {_shown(members)}")
        if groups >= MAX_NESTING:
            raise error("Maximum nesting depth for filter operations reached")
        _check_size(members)
        return tuple(self._object(member, groups) for member in members)

    def _entry(self, name: str, value: Any, groups: int) -> Condition:
        if name.startswith("$") and not name.startswith("$$"):
            return self._group(name, value, groups + 1)
        name = name[1:] if name.startswith("$") else name
        column = self._columns.get(name)
        if column is None:
            raise invalid(name) if isinstance(value, list) else error(f"Unknown field: {printable(name)}")
        if isinstance(value, dict):
            return self._operators(column, value)
        self._count()
        return self._list(column, value) if isinstance(value, list) else _equal(column, value)

    def _group(self, name: str, members: Any, groups: int) -> Condition:
        if name not in ("$and", "$or", "$not"):
            raise error(f"Unknown operators (must be one of $or, $and): {printable(name)}")
        if members == []:
            raise invalid(name)
        if name == "$and":
            return AllOf(self._objects(members, groups))
        if name == "$not":
            return Not(AnyOf(self._objects([members] if isinstance(members, dict) else members, groups)))
        return AnyOf(self._objects(members, groups))

    def _list(self, column: Column, members: list[Any]) -> Condition:
        """One of the values, or of the operator objects, holds."""
        values = [member for member in members if not isinstance(member, dict)]
        operators = [self._operators(column, member) for member in members if isinstance(member, dict)]
        return AnyOf((_one_of(column, values), *operators)) if operators else _one_of(column, values)

    def _operators(self, column: Column, operators: dict[str, Any]) -> Condition:
        if not operators:
            raise invalid(column.name)
        _check_size(operators)
        return AllOf(tuple(self._operator(column, name, value) for name, value in operators.items()))

    def _operator(self, column: Column, name: str, value: Any) -> Condition:
        self._count()
        match name:
            case "eq":
                return _equal(column, value)
            case "ne":
                return Not(_equal(column, value))
            case "in" | "nin" if isinstance(value, list):
                found = _one_of(column, value)
                return found if name == "in" else Not(found)
            case "between" if isinstance(value, list) and len(value) == 2:
                return AllOf((_compare(column, "gte", value[0]), _compare(column, "lte", value[1])))
            case "is_null" if isinstance(value, bool):
                return IsNull(column) if value else Not(IsNull(column))
            case "in" | "nin" | "between" | "is_null":
                raise invalid(column.name)
        if name not in COMPARISONS and name not in SEARCHES:
            raise error(f"Unknown filter operation: {printable(name)}")
        return _compare(column, name, value)

    def _count(self) -> None:
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            raise _too_many()


def _check_size(level: dict[str, Any] | list[Any]) -> None:
    if len(level) >= MAX_OPERATIONS:
        raise _too_many()


def _too_many() -> ValidationError:
    return error("Maximum number of filter operations exceeded")


def _equal(column: Column, value: Any) -> Condition:
    return IsNull(column) if value is None else _compare(column, "eq", value)


def _compare(column: Column, operator: str, value: Any) -> Condition:
    if value is None:
        raise invalid(column.name)
    _check_value(column, value, MAX_VALUE_NESTING)
    return Compare(column, operator, value)


def _one_of(column: Column, members: list[Any]) -> Condition:
    for member in members:
        _check_value(column, member, MAX_VALUE_NESTING)
    found = OneOf(column, tuple(member for member in members if member is not None))
    return AnyOf((IsNull(column), found)) if None in members else found


def _check_value(column: Column, value: Any, depth: int) -> None:
    """Refuse what PostgreSQL cannot hold, NUL and lone surrogates, and nesting beyond measure."""
    if isinstance(value, str):
        if "\0" in value or printable(value) != value:
            raise invalid(column.name)
    elif isinstance(value, (dict, list)):
        if depth < 1:
            raise invalid(column.name)
        for item in value:
            _check_value(column, item, depth - 1)
        for item in value.values() if isinstance(value, dict) else ():
            _check_value(column, item, depth - 1)


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 60


def _shown(value: Any) -> str:
    """The value for a message, however large or deep it is."""
    return printable(_brief.repr(value))
