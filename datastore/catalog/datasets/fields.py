"""What clients send for a dataset's own fields, checked and laid over what is stored (catalog-api.md §B1). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import orjson

from datastore.accounts.actor import Actor
from datastore.catalog import dates
from datastore.catalog.datasets.rows import Dataset
from datastore.validation import (
    MAX_JSON,
    MISSING,
    Invalid,
    Problems,
    email,
    json_value,
    objects,
    required_text,
    short_text,
    text,
)

STATES = ("active", "draft", "deleted")
# The fields that an update empties when it does not send them, each with its rule.
_RULES: dict[str, Callable[[Any], str | None]] = {
    "notes": text,
    "url": text,
    "version": short_text,
    "author": text,
    "author_email": email,
    "maintainer": text,
    "maintainer_email": email,
    "license_id": text,
}
# Keys that an extra may not have, because a dataset has a field of that name.
_FIELDS = frozenset(
    {
        "id",
        "name",
        "title",
        "type",
        "state",
        "private",
        "owner_org",
        "tags",
        "tag_string",
        "extras",
        "groups",
        "resources",
        "plugin_data",
        "relationships_as_subject",
        "relationships_as_object",
        *_RULES,
    }
)
_TYPE = re.compile(r"[a-zA-Z0-9_-]{1,100}")


def overlay(problems: Problems, stored: Dataset, data: Mapping[str, Any], actor: Actor, merge: bool) -> Dataset:
    """``stored`` with the plain fields that were sent. ``merge`` keeps what was not sent; otherwise it is emptied.

    Name, owner, tags, groups and resources need the database and are checked elsewhere.
    """
    values: dict[str, Any] = {}
    for field, rule in _RULES.items():
        if field in data or not merge:
            values[field] = problems.check(field, rule, data.get(field), None)
    if "title" in data:
        values["title"] = problems.check("title", text, data["title"], None)
    if "extras" in data or not merge:
        values["extras"] = check_extras(problems, data)
    if data.get("private") is not None:
        values["private"] = bool(data["private"])
    if data.get("state") not in (None, ""):
        values["state"] = problems.check("state", _state, data["state"], stored.state)
    if actor.sysadmin and "plugin_data" in data:
        values["plugin_data"] = problems.check("plugin_data", _plugin_data, data["plugin_data"], None)
    if actor.sysadmin and data.get("metadata_modified") not in (None, ""):
        moment = problems.check("metadata_modified", dates.parse, data["metadata_modified"], None)
        values["metadata_modified"] = moment or stored.metadata_modified
    return msgspec.structs.replace(stored, **values)


def check_extras(
    problems: Problems, data: Mapping[str, Any], fields: frozenset[str] = _FIELDS
) -> dict[str, str | None]:
    """The list of ``{key, value}`` as a dict; no key is one of ``fields``. Entries marked ``deleted`` are left out."""
    found: dict[str, str | None] = {}
    nested = []
    size = 0
    for extra in objects("extras", data.get("extras")):
        problem = Problems()
        nested.append(problem)
        if extra.get("deleted"):
            continue
        key = problem.check("key", lambda value: _extra_key(value, fields), extra.get("key"), None)
        value = problem.check("value", _extra_value, extra.get("value"), None)
        if extra.get("value") is None:
            problem.add("value", MISSING)
        if key is None:
            continue
        if key in found:
            problems.add("extras_validation", f'Duplicate key "{key}"')
        found[key] = value
        size += len(key) + len(value or "")
    problems.nested("extras", nested)
    if size > MAX_JSON:
        problems.add("extras_validation", f"Extras must be a maximum of {MAX_JSON} characters long together")
    return found


def _extra_key(value: Any, fields: frozenset[str]) -> str | None:
    key = required_text(value)
    if key in fields:
        raise Invalid("There is a schema field with the same name")
    return key


def _extra_value(value: Any) -> str | None:
    if isinstance(value, (dict, list)):
        return text(orjson.dumps(json_value(value)).decode())
    return text(value)


def dataset_type(value: Any) -> str:
    """The kind of dataset, ``dataset`` if none is given."""
    found = text(value) or "dataset"
    if not _TYPE.fullmatch(found):
        raise Invalid("Must be purely alphanumeric (ascii) characters and these symbols: -_")
    return found


def _state(value: Any) -> str:
    if value not in STATES:
        raise Invalid(f"Value must be one of {list(STATES)}")
    return str(value)


def _plugin_data(value: Any) -> dict[str, Any] | None:
    found = json_value(value)
    if found is not None and not isinstance(found, dict):
        raise Invalid("Must be an object")
    return found
