"""Tables with few different values, so that there are groups, and what a naive evaluation in Python makes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st

from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, RawJson, run
from datastore.actions.services import Services
from tests.tables.strategies import BY_TYPE, Value, dumps

# Large enough to see errors of rounding, small enough for sums of squares.
_FLOATS = st.floats(-1e100, 1e100).map(lambda value: Value(value, value)) | st.sampled_from(
    [Value(word, word) for word in ("NaN", "Infinity", "-Infinity")]
)
_QUARTERS = st.integers(-40_000, 40_000).map(lambda number: Value(number / 4, number / 4))
VALUES = BY_TYPE | {"float8": _FLOATS, "float4": _QUARTERS}
INTEGERS = ("int2", "int4", "int8")
NUMBERS = (*INTEGERS, "numeric", "float4", "float8")
ORDERED = (*NUMBERS, "text", "bool", "date", "timestamp", "uuid", "bytea")
NULL = Value(None, None)


@dataclass(frozen=True)
class Sample:
    """A table whose columns have few different values, so that there are groups."""

    types: dict[str, str]
    rows: list[dict[str, Value]]

    def columns(self, types: Sequence[str]) -> list[str]:
        return [name for name, type in self.types.items() if type in types]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    types = {f"c{number}": draw(st.sampled_from(sorted(VALUES))) for number in range(draw(st.integers(1, 3)))}
    pools = {name: [NULL, *draw(st.lists(VALUES[type], min_size=1, max_size=5))] for name, type in types.items()}
    size = draw(st.integers(0, 12))
    return Sample(types, [{name: draw(st.sampled_from(pool)) for name, pool in pools.items()} for _ in range(size)])


async def create(services: Services, actor: Actor, dataset: str, sample: Sample) -> str:
    fields = [{"id": name, "type": type} for name, type in sample.types.items()]
    records = dumps([{name: value.sent for name, value in row.items()} for row in sample.rows])
    data = {"resource": {"package_id": dataset}, "fields": fields, "records": RawJson(records)}
    return str((await ask(services, actor, "datastore_create", **data))["resource_id"])


async def ask(services: Services, actor: Actor, action: str, **parameters: Any) -> Any:
    """The result, numbers with a fraction as Decimals."""
    result = await run(action, Call(services, actor, "http://test"), parameters)
    return json.loads(result, parse_float=Decimal) if isinstance(result, bytes) else result


def number(value: Value) -> Any:
    return Decimal(str(value.sent)) if isinstance(value.sent, Decimal) else value.sent


def identity(type: str, value: Value) -> Any:
    """What makes values the same to PostgreSQL."""
    if value.shown is None:
        return None
    if type in ("float8", "float4"):
        return "NaN" if value.sent == "NaN" else float(value.sent)
    if type in ("numeric", "timestamp"):
        return value.sent
    return canonical(value.shown)


def canonical(value: Any) -> Any:
    """JSON by its structure, hashable; a boolean is no number."""
    if isinstance(value, dict):
        return ("object", *sorted((name, canonical(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", *map(canonical, value))
    if isinstance(value, bool):
        return ("bool", str(value))
    return ("number", str(Fraction(str(value)))) if isinstance(value, (int, float)) else (type(value).__name__, value)


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


ANYTHING = _Anything()


def close(value: float, scale: float) -> Any:
    """About the value, where ``scale`` is the size of what it was computed from."""
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return pytest.approx(value, rel=1e-9, abs=abs(scale) * 1e-9)


def is_approximate(value: Any) -> bool:
    return type(value) is type(pytest.approx(1.0))


def plain(value: Any) -> Any:
    """Decimals as floats, so that values compare however they were written."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
