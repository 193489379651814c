"""The ``fields`` and ``records`` of datastore_create → columns, with guessed types where none is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from datastore.errors import StructureError, ValidationError
from datastore.tables import guess
from datastore.tables.define import Field
from datastore.tables.names import check_column_names, printable
from datastore.tables.schema import TableSchema
from datastore.tables.writing import records as decoding

_FIRST_NOT_OBJECT = "The first row is not a json object"


def field_list(value: Any) -> list[dict[str, Any]] | None:
    """The ``fields`` parameter: a list of objects, or JSON text of one.

    Raises :class:`StructureError` for anything else: the API answers that with 400.
    """
    if value is None or value == "":
        return None
    decoded = value
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            decoded = None
    if not isinstance(decoded, list) or not all(isinstance(field, dict) for field in decoded):
        raise StructureError("fields has to be a list of dicts", {"fields": value})
    return decoded


def plan_fields(
    declared: Sequence[Mapping[str, Any]], records: bytes | None, schema: TableSchema | None
) -> tuple[list[Field], list[dict[str, Any]]]:
    """The columns that the table shall have, and the declared ones as the result echoes them.

    A field without a type, and a key of the first record that is no column yet, get a type that fits all records.
    Raises :class:`ValidationError` ``fields`` or ``records``.
    """
    names = [_name(field.get("id")) for field in declared]
    check_column_names(names)
    existing = {} if schema is None else schema.by_name
    raw = decoding.split(records) if records else []
    first = _first_record(raw)
    untyped = [
        name for name, field in zip(names, declared, strict=True) if name not in existing and not field.get("type")
    ]
    unknown = [name for name in first if name not in existing and name not in names]
    if untyped and not set(untyped) <= first.keys():
        missing = next(name for name in untyped if name not in first)
        raise ValidationError({"fields": [f'"{printable(missing)}" type not guessable']})
    guessed = guess_types(raw, [*untyped, *unknown]) if untyped or unknown else {}
    fields, echo = [], []
    for name, field in zip(names, declared, strict=True):
        kind = str(field["type"]) if field.get("type") else guessed.get(name)
        info = field.get("info")
        fields.append(Field(name, kind, info if isinstance(info, dict) else None))
        echo.append({"id": name} if kind is None else {"id": name, "type": kind})
        if isinstance(info, dict):
            echo[-1]["info"] = info
    fields += [Field(name, guessed[name]) for name in unknown]
    return fields, echo


def guess_types(raw: Sequence[msgspec.Raw], names: Sequence[str]) -> dict[str, str]:
    """Types that fit the values of these columns in all records."""
    return guess.guess_columns([decoding.members(record, number) for number, record in enumerate(raw)], names)


def _name(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else str(value)


def _first_record(raw: Sequence[msgspec.Raw]) -> dict[str, msgspec.Raw]:
    if not raw:
        return {}
    try:
        return decoding.members(raw[0], 0)
    except ValidationError:
        raise ValidationError({"records": [_FIRST_NOT_OBJECT]}) from None
