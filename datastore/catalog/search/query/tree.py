"""What a query says, as a tree; and the text of a tree in Lucene's syntax."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias


class QuerySyntaxError(ValueError):
    """A query cannot be understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Everything:
    """All datasets."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word, in a field or anywhere; with up to ``edits`` letters wrong, missing or too many."""

    text: str
    field: str | None = None
    edits: int = 0


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words one after the other, with up to ``slop`` others between two of them, or as a field's whole value."""

    text: str
    field: str | None = None
    slop: int = 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """``*`` stands for any letters, ``?`` for one; a backslash takes their meaning from them, and from itself."""

    glob: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Range:
    """Values from ``low`` to ``high``; None is no limit."""

    field: str | None
    low: str | None
    high: str | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True, slots=True)
class Not:
    """What the child does not match."""

    child: Node


@dataclass(frozen=True, slots=True)
class And:
    """What all children match."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What at least one of the children matches."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """What enough of the children match: a rule such as ``2<-1 5<80%``, applied to those that say anything at all."""

    rule: str
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Boost:
    """The child, weighing so much more in the order by relevance."""

    child: Node
    factor: float


Node: TypeAlias = Everything | Word | Phrase | Pattern | Exists | Range | Not | And | Or | AtLeast | Boost

_SPECIAL = re.compile(r"""([\s+\-!(){}\[\]^"~*?:\\&|])""")
_OPERATORS = frozenset({"AND", "OR", "NOT"})


def to_text(node: Node) -> str:
    """The tree as a query in Lucene's syntax, which is parsed to the same tree. :class:`AtLeast` has no such form."""
    match node:
        case Everything():
            return "*:*"
        case Word(text, field, edits):
            return _field(field) + _escaped(text) + (f"~{edits}" if edits else "")
        case Phrase(text, field, slop):
            return _field(field) + _quoted(text) + (f"~{slop}" if slop else "")
        case Pattern(glob, field):
            return _field(field) + "".join(_glob_part(part) for part in glob_parts(glob))
        case Exists(field):
            return f"{_field(field)}*"
        case Range(field, low, high, includes_low, includes_high):
            opening, closing = "[" if includes_low else "{", "]" if includes_high else "}"
            ends = " TO ".join("*" if end is None else _quoted(end) for end in (low, high))
            return f"{_field(field)}{opening}{ends}{closing}"
        case Not(child):
            return f"NOT {_nested(child)}"
        case And(children):
            return " AND ".join(map(_nested, children))
        case Or(children):
            return " OR ".join(map(_nested, children))
        case Boost(child, factor):
            return f"{_nested(child)}^{factor:g}"
        case AtLeast():
            raise ValueError("only a query in words has this")


def glob_parts(glob: str) -> list[str]:
    """A pattern as a list of ``*``, ``?`` and literal characters, the latter each after a backslash."""
    return re.findall(r"\\.|[*?]|[^*?\\]", glob, re.DOTALL)


def _glob_part(part: str) -> str:
    return part if part in ("*", "?") else _escaped(part[-1])


def _nested(node: Node) -> str:
    text = to_text(node)
    return f"({text})" if isinstance(node, (Not, And, Or, Boost)) else text


def _field(field: str | None) -> str:
    return "" if field is None else f"{_escaped(field)}:"


def _escaped(text: str) -> str:
    escaped = _SPECIAL.sub(r"\\\1", text)
    return f"\\{escaped}" if text in _OPERATORS else escaped


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
