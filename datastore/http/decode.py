"""Requests to parameters: every form in which clients send them, brought to one dict.

Order of precedence: form fields of a POST, else the query string (only for actions free of side effects), else the
JSON body. Beside a body that is records alone (CSV, NDJSON, Arrow, Parquet) the parameters are in the query string.
This module decides *what* was sent; what the values mean is the business of each action's model.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

from datastore.actions.registry import Action
from datastore.errors import BadRequest, ValidationError
from datastore.http import body
from datastore.http.json_body import decode_around, decode_object, is_utf8, refuse_nul
from datastore.loading.upload import MEDIA_TYPES, Upload
from datastore.settings import Settings
from datastore.tables.writing.sources import JsonList

_MAX_FIELDS = 1000
_LARGE = 2**18
"""From this many bytes on a list of records is read once, by whoever writes them, and not looked through before."""
_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.\-\[\]]{0,127}")
_FORM_SUFFIX = re.compile(rb"=1?\s*\Z")


@dataclass(slots=True)
class Decoded:
    """What a request says. Close it when the action is done, for the temporary files of uploads."""

    parameters: dict[str, Any]
    """Strings, lists of strings (a repeated field), JSON values, Raw, UploadFile for an uploaded file, Upload for a
    body of records, and JsonList for many of them in a JSON body."""
    callback: str | None = None
    """Name of the JSONP function. The request is then anonymous, whatever credentials it carries."""
    files: list[UploadFile] = field(default_factory=list)
    upload: Upload | None = None
    unread: Callable[[], dict[str, Any]] | None = None
    """Decodes all of a body whose records were not looked through before."""

    def whole(self) -> dict[str, Any] | None:
        """To be called when the action has failed: the parameters if others were meant. The records were taken to be
        from the first bracket behind their name to the body's last one; further members may say otherwise.

        Raises :class:`BadRequest` if the body is not sound.
        """
        if self.unread is None:
            return None
        parameters, taken = self.unread(), self.parameters["records"]
        meant = parameters["records"]
        return None if isinstance(meant, msgspec.Raw) and memoryview(meant) == taken.text else parameters

    async def close(self) -> None:
        """Remove the temporary files."""
        if self.upload is not None:
            self.upload.file.close()
        for file in self.files:
            await file.close()


async def decode(
    scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, action: Action, settings: Settings
) -> Decoded:
    """The parameters of a POST request for ``action``.

    Raises :class:`BadRequest` for everything that cannot be understood, :class:`ValidationError` for a NUL character,
    :class:`PayloadTooLarge` for too large a body.
    """
    query, callback = decode_query(scope["query_string"])
    if is_upload(headers, action):
        return await _upload(query, callback, headers, receive, settings.max_upload_size)
    if not action.get:
        query = {}
    media_type = _media_type(headers)
    if media_type == b"multipart/form-data":
        form = await _multipart(headers, receive, settings.max_body_size)
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        decoded = Decoded({}, callback, files)
        # Browsers send an empty file without a name for a field in which no file was chosen.
        pairs = [(n, v) for n, v in form.multi_items() if isinstance(v, str) or v.filename or v.size]
        try:
            decoded.parameters = _form(pairs, action, settings.max_json_depth) or query
        except (BadRequest, ValidationError):
            await decoded.close()
            raise
        return decoded
    if query and media_type != b"application/x-www-form-urlencoded":
        return Decoded(query, callback)
    content = await body.read(headers, receive, settings.max_body_size)
    if media_type == b"application/x-www-form-urlencoded":
        return Decoded(_urlencoded(bytes(content), action, settings.max_json_depth) or query, callback)
    whole = partial(decode_object, content, action.raw, settings.max_json_depth)
    if (
        action.reads_all
        and len(content) >= _LARGE
        and await is_utf8(content)
        and (found := decode_around(content, "records", settings.max_json_depth))
    ):
        members, records = found
        return Decoded({**members, "records": JsonList(records)}, callback, unread=whole)
    return Decoded(whole(), callback)


def is_upload(headers: Mapping[bytes, bytes], action: Action) -> bool:
    """The body is the records of ``action``, and nothing else."""
    return "records" in action.raw and _media_type(headers).decode("latin-1") in MEDIA_TYPES


def _media_type(headers: Mapping[bytes, bytes]) -> bytes:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


async def _upload(
    query: dict[str, Any], callback: str | None, headers: Mapping[bytes, bytes], receive: Receive, limit: int
) -> Decoded:
    charset = parse_options_header(headers[b"content-type"])[1].get(b"charset", b"utf-8").decode("latin-1")
    try:
        charset = codecs.lookup(charset).name
    except LookupError:
        raise BadRequest(f"charset not supported: {charset}") from None
    file, size = await body.spool(headers, receive, limit)
    upload = Upload(file, size, _media_type(headers).decode("latin-1"), charset)
    return Decoded({**query, "records": upload}, callback, upload=upload)


def query_parameters(scope: Scope) -> dict[str, Any]:
    """The parameters of an address that is no action: those of its query string. Raises :class:`BadRequest`."""
    return decode_query(scope["query_string"])[0]


def decode_query(query_string: bytes) -> tuple[dict[str, Any], str | None]:
    """The query string's parameters, without ``callback`` (the name of the JSONP function), which is given apart.

    Raises :class:`BadRequest`.
    """
    if not query_string:
        return {}, None
    query = _collect(_pairs(query_string))
    callback = query.pop("callback", None) or None
    # Only what a function's address needs: nothing else can get into the script that we answer with.
    if callback is not None and not (isinstance(callback, str) and _CALLBACK.fullmatch(callback)):
        raise BadRequest("the callback is not the name of a function")
    return query, callback


def _pairs(text: bytes) -> list[tuple[str, str]]:
    """The fields of a query string or a urlencoded form."""
    try:
        return parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise BadRequest("the parameters are not valid UTF-8") from None
    except ValueError:
        raise BadRequest(f"more than {_MAX_FIELDS} parameters") from None


def _collect(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A flat dict; the values of a repeated name become a list."""
    collected: dict[str, list[Any]] = {}
    for name, value in pairs:
        refuse_nul(name)
        if isinstance(value, str):
            refuse_nul(value, name)
        collected.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in collected.items()}


