"""Tokens → what the statement touches: relations, functions, types; read by PostgreSQL's grammar, without its tree.

This is one of two readings of the same tokens. The other is sqlglot's tree (``tree.py``); both must find the same
relations and calls at the same places. It knows just enough of the grammar to tell what a name stands for, and refuses
what it does not expect.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from datastore.sqlgate.allowed import (
    ARRAY_TYPES,
    FUNCTION_KEYWORDS,
    FUNCTIONS,
    OPERATORS,
    PARENTHESIS_KEYWORDS,
    SAMPLING,
    TYPE_KEYWORDS,
    TYPES,
)
from datastore.sqlgate.catalogue import RESERVED, Catalogue
from datastore.sqlgate.refusal import Doubtful, no_function, no_system_table, refused
from datastore.sqlgate.tokens import FORBIDDEN, MARK, NAME, NUMBER, OPERATOR, PARAMETER, STRING, WORD, Token

MAX_DEPTH = 64
"""Parentheses and brackets inside each other."""

MAX_SUBSCRIPTS = 6
"""Of one array, as in PostgreSQL."""

SYSTEM = "pg_catalog"
FULL_TEXT = "_full_text"
_SYSTEM_SCHEMAS = frozenset({SYSTEM, "information_schema"})

_BEGINNINGS = frozenset({"select", "with", "values", "("})
_BEFORE_PARENTHESIS = {
    "by": ("order", "group", "partition"),
    "zone": ("time",),
    "over": (")",),
    "filter": (")",),
    "sets": ("grouping",),
    "first": ("fetch",),
    "next": ("fetch",),
    "repeatable": (")",),
    "materialized": ("as", "not"),
}
"""What stands before the keywords that could be the names of functions too, where they are none."""
_OF_TYPES = {"zone": ("time",), "precision": ("double",), "varying": ("character", "char", "bit")}
"""What stands before the later words of a type's name."""
_CLAUSES = frozenset({"where", "group", "having", "order", "window", "limit", "offset", "fetch"})
_SETS = frozenset({"union", "intersect", "except"})
_JOINS = frozenset({"natural", "cross", "inner", "left", "right", "full", "outer"})
_SEPARATES_BY_FROM = frozenset({"extract", "substring", "trim", "overlay"})
_SEPARATES_BY_FOR = frozenset({"substring", "overlay"})


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


@dataclass(frozen=True, slots=True)
class Chain:
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


