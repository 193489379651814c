"""What clients send for a resource, checked and laid over what is stored (catalog-api.md §B2, §C4, §C5). Pure."""

from __future__ import annotations

import posixpath
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from datastore.catalog import dates, formats
from datastore.catalog.datasets.resource_rows import Resource
from datastore.validation import Problems, byte_size, is_storable, json_value, short_text, text, uuid4

ID_TAKEN = "Resource id already exists."
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


def _text_or_empty(value: Any) -> str:
    return text(value) or ""


# The fields that clients set, each with its rule.
_RULES: dict[str, Callable[[Any], Any]] = {
    "url": lambda value: _text_or_empty(value).strip(),
    "name": text,
    "description": text,
    "format": formats.canonical,
    "hash": _text_or_empty,
    "resource_type": text,
    "mimetype": text,
    "mimetype_inner": text,
    "size": byte_size,
    "created": dates.parse,
    "last_modified": dates.parse,
    "cache_url": text,
    "cache_last_updated": dates.parse,
    "url_type": lambda value: short_text(value) or None,
}
# An update that does not send these empties them; other fields stay as they are.
_EMPTIED = ("url", "description", "resource_type", "mimetype", "mimetype_inner")
# Never taken from a client: computed, managed elsewhere, or belonging to the request and not to the resource.
_IGNORED = frozenset(
    {
        "id",
        "package_id",
        "position",
        "state",
        "datastore_active",
        "metadata_modified",
        "tracking_summary",
        "upload",
        "clear_upload",
        "resource_views",
        "__extras",
    }
)


def new_resource(
    problems: Problems, data: Mapping[str, Any], dataset_id: str, position: int, now: datetime
) -> Resource:
    """A resource that does not exist yet. Format and MIME type, if not given, are guessed from the address."""
    given_id = data.get("id")
    resource_id = problems.check("id", uuid4, given_id, "") if given_id else str(uuid.uuid4())
    blank = Resource(id=resource_id, dataset_id=dataset_id, position=position, created=now, metadata_modified=now)
    resource = _overlay(problems, blank, data, merge=True)
    if data.get("created") in (None, ""):
        resource = msgspec.structs.replace(resource, created=now)
    # By the address as it was sent: "prices.csv" is stored as "http://prices.csv", which has no file name.
    sent = data["url"].strip() if isinstance(data.get("url"), str) else resource.url
    if not resource.format:
        resource = msgspec.structs.replace(resource, format=formats.guess(sent))
    if "mimetype" not in data:  # a dump says null, and means it
        resource = msgspec.structs.replace(resource, mimetype=formats.guess_mimetype(sent))
    return resource


def changed_resource(
    problems: Problems, stored: Resource, data: Mapping[str, Any], *, merge: bool, position: int, now: datetime
) -> Resource:
    """``stored`` with what was sent. ``merge`` keeps what was not sent; otherwise the resource is replaced.

    If nothing changes but the position, ``metadata_modified`` stays.
    """
    found = _overlay(problems, stored, data, merge)
    if found.created is None:
        found = msgspec.structs.replace(found, created=stored.created)
    if found != stored:
        found = msgspec.structs.replace(found, metadata_modified=now)
    return msgspec.structs.replace(found, position=position)


def _overlay(problems: Problems, stored: Resource, data: Mapping[str, Any], merge: bool) -> Resource:
    values: dict[str, Any] = {}
    for field, rule in _RULES.items():
        if field in data:
            values[field] = problems.check(field, rule, data[field], None)
        elif not merge and field in _EMPTIED:
            values[field] = "" if field == "url" else None
    values["url"] = _stored_url(values.get("url", stored.url) or "", values.get("url_type", stored.url_type))
    extras = {}
    for key, value in data.items():
        if key in _RULES or key in _IGNORED:
            continue
        if is_storable(key):
            extras[key] = problems.check(key, json_value, value, None)
        else:
            problems.add("extras", "Keys must not contain NUL characters or lone surrogates")
    values["extras"] = {**stored.extras, **extras} if merge else extras
    return msgspec.structs.replace(stored, **values)


def _stored_url(url: str, url_type: str | None) -> str:
    """The part of an address that is kept: clients send back the address that they were shown."""
    if url_type == "upload":
        return unquote(posixpath.basename(url)) if "/" in url else url
    if url_type == "datastore":
        return ""
    if url and url_type is None and not _SCHEME.match(url):
        return "http://" + url.lstrip("/")
    return url
