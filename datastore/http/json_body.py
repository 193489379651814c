"""JSON of requests: one object, decoded exactly, except for those members that an action takes as they stand."""

from __future__ import annotations

import asyncio
import codecs
import re
import secrets
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from datastore.errors import BadRequest, ValidationError
from datastore.validation import json_number

_NUL = "a NUL character is not allowed"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 2**18
_AROUND = 2**16
"""Bytes before and behind a list, at most, that are looked through for its ends."""


def decode_object(body: bytes | bytearray, raw: Collection[str], max_depth: int) -> dict[str, Any]:
    """The members of the JSON object ``body``; blank text is the empty object.

    Members named in ``raw`` are handed over as :class:`msgspec.Raw`, views into ``body`` (``null`` as None). They are
    sound JSON all the same: msgspec checks the syntax of what it skips (also escapes and surrogates, measured on 0.22),
    and that the whole body is UTF-8 is checked here. Two things about them are left to whoever decodes them: a NUL
    character (``\\u0000``) may stand in a string, and numbers have any number of digits. Their nesting is limited by
    msgspec's own recursion limit alone.

    In all other members numbers keep every digit: a number with a fraction or an exponent is a float if the float's
    shortest text has the same value, else a Decimal. ``max_depth`` limits their nesting, the object itself counted.

    Raises :class:`BadRequest` for anything else than one object: bad syntax, NaN and Infinity, malformed UTF-8, lone
    surrogates, numbers beyond 10^1000, nesting beyond ``max_depth``; :class:`ValidationError` for NUL characters.
    """
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if not body or body.isspace():
        return {}
    try:
        _check_utf8(body)
        members = _OBJECT.decode(body)
        return {name: _member(name, value, raw, max_depth) for name, value in members.items()}
    except UnicodeDecodeError:
        raise BadRequest("JSON Error: the text is not valid UTF-8") from None
    except RecursionError:
        raise too_deep() from None
    except msgspec.ValidationError as error:
        if body.lstrip()[:1] == b"{":
            raise BadRequest(f"JSON Error: {error}") from None
        raise BadRequest("JSON Error: the decoded value needs to be a dictionary") from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"JSON Error: {error}{_hint(error, body)}") from None


def decode_around(body: bytes | bytearray, name: str, max_depth: int) -> tuple[dict[str, Any], memoryview] | None:
    """The members of a JSON object without looking at its largest, which is a list: the others, and that list's text.

    If the text is the list of one JSON value after the other, then all of ``body`` is what :func:`decode_object` takes;
    else that says what is wrong with it. None if the list is not told from the rest at once. ``body`` is UTF-8, see
    :func:`is_utf8`.
    """
    found = re.compile(rb'"%b"\s*:\s*\[' % name.encode()).search(body, 0, _AROUND)
    end = body.rfind(b"]", max(0, len(body) - _AROUND))
    if found is None or end < found.end():
        return None
    start = found.end() - 1
    # What stands for the list is valid just where the list itself would be, and nothing that a client can know.
    mark = secrets.token_hex(16)
    try:
        around = b"".join((body[:start], b'"%b"' % mark.encode(), body[end + 1 :]))
        members = decode_object(around, (), max_depth)
    except BadRequest:
        return None
    if members.pop(name, None) != mark:
        return None
    return members, memoryview(body)[start : end + 1]


async def is_utf8(body: bytes | bytearray) -> bool:
    """Whether it is, with a turn for others in between: of 50 MB it takes a tenth of a second to know."""
    try:
        for _ in _decoded(body):
            await asyncio.sleep(0)
    except UnicodeDecodeError:
        return False
    return True


def too_deep() -> BadRequest:
    """The error of a request that is nested beyond the limit."""
    return BadRequest("JSON Error: nested too deeply")


def refuse_nul(text: str, parameter: str | None = None) -> None:
    """PostgreSQL cannot hold a NUL character anywhere. Raises :class:`ValidationError` that names the parameter, or
    :class:`BadRequest` if it is its name that has one.
    """
    if "\0" in text:
        if parameter is None:
            raise BadRequest(_NUL)
        raise ValidationError({parameter: [_NUL]})


def _hint(error: msgspec.DecodeError, body: bytes | bytearray) -> str:
    """What to send instead of the NaN that Python's ``json`` and its clients write."""
    position = re.search(r"\(byte (\d+)\)", str(error))
    found = position and _NOT_JSON.match(body, max(0, int(position[1]) - 1))
    return f': {found[1].decode()} is no JSON; send null, or the text "{found[1].decode()}"' if found else ""


def _check_utf8(body: bytes | bytearray) -> None:
    """Raise UnicodeDecodeError if it is not."""
    for _ in _decoded(body):
        pass


def _decoded(body: bytes | bytearray) -> Iterator[None]:
    """Decode the body in pieces, none of which is kept: without a second copy of a large one."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _CHUNK):
        decoder.decode(body[start : start + _CHUNK], final=start + _CHUNK >= len(body))
        yield


def _member(name: str, found: msgspec.Raw, raw: Collection[str], max_depth: int) -> Any:
    refuse_nul(name)
    if name in raw:
        return None if len(memoryview(found)) == 4 and bytes(found) == b"null" else found
    text = bytes(found)
    value = _VALUE.decode(text)
    # The walk is for the rare text that may break a rule.
    if b"\\u0000" in text or text.count(b"[") + text.count(b"{") >= max_depth:
        _check(name, value, max_depth - 1)
    return value


def _check(name: str, value: Any, depth: int) -> None:
    if isinstance(value, str):
        refuse_nul(value, name)
    elif isinstance(value, (dict, list)):
        if depth < 1:
            raise too_deep()
        if isinstance(value, dict):
            for key in value:
                refuse_nul(key, name)
        for item in value.values() if isinstance(value, dict) else value:
            _check(name, item, depth - 1)


_NOT_JSON = re.compile(rb"[^\w-]?(NaN|-?Infinity)")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE = msgspec.json.Decoder(float_hook=json_number)
