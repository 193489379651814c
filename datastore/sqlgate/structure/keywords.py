"""Keywords: the clauses of queries, and those that stand for names, types and functions."""

from __future__ import annotations

from datastore.sqlgate.allowed import FUNCTION_KEYWORDS, PARENTHESIS_KEYWORDS, TYPE_KEYWORDS
from datastore.sqlgate.catalogue import RESERVED
from datastore.sqlgate.refusal import Doubtful, no_function, refused
from datastore.sqlgate.structure import names
from datastore.sqlgate.structure.reader import BEGINNINGS, Level, Reader
from datastore.sqlgate.tokens import NAME, NUMBER, PARAMETER, STRING

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


def forbidden(reader: Reader, at: int) -> int:
    """A reserved word that means nothing here: it may be a label. Gives the index where reading goes on."""
    if reader.texts[at - 1] == "as" and reader.levels[-1].call != "cast":
        reader.found.names.add(at)
        return names.chain(reader, at)
    raise Doubtful(f"{reader.tokens[at].text} is not allowed here")


def word(reader: Reader, at: int, word: str) -> int:
    """A keyword, which may stand for a name, type or function. Gives the index where reading goes on."""
    level, before, after = reader.levels[-1], reader.texts[at - 1], reader.texts[at + 1]
    reserved, opens = reader.catalogue.keywords[word] in RESERVED, after == "("
    if before == "as" and level.call != "cast" and not _after_with(level, word):
        reader.found.names.add(at)
        return names.chain(reader, at)
    if not reserved and (after == "." or _stands_for_a_name(level, word, before, opens)):
        reader.found.names.add(at)
        return names.chain(reader, at)
    if word not in TYPE_KEYWORDS and _stands_for_a_type(reader, at, word, level, before):
        if reserved:
            raise Doubtful(f"{word} is not a type")
        reader.found.names.add(at)
        return names.chain(reader, at)
    if word in TYPE_KEYWORDS and not (level.kind == "columns" and before in ("(", ",")):
        reader.found.types.add(at)
        if opens:
            level.fresh = False
            reader.push(Level("modifiers"))
            return at + 2
    elif opens and word in FUNCTION_KEYWORDS and not (word in _JOINS and level.clause == "from" and level.after_item):
        if level.clause == "from" and level.expecting:
            level.expecting, level.after_item = False, True
        level.fresh = False
        reader.found.calls[at] = word
        reader.push(Level("call", call=word))
        return at + 2
    elif opens and not _is_syntax(reader, at, word, level, before):
        raise no_function(word)
    else:
        _keyword(reader, at, word, level, before)
    reader.levels[-1].fresh = False
    if opens:
        reader.push(_behind(word, level))
        return at + 2
    return at + 1


def _is_syntax(reader: Reader, at: int, word: str, level: Level, before: str) -> bool:
    """A keyword before a parenthesis is part of the grammar there, and not the name of a function."""
    if word not in PARENTHESIS_KEYWORDS:
        return False
    if reader.catalogue.keywords[word] in ("R", "T", "C"):
        return True
    if word == "escape":
        return at > 0 and (before in (")", "]") or reader.tokens[at - 1].kind in (NAME, STRING, NUMBER, PARAMETER))
    if word in ("cube", "rollup"):
        return level.call == "sets" or (level.kind == "query" and level.clause == "group")
    return before in _BEFORE_PARENTHESIS[word]


def _after_with(level: Level, word: str) -> bool:
    return level.kind == "query" and level.clause == "with" and word in ("materialized", "not")


def _stands_for_a_name(level: Level, word: str, before: str, opens: bool) -> bool:
    """A keyword that is not reserved stands where only a name can."""
    if level.kind == "query" and level.clause == "with" and level.expecting:
        return word != "recursive" or before != "with"
    if level.kind == "columns":
        return before in ("(", ",")
    if level.clause == "from" and level.expecting:
        return word not in ("values", "rows") and not (opens and word in FUNCTION_KEYWORDS)
    return level.clause == "from" and level.after_item and word not in ("repeatable", "ordinality")


