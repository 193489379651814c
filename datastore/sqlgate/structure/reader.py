"""What is known while the tokens are read, from left to right: where we are, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.refusal import refused
from datastore.sqlgate.tokens import MARK, WORD, Token

MAX_DEPTH = 64
"""Parentheses and brackets inside each other."""

SYSTEM = "pg_catalog"
FULL_TEXT = "_full_text"
BEGINNINGS = frozenset({"select", "with", "values", "("})
"""What a query begins with."""


@dataclass(slots=True)
class Level:
    """What is between two parentheses, or the whole statement."""

    kind: str
    """``query``, ``from`` (a join or sub-select in FROM), ``columns`` (a list of column names, or of definitions),
    ``modifiers`` (of a type), ``brackets``, ``call``, or ``group`` (anything else; becomes ``query`` at SELECT)."""
    clause: str = ""
    expecting: bool = False
    """A relation, sub-select or function comes next (in FROM); or the name of a common table expression (in WITH)."""
    after_item: bool = False
    """An item of FROM may get its alias now."""
    call: str = ""
    fresh: bool = True
    """Nothing has been read in it: a query may begin."""


class Chain(NamedTuple):
    """A dotted name: the token indexes of its parts."""

    parts: tuple[int, ...]
    end: int
    """The index behind the last part."""


@dataclass(slots=True)
class Structure:
    """What the tokens name."""

    relations: list[Chain] = field(default_factory=list)
    calls: dict[int, str] = field(default_factory=dict)
    """Function by the index of the token that names it."""
    types: set[int] = field(default_factory=set)
    """Indexes of the tokens that begin a type."""
    names: set[int] = field(default_factory=set)
    """Indexes of the tokens that are names even if spelt like keywords: labels, and what stands behind a dot."""
    columns: list[Chain] = field(default_factory=list)
    parameters: int = 0
    """The highest number of a parameter."""


class Reader:
    """The tokens of a statement, the levels of parentheses around the present one, and what was found."""

    def __init__(self, tokens: list[Token], catalogue: Catalogue) -> None:
        self.tokens = tokens
        self.catalogue = catalogue
        self.found = Structure()
        self.levels = [Level("query")]
        self.subscripts = 0
        self.texts = [token.text if token.kind == WORD or token.kind == MARK else "" for token in tokens]
        """The keyword or sign at an index, from -2 on; empty if something else, or nothing, is there."""
        self.texts += [""] * 4  # what is behind the end, and, by negative indexes, before the beginning

    def opens(self, at: int) -> bool:
        """A parenthesis opens at an index."""
        return self.texts[at] == "("

    def push(self, level: Level) -> None:
        """A parenthesis or bracket has opened."""
        self.levels.append(level)
        if len(self.levels) > MAX_DEPTH:
            raise refused(f"Query is too deep: it may have {MAX_DEPTH} parentheses inside each other.")
