"""Names made from free text (for addresses), and which names tags may have (catalog-api.md §B1, §E3)."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from datastore.validation import NAME_MAX, NAME_MIN, Invalid, required_text

_SEPARATOR = re.compile(r"[ .:/]")
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_TRAILING_YEAR = re.compile(r"-[0-9]{4}(?:-[0-9]{2})?$")
# Letters that Unicode does not decompose into a base letter and accents.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d",
     "Ð": "D", "þ": "th", "Þ": "TH", "ł": "l", "Ł": "L", "ı": "i", "ħ": "h", "Ħ": "H"}
)  # fmt: skip


def fold(text: str) -> str:
    """``text`` with Latin letters brought to ASCII: accents off, ligatures spelt out."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def munge_name(text: str) -> str:
    """A valid name as near to ``text`` as can be: padded with ``_``, cut at 100 characters."""
    return _NOT_NAME.sub("", _SEPARATOR.sub("-", fold(text))).lower().ljust(NAME_MIN, "_")[:NAME_MAX]


def munge_title_to_name(title: str) -> str:
    """A name from a title: no runs of ``-``, none outside; a long one is cut but keeps its trailing year."""
    name = _NOT_NAME.sub("", _SEPARATOR.sub("-", fold(title))).lower()
    name = re.sub(r"-{2,}", "-", name).strip("-")
    longest = 95
    if len(name) > longest:
        year = _TRAILING_YEAR.search(name)
        name = name[: longest - len(year[0])].rstrip("-") + year[0] if year else name[:longest]
    return name.ljust(NAME_MIN, "_")


def munge_tag(text: str) -> str:
    """A valid tag as near to ``text`` as can be."""
    kept = re.sub(r"[^a-z0-9 -]", "", fold(text).lower().strip())
    return kept.replace(" ", "-").ljust(NAME_MIN, "_")[:NAME_MAX]


def tag_name(value: Any) -> str:
    """The name of a tag: 2 to 100 letters or digits of any script, blanks, ``-``, ``_``, ``.``."""
    name = required_text(value).strip()
    if len(name) < NAME_MIN:
        raise Invalid(f'Tag "{name}" length is less than minimum {NAME_MIN}')
    if len(name) > NAME_MAX:
        raise Invalid(f'Tag "{name[:NAME_MAX]}…" length is more than maximum {NAME_MAX}')
    if not all(character in " -_." or unicodedata.category(character)[0] in "LMN" for character in name):
        raise Invalid(
            f'Tag "{name}" can only contain alphanumeric characters, spaces (" "), hyphens ("-"), underscores ("_") '
            'or dots (".")'
        )
    return name