def _stands_for_a_type(reader: Reader, at: int, word: str, level: Level, before: str) -> bool:
    """A keyword stands where only a type can, or before a string constant, as a type does."""
    if before == "::" or (before == "as" and level.call == "cast"):
        return True
    if level.kind == "columns" and (reader.tokens[at - 1].kind == NAME or at - 1 in reader.found.names):
        return True
    before_string = at + 1 < len(reader.tokens) and reader.tokens[at + 1].kind == STRING
    # Those of category C (BETWEEN) are no names of types, but for TYPE_KEYWORDS.
    if not before_string or reader.catalogue.keywords[word] != "U":
        return False
    if word in _OF_TYPES:
        return before not in _OF_TYPES[word]
    if word == "by":
        return before not in _BEFORE_PARENTHESIS[word]
    return word != "escape" or at == 0 or before in BEGINNINGS


def _behind(word: str, level: Level) -> Level:
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


def _keyword(reader: Reader, at: int, word: str, level: Level, before: str) -> None:
    if word == "select" or word == "values":
        _query(level, before)
        level.kind, level.clause, level.after_item, level.expecting = "query", word, False, False
    elif word == "with":
        _with_clause(reader, at, level)
    elif word == "from":
        _from_clause(reader, at, level, before)
    elif word == "join":
        _in_from(level, word)
        level.expecting, level.after_item = True, False
    elif word in ("on", "using"):
        if word == "on" and before == "distinct":
            return
        _in_from(level, word)
        level.after_item = False
        if word == "using" and not reader.opens(at + 1):
            raise Doubtful("USING without a list")
    elif word in _JOINS:
        _in_from(level, word)
        level.after_item = False
    elif word == "lateral":
        if not (level.clause == "from" and level.expecting):
            raise Doubtful("LATERAL out of place")
    elif word in _SETS:
        _set_operation(level)
    elif word in _CLAUSES:
        _clause(level, word, before)
    elif word == "for":
        if level.call not in _SEPARATES_BY_FOR:
            raise refused("FOR UPDATE and FOR SHARE are not supported: the query cannot lock rows")
    elif word == "only":
        if before not in ("row", "rows"):
            raise refused("ONLY is not supported")
    elif word == "rows" and level.clause == "from" and level.expecting:
        raise refused("ROWS FROM is not supported")


def _query(level: Level, before: str) -> None:
    """A query begins: only at the start of a level, behind WITH or behind UNION and its like."""
    begins = level.fresh or level.clause == "with" or before in _SETS
    begins = begins or (before in ("all", "distinct") and level.clause == "set")
    if not begins or level.kind not in ("query", "group", "from"):
        raise Doubtful("a query out of place")


def _with_clause(reader: Reader, at: int, level: Level) -> None:
    after = reader.texts[at + 1]
    if after in ("time", "ordinality", "ties"):
        return
    if not level.fresh or level.kind not in ("query", "group", "from"):
        raise Doubtful("WITH out of place")
    level.kind, level.clause, level.expecting, level.after_item = "query", "with", True, False


def _from_clause(reader: Reader, at: int, level: Level, before: str) -> None:
    if level.call in _SEPARATES_BY_FROM:
        return
    if before == "distinct" and reader.texts[at - 2] in ("is", "not"):
        return
    if level.kind != "query" or level.clause != "select":
        raise Doubtful("FROM out of place")
    level.clause, level.expecting, level.after_item = "from", True, False


def _in_from(level: Level, word: str) -> None:
    if level.clause != "from" or level.expecting:
        raise Doubtful(f"{word} out of place")


def _set_operation(level: Level) -> None:
    if level.kind not in ("query", "group", "from") or level.fresh or (level.clause == "from" and level.expecting):
        raise Doubtful("a set operation out of place")
    level.kind, level.clause, level.after_item = "query", "set", False


def _clause(level: Level, word: str, before: str) -> None:
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
