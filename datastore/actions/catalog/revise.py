"""package_revise."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import ConfigDict, Field

from datastore.accounts.permissions import require_login
from datastore.actions.catalog.fields import Object, Sent
from datastore.actions.parameters import Strings
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import Dataset, show_dataset
from datastore.catalog.editing.patterns import SEPARATOR, Pattern, filtered
from datastore.catalog.editing.revise import Revision, revise_dataset
from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import json_number

_DATASET = "package"
_MATCH, _UPDATE = f"match{SEPARATOR}", f"update{SEPARATOR}"
_MAX_PATTERNS = 200
_JSON = msgspec.json.Decoder(float_hook=json_number)


class PackageRevise(Sent):
    """A condition and a change. Besides `match` and `update`, their paths may be parameters of their own:
    `match__notes`, `update__resources__0__name`, `update__resources__extend`."""

    model_config = ConfigDict(extra="allow")

    match: Object = Field(
        None, description="What the dataset must have, at least `id` or `name`; else nothing is done."
    )
    filter: Strings = Field(
        None,
        description="Paths to take out (`-resources__1`, `-*`) or to keep (`+title`); the first that fits decides.",
    )
    update: Object = Field(None, description="What is merged into the dataset then.")
    include: Strings = Field(None, description="Paths to leave out of the result, as in `filter`; `-*` for all.")


@action(PackageRevise)
async def package_revise(call: Call, parameters: PackageRevise) -> dict[str, Any]:
    """Change a dataset if it matches, in one step: match it, take out what `filter` says, merge `update` into it.

    In a path an item of a list is its place (`0`, `-1`) or five or more characters of the beginning of its id.
    """
    require_login(call.actor, "package_revise")
    revision = _revision(parameters)
    include = [_within(pattern) for pattern in _patterns("include", parameters.include)]

    async def work(tx: Transaction) -> Dataset:
        return await revise_dataset(tx, call.actor, call.settings, call.site_url, revision)

    dataset = await call.write(work)
    call.changed_entities["packages"] = [dataset.id]
    return {_DATASET: filtered(show_dataset(dataset, call.site_url, actor=call.actor), include)}


def _revision(parameters: PackageRevise) -> Revision:
    match_at, update_at = {}, {}
    for key, value in (parameters.model_extra or {}).items():
        if key.startswith(_MATCH) and len(key) > len(_MATCH):
            match_at[key.removeprefix(_MATCH)] = _value(key, value)
        elif key.startswith(_UPDATE) and len(key) > len(_UPDATE):
            update_at[key.removeprefix(_UPDATE)] = _value(key, value)
    return Revision(
        match=_object("match", parameters.match),
        match_at=match_at,
        filter=_patterns("filter", parameters.filter),
        update=_object("update", parameters.update),
        update_at=update_at,
    )


def _patterns(field: str, texts: Sequence[str] | None) -> list[Pattern]:
    if texts is not None and len(texts) > _MAX_PATTERNS:
        raise ValidationError({field: [f"At most {_MAX_PATTERNS} patterns"]})
    return [Pattern.parse(field, text) for text in texts or ()]


def _within(pattern: Pattern) -> Pattern:
    """What the pattern means inside the dataset: a path in the result may begin with its place there, or not."""
    return Pattern(pattern.keep, pattern.path[1:] or ("*",)) if pattern.path[0] == _DATASET else pattern


def _object(field: str, value: Any) -> dict[str, Any]:
    found = {} if value is None or value == "" else _value(field, value)
    if not isinstance(found, dict):
        raise ValidationError({field: ["Must be an object"]})
    return found


def _value(field: str, value: Any) -> Any:
    """A JSON value; text that is JSON, as forms send it, is read as such."""
    if isinstance(value, str):
        try:
            return _JSON.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    if not isinstance(value, (bool, int, float, Decimal, list, dict)) and value is not None:
        raise ValidationError({field: ["Files cannot be uploaded here"]})
    return value
