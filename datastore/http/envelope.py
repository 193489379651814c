"""The Action API's envelopes, as bytes: around results, around every error that may come up, as a script for JSONP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any
from urllib.parse import quote

import asyncpg
import orjson
import structlog
from starlette.datastructures import UploadFile

from datastore.actions.registry import RawJson
from datastore.errors import BadRequest, DataStoreError, Unavailable, ValidationError
from datastore.http.exchange import Header
from datastore.postgres.database import CONNECTION_LOST

SCRIPT_TYPE: Header = (b"content-type", b"application/javascript;charset=utf-8")
log = structlog.get_logger(__name__)
_RETRY_AFTER = b"2"
_INT64 = range(-(2**63), 2**64)
_SCALARS = frozenset({str, int, bool, type(None)})


def success(site_url: str, action: str, result: Any, changed_entities: Mapping[str, list[str]]) -> bytes:
    """The envelope around a result, which is :class:`RawJson` or anything that :func:`dumps` takes."""
    text = result if isinstance(result, RawJson) else dumps(result)
    changed = b', "changed_entities": ' + dumps(changed_entities) if changed_entities else b""
    return b"".join((_opening(site_url, action), b'"success": true, "result": ', text, changed, b"}"))


@dataclass(frozen=True, slots=True)
class Failure:
    """The response to an error."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


def failure(error: Exception, site_url: str = "", action: str = "") -> Failure:
    """What a client is told of ``error``; without an action, the envelope has no ``help``.

    What is not meant for clients is logged with its traceback, and answered with ``Internal Server Error`` alone.
    """
    if isinstance(error, BadRequest):
        return Failure(error.status, dumps(f"Bad request: {error.detail}"))
    known = _known(error)
    opening = _opening(site_url, action) if action else b"{"
    body = b"".join((opening, b'"success": false, "error": ', dumps(known.body()), b"}"))
    headers = ((b"retry-after", _RETRY_AFTER),) if isinstance(known, Unavailable) else ()
    return Failure(known.status, body, headers)


def _known(error: Exception) -> DataStoreError:
    if isinstance(error, DataStoreError):
        return error
    if isinstance(error, asyncpg.QueryCanceledError):
        return ValidationError({"query": ["Query took too long"]})
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Unavailable("The table is being changed at the moment. Please try again")
    if isinstance(error, CONNECTION_LOST):
        log.warning("database unavailable", exc_info=error)
        return Unavailable("The database cannot be reached at the moment. Please try again")
    log.error("unexpected error", exc_info=error)
    return DataStoreError()


@lru_cache(maxsize=4096)
def _opening(site_url: str, action: str) -> bytes:
    return b'{"help": ' + dumps(f"{site_url}/api/3/action/help_show?name={quote(action)}") + b", "


def script(callback: str, body: bytes) -> bytes:
    """A JSONP answer. The two line separators that JSON allows in strings were no part of JavaScript before 2019."""
    safe = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return b"".join((callback.encode(), b"(", safe, b");"))


def dumps(value: Any) -> bytes:
    """``value`` as JSON: numbers of any length exactly, NaN and infinities as strings, :class:`RawJson` as it stands.

    Raises :class:`TypeError` for what has no JSON form.
    """
    try:
        text = orjson.dumps(value, default=_default)
    except TypeError:
        return orjson.dumps(_plain(value), default=_default)
    # orjson writes NaN as null, without asking.
    return text if b"null" not in text or _finite(value) else orjson.dumps(_plain(value), default=_default)


def _finite(value: Any) -> bool:
    """``value`` is made of dicts, lists and scalars, without NaN and infinities."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            waiting.extend(item.values())
        elif kind is list:
            waiting.extend(item)
        elif kind is float:
            if not isfinite(item):
                return False
        elif kind not in _SCALARS:
            return False
    return True


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else _non_finite(float(value))
    if isinstance(value, RawJson):
        return orjson.Fragment(bytes(value))
    if isinstance(value, UploadFile):
        return value.filename
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, set, frozenset)) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError(f"no JSON form: {type(value).__name__}")


def _plain(value: Any) -> Any:
    """``value`` with everything replaced that orjson refuses or falsifies."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if isfinite(value) else _non_finite(value)
    if isinstance(value, int) and value not in _INT64:
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _non_finite(value: float) -> str:
    """The words that PostgreSQL uses."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