def _urlencoded(content: bytes, action: Action, max_depth: int) -> dict[str, Any]:
    """A form, or JSON sent as one: ``curl -d '{…}'`` and ``urlopen(url, quote(json))`` announce JSON as a form."""
    problem: BadRequest | None = None
    for candidate in _json_candidates(content):
        try:
            return decode_object(candidate, action.raw, max_depth)
        except BadRequest as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return _form(_pairs(content), action, max_depth)


def _json_candidates(content: bytes) -> Iterator[bytes]:
    """The texts that ``content`` may mean as a JSON object, likeliest first: as it stands, then percent-decoded.

    A form with the document as its only key ends with ``=`` or ``=1``.
    """
    if content.lstrip()[:1] == b"{":
        yield content
        yield _FORM_SUFFIX.sub(b"", content)
    if content.lstrip()[:1] in (b"{", b"%", b"+"):
        unquoted = unquote_to_bytes(content.replace(b"+", b" "))
        if unquoted.lstrip()[:1] == b"{":
            yield unquoted
            yield _FORM_SUFFIX.sub(b"", unquoted)


def _form(pairs: list[tuple[str, Any]], action: Action, max_depth: int) -> dict[str, Any]:
    if len(pairs) == 1 and pairs[0][1] in ("", "1"):
        # The only key may be the whole JSON document; a list or a string is one too, and refused as such.
        document = pairs[0][0].lstrip()
        if document[:1] == "{":
            return decode_object(document.encode(), action.raw, max_depth)
        if document[:1] in ("[", '"'):
            raise BadRequest("JSON Error: the decoded value needs to be a dictionary")
    return _collect(pairs)


class _StrictParser(MultiPartParser):
    """Starlette's parser, which lets pass a body without its end, and reads as Latin-1 what is not UTF-8."""

    _complete = False

    def __init__(self, content_type: bytes, stream: AsyncGenerator[bytes, None], limit: int) -> None:
        super().__init__(
            Headers(raw=[(b"content-type", content_type)]),
            self._whole(stream),
            max_files=_MAX_FIELDS,
            max_fields=_MAX_FIELDS,
            max_part_size=limit,
        )

    async def _whole(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:
            yield chunk
        if not self._complete:
            raise MultiPartException("the body is not complete")

    def on_end(self) -> None:
        self._complete = True

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is not None:
            super().on_part_end()
            return
        try:
            self.items.append((part.field_name, part.data.decode()))
        except UnicodeDecodeError:
            raise MultiPartException("a field is not valid UTF-8") from None


async def _multipart(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> FormData:
    """The fields of a multipart form. Uploaded files stay in memory up to 1 MB each, beyond that on disk."""
    if headers.get(b"content-length") == b"0":
        return FormData()
    if b"content-encoding" in headers:
        chunks = body.pieces(bytes(await body.read(headers, receive, limit)))
    else:
        chunks = body.stream(headers, receive, limit)
    try:
        form = await _StrictParser(headers[b"content-type"], chunks, limit).parse()
    except MultiPartException as error:
        raise BadRequest(f"multipart form: {error.message}") from None
    except UnicodeError:
        raise BadRequest("multipart form: a name does not fit its charset") from None
    return form
