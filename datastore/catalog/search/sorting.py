"""The order of what a search finds: ``score desc, metadata_modified desc``, or any fields that have one value."""

from __future__ import annotations

from datastore.catalog.search import fields
from datastore.catalog.search.plan import Arguments
from datastore.errors import SearchQueryError

DEFAULT = "score desc, metadata_modified desc"
_MOST = 20
_COLUMNS = {
    "id": "entry.dataset_id",
    "name": "entry.name",
    "title": "lower(left(entry.title, 500))",
    "title_string": "lower(left(entry.title, 500))",
    "metadata_created": "entry.metadata_created",
    "metadata_modified": "entry.metadata_modified",
}
_WORDS = frozenset({"author", "maintainer", "notes"})
"""Searched by words, but of one value, by which a dataset can be put in order."""

_CONSTANT = frozenset({"views_total", "views_recent"})


def parse(sort: str | None) -> list[tuple[str, str]]:
    """Fields with their directions. Raises :class:`SearchQueryError`."""
    text = (sort or "").strip()
    if text in ("", "rank"):
        text = DEFAULT
    found = []
    for part in text.split(","):
        words = part.split()
        if len(words) != 2 or words[1].lower() not in ("asc", "desc"):
            raise _invalid()
        name, direction = words[0], words[1].lower()
        unsorted = fields.is_list(name) or (fields.is_text(name) and name not in _COLUMNS.keys() | _WORDS)
        if (unsorted and not name.startswith("extras_")) or not fields.may_exist(name):
            raise _invalid()
        found.append((name, direction))
    if len(found) > _MOST:
        raise _invalid()
    return found


def shown(terms: list[tuple[str, str]]) -> str:
    """The order as a result tells it."""
    return ", ".join(f"{name} {direction}" for name, direction in terms)


def order_by(terms: list[tuple[str, str]], score: str | None, arguments: Arguments) -> str:
    """The order in SQL, made unique by the id. ``score`` is the name of its column, if datasets differ in it."""
    parts = []
    for name, direction in terms:
        if name == "score":
            if score is not None:
                parts.append(f"{score} {direction}")
        elif name in _COLUMNS:
            parts.append(f"{_COLUMNS[name]} {direction}")
        elif name not in _CONSTANT:
            value = f"entry.fields -> {arguments.add(name)}::text ->> 0"
            text = f"({value})::numeric" if fields.is_number(name) else f'({value}) COLLATE "C"'
            parts.append(f"{text} {direction} NULLS LAST")
    if not any(part.startswith(_COLUMNS["id"]) for part in parts):
        parts.append(_COLUMNS["id"])
    return ", ".join(parts)


def _invalid() -> SearchQueryError:
    return SearchQueryError("Search Query is invalid: 'Invalid \"sort\" parameter'")
