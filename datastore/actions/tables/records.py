"""What the actions that write records have in common: their parameters and their answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticUseDefault

from datastore.actions.parameters import (
    invalid,
)
from datastore.actions.registry import RawJson, encode
from datastore.actions.tables.access import record_list
from datastore.tables.writing import write


def _count_mode(value: Any) -> Any:
    """A boolean in any spelling, or ``background``. Counts here are always exact, so it changes nothing."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("", "background"):
            return word
        if word in ("true", "yes", "t", "y", "1", "on"):
            return True
        if word in ("false", "no", "f", "n", "0", "off"):
            return False
    elif value is None:
        raise PydanticUseDefault
    elif isinstance(value, (bool, int)):
        return bool(value)
    raise invalid("Value must be boolean or one of: background")


RecordList = Annotated[write.Records | None, BeforeValidator(record_list)]
"""The parameter ``records``."""
CountMode = Annotated[Any, BeforeValidator(_count_mode)]
"""The parameter ``calculate_record_count``."""


def with_records(result: dict[str, Any], records: bytes | None) -> RawJson:
    """The result as JSON text, with ``records`` that are JSON text already."""
    text = encode(result)
    return RawJson(text if records is None else text[:-1] + b',"records":' + records + b"}")
