"""The ``fields`` and ``records`` of datastore_create → columns, with guessed types where none is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from datastore.errors import StructureError, ValidationError
from datastore.tables.definition.define import Field
from datastore.tables.names import check_column_names, printable
from datastore.tables.schema import TableSchema
from datastore.tables.writing.columns import ColumnRecords
from datastore.tables.writing.guessing import guess_types
from datastore.tables.writing.write import Records

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


async def plan_fields(
    declared: Sequence[Mapping[str, Any]], records: Records | None, schema: TableSchema | None
) -> tuple[list[Field], list[dict[str, Any]]]:
    """The columns that the table shall have, and the declared ones as the result echoes them.

    A field without a type, and a key of the first record that is no column yet, get a type that fits all records.
    Raises :class:`ValidationError` ``fields`` or ``records``.
    """
    names = [_name(field.get("id")) for field in declared]
    check_column_names(names)
    existing = {} if schema is None else schema.by_name
    first = _first_record(records)
    untyped = [
        name for name, field in zip(names, declared, strict=True) if name not in existing and not field.get("type")
    ]
    unknown = [name for name in first if name not in existing and name not in names]
    if untyped and not set(untyped) <= set(first):
        missing = next(name for name in untyped if name not in first)
        raise ValidationError({"fields": [f'"{printable(missing)}" type not guessable']})
    guessed = await guess_types(records, [*untyped, *unknown]) if records and (untyped or unknown) else {}
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


def _name(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else str(value)


def _first_record(records: Records | None) -> Collection[str]:
    """The keys of the first record, in its order."""
    if records is None:
        return ()
    if isinstance(records, ColumnRecords):
        return records.names()
    try:
        return list(records.first() or ())
    except ValidationError as error:
        if error.fields["records"] == ["Records has to be a list of dicts"]:
            raise
        raise ValidationError({"records": [_FIRST_NOT_OBJECT]}) from None
