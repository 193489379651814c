"""Text → tokens, by the rules of PostgreSQL's own lexer (scan.l), and tokens → canonical text.

In canonical text nothing can be read in two ways: names are quoted, strings have doubled quotes, comments are gone,
and blanks stand between all tokens. sqlglot's lexer has to find the same tokens, else the statement is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import ParseError, TokenError
from sqlglot.dialects.postgres import Postgres
from sqlglot.tokenizer_core import Token as ForeignToken

from datastore.postgres.quoting import MAX_IDENTIFIER_BYTES, literal
from datastore.sqlgate.allowed import FUNCTIONS, KEYWORDS
from datastore.sqlgate.catalogue import RESERVED, Catalogue
from datastore.sqlgate.refusal import NOT_SINGLE, Doubtful, refused

MAX_TOKENS = 10_000

NAME, WORD, FORBIDDEN, STRING, NUMBER, PARAMETER, OPERATOR, MARK = (
    "name",
    "word",
    "forbidden",
    "string",
    "number",
    "parameter",
    "operator",
    "mark",
)
"""Kinds of tokens. A ``word`` is a keyword that the gate knows; ``forbidden`` is a reserved one that it does not
(it may still be a label, behind AS or a dot); every other word is a ``name``."""

_LEXER = re.compile(
    r"""
    [ \t\n\r\f]*
  (?:
    (?P<word>(?![eEbBxXnN]'|[uU]&["'])[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<mark>::|:=|\.\.|[()\[\],;:]|\.(?![0-9]))
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<string>'[^']*(?:''[^']*)*')
  | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_$.\x80-\U0010ffff]))
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
  | (?P<line>--[^\n\r]*)
  | (?P<comment>/\*)
  | (?P<parameter>\$[0-9]{1,9}(?![A-Za-z0-9_$\x80-\U0010ffff]))
  | (?P<escaped>[eE]'(?:[^'\\]|''|\\.)*')
  | (?P<bits>[bBxX]'[^']*')
  | (?P<prefix>[nN]'|[uU]&["'])
  | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
  | (?P<end>\Z)
  | (?P<other>.)
  )
    """,
    re.VERBOSE | re.DOTALL,
)
_BITS = re.compile(r"[bB]'[01]*'|[xX]'[0-9a-fA-F]*'")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_CONTINUES = re.compile(r"(?:[ \t\f]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f]|--[^\n\r]*[\n\r])*")
"""What stands between two string constants that are one: blanks and line comments with a line break."""
_NOT_ARITHMETIC = frozenset("~!@#%^&|`?")
_SEVERAL = frozenset({OPERATOR, STRING, NUMBER, PARAMETER, MARK})
"""Kinds of which a token of ours may be several of sqlglot's."""
_FOLD = str.maketrans({chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)})

_DISAGREE = "The statement can be read in two ways."
_POSTGRES = Postgres()
_FOREIGN_LEXER = _POSTGRES.tokenizer()


@dataclass(slots=True)
class Token:
    """A token: ``text`` is what it means (a folded word, an unquoted name), ``sql`` its canonical form."""

    kind: str
    text: str
    sql: str
    start: int
    end: int
    """Where it stands in the statement; ``end`` is behind it."""


def tokenise(sql: str, catalogue: Catalogue) -> list[Token]:
    """The tokens of a statement, without a final semicolon.

    Raises :class:`ValidationError` ``query`` for what is no statement or more than one, and :class:`Doubtful`.
    """
    if "\\'" in sql:
        # Where a text ends then is what lexers disagree about; a quote is written twice (datastore-api.md §13).
        raise refused(NOT_SINGLE)
    tokens: list[Token] = []
    keywords = _keywords(catalogue)
    matches = _LEXER.finditer(sql)
    before_string, semicolons = "", False
    while True:
        found = next(matches)
        kind, end = found.lastgroup, found.end()
        if kind is None:
            raise AssertionError("the pattern takes everything")
        raw = found[kind]
        position = end - len(raw)
        if kind == "word":
            known, folded = keywords.get(raw), raw
            if known is None:
                folded = raw.lower() if raw.isascii() else raw.translate(_FOLD)
                known = keywords.get(folded)
            if known is None:
                token = _name(folded, position, end)
            elif known[0] == NAME:
                token = Token(*known, position, end)
            else:
                token = Token(known[0], known[1], raw, position, end)
        elif kind == "mark":
            token = Token(MARK, raw, raw, position, end)
            semicolons = semicolons or raw == ";"
        elif kind == "quoted":
            token = _name(raw[1:-1].replace('""', '"'), position, end)
        elif kind == "number":
            token = Token(NUMBER, raw, raw, position, end)
        elif kind == "operator":
            operator = _operator(raw) if len(raw) > 1 else raw
            token = Token(OPERATOR, operator, operator, position, position + len(operator))
            if operator != raw:
                matches = _LEXER.finditer(sql, token.end)
        elif kind == "string":
            text = raw[1:-1].replace("''", "'")
            if before_string in ("escaped", "bits") and _CONTINUES.fullmatch(sql, tokens[-1].end, position):
                raise refused("a constant of this kind cannot be continued on another line")
            if before_string == "string" and _CONTINUES.fullmatch(sql, tokens[-1].end, position):
                before = tokens.pop()
                text, position = before.text + text, before.start
            token = Token(STRING, text, literal(text), position, end)
        elif kind == "parameter":
            token = Token(PARAMETER, raw, raw, position, end)
        elif kind == "line":
            continue
        elif kind == "dollar":
            close = sql.find(raw, end)
            if close < 0:
                raise refused(f'unterminated dollar-quoted string at or near "{raw}"')
            text, end = sql[end:close], close + len(raw)
            token = Token(STRING, text, literal(text), position, end)
            matches = _LEXER.finditer(sql, end)
        elif kind in ("escaped", "bits"):
            if kind == "bits" and not _BITS.fullmatch(raw):
                raise refused(f"{raw} is not a bit string")
            token = Token(STRING, raw, raw, position, end)
        elif kind == "end":
            break
        elif kind == "other":
            raise _unreadable(sql, position)
        elif kind == "comment":
            matches = _LEXER.finditer(sql, _behind_comment(sql, end))
            continue
        else:
            raise refused(f"{raw[:-1]} before a quote is not supported")
        before_string = kind
        tokens.append(token)
        if len(tokens) > MAX_TOKENS:
            raise refused(f"Query is too long: it may have {MAX_TOKENS} words, numbers and signs.")
    if semicolons:
        while tokens and tokens[-1].text == ";" and tokens[-1].kind == MARK:
            tokens.pop()
        if any(token.text == ";" and token.kind == MARK for token in tokens):
            raise refused(NOT_SINGLE)
    if not tokens:
        raise refused("Query is empty.")
    return tokens


