"""The second reading of the tokens: sqlglot's tree, whose every node has to be of an allowed kind.

The tree and ``structure.py`` must agree on where relations and calls stand. What sqlglot would make of names is taken
out of its hands: it gets the tokens as PostgreSQL will see them, every function under a name that it does not know, so
that it keeps all arguments as they are.
"""

from __future__ import annotations

from sqlglot import ParseError, exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token as ForeignToken
from sqlglot.tokenizer_core import TokenType

from datastore.sqlgate.allowed import TYPE_KEYWORDS
from datastore.sqlgate.refusal import UNSUPPORTED, Doubtful, refused
from datastore.sqlgate.structure import Structure
from datastore.sqlgate.tokens import MARK, NAME, NUMBER, OPERATOR, PARAMETER, STRING, WORD, Token

_DIALECT = Postgres()
_DISAGREE = "The statement can be read in two ways."
_SPECIAL = frozenset({"extract", "substring", "overlay", "position", "trim"})
"""Functions with a syntax of their own, which sqlglot parses as such."""
_REWRITTEN = frozenset({"some", "all", "unknown", "row", "array", "tablesample"})
"""Keywords that sqlglot sees in another form, or not at all, in some places."""
_NATIVE_OPERATORS = frozenset({"+", "-", "*", "/", "=", "<>", "!=", "<", ">", "<=", ">=", "||", "=>", "~"})
_ENDS_OPERAND = frozenset(
    {")", "]", "null", "true", "false", "end", "current_date", "current_time", "current_timestamp"}
)

NODES: frozenset[type[exp.Expr]] = frozenset(
    {
        # queries
        exp.Select, exp.Subquery, exp.Union, exp.Intersect, exp.Except, exp.With, exp.CTE, exp.Values, exp.Tuple,
        exp.From, exp.Table, exp.TableAlias, exp.Join, exp.Lateral, exp.Where, exp.Group, exp.Having, exp.Order,
        exp.Ordered, exp.Limit, exp.Offset, exp.Fetch, exp.LimitOptions, exp.Distinct, exp.Star, exp.Alias,
        exp.Aliases, exp.GroupingSets, exp.Rollup, exp.Cube, exp.TableSample, exp.ColumnDef, exp.Schema,
        # values
        exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Dot, exp.Cast, exp.DataType,
        exp.DataTypeParam, exp.Array, exp.Bracket, exp.Slice, exp.Var, exp.Interval, exp.IntervalSpan, exp.Concat,
        exp.Case, exp.If, exp.Exists, exp.Any, exp.All, exp.In, exp.Between, exp.Collate, exp.AtTimeZone,
        exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp,
        # functions
        exp.Anonymous, exp.Extract, exp.Substring, exp.Overlay, exp.StrPosition, exp.Trim, exp.Window, exp.WindowSpec,
        exp.Filter, exp.WithinGroup, exp.Kwarg, exp.PropertyEQ, exp.Variadic,
        # operators
        exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Neg, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.And, exp.Or,
        exp.Not, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.DPipe, exp.BitwiseOr, exp.BitwiseNot, exp.RegexpLike,
        exp.Like, exp.ILike, exp.SimilarTo, exp.Escape, exp.Overlaps, exp.Or,
    }
)  # fmt: skip