class _Reader:
    def __init__(self, tokens: list[Token], catalogue: Catalogue) -> None:
        self.tokens = tokens
        self.catalogue = catalogue
        self.found = Structure()
        self.levels = [Level("query")]
        self._subscripts = 0

    def read(self) -> Structure:
        tokens, count = self.tokens, len(self.tokens)
        at = 0
        while at < count:
            token = tokens[at]
            kind = token.kind
            if kind == NAME:
                at = self._chain(at)
            elif kind == WORD:
                at = self._word(at, token.text)
            elif kind == MARK:
                at = self._mark(at, token.text)
            elif kind == FORBIDDEN:
                at = self._forbidden(at)
            else:
                if kind == OPERATOR:
                    if token.text not in OPERATORS:
                        raise refused(f"the operator {token.text} is not supported")
                elif kind == PARAMETER:
                    self._parameter(token.text)
                self.levels[-1].fresh = False
                at += 1
        if len(self.levels) > 1 or self.levels[0].expecting:
            raise Doubtful("the statement ends too early")
        return self.found

    # What stands around

    def _text(self, at: int) -> str:
        """The keyword or sign at an index; empty if something else, or nothing, is there."""
        if 0 <= at < len(self.tokens):
            token = self.tokens[at]
            if token.kind in (WORD, MARK):
                return token.text
        return ""

    def _opens(self, at: int) -> bool:
        return self._text(at) == "("

    def _push(self, level: Level) -> None:
        self.levels.append(level)
        if len(self.levels) > MAX_DEPTH:
            raise refused(f"Query is too deep: it may have {MAX_DEPTH} parentheses inside each other.")

    # Names

    def _chain(self, at: int) -> int:
        """A name, with what follows it by dots. Gives the index where reading goes on."""
        tokens, parts, end = self.tokens, [at], at + 1
        while self._text(end) == "." and end + 1 < len(tokens):
            after = tokens[end + 1]
            if after.kind in (NAME, WORD, FORBIDDEN):
                self.found.names.add(end + 1)
                parts.append(end + 1)
                end += 2
            elif after.kind == OPERATOR and after.text == "*":
                end += 2
                break
            else:
                raise Doubtful("a dot without a name")
        chain = Chain(tuple(parts), end)
        self._place(chain)
        self.levels[-1].fresh = False
        return end + 1 if self._opens(end) else end

    def _place(self, chain: Chain) -> None:
        """Find out what the name is, by what stands before and behind it; open the level of its parentheses."""
        level, first, end = self.levels[-1], chain.parts[0], chain.end
        before, opens = self._text(first - 1), self._opens(end)
        if level.kind == "modifiers":
            raise Doubtful("a name among the modifiers of a type")
        if level.kind == "columns":
            self._column_definition(chain, before, opens)
        elif before == "::" or (before == "as" and level.call == "cast"):
            self._type(chain, opens)
        elif level.kind == "query" and level.clause == "with" and level.expecting:
            self._alias(chain, opens)
            level.expecting = False
        elif level.clause == "from" and level.expecting:
            level.expecting, level.after_item = False, True
            if opens:
                self._call(chain)
            else:
                self._relation(chain)
        elif level.clause == "from" and level.after_item:
            if before == "tablesample":
                self._sample(chain, opens)
            else:
                self._alias(chain, opens)
                level.after_item = self._text(end) == "tablesample"
        elif before == "as":
            self._alias(chain, False)
            if opens:
                raise Doubtful("a parenthesis behind a label")
        elif before == "collate":
            if opens or (len(chain.parts) > 1 and self.tokens[first].text != SYSTEM):
                raise Doubtful("a collation of another schema")
        elif opens:
            self._call(chain)
        elif end < len(self.tokens) and self.tokens[end].kind == STRING:
            self._type(chain, False)
        else:
            self._column(chain)

    def _relation(self, chain: Chain) -> None:
        if len(chain.parts) > 2 or self._text(chain.end - 1) == "*" or self.tokens[chain.end - 1].text == "*":
            raise refused("a table has at most two names: dataset and resource")
        self.found.relations.append(chain)

    def _alias(self, chain: Chain, opens: bool) -> None:
        if len(chain.parts) > 1 or chain.end != chain.parts[0] + 1:
            raise Doubtful("a dotted alias")
        if opens:
            self._push(Level("columns"))

    def _column(self, chain: Chain) -> None:
        for part in chain.parts[1:]:
            self._attribute(part)
        if len(chain.parts) > 1 and self.tokens[chain.parts[0]].text in self.catalogue.schemas:
            raise no_system_table()
        if len(chain.parts) > 3:
            raise Doubtful("too many dots")
        self.found.columns.append(chain)

    def _attribute(self, at: int) -> None:
        """A name behind a dot: PostgreSQL takes it for a function if there is no such column."""
        name = self.tokens[at].text
        if name in self.catalogue.functions and name not in FUNCTIONS:
            raise no_function(name)

    def _call(self, chain: Chain) -> None:
        last = chain.parts[-1]
        name = self.tokens[last].text
        if chain.end != last + 1 or len(chain.parts) > 2:
            raise Doubtful("the name of a function with several dots")
        if len(chain.parts) == 2 and self.tokens[chain.parts[0]].text != SYSTEM:
            raise no_function(f"{self.tokens[chain.parts[0]].text}.{name}")
        if name in FUNCTIONS:
            self.found.calls[last] = name
            self._push(Level("call", call=name))
        elif name in TYPES and self.tokens[last].kind == NAME:
            self.found.types.add(chain.parts[0])
            self._push(Level("modifiers"))
        else:
            raise no_function(name)

    def _type(self, chain: Chain, opens: bool) -> None:
        last = chain.parts[-1]
        name = self.tokens[last].text
        qualified = len(chain.parts) == 2 and self.tokens[chain.parts[0]].text == SYSTEM
        if chain.end != last + 1 or not (len(chain.parts) == 1 or qualified):
            raise refused("a cast to a type of another schema is not supported")
        if name not in TYPES and name not in ARRAY_TYPES:
            raise refused(f"a cast to the type {name} is not supported")
        self.found.types.add(chain.parts[0])
        if opens:
            self._push(Level("modifiers"))

    def _column_definition(self, chain: Chain, before: str, opens: bool) -> None:
        """In a list of columns: a name, or the type behind a name."""
        if before in ("(", ","):
            if opens:
                raise Doubtful("a parenthesis behind the name of a column")
            self._alias(chain, False)
        elif self.tokens[chain.parts[0] - 1].kind in (NAME, WORD):
            self._type(chain, opens)
        else:
            raise Doubtful("not a list of columns")

    def _sample(self, chain: Chain, opens: bool) -> None:
        last = chain.parts[-1]
        if len(chain.parts) > 1 or not opens or self.tokens[last].text not in SAMPLING:
            raise refused("TABLESAMPLE takes BERNOULLI or SYSTEM")
        self._push(Level("group"))

    # Keywords

    def _forbidden(self, at: int) -> int:
        if self._text(at - 1) == "as" and self.levels[-1].call != "cast":
            self.found.names.add(at)
            return self._chain(at)
        raise Doubtful(f"{self.tokens[at].text} is not allowed here")

    def _word(self, at: int, word: str) -> int:
        level, before = self.levels[-1], self._text(at - 1)
        category, opens = self.catalogue.keywords[word], self._opens(at + 1)
        if before == "as" and level.call != "cast" and not self._after_with(level, word):
            self.found.names.add(at)
            return self._chain(at)
        if self._text(at + 1) == "." and category not in RESERVED:
            self.found.names.add(at)
            return self._chain(at)
        if category not in RESERVED and self._stands_for_a_name(level, word, before, opens):
            self.found.names.add(at)
            return self._chain(at)
        if word not in TYPE_KEYWORDS and self._stands_for_a_type(at, word, level, before):
            if category in RESERVED:
                raise Doubtful(f"{word} is not a type")
            self.found.names.add(at)
            return self._chain(at)
        if word in TYPE_KEYWORDS and not (level.kind == "columns" and before in ("(", ",")):
            self.found.types.add(at)
            if opens:
                level.fresh = False
                self._push(Level("modifiers"))
                return at + 2
        elif (
            opens and word in FUNCTION_KEYWORDS and not (word in _JOINS and level.clause == "from" and level.after_item)
        ):
            if level.clause == "from" and level.expecting:
                level.expecting, level.after_item = False, True
            level.fresh = False
            self.found.calls[at] = word
            self._push(Level("call", call=word))
            return at + 2
        elif opens and not self._is_syntax(at, word, level, before, category):
            raise no_function(word)
        else:
            self._keyword(at, word, level, before)
        self.levels[-1].fresh = False
        if opens:
            self._push(self._behind(word, level))
            return at + 2
        return at + 1

    def _is_syntax(self, at: int, word: str, level: Level, before: str, category: str) -> bool:
        """A keyword before a parenthesis is part of the grammar there, and not the name of a function."""
        if word not in PARENTHESIS_KEYWORDS:
            return False
        if category in RESERVED or category == "C":
            return True
        if word == "escape":
            return at > 0 and (before in (")", "]") or self.tokens[at - 1].kind in (NAME, STRING, NUMBER, PARAMETER))
        if word in ("cube", "rollup"):
            return level.call == "sets" or (level.kind == "query" and level.clause == "group")
        return before in _BEFORE_PARENTHESIS[word]

    def _after_with(self, level: Level, word: str) -> bool:
        return level.kind == "query" and level.clause == "with" and word in ("materialized", "not")

    def _stands_for_a_name(self, level: Level, word: str, before: str, opens: bool) -> bool:
        """A keyword that is not reserved stands where only a name can."""
        if level.kind == "query" and level.clause == "with" and level.expecting:
            return word != "recursive" or before != "with"
        if level.kind == "columns":
            return before in ("(", ",")
        if level.clause == "from" and level.expecting:
            return word not in ("values", "rows") and not (opens and word in FUNCTION_KEYWORDS)
        return level.clause == "from" and level.after_item and word not in ("repeatable", "ordinality")

    def _stands_for_a_type(self, at: int, word: str, level: Level, before: str) -> bool:
        """A keyword stands where only a type can, or before a string constant, as a type does."""
        if before == "::" or (before == "as" and level.call == "cast"):
            return True
        if level.kind == "columns" and (self.tokens[at - 1].kind == NAME or at - 1 in self.found.names):
            return True
        before_string = at + 1 < len(self.tokens) and self.tokens[at + 1].kind == STRING
        # Those of category C (BETWEEN) are no names of types, but for TYPE_KEYWORDS.
        if not before_string or self.catalogue.keywords[word] != "U":
            return False
        if word in _OF_TYPES:
            return before not in _OF_TYPES[word]
        if word == "by":
            return before not in _BEFORE_PARENTHESIS[word]
        return word != "escape" or at == 0 or before in _BEGINNINGS

    def _behind(self, word: str, level: Level) -> Level:
        """The level of the parenthesis behind a keyword."""
        if word == "cast":
            return Level("call", call="cast")
        if word == "sets":
            return Level("group", call="sets")
        if word in ("from", "join", "lateral") and level.clause == "from" and level.expecting:
            level.expecting, level.after_item = False, True
            return Level("from", clause="from", expecting=True)
        if word == "as" and level.clause == "from" and level.after_item:
            level.after_item = False
            return Level("columns")
        return Level("group")

    def _keyword(self, at: int, word: str, level: Level, before: str) -> None:
        if word == "select" or word == "values":
            self._query(level, before)
            level.kind, level.clause, level.after_item, level.expecting = "query", word, False, False
        elif word == "with":
            self._with(at, level)
        elif word == "from":
            self._from(at, level, before)
        elif word == "join":
            self._in_from(level, word)
            level.expecting, level.after_item = True, False
        elif word in ("on", "using"):
            if word == "on" and before == "distinct":
                return
            self._in_from(level, word)
            level.after_item = False
            if word == "using" and not self._opens(at + 1):
                raise Doubtful("USING without a list")
        elif word in _JOINS:
            self._in_from(level, word)
            level.after_item = False
        elif word == "lateral":
            if not (level.clause == "from" and level.expecting):
                raise Doubtful("LATERAL out of place")
        elif word in _SETS:
            self._set(level)
        elif word in _CLAUSES:
            self._clause(level, word, before)
        elif word == "for":
            if level.call not in _SEPARATES_BY_FOR:
                raise refused("FOR UPDATE and FOR SHARE are not supported: the query cannot lock rows")
        elif word == "only":
            if before not in ("row", "rows"):
                raise refused("ONLY is not supported")
        elif word == "rows" and level.clause == "from" and level.expecting:
            raise refused("ROWS FROM is not supported")

    def _query(self, level: Level, before: str) -> None:
        """A query begins: only at the start of a level, behind WITH or behind UNION and its like."""
        begins = level.fresh or level.clause == "with" or before in _SETS
        begins = begins or (before in ("all", "distinct") and level.clause == "set")
        if not begins or level.kind not in ("query", "group", "from"):
            raise Doubtful("a query out of place")

    def _with(self, at: int, level: Level) -> None:
        after = self._text(at + 1)
        if after in ("time", "ordinality", "ties"):
            return
        if not level.fresh or level.kind not in ("query", "group", "from"):
            raise Doubtful("WITH out of place")
        level.kind, level.clause, level.expecting, level.after_item = "query", "with", True, False

    def _from(self, at: int, level: Level, before: str) -> None:
        if level.call in _SEPARATES_BY_FROM:
            return
        if before == "distinct" and self._text(at - 2) in ("is", "not"):
            return
        if level.kind != "query" or level.clause != "select":
            raise Doubtful("FROM out of place")
        level.clause, level.expecting, level.after_item = "from", True, False

    def _in_from(self, level: Level, word: str) -> None:
        if level.clause != "from" or level.expecting:
            raise Doubtful(f"{word} out of place")

    def _set(self, level: Level) -> None:
        if level.kind not in ("query", "group", "from") or level.fresh or (level.clause == "from" and level.expecting):
            raise Doubtful("a set operation out of place")
        level.kind, level.clause, level.after_item = "query", "set", False

    def _clause(self, level: Level, word: str, before: str) -> None:
        if word == "group" and before == "within":
            return
        if level.kind == "query":
            if level.expecting or level.clause == "with":
                raise Doubtful(f"{word} out of place")
            level.clause, level.after_item = word, False
        elif level.kind == "from":
            # FROM ((SELECT …) ORDER BY …): the parentheses held a query after all.
            if level.expecting or not level.after_item:
                raise Doubtful(f"{word} out of place")
            level.kind, level.clause, level.after_item = "query", word, False

    # Signs

    def _mark(self, at: int, mark: str) -> int:
        level = self.levels[-1]
        if mark == "(":
            if level.clause == "from" and level.expecting:
                level.expecting, level.after_item = False, True
                level.fresh = False
                self._push(Level("from", clause="from", expecting=True))
            else:
                level.fresh = False
                self._push(Level("group"))
        elif mark == ")":
            if level.kind == "brackets" or len(self.levels) == 1 or level.expecting:
                raise Doubtful("a closing parenthesis out of place")
            if level.kind == "call" and at + 1 < len(self.tokens) and self.tokens[at + 1].kind == STRING:
                raise Doubtful("a type with modifiers is not supported here")  # f(1) 'x' would be a constant of type f
            self.levels.pop()
        elif mark == "[":
            level.fresh = False
            if self._text(at - 1) == "]":
                self._subscripts += 1
                if self._subscripts >= MAX_SUBSCRIPTS:
                    raise refused(f"an array has at most {MAX_SUBSCRIPTS} dimensions")
            else:
                self._subscripts = 1
            self._push(Level("brackets"))
        elif mark == "]":
            if level.kind != "brackets":
                raise Doubtful("a closing bracket out of place")
            self.levels.pop()
        elif mark == ",":
            self._comma(level)
        elif mark == ".":
            return self._selection(at)
        elif mark in (":=", ".."):
            raise refused(f"{mark} is not supported")
        return at + 1

    def _comma(self, level: Level) -> None:
        if level.kind == "from" or (level.expecting and level.kind == "query"):
            raise Doubtful("a comma out of place")
        if level.kind == "query" and level.clause == "from":
            level.expecting, level.after_item = True, False
        elif level.kind == "query" and level.clause == "with":
            level.expecting = True

    def _selection(self, at: int) -> int:
        """A dot behind a parenthesis or bracket."""
        if at + 1 < len(self.tokens) and self._text(at - 1) in (")", "]"):
            after = self.tokens[at + 1]
            if after.kind == OPERATOR and after.text == "*":
                return at + 2
            if after.kind in (NAME, WORD, FORBIDDEN):
                self._attribute(at + 1)
                self.found.names.add(at + 1)
                if not self._opens(at + 2):
                    return at + 2
        raise Doubtful("a dot out of place")

    def _parameter(self, text: str) -> None:
        number = int(text[1:]) if len(text) < 7 else 0
        if not 1 <= number <= 1000:
            raise refused(f"there is no parameter {text}")
        self.found.parameters = max(self.found.parameters, number)


def read(tokens: list[Token], catalogue: Catalogue) -> Structure:
    """What the tokens name.

    Raises :class:`NotAuthorized` and :class:`ValidationError` for what is not allowed, :class:`Doubtful` for what is
    not understood.
    """
    if tokens[0].kind not in (WORD, MARK) or tokens[0].text not in _BEGINNINGS:
        raise Doubtful("Only SELECT is supported.")
    found = _Reader(tokens, catalogue).read()
    for index, token in enumerate(tokens):
        # Nothing that is named like a table or schema of PostgreSQL's own passes, wherever it stands.
        system = token.kind == NAME and (token.text in catalogue.relations or token.text in _SYSTEM_SCHEMAS)
        if system and not (token.text == SYSTEM and _allowed_qualifier(index, tokens, found)):
            raise no_system_table()
    return found


def _allowed_qualifier(index: int, tokens: list[Token], found: Structure) -> bool:
    """``pg_catalog`` before the name of an allowed function, type or collation."""
    before_collation = index > 0 and tokens[index - 1].text == "collate"
    return index + 2 in found.calls or index in found.types or before_collation
