"""Revising a dataset as a JSON document: match it, take parts out of it, merge others into it (catalog-api.md §C4).

A path leads into the document, its parts joined by ``__``: ``resources__0__url``, ``resources__-1``, and, for an item
of a list by its id, or at least five characters of the beginning of it, ``resources__34a12``. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from datastore.errors import ValidationError

SEPARATOR = "__"
_EXTEND = "extend"
_MIN_PREFIX = 5


@dataclass(frozen=True, slots=True)
class Pattern:
    """``+a__b`` keeps what is at the path, ``-a__*`` removes it; each part may be a glob."""

    keep: bool
    path: tuple[str, ...]

    @classmethod
    def parse(cls, field: str, text: str) -> Pattern:
        """Raises :class:`ValidationError` for ``field`` unless the text starts with ``+`` or ``-``."""
        if text[:1] not in ("+", "-") or not text[1:]:
            raise ValidationError({field: ["Patterns must start with + or -"]})
        return cls(text[0] == "+", tuple(text[1:].split(SEPARATOR)))

    @property
    def rest(self) -> Pattern:
        """The pattern one level deeper."""
        return Pattern(self.keep, self.path[1:])


_ABSENT = object()


def mismatches(document: Any, wanted: Any, path: str = "") -> list[str]:
    """The paths at which ``document`` does not have what ``wanted`` has. Of objects only the given keys count."""
    if isinstance(wanted, Mapping) and isinstance(document, Mapping):
        pairs = [(key, document.get(key, _ABSENT), value) for key, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(document, list):
        items = [*document, *[_ABSENT] * (len(wanted) - len(document))]
        pairs = [(str(place), items[place], value) for place, value in enumerate(wanted)]
    else:
        # To Python true is 1.
        same = document == wanted and isinstance(document, bool) == isinstance(wanted, bool)
        return [] if same else [path]
    found = []
    for key, inner, value in pairs:
        found += mismatches(inner, value, f"{path}{SEPARATOR}{key}" if path else key)
    return found


def filtered(document: Any, patterns: Sequence[Pattern]) -> Any:
    """``document`` without what the patterns remove. For each place the first pattern that fits it decides."""
    if not patterns:
        return document
    if isinstance(document, Mapping):
        kept = {}
        for key, value in document.items():
            stays, left = _decide(value, [p.rest for p in patterns if not p.path or fnmatchcase(key, p.path[0])])
            if stays:
                kept[key] = left
        return kept
    if isinstance(document, list):
        items = []
        for place, value in enumerate(document):
            below = [p.rest for p in patterns if not p.path or _fits(p.path[0], place, len(document), value)]
            stays, left = _decide(value, below)
            if stays:
                items.append(left)
        return items
    return document


def _decide(value: Any, patterns: Sequence[Pattern]) -> tuple[bool, Any]:
    """Whether a member stays, and what is left of it. A pattern whose path has ended holds for everything below."""
    ended = next((pattern for pattern in patterns if not pattern.path), None)
    if ended is not None and patterns[0] is ended:
        return ended.keep, value
    stays = ended is None or ended.keep
    if isinstance(value, (Mapping, list)):
        left = filtered(value, patterns)
        return stays or bool(left), left
    return stays, value


def _fits(part: str, place: int, length: int, item: Any) -> bool:
    """Whether a part of a path means this item of a list."""
    id = item.get("id") if isinstance(item, Mapping) else None
    name = id if isinstance(id, str) else str(place)
    if set(part) & set("*?["):
        return fnmatchcase(name, part)
    return part in (str(place), str(place - length)) or (len(part) >= _MIN_PREFIX and name.startswith(part))


def merged(document: Any, update: Any) -> Any:
    """``update`` merged deeply into ``document``: objects by key, lists of objects item by item, the rest replaced."""
    if isinstance(document, Mapping) and isinstance(update, Mapping):
        return {**document, **{key: merged(document.get(key), value) for key, value in update.items()}}
    if isinstance(document, list) and isinstance(update, list) and all(isinstance(item, Mapping) for item in update):
        changed = [merged(old, new) for old, new in zip(document, update, strict=False)]
        return [*changed, *document[len(update) :], *update[len(document) :]]
    return update


def merged_at(document: dict[str, Any], key: str, value: Any, field: str) -> dict[str, Any]:
    """:func:`merged` at the path ``key``; a path that ends in ``extend`` adds the items of ``value`` to a list.

    Raises :class:`ValidationError` for ``field`` if the path leads nowhere.
    """

    def walk(inner: Any, path: Sequence[str]) -> Any:
        if not path:
            return merged(inner, value)
        first, rest = path[0], path[1:]
        if first == _EXTEND and not rest and (inner is None or isinstance(inner, list)):
            if not isinstance(value, list):
                raise ValidationError({field: ["Only a list can extend a list"]})
            return [*(inner or ()), *value]
        if isinstance(inner, list):
            places = [place for place, item in enumerate(inner) if _fits(first, place, len(inner), item)]
            if len(places) != 1:
                problem = "fits more than one item" if places else "is no item"
                raise ValidationError({field: [f"{first} {problem} of the list"]})
            return [walk(item, rest) if place == places[0] else item for place, item in enumerate(inner)]
        if inner is None or isinstance(inner, Mapping):
            members = dict(inner or {})
            members[first] = walk(members.get(first), rest)
            return members
        raise ValidationError({field: [f"{first} leads into a value that has no parts"]})

    found: dict[str, Any] = walk(document, key.split(SEPARATOR))
    return found


def mismatches_at(document: Any, key: str, wanted: Any) -> list[str]:
    """:func:`mismatches` at the path ``key``."""
    inner = document
    for part in key.split(SEPARATOR):
        if isinstance(inner, Mapping) and part in inner:
            inner = inner[part]
            continue
        items = inner if isinstance(inner, list) else []
        fitting = [item for place, item in enumerate(items) if _fits(part, place, len(items), item)]
        if len(fitting) != 1:
            return [key]
        inner = fitting[0]
    return mismatches(inner, wanted, key)
