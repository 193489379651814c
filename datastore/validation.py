"""Rules for single values, each a function that returns the value or raises :class:`Invalid` with the message shown.

They are pure. :class:`Problems` collects what they refuse, field by field, so that a client learns everything at once.
The messages are part of the API (catalog-api.md §B).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, DecimalException
from math import isfinite
from typing import Any, TypeVar

import orjson

from datastore.errors import StructureError, ValidationError

MISSING = "Missing value"
MAX_TEXT = 2**22
"""Longest text of one field, in characters."""
MAX_EXPONENT = 1000
"""Larger JSON numbers would cost more to expand than a request may cost; double precision ends at 308."""
MAX_JSON = 16 * 2**20
"""Largest JSON value of one field, in bytes; PostgreSQL's own limit for jsonb is 256 MB."""
NAME_MIN, NAME_MAX = 2, 100
EMAIL_MAX = 254
RESERVED_NAMES = frozenset({"new", "edit", "search"})

_NAME = re.compile(r"[a-z0-9_-]*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
# The pattern of the HTML standard for <input type=email>.
_EMAIL = re.compile(rf"[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

Value = TypeVar("Value")


class Invalid(ValueError):
    """A value is refused; the text is the message for the client."""


class Problems:
    """What is wrong with each field of one object."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def add(self, field: str, message: str) -> None:
        """Note one more message of ``field``."""
        self.fields.setdefault(field, []).append(message)

    def check(self, field: str, rule: Callable[[Any], Value], value: Any, otherwise: Value) -> Value:
        """``rule(value)``; if it is refused, note the message and go on with ``otherwise``."""
        try:
            return rule(value)
        except Invalid as problem:
            self.add(field, str(problem))
            return otherwise

    def nested(self, field: str, problems: Sequence[Problems]) -> None:
        """Note the problems of a list of objects, one entry each, if there are any."""
        if any(problem.fields for problem in problems):
            self.fields[field] = [problem.fields for problem in problems]

    def raise_if_any(self) -> None:
        """Raise :class:`ValidationError` if anything was noted."""
        if self.fields:
            raise ValidationError(self.fields)


def storable(value: str) -> str:
    """Text that PostgreSQL can hold and JSON can carry: no NUL, no lone surrogate, not huge."""
    if _UNSTORABLE.search(value):
        raise Invalid("Text must not contain NUL characters or lone surrogates")
    if len(value) > MAX_TEXT:
        raise Invalid(f"Text must be a maximum of {MAX_TEXT} characters long")
    return value


def is_storable(value: str) -> bool:
    """Whether the database could hold the text at all; what it cannot hold cannot be looked up either."""
    try:
        storable(value)
    except Invalid:
        return False
    return True


def text(value: Any) -> str | None:
    """Text or None; numbers and booleans become their JSON form, lists and objects are refused."""
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, (bool, int, float)):
        return orjson.dumps(json_value(value)).decode()
    raise Invalid("Must be a text value")


def required_text(value: Any) -> str:
    """Text that is not blank."""
    found = text(value)
    if found is None or not found.strip():
        raise Invalid(MISSING)
    return found


def short_text(value: Any) -> str | None:
    """Text of at most 100 characters."""
    found = text(value)
    if found is not None and len(found) > NAME_MAX:
        raise Invalid(f"Must be a maximum of {NAME_MAX} characters long")
    return found


def name(value: Any) -> str:
    """The name of a dataset, group or user, as it stands in addresses."""
    if value is None or value == "":
        raise Invalid(MISSING)
    if not isinstance(value, str):
        raise Invalid("Names must be strings")
    if value in RESERVED_NAMES:
        raise Invalid("That name cannot be used")
    if len(value) < NAME_MIN:
        raise Invalid(f"Must be at least {NAME_MIN} characters long")
    if len(value) > NAME_MAX:
        raise Invalid(f"Name must be a maximum of {NAME_MAX} characters long")
    if not _NAME.fullmatch(value):
        raise Invalid("Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_")
    return value


def email(value: Any) -> str | None:
    """An e-mail address, stripped of surrounding blanks; blank or None is no address."""
    found = text(value)
    if found is None:
        return None
    found = found.strip()
    if found and (len(found) > EMAIL_MAX or not _EMAIL.fullmatch(found)):
        raise Invalid(f"Email {found[:EMAIL_MAX]} is not a valid format")
    return found


def uuid4(value: Any) -> str:
    """A UUID4 in its usual spelling, lower case."""
    try:
        if isinstance(value, str) and uuid.UUID(value).version == 4 and str(uuid.UUID(value)) == value:
            return value
    except ValueError:
        pass
    raise Invalid("Invalid id provided")


def byte_size(value: Any) -> int | None:
    """A whole number that fits ``bigint`` and is not negative; blank is None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = int(value)
        if isinstance(value, bool) or (isinstance(value, float) and number != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise Invalid("Invalid integer") from None
    if not 0 <= number < 2**63:
        raise Invalid("Must be a natural number")
    return number


def json_value(value: Any) -> Any:
    """Anything that JSON can carry and PostgreSQL can hold, as JSON gives it back."""
    try:
        encoded = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise Invalid("Must be a JSON value") from None
    if len(encoded) > MAX_JSON:
        raise Invalid(f"Must be a maximum of {MAX_JSON} bytes long")
    decoded = orjson.loads(encoded)
    _check_strings(decoded)
    return decoded


def json_number(text: str) -> float | Decimal:
    """A JSON number with a fraction or an exponent, exactly: a float if its shortest text has the same value.

    Raises :class:`ValueError` beyond 10^1000.
    """
    number = float(text)
    try:
        exact = Decimal(text)
    except DecimalException:
        raise ValueError("number out of range") from None
    if isfinite(number) and Decimal(repr(number)) == exact:
        return number
    if exact and abs(exact.adjusted()) > MAX_EXPONENT:
        raise ValueError("number out of range")
    return exact


def _check_strings(value: Any) -> None:
    """Refuse NUL in any text or key within. Iterative: nesting may be deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise Invalid("Text must not contain NUL characters or lone surrogates")
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())


def objects(field: str, value: Any) -> list[Mapping[str, Any]]:
    """A list of objects, or JSON text of one, as forms send it; None and blank text are the empty list.

    Raises :class:`StructureError` for anything else (catalog-api.md §A4).
    """
    if not is_sent(value):
        return []
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = None
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise StructureError(f"{field} must be a list of objects")
    return value


def is_sent(value: Any) -> bool:
    """Whether a parameter says anything. What would empty a list, or make something public, must not be null or blank:
    clients send those for what they know nothing of."""
    return value is not None and value != ""
