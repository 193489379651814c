"""Queries in plain words: ``rivers "water quality" +danube -map``, the mode of a ``q`` without a colon."""

from __future__ import annotations

import math
import re

from datastore.catalog.search.query.lucene import MAX_CLAUSES, MAX_LENGTH
from datastore.catalog.search.query.tree import (
    And,
    AtLeast,
    Everything,
    Node,
    Not,
    Pattern,
    Phrase,
    QuerySyntaxError,
    Word,
)

MIN_MATCH = "2<-1 5<80%"
"""One or two words: all; three to five: all but one; more: four of five."""

_TOKEN = re.compile(r'([+-]?)(?:"([^"]*)"?|([^\s"]+))')
_RULE = re.compile(r"(?:(\d{1,6})\s*<\s*)?(-?\d{1,6})(%?)")


def parse(text: str, min_match: str = MIN_MATCH) -> Node:
    """The tree of a query in words. Every text is one; only its length and number of words are limited.

    Raises :class:`QuerySyntaxError` for those.
    """
    if len(text) > MAX_LENGTH:
        raise QuerySyntaxError(f"The query is longer than {MAX_LENGTH} characters")
    wanted: list[Node] = []
    others: list[Node] = []
    for sign, phrase, bare in _TOKEN.findall(text):
        node = _word(bare) if bare else Phrase(phrase)
        if node is None or (not bare and not phrase.strip()):
            continue
        if sign == "+":
            others.append(node)
        elif sign == "-":
            others.append(Not(node))
        else:
            wanted.append(node)
    if len(wanted) + len(others) > MAX_CLAUSES:
        raise QuerySyntaxError(f"The query has more than {MAX_CLAUSES} words")
    nodes = [*([AtLeast(min_match, tuple(wanted))] if wanted else []), *others]
    if not nodes:
        return Everything()
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _word(bare: str) -> Node | None:
    stem = bare.rstrip("*")
    if not any(letter.isalnum() for letter in stem):
        return None
    return Word(bare) if stem == bare else Pattern(re.sub(r"([\\*?])", r"\\\1", stem) + "*")


def required(rule: str, count: int) -> int:
    """How many of ``count`` clauses must match by a rule: ``2``, ``-1``, ``75%``, ``-25%``, ``2<-1 5<80%``.

    The last condition that ``count`` exceeds decides; before the first, all. What is no rule asks for all.
    """
    result = count
    for part in re.split(r"\s+(?=\d+\s*<)", rule.strip()):
        found = _RULE.fullmatch(part.strip())
        if found is None:
            return count
        above, number, percent = found.groups()
        if above is not None and count <= int(above):
            break
        value = int(number)
        share = math.floor(count * abs(value) / 100) if percent else abs(value)
        result = count - share if value < 0 else share
    return max(0, min(count, result))
