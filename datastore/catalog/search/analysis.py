"""What PostgreSQL makes of the words of a query: lexemes, and words like a misspelled one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

from datastore.catalog.search import fields
from datastore.catalog.search.query.tree import And, AtLeast, Boost, Node, Not, Or, Pattern, Phrase, Word, glob_parts

Lexemes = tuple[tuple[str, int], ...]
"""Lexemes in the order of the text, each with its place."""

_MOST_WORDS = 100
"""Other words that one word or pattern may stand for."""
_SHORT = 5
"""Words up to this length share too few trigrams with what is one letter different."""

# The first analysis is that of ``datastore.search_analyse``, without its repetition of words that were cut.
_ANALYSE = """
    SELECT
        (SELECT coalesce(json_agg(json_build_array(lexeme, place) ORDER BY place), '[]')
         FROM unnest(to_tsvector('datastore.english', datastore.search_split(given.text))) AS found,
              unnest(found.positions) AS place)::text,
        (SELECT coalesce(json_agg(lexeme ORDER BY place), '[]')
         FROM unnest(to_tsvector('datastore.simple', datastore.search_split(given.text))) AS found,
              unnest(found.positions) AS place)::text
    FROM unnest($1::text[]) WITH ORDINALITY AS given (text, place)
    ORDER BY given.place
"""

_HAS_TRIGRAMS = "SELECT to_regproc('datastore.similarity') IS NOT NULL"

_SIMILAR = """
    SELECT word FROM datastore.search_words WHERE word OPERATOR(datastore.%) $1
    ORDER BY datastore.similarity(word, $1) DESC, word
    LIMIT 1000
"""

_ONE_OFF = "SELECT word FROM datastore.search_words WHERE length(word) BETWEEN $2 AND $3 AND word LIKE ANY ($1::text[])"

_LIKE = "SELECT word FROM datastore.search_words WHERE word LIKE $1 ORDER BY word LIMIT $2"


@dataclass(frozen=True, slots=True)
class Analysis:
    """The lexemes of the texts of a query, and the words that its inexact words and patterns stand for."""

    lexemes: Mapping[str, Lexemes] = field(default_factory=dict)
    folded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The words of a text in lower case and without accents, not stemmed."""
    words: Mapping[Node, Sequence[str]] = field(default_factory=dict)


def leaves(node: Node) -> Iterable[Node]:
    """The nodes of a tree that have no children."""
    match node:
        case Not(child) | Boost(child, _):
            yield from leaves(child)
        case And(children) | Or(children) | AtLeast(_, children):
            for child in children:
                yield from leaves(child)
        case _:
            yield node


async def analyse(connection: asyncpg.Connection, nodes: Iterable[Node], texts: Iterable[str] = ()) -> Analysis:
    """Everything that :mod:`datastore.catalog.search.plan` needs to know of the words in these trees."""
    found = [leaf for node in nodes for leaf in leaves(node)]
    wanted = {leaf.text for leaf in found if isinstance(leaf, (Word, Phrase)) and _has_words(leaf.field)}
    wanted |= {literal(leaf.glob) for leaf in found if isinstance(leaf, Pattern) and _has_words(leaf.field)}
    lexemes, folded = await _lexemes(connection, [*dict.fromkeys([*sorted(wanted), *texts])])
    words: dict[Node, Sequence[str]] = {}
    for leaf in found:
        if isinstance(leaf, Word) and leaf.edits and _has_words(leaf.field) and len(folded[leaf.text]) == 1:
            words[leaf] = await similar_words(connection, folded[leaf.text][0], leaf.edits)
        elif isinstance(leaf, Pattern) and _has_words(leaf.field):
            words[leaf] = await _words_like(connection, leaf.glob)
    more = {word for others in words.values() for word in others} - lexemes.keys()
    if more:
        others, _ = await _lexemes(connection, sorted(more))
        lexemes |= others
    return Analysis(lexemes, folded, words)


def _has_words(name: str | None) -> bool:
    return name is None or fields.is_text(name)


def is_prefix(glob: str) -> bool:
    """The pattern has one ``*``, at its end, and nothing else that is wild."""
    parts = glob_parts(glob)
    return len(parts) > 1 and parts[-1] == "*" and not {"*", "?"} & set(parts[:-1])


def literal(glob: str) -> str:
    """The text before the first wild card of a pattern."""
    parts = glob_parts(glob)
    wild = next((place for place, part in enumerate(parts) if part in ("*", "?")), len(parts))
    return "".join(part[-1] for part in parts[:wild])


def like(glob: str) -> str:
    """The pattern for SQL's LIKE."""
    signs = {"*": "%", "?": "_"}
    return "".join(signs.get(part) or re.sub(r"([\\%_])", r"\\\1", part[-1]) for part in glob_parts(glob))


async def _lexemes(
    connection: asyncpg.Connection, texts: Sequence[str]
) -> tuple[dict[str, Lexemes], dict[str, tuple[str, ...]]]:
    lexemes: dict[str, Lexemes] = {}
    folded: dict[str, tuple[str, ...]] = {}
    if texts:
        rows = await connection.fetch(_ANALYSE, list(texts))
        for text, (stems, words) in zip(texts, rows, strict=True):
            lexemes[text] = tuple((stem, place) for stem, place in orjson.loads(stems))
            folded[text] = tuple(orjson.loads(words))
    return lexemes, folded


async def similar_words(connection: asyncpg.Connection, word: str, edits: int) -> list[str]:
    """Known words that differ from ``word`` in at most so many letters, the nearest first, itself included.

    They come from all datasets: none may be shown before it was found in one that the asker may see.
    """
    candidates = {word}
    if await connection.fetchval(_HAS_TRIGRAMS):
        candidates |= {row["word"] for row in await connection.fetch(_SIMILAR, word)}
    if len(word) <= _SHORT + 1:
        # Trigrams miss what is so short; of words of two letters every other would be similar.
        edits = min(edits, 1 if len(word) > 2 else 0)
        rows = await connection.fetch(_ONE_OFF, _one_off(word), len(word) - 1, len(word) + 1)
        candidates |= {row["word"] for row in rows}
    near = sorted((distance(word, other, edits), other) for other in candidates)
    return [other for away, other in near if away <= edits][:_MOST_WORDS]


def _one_off(word: str) -> list[str]:
    """Patterns of LIKE for all words that are one letter different."""
    letters = [re.sub(r"([\\%_])", r"\\\1", letter) for letter in word]
    found = set()
    for place in range(len(letters) + 1):
        before, after = "".join(letters[:place]), "".join(letters[place:])
        found.add(f"{before}_{after}")
        if place < len(letters):
            rest = "".join(letters[place + 1 :])
            found |= {f"{before}_{rest}", f"{before}{rest}"}
            if place + 1 < len(letters):
                found.add(f"{before}{letters[place + 1]}{letters[place]}{''.join(letters[place + 2 :])}")
    return sorted(found)


def distance(first: str, second: str, most: int) -> int:
    """How many letters must be changed, added, taken away or swapped with their neighbour; above ``most``, any number
    above it."""
    if abs(len(first) - len(second)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        last, before, row = before, row, [i]
        for j, other in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


async def _words_like(connection: asyncpg.Connection, glob: str) -> list[str]:
    _, folded = await _lexemes(connection, [part for part in re.split(r"[*?]", glob) if part])
    pattern = like(glob).lower()
    for part, words in folded.items():
        if len(words) == 1:
            pattern = pattern.replace(like(part).lower(), words[0])
    return [row["word"] for row in await connection.fetch(_LIKE, pattern, 2 * _MOST_WORDS)]
