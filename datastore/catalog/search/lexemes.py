"""Conditions on the search vector of a dataset, as text for ``::tsquery``; and the names of what is in the vector.

The vectors are made by ``datastore.search_write`` in sql/0006_search_rows.sql; sql/0004_search_tables.sql explains
their lexemes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

EVERY = "*"
"""The lexeme that is in every vector."""
_LONGEST = 255
_MOST_COMBINATIONS = 60


@dataclass(frozen=True, slots=True)
class Vector:
    """A condition on the vector: the text of a tsquery; None is always, or never, true."""

    text: str | None
    blank: bool
    """Whether an empty vector matches."""

    @property
    def always(self) -> bool:
        """True of every dataset."""
        return self.text is None and self.blank

    @property
    def never(self) -> bool:
        """True of no dataset."""
        return self.text is None and not self.blank


ALWAYS, NEVER = Vector(None, True), Vector(None, False)


def lexeme(text: str, prefix: bool = False) -> Vector:
    """The vector has the lexeme, or one that begins with it."""
    return Vector(_quoted(text) + (":*" if prefix else ""), False)


def word(field: str | None, text: str, prefix: bool = False) -> Vector:
    """The text of the field (None: of all fields) has the word, given as a lexeme."""
    if len(text.encode()) > _LONGEST:
        return NEVER
    return lexeme(text if field is None else f"{field}:{text}", prefix)


def value(field: str, text: str) -> Vector:
    """The field has exactly this value; ``datastore.search_term`` makes the same lexeme."""
    if len(text.encode()) > 800:
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return lexeme(f"{field}={text[:200]}#{digest}")
    return lexeme(f"{field}={text}")


def value_prefix(field: str, text: str) -> Vector:
    """The field has a value that begins so (of which 200 characters are looked at)."""
    return lexeme(f"{field}={text[:200]}", prefix=True)


def has_value(field: str) -> Vector:
    """The field has any value."""
    return lexeme(f"{field}?")


def phrase(field: str | None, words: Sequence[tuple[str, int]]) -> Vector:
    """The words, each with its place, stand so far apart from each other."""
    vectors = [word(field, text) for text, _ in words]
    if any(vector.never for vector in vectors):
        return NEVER
    text = str(vectors[0].text)
    for vector, (_, before), (_, place) in zip(vectors[1:], words, words[1:], strict=False):
        text += f" <{min(max(place - before, 0), 16384)}> {vector.text}"
    return Vector(f"({text})" if len(words) > 1 else text, False)


def near(field: str | None, words: Sequence[tuple[str, int]], slop: int) -> Vector:
    """Each two neighbours of the words stand near each other, in any order, with at most ``slop`` words between."""
    pairs = []
    for (first, _), (second, _) in pairwise(words):
        distances = range(1, slop + 2)
        pairs.append(
            any_of(
                [
                    phrase(field, [(one, 0), (other, distance)])
                    for distance in distances
                    for one, other in ((first, second), (second, first))
                ]
            )
        )
    return all_of(pairs) if pairs else phrase(field, words)


def all_of(vectors: Sequence[Vector]) -> Vector:
    """All are true."""
    if any(vector.never for vector in vectors):
        return NEVER
    found = [vector for vector in vectors if not vector.always]
    return _joined(found, " & ", all(vector.blank for vector in vectors)) if found else ALWAYS


def any_of(vectors: Sequence[Vector]) -> Vector:
    """At least one is true."""
    if any(vector.always for vector in vectors):
        return ALWAYS
    found = [vector for vector in vectors if not vector.never]
    return _joined(found, " | ", any(vector.blank for vector in vectors)) if found else NEVER


def none_of(vector: Vector) -> Vector:
    """It is not true."""
    if vector.text is None:
        return NEVER if vector.blank else ALWAYS
    return Vector(f"!{vector.text}" if vector.text.startswith("(") else f"!({vector.text})", not vector.blank)


def some_of(vectors: Sequence[Vector], count: int) -> Vector | None:
    """At least ``count`` are true; None if that takes too many combinations to be one condition."""
    if count <= 0:
        return ALWAYS
    if count >= len(vectors):
        return all_of(vectors)
    total = 1
    for step in range(count):
        total = total * (len(vectors) - step) // (step + 1)
    if total * count > _MOST_COMBINATIONS:
        return None
    return any_of([all_of(chosen) for chosen in combinations(vectors, count)])


def indexed(vector: Vector) -> str:
    """The text for ``document @@ …::tsquery``, such that the index finds it: it asks for a lexeme in any case."""
    return f"'{EVERY}' & {vector.text}" if vector.blank else str(vector.text)


def _joined(vectors: Sequence[Vector], operator: str, blank: bool) -> Vector:
    if len(vectors) == 1:
        return vectors[0]
    return Vector(f"({operator.join(str(vector.text) for vector in vectors)})", blank)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