def parse(tokens: list[Token], foreign: list[list[ForeignToken]], structure: Structure, sql: str) -> exp.Expr:
    """The tree of the one statement. Raises :class:`Doubtful`."""
    parser = PostgresParser(dialect=_DIALECT)
    try:
        [tree] = parser.parse(_seen_by_parser(tokens, foreign, structure), sql)
    except (ParseError, RecursionError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        # sqlglot meets malformed statements with exceptions of many kinds.
        raise Doubtful(UNSUPPORTED) from error
    if tree is None:
        raise Doubtful("Query is empty.")
    return tree


def _seen_by_parser(tokens: list[Token], foreign: list[list[ForeignToken]], structure: Structure) -> list[ForeignToken]:
    names, calls, types = structure.names, structure.calls, structure.types
    seen: list[ForeignToken] = []
    brackets: list[bool] = []
    skipped = sampled = -1
    for at, token in enumerate(tokens):
        if at <= skipped:
            continue
        kind, text, theirs = token.kind, token.text, foreign[at]
        if at in calls:
            if kind == WORD and text in _SPECIAL:
                seen.append(theirs[0])
            else:
                seen.append(_token(TokenType.VAR, f"f_{text}", theirs))
        elif at in types and (kind == NAME or text == "json"):
            # Any type by a name that has modifiers in every dialect.
            skipped = at + 2 if text == "pg_catalog" and tokens[at + 1].text == "." else at
            seen.append(_token(TokenType.VARCHAR, "varchar", theirs))
        elif at == sampled:
            seen.extend(theirs)
        elif kind == NAME or at in names:
            seen.append(_token(TokenType.IDENTIFIER, text, theirs))
        elif kind == WORD:
            if text not in _REWRITTEN:
                seen.extend(theirs)
            elif text == "some" or _is_all_of(tokens, at):
                seen.append(_token(TokenType.ANY, "any", theirs))  # sqlglot has no SOME, and no ALL of an array
            elif text == "unknown":
                seen.append(_token(TokenType.NULL, "null", theirs))  # sqlglot has no IS NOT UNKNOWN
            elif (text == "row" and tokens[at + 1].text == "(") or (text == "array" and tokens[at + 1].text == "["):
                pass  # ROW (1, 2) is (1, 2)
            else:
                seen.extend(theirs)
                sampled = at + 1 if text == "tablesample" else -1
        elif kind == MARK:
            if text not in "[]":
                seen.extend(theirs)
            elif text == "[" and tokens[at + 1].text == "]" and tokens[at - 1].text != "array":
                skipped = at + 1  # an array of a type
            else:
                seen.append(_bracket(tokens, at, names, theirs, brackets))
        elif kind == OPERATOR and text not in _NATIVE_OPERATORS:
            binary = at > 0 and _ends_operand(tokens[at - 1], at - 1 in names)
            seen.append(_token(TokenType.PIPE, "|", theirs) if binary else _token(TokenType.DASH, "-", theirs))
        elif kind == STRING:
            seen.append(_token(TokenType.STRING, text, theirs))
        elif kind in (NUMBER, PARAMETER):
            seen.append(_token(TokenType.NUMBER, "1" if kind == PARAMETER else text, theirs))
        else:
            seen.extend(theirs)
    return seen


def _is_all_of(tokens: list[Token], at: int) -> bool:
    """ALL behind an operator, as in ``x > ALL (…)``."""
    before = tokens[at - 1]
    return tokens[at].text == "all" and at > 0 and (before.kind == OPERATOR or before.text in ("like", "ilike"))


def _bracket(
    tokens: list[Token], at: int, names: set[int], theirs: list[ForeignToken], brackets: list[bool]
) -> ForeignToken:
    """A subscript keeps its brackets; ARRAY [1, 2] becomes (1, 2): sqlglot's time for nested arrays is exponential."""
    if tokens[at].text == "]":
        return theirs[0] if brackets.pop() else _token(TokenType.R_PAREN, ")", theirs)
    before = tokens[at - 1]
    subscript = before.text != "array" and (_ends_operand(before, at - 1 in names) or before.text in TYPE_KEYWORDS)
    brackets.append(subscript)
    return theirs[0] if subscript else _token(TokenType.L_PAREN, "(", theirs)


def _token(kind: TokenType, text: str, theirs: list[ForeignToken]) -> ForeignToken:
    first = theirs[0]
    return ForeignToken(kind, text, first.line, first.col, first.start, first.end)


def _ends_operand(token: Token, is_name: bool) -> bool:
    return is_name or token.kind in (NAME, STRING, NUMBER, PARAMETER) or token.text in _ENDS_OPERAND


def check(tree: exp.Expr, tokens: list[Token], structure: Structure) -> list[exp.Table]:
    """Refuse nodes that are not allowed, and a tree that finds other relations or calls than ``structure``.

    Gives the tables of the tree in the order in which they stand. Raises :class:`ValidationError`, :class:`Doubtful`.
    """
    tables: dict[int, exp.Table] = {}
    calls: set[int] = set()
    special: list[str] = []
    if not isinstance(tree, exp.Query | exp.Values):
        raise Doubtful("Only SELECT is supported.")
    for node in tree.walk():
        kind = type(node)
        if kind not in NODES:
            raise refused(f"{kind.__name__} is not supported")
        if kind not in _NAMING:
            continue
        if isinstance(node, exp.Table):
            name = node.this
            if type(name) is exp.Identifier:
                tables[name.meta["start"]] = node
        elif kind is exp.Anonymous:
            calls.add(node.meta["start"])
        else:
            special.append(_SPECIAL_NODES[kind])
    expected: set[int] = set()
    expected_special: list[str] = []
    for at, function in structure.calls.items():
        if tokens[at].kind == WORD and function in _SPECIAL:
            expected_special.append(function)
        else:
            expected.add(tokens[at].start)
    if calls != expected or sorted(special) != sorted(expected_special):
        raise Doubtful(_DISAGREE)
    if set(tables) != {tokens[chain.parts[-1]].start for chain in structure.relations}:
        raise Doubtful(_DISAGREE)
    return [tables[start] for start in sorted(tables)]


_SPECIAL_NODES: dict[type[exp.Expr], str] = {
    exp.Extract: "extract",
    exp.Substring: "substring",
    exp.Overlay: "overlay",
    exp.StrPosition: "position",
    exp.Trim: "trim",
}
_NAMING = frozenset({exp.Table, exp.Anonymous, *_SPECIAL_NODES})
"""Nodes that stand for a relation or a call."""


def is_cte(table: exp.Table) -> bool:
    """The name of the table is that of a common table expression that it can see."""
    if table.args.get("db") is not None:
        return False
    name = table.name
    child: exp.Expr = table
    parent = table.parent
    inside: exp.CTE | None = None
    while parent is not None:
        if isinstance(parent, exp.CTE):
            inside = parent
        elif isinstance(parent, exp.With):
            # Within WITH: those before, or with RECURSIVE all of them.
            for cte in parent.expressions:
                if cte is inside and not parent.args.get("recursive"):
                    break
                if cte.alias == name:
                    return True
        else:
            with_ = parent.args.get("with_")
            if with_ is not None and with_ is not child and any(cte.alias == name for cte in with_.expressions):
                return True
        child, parent = parent, parent.parent
    return False