@lru_cache(maxsize=8)
def _keywords(catalogue: Catalogue) -> dict[str, tuple[str, str, str]]:
    """Kind, text and canonical form of each keyword, by its spelling in small and in capital letters.

    The canonical form is only that of those that are names: any other one stays as it is spelt.
    """
    found = {}
    for word, category in catalogue.keywords.items():
        if word in KEYWORDS:
            kind = WORD
        elif category in RESERVED:
            kind = FORBIDDEN
        else:
            kind = NAME
        # json_object() has a meaning that "json_object"() has not.
        bare = category == "C" and word in FUNCTIONS
        found[word] = found[word.upper()] = (kind, word, word if bare else f'"{word}"')
    return found


def _name(text: str, start: int, end: int) -> Token:
    if len(text) * 4 > MAX_IDENTIFIER_BYTES and len(text.encode()) > MAX_IDENTIFIER_BYTES:
        raise refused(f'the name "{text}" is longer than {MAX_IDENTIFIER_BYTES} bytes')
    return Token(NAME, text, '"' + text.replace('"', '""') + '"', start, end)


def _operator(run: str) -> str:
    """The first operator of a run: + and - end one only if a character of ``_NOT_ARITHMETIC`` is in it."""
    end = len(run)
    while end > 1 and run[end - 1] in "+-" and not _NOT_ARITHMETIC.intersection(run[: end - 1]):
        end -= 1
    return run[:end]


def _behind_comment(sql: str, position: int) -> int:
    """The end of a comment that begins before ``position``; comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    raise refused("unterminated /* comment")


def _unreadable(sql: str, position: int) -> Exception:
    character = sql[position]
    if character in "eEbBxX" and sql.startswith("'", position + 1):
        position, character = position + 1, "'"
    if character == "'":
        return refused(f'unterminated quoted string at or near "{sql[position : position + 40]}"')
    if character == '"':
        empty = sql.startswith('""', position)
        what = "zero-length delimited identifier" if empty else "unterminated quoted identifier"
        return refused(f'{what} at or near "{sql[position : position + 40]}"')
    if character.isdigit() or character == ".":
        number = re.match(r"[\w.]*", sql[position:])
        return refused(f'trailing junk after numeric literal at or near "{number[0] if number else character}"')
    return refused(f'syntax error at or near "{character}"')


def foreign_tokens(sql: str, tokens: list[Token]) -> list[list[ForeignToken]]:
    """For each token those of sqlglot's lexer, which must begin and end where ours do. Raises :class:`Doubtful`.

    An operator or a continued string of ours may be several of theirs, and two keywords of ours one.
    """
    try:
        foreign = _FOREIGN_LEXER.tokenize(sql)
    except (TokenError, ParseError, ValueError, IndexError) as error:
        raise Doubtful(_DISAGREE) from error
    parts: list[list[ForeignToken]] = []
    at, count, covered = 0, len(foreign), -1
    for token in tokens:
        start, end = token.start, token.end
        if start < covered:
            # sqlglot takes some pairs of keywords (ORDER BY) for one token.
            if token.kind != WORD or end > covered:
                raise Doubtful(_DISAGREE)
            parts.append([])
            continue
        if at >= count or foreign[at].start != start:
            raise Doubtful(_DISAGREE)
        if foreign[at].end + 1 == end:
            parts.append([foreign[at]])
            covered = end
            at += 1
            continue
        first = at
        while at < count and foreign[at].end + 1 < end:
            at += 1
        if at >= count:
            raise Doubtful(_DISAGREE)
        covered = foreign[at].end + 1
        at += 1
        if covered > end and (token.kind != WORD or at - first > 1):
            raise Doubtful(_DISAGREE)
        if at - first > 1 and token.kind not in _SEVERAL:
            raise Doubtful(_DISAGREE)
        parts.append(foreign[first:at])
    if covered > tokens[-1].end:
        raise Doubtful(_DISAGREE)
    if any(token.text != ";" for token in foreign[at:]):
        raise Doubtful(_DISAGREE)
    return parts
