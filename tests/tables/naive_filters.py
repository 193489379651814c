"""Filters by the book: records, what may be asked about them, and a naive evaluation without SQL or NULL logic."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

NUMBERS = [-3, 0, 1, 2, 0.5, -1.5, 1.0, Decimal("0.10000000000000000000001"), Decimal("0.1"), 10**20, -(10**20)]
WORDS = ["", "a", "b", "ab", "aB", "A", "%", "a%", "_", "a_b", "a\\b", "\\", "'", " ", "25", "true", "1.0", "a\nb"]
PARTS = ["", "a", "B", "%", "_", "\\", "5", 2, "true", 1.0, "\n"]
PATTERNS = ["", "%", "a%", "%b", "_", "A_B", "a\\_b", "\\%", "%\\\\%", "2%", "%e", 1, "%a%"]
ARRAYS = [[], ["a"], ["a", "b"], ["b", "a"], ["a", None], [None], ["", "A"], ["a,b", '"', "\\", "NULL"], ["a", "a"]]
DOCUMENTS = [
    *(True, False, 0, 1, 1.0, Decimal("0.10000000000000000000001"), "", "a", "1", {}, [], {"a": 1}, {"a": None}, [1]),
    *({"a": 1, "b": [1, {"b": "a"}]}, {"b": [1.0, {"b": "a"}], "a": 1}, {"b": [{"b": "a"}]}, [[1], "a"], [None, "a"]),
]

# What records hold, and what filters may say: also other spellings of the same values.
HELD: dict[str, list[Any]] = {
    "i": [-3, -1, 0, 1, 2, 3, 25],
    "n": NUMBERS,
    "t": WORDS,
    "b": [True, False],
    "ts": ["2020-01-01T00:00:00", "2020-01-01T00:00:00.000001", "2019-12-31T23:59:59", "0099-02-03T00:00:00"],
    "ta": ARRAYS,
    "j": DOCUMENTS,
}
WANTED: dict[str, list[Any]] = {
    "i": [*NUMBERS, "1", "-3", 25],
    "n": [*NUMBERS, *map(str, NUMBERS)],
    "t": [*WORDS, 25, 1.0, True],
    "b": [True, False, 0, 1, "yes", "off", "T", "false"],
    "ts": [*HELD["ts"], "2020-01-01 00:00:00", "2020-01-01"],
    "ta": [*ARRAYS, ["c"]],
    "j": [*DOCUMENTS, {"b": 2}],
}
RECORDS = [{name: [*values, None][number % (len(values) + 1)] for name, values in HELD.items()} for number in range(60)]


def operands(name: str) -> dict[str, list[Any]]:
    """Each operator of a column with what may stand behind it."""
    values = WANTED[name]
    lists = [[], [None], [values[0]], [values[1], values[-1]], [values[2], None, values[0]]]
    found: dict[str, list[Any]] = {
        **{operator: [None, *values] for operator in ("eq", "ne")},
        **{operator: [*lists, values] for operator in ("in", "nin")},
        "is_null": [True, False],
    }
    if name != "j":  # its order of unlike values is PostgreSQL's own affair
        found |= dict.fromkeys(("gt", "gte", "lt", "lte"), values)
        found["between"] = [[low, high] for low in values[:5] for high in values[:5]]
    if name in ("i", "t", "b"):
        found |= dict.fromkeys(("contains", "icontains", "startswith"), PARTS)
        found |= dict.fromkeys(("like", "ilike"), PATTERNS)
    if name == "ta":
        found |= {operator: [*values, "a", "a,b"] for operator in ("contains", "overlaps")}
    if name == "j":
        found["contains"] = values
    return found


OPERANDS = {name: operands(name) for name in HELD}


def fits(record: dict[str, Any], wanted: Any) -> bool:
    """Whether ``wanted`` finds the record, by the book: no SQL, no NULL logic, one value at a time."""
    if isinstance(wanted, list):
        return not wanted or any(fits(record, member) for member in wanted)
    return all(_entry_fits(record, name, value) for name, value in wanted.items())


def _entry_fits(record: dict[str, Any], name: str, value: Any) -> bool:
    match name:
        case "$or":
            return any(fits(record, member) for member in value)
        case "$and":
            return all(fits(record, member) for member in value)
        case "$not":
            return not fits(record, value)
    has = record[name]
    if isinstance(value, list):
        return any(_operators_fit(name, has, m) if isinstance(m, dict) else _equal(name, has, m) for m in value)
    return _operators_fit(name, has, value) if isinstance(value, dict) else _equal(name, has, value)


def _operators_fit(name: str, has: Any, operators: dict[str, Any]) -> bool:
    return all(_operator_fits(name, has, operator, value) for operator, value in operators.items())


def _operator_fits(name: str, has: Any, operator: str, value: Any) -> bool:
    match operator:
        case "eq":
            return _equal(name, has, value)
        case "ne":
            return not _equal(name, has, value)
        case "in":
            return any(_equal(name, has, member) for member in value)
        case "nin":
            return not any(_equal(name, has, member) for member in value)
        case "is_null":
            return (has is None) is value
    if has is None:
        return False
    if operator in ("gt", "gte", "lt", "lte", "between"):
        return _in_order(_native(name, has), operator, value, name)
    if name == "ta":
        members = {member for member in (value if isinstance(value, list) else [value]) if member is not None}
        present = set(has) - {None}
        if operator == "overlaps":
            return bool(members & present)
        return members <= present and not (isinstance(value, list) and None in value)
    if name == "j":
        return _contains(has, value)
    return _text_fits(_as_text(has), operator, _as_text(value))


def _in_order(has: Any, operator: str, value: Any, name: str) -> bool:
    if operator == "between":
        low, high = (_native(name, bound) for bound in value)
        return bool(low <= has <= high)
    bound = _native(name, value)
    return bool({"gt": has > bound, "gte": has >= bound, "lt": has < bound, "lte": has <= bound}[operator])


def _equal(name: str, has: Any, value: Any) -> bool:
    if has is None or value is None:
        return has is value
    if name == "j":
        return _same_json(has, value)
    return bool(_native(name, has) == _native(name, value))


def _native(name: str, value: Any) -> Any:
    """The value as the column's type has it."""
    match name:
        case "i" | "n":
            return Decimal(str(value))
        case "t":
            return _as_text(value)
        case "b":
            return str(value).lower() in ("true", "1", "yes", "t")
        case "ts":
            return datetime.datetime.fromisoformat(value)
        case _:
            # NULLs in arrays are equal to each other and come last.
            return [(member is None, member or "") for member in value]


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_fits(has: str, operator: str, value: str) -> bool:
    match operator:
        case "contains":
            return value in has
        case "icontains":
            return value.lower() in has.lower()
        case "startswith":
            return has.startswith(value)
    pattern, at = "", 0
    while at < len(value):
        if value[at] == "\\":
            at += 1
            pattern += re.escape(value[at])
        else:
            pattern += {"%": ".*", "_": "."}.get(value[at], re.escape(value[at]))
        at += 1
    return re.fullmatch(pattern, has, re.DOTALL | (re.IGNORECASE if operator == "ilike" else 0)) is not None


def _same_json(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not _are_numbers(one, other):
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(_same_json(one[key], other[key]) for key in one)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(_same_json, one, other))
        return type(one) is type(other) and bool(one == other)
    return Decimal(str(one)) == Decimal(str(other))


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float, Decimal)) for value in values)


def _contains(has: Any, wanted: Any) -> bool:
    """PostgreSQL's ``@>``: at the top a list also contains a scalar."""
    if isinstance(has, list) and not isinstance(wanted, (list, dict)):
        return any(_same_json(member, wanted) for member in has)
    return _contains_part(has, wanted)


def _contains_part(has: Any, wanted: Any) -> bool:
    if isinstance(has, dict) and isinstance(wanted, dict):
        return all(key in has and _contains_part(has[key], wanted[key]) for key in wanted)
    if isinstance(has, list) and isinstance(wanted, list):
        return all(any(_contains_part(member, item) for member in has) for item in wanted)
    return _same_json(has, wanted)


def expected(wanted: Any) -> list[int]:
    """The ids, counted from 1, of the RECORDS that filters find."""
    return [number for number, record in enumerate(RECORDS, 1) if fits(record, wanted)]
