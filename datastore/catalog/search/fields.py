"""The fields of the search: which are text, which hold several values, which are dates (catalog-api.md §C7)."""

from __future__ import annotations

import re

ALL_TEXT = "text"
"""The field of everything, which a query without a field searches."""

DATES = frozenset({"metadata_created", "metadata_modified"})
PARTS = {"title_ngram": "title", "name_ngram": "name"}
"""Fields of which any part is searched, as columns of ``datastore.dataset_search``."""

FACETS = ("organization", "groups", "tags", "res_format", "license_id")
"""The fields whose values are kept as codes, numbered from 1 as in ``datastore.search_write``."""

RELATIONSHIPS = (
    "depends_on",
    "dependency_of",
    "derives_from",
    "has_derivation",
    "links_to",
    "linked_from",
    "child_of",
    "parent_of",
)
"""Fields with the names of public datasets to which a dataset is related."""

_TEXT = frozenset(
    {
        "title",
        "notes",
        "author",
        "maintainer",
        "res_name",
        "res_description",
        "urls",
        "columns",
        ALL_TEXT,
        *RELATIONSHIPS,
    }
)
_LISTS = frozenset(
    {
        "tags",
        "groups",
        "groups_title",
        "res_name",
        "res_description",
        "res_url",
        "res_format",
        "res_type",
        "urls",
        "columns",
        ALL_TEXT,
        *RELATIONSHIPS,
    }
)
_NUMBERS = frozenset({"num_resources", "num_tags", "views_total", "views_recent"})
_FLAGS = frozenset({"private", "isopen"})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")


def is_text(field: str) -> bool:
    """The field is searched by words; others by their whole value."""
    return field in _TEXT or field.startswith("extras_")


def is_list(field: str) -> bool:
    """A dataset may have several values of it."""
    return field in _LISTS or field.startswith("vocab_")


def is_number(field: str) -> bool:
    """Its values are whole numbers."""
    return field in _NUMBERS


def is_date(field: str) -> bool:
    """An extra whose values are dates, by its name; what is no date among them is text."""
    return field.endswith("_date")


def may_exist(field: str) -> bool:
    """There can be a field of this name."""
    return _NAME.fullmatch(field) is not None


def shown(field: str, values: list[str]) -> object:
    """The values of a field as a result of ``fl`` shows them."""
    if is_list(field):
        return values
    if field in _NUMBERS:
        return int(values[0])
    return values[0] == "true" if field in _FLAGS else values[0]
