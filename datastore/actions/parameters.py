"""Parameters of actions: the loose typing of the API's clients, made strict once.

Clients send everything as strings, or as JSON, or as one comma-separated list; the types below accept what the API
accepts and answer with its messages. A model documents its action: describe every field.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

import msgspec
import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError, PydanticUseDefault

from datastore.errors import ValidationError
from datastore.validation import Invalid, json_number, storable

MISSING = "Missing value"
_NO_INTEGER = "Invalid integer"
_NOT_NATURAL = "Must be a natural number"
_TRUE = frozenset({"true", "yes", "t", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "f", "n", "0", "off"})
_JSON = msgspec.json.Decoder(float_hook=json_number)


class Parameters(BaseModel):
    """Base of every parameter model. Unknown parameters are ignored unless a model says otherwise."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, arbitrary_types_allowed=True)

    def at(self, offset: int) -> Self | None:
        """The same with another ``offset``, which was not given; None if that cannot be had without validation."""
        return None

    @classmethod
    def describe(cls, name: str, summary: str) -> str:
        """The help text of an action: its summary, then one line a parameter."""
        lines = [f"{name}\n", inspect.cleandoc(summary), ""]
        for field_name, field in cls.model_fields.items():
            default = "required" if field.is_required() else f"default {json.dumps(field.default, default=str)}"
            lines.append(f":param {field.alias or field_name}: {field.description or ''} ({default})")
        return "\n".join(lines).strip() + "\n"


class OfResource(Parameters):
    """Parameters of an action on one resource: ``id`` is another name of ``resource_id``, and wins."""

    @model_validator(mode="before")
    @classmethod
    def _id_wins(cls, data: Any) -> Any:
        return {**data, "resource_id": data["id"]} if "id" in data else data


class KnownOnly(OfResource):
    """Parameters of an action where a misspelled one would do something else than was meant: it is refused."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        for name in data:
            if name not in cls.model_fields and name != "id":
                raise ValidationError({"__extras": [f'invalid value "{name}"']})
        return data


Model = TypeVar("Model", bound=Parameters)


def validate(model: type[Model], data: Mapping[str, Any]) -> Model:
    """``data`` as an instance of ``model``. Raises :class:`ValidationError` with one key per bad parameter."""
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        raise ValidationError(_messages(error)) from None


def _messages(error: pydantic.ValidationError) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        key = str(item["loc"][0]) if item["loc"] else "message"
        message = MISSING if item["type"] == "missing" else item["msg"]
        found.setdefault(key, []).extend((message, *item.get("ctx", {}).get("further", ())))
    return found


def invalid(message: str, *further: str) -> PydanticCustomError:
    """The exception by which a validator refuses a value with exactly this message, or these."""
    return PydanticCustomError("invalid", "{message}", {"message": message, "further": further})


def _boolean(value: Any) -> bool:
    """JSON booleans, numbers by truthiness, and the usual words; any other text is false. Null and blank text are as if
    nothing was sent."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise PydanticUseDefault
    if isinstance(value, str):
        return value.strip().lower() in _TRUE
    return bool(value)


def _integer(value: Any) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        return int(value)
    try:
        number = int(value) if not isinstance(value, str) else int(value.strip())
        if (not isinstance(value, str) and number != value) or not -(2**63) <= number < 2**63:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise invalid(_NO_INTEGER) from None
    return number


def _natural(value: Any) -> int | None:
    number = _integer(value)
    if number is not None and number < 0:
        raise invalid(_NOT_NATURAL)
    return number


def _limit(value: Any) -> int | None:
    """A natural number; what is no integer is told to be neither (datastore-api.md §1)."""
    try:
        return _natural(value)
    except PydanticCustomError as error:
        raise invalid(*dict.fromkeys((error.message(), _NOT_NATURAL))) from None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        is_json = isinstance(value, (dict, list))
        value = json.dumps(value, ensure_ascii=False, default=str) if is_json else str(value)
    try:
        return storable(value)
    except Invalid as problem:
        raise invalid(str(problem)) from None


def _required_text(value: Any) -> str:
    text = _text(value)
    if not text:
        raise invalid(MISSING)
    return text


def _typed(value: Any) -> str:
    text = _text(value)
    if text is None:
        raise invalid(MISSING)
    return text.strip()


def split_list(text: str) -> list[str]:
    """A comma-separated list: parts trimmed, one pair of surrounding double quotes taken off each."""
    if text == "":
        return []
    parts = [part.strip() for part in text.split(",")]
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in parts]


def _strings(value: Any) -> list[str] | None:
    """A list of strings, or one comma-separated string."""
    if value is None:
        return None
    if isinstance(value, str):
        return split_list(value)
    if not isinstance(value, (list, tuple)):
        raise invalid("Not a list")
    flat: list[str] = []
    for member in value:
        if isinstance(member, str):
            flat.append(member)
        elif isinstance(member, list) and all(isinstance(name, str) for name in member):
            flat.extend(member)
        else:
            raise invalid(f"Neither a string nor a list: {member!r}")
    return flat


def _json(value: Any) -> Any:
    """An object or list as it is; a string is parsed as JSON, numbers exactly."""
    if not isinstance(value, str):
        return value
    try:
        return _JSON.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise invalid("Cannot parse JSON") from None


def json_list(value: Any) -> Any:
    """A text that is a JSON list as that list; anything else as it is. For names, which begin with no bracket."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        return _json(value)
    return value


def one_of(*choices: str) -> BeforeValidator:
    """One of the words; the empty string counts as not given."""

    def check(value: Any) -> Any:
        if value is None or value == "":
            return choices[0]
        if value not in choices:
            raise invalid(f"Value must be one of {list(choices)}")
        return value

    return BeforeValidator(check)


Boolean = Annotated[bool, BeforeValidator(_boolean)]
Flag = Annotated[bool | None, BeforeValidator(_boolean)]
"""A boolean of an object; None by default, if nothing is said about it."""
Integer = Annotated[int | None, BeforeValidator(_integer)]
Natural = Annotated[int | None, BeforeValidator(_natural)]
Limit = Annotated[int | None, BeforeValidator(_limit)]
Text = Annotated[str | None, BeforeValidator(_text)]
Typed = Annotated[str, BeforeValidator(_typed)]
RequiredText = Annotated[str, BeforeValidator(_required_text)]
Strings = Annotated[list[str] | None, BeforeValidator(_strings)]
Json = Annotated[Any, BeforeValidator(_json)]
