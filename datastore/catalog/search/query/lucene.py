"""Queries in Lucene's syntax, as clients send them in ``fq``, and in ``q`` with a colon (catalog-api.md §C7).

A grammar of our own, by recursive descent. NOT binds tighter than AND, AND tighter than OR; what merely stands side by
side is joined by AND::

    query  = all { ("OR" | "||") all }
    all    = clause { ["AND" | "&&"] clause }
    clause = { "+" | "-" | "!" | "NOT" } [ field ":" ] value
    value  = ( "(" query ")" | word | pattern | phrase | range ) [ "~" number ] [ "^" number ]
"""

from __future__ import annotations

import re

from datastore.catalog.search.query.tree import (
    And,
    Boost,
    Everything,
    Exists,
    Node,
    Not,
    Or,
    Pattern,
    Phrase,
    QuerySyntaxError,
    Range,
    Word,
)

MAX_DEPTH = 50
MAX_CLAUSES = 1024
MAX_LENGTH = 100_000
MAX_EDITS = 2
MAX_SLOP = 20
MAX_BOOST = 1e6

_SPACE = re.compile(r"\s*")
_OR = re.compile(r"OR(?![^\s()\"])|\|\|")
_AND = re.compile(r"AND(?![^\s()\"])|&&")
_NOT = re.compile(r"NOT(?![^\s()\"])|!|-")
_PLUS = re.compile(r"\+")
_BARE = re.compile(r"""(?:\\.|&(?!&)|\|(?!\|)|[^\s(){}\[\]^"~:\\&|])+""", re.DOTALL)
_BARE_WITH_COLONS = re.compile(r"""(?:\\.|&(?!&)|\|(?!\|)|[^\s(){}\[\]^"~\\&|])+""", re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_END_OF_RANGE = re.compile(r'"(?:\\.|[^"\\])*"|(?:\\.|[^\s\]}"\\])+', re.DOTALL)
_TO = re.compile(r"\s+TO\s+")
_NUMBER = re.compile(r"=?(\d+(?:\.\d*)?|\.\d+)")


def parse(text: str) -> Node:
    """The tree of a query; blank text is everything. Raises :class:`QuerySyntaxError`."""
    if len(text) > MAX_LENGTH:
        raise QuerySyntaxError(f"The query is longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    parser.skip()
    if parser.at_end:
        return Everything()
    node = parser.query(None)
    if not parser.at_end:
        raise QuerySyntaxError(f"Cannot parse '{_shown(text)}': unexpected '{parser.rest}'")
    return node


def unescape(text: str) -> str:
    """The text without the backslashes that take the meaning from the next character."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


class _Parser:
    """Where we are in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._clauses = 0

    @property
    def at_end(self) -> bool:
        return self._position >= len(self._text)

    @property
    def rest(self) -> str:
        """The next characters, for messages."""
        return self._text[self._position : self._position + 20]

    def skip(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._position)
        if found is not None:
            self._position = found.end()
        return found

    def _fail(self, what: str) -> QuerySyntaxError:
        where = f"unexpected '{self.rest}'" if not self.at_end else "unexpected end"
        return QuerySyntaxError(f"Cannot parse '{_shown(self._text)}': {where}, {what}")

    def query(self, field: str | None) -> Node:
        """Alternatives. One with a ``+`` must match; those without only matter to the order then."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QuerySyntaxError(f"The query is nested more than {MAX_DEPTH} deep")
        found = [self._all(field)]
        while self._take(_OR):
            self.skip()
            found.append(self._all(field))
        self._depth -= 1
        required = tuple(node for node, must in found if must)
        if required and len(found) > 1:
            return required[0] if len(required) == 1 else And(required)
        nodes = tuple(node for node, _ in found)
        return nodes[0] if len(nodes) == 1 else Or(nodes)

    def _all(self, field: str | None) -> tuple[Node, bool]:
        nodes = []
        required = False
        while True:
            node, must = self._clause(field)
            nodes.append(node)
            required |= must
            if self._take(_AND):
                self.skip()
            elif self.at_end or self._text[self._position] == ")" or _OR.match(self._text, self._position):
                break
        return (nodes[0] if len(nodes) == 1 else And(tuple(nodes))), required

    def _clause(self, field: str | None) -> tuple[Node, bool]:
        self._clauses += 1
        if self._clauses > MAX_CLAUSES:
            raise QuerySyntaxError(f"The query has more than {MAX_CLAUSES} clauses")
        negated = required = False
        for _ in range(MAX_DEPTH):
            if self._take(_NOT):
                negated = not negated
            elif self._take(_PLUS):
                required = True
            else:
                break
            self.skip()
        node = self._value(self._field(field))
        self.skip()
        return (Not(node) if negated else node), required

    def _field(self, field: str | None) -> str | None:
        start = self._position
        found = self._take(_BARE)
        if found is None or self.at_end or self._text[self._position] != ":":
            self._position = start
            return field
        self._position += 1
        self.skip()
        return unescape(found[0])

    def _value(self, field: str | None) -> Node:
        if self.at_end:
            raise self._fail("a word is missing")
        match self._text[self._position]:
            case "(":
                node = self._group(None if field == "*" else field)
            case '"':
                node = self._phrase(field)
            case "[" | "{":
                node = self._range(field)
            case _:
                node = self._word(field)
        return self._boosted(node)

    def _group(self, field: str | None) -> Node:
        self._position += 1
        self.skip()
        node = self.query(field)
        if self.at_end or self._text[self._position] != ")":
            raise self._fail("a closing parenthesis is missing")
        self._position += 1
        return node

    def _phrase(self, field: str | None) -> Node:
        found = self._take(_QUOTED)
        if found is None:
            raise self._fail("a quotation mark is missing")
        text = unescape(found[1])
        slop = 0
        if self._take(re.compile("~")):
            slop = min(int(self._number(0)), MAX_SLOP)
        return Phrase(text, None if field == "*" else field, slop)

    def _range(self, field: str | None) -> Node:
        includes_low = self._text[self._position] == "["
        self._position += 1
        self.skip()
        low = self._take(_END_OF_RANGE)
        to = low and self._take(_TO)
        high = to and self._take(_END_OF_RANGE)
        self.skip()
        if low is None or high is None or self.at_end or self._text[self._position] not in "]}":
            raise self._fail("a range is [a TO b] or {a TO b}")
        includes_high = self._text[self._position] == "]"
        self._position += 1
        found = Range(None if field == "*" else field, _end(low[0]), _end(high[0]), includes_low, includes_high)
        if found.low is None and found.high is None:
            return Everything() if found.field is None else Exists(found.field)
        return found

    def _word(self, field: str | None) -> Node:
        # After a field, further colons belong to the value: times and addresses are full of them.
        found = self._take(_BARE if field is None else _BARE_WITH_COLONS)
        if found is None:
            raise self._fail("a word is expected")
        raw = found[0]
        if field is None and raw in ("AND", "OR", "NOT"):
            raise QuerySyntaxError(f"Cannot parse '{_shown(self._text)}': {raw} stands alone")
        wild = re.search(r"(?<!\\)(?:\\\\)*[*?]", raw) is not None
        if field == "*":
            field = None
        if raw == "*":
            return Everything() if field is None else Exists(field)
        if wild:
            return Pattern(raw, field)
        edits = 0
        if self._take(re.compile("~")):
            number = self._number(MAX_EDITS)
            # Before there were edits, there were similarities from 0 to 1.
            edits = min(int(number), MAX_EDITS) if number >= 1 or number == 0 else 1 if number >= 0.7 else 2
        return Word(unescape(raw), field, edits)

    def _boosted(self, node: Node) -> Node:
        if not self._take(re.compile(r"\^")):
            return node
        return Boost(node, min(self._number(None), MAX_BOOST))

    def _number(self, otherwise: float | None) -> float:
        found = self._take(_NUMBER)
        if found is not None:
            return float(found[1])
        if otherwise is None:
            raise self._fail("a number is expected")
        return otherwise


def _end(text: str) -> str | None:
    if text == "*":
        return None
    return unescape(text[1:-1]) if text.startswith('"') else unescape(text)
