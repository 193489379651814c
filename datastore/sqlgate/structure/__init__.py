"""Tokens → what the statement touches: relations, functions, types; read by PostgreSQL's grammar, without its tree.

This is one of two readings of the same tokens. The other is sqlglot's tree (``tree.py``); both must find the same
relations and calls at the same places. It knows just enough of the grammar to tell what a name stands for, and refuses
what it does not expect.
"""

from __future__ import annotations

from datastore.sqlgate.allowed import OPERATORS
from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.refusal import Doubtful, no_system_table
from datastore.sqlgate.structure import keywords, names, signs
from datastore.sqlgate.structure.reader import BEGINNINGS, FULL_TEXT, SYSTEM, Chain, Reader, Structure
from datastore.sqlgate.tokens import FORBIDDEN, MARK, NAME, OPERATOR, PARAMETER, WORD, Token

__all__ = ["FULL_TEXT", "Chain", "Structure", "read"]

_SYSTEM_SCHEMAS = frozenset({SYSTEM, "information_schema"})


def read(tokens: list[Token], catalogue: Catalogue) -> Structure:
    """What the tokens name.

    Raises :class:`NotAuthorized` and :class:`ValidationError` for what is not allowed, :class:`Doubtful` for what is
    not understood.
    """
    if tokens[0].kind not in (WORD, MARK) or tokens[0].text not in BEGINNINGS:
        raise Doubtful("Only SELECT is supported.")
    found = _found(Reader(tokens, catalogue))
    for index, token in enumerate(tokens):
        # Nothing that is named like a table or schema of PostgreSQL's own passes, wherever it stands.
        system = token.kind == NAME and (token.text in catalogue.relations or token.text in _SYSTEM_SCHEMAS)
        if system and not (token.text == SYSTEM and _allowed_qualifier(index, tokens, found)):
            raise no_system_table()
    return found


def _found(reader: Reader) -> Structure:
    tokens, count = reader.tokens, len(reader.tokens)
    at = 0
    while at < count:
        token = tokens[at]
        kind = token.kind
        if kind == NAME:
            at = names.chain(reader, at)
        elif kind == WORD:
            at = keywords.word(reader, at, token.text)
        elif kind == MARK:
            at = signs.mark(reader, at, token.text)
        elif kind == FORBIDDEN:
            at = keywords.forbidden(reader, at)
        else:
            if kind == OPERATOR:
                if token.text not in OPERATORS:
                    raise Doubtful(f"the operator {token.text} is not supported")
            elif kind == PARAMETER:
                signs.parameter(reader, token.text)
            reader.levels[-1].fresh = False
            at += 1
    if len(reader.levels) > 1 or reader.levels[0].expecting:
        raise Doubtful("the statement ends too early")
    return reader.found


def _allowed_qualifier(index: int, tokens: list[Token], found: Structure) -> bool:
    """``pg_catalog`` before the name of an allowed function, type or collation."""
    before_collation = index > 0 and tokens[index - 1].text == "collate"
    return index + 2 in found.calls or index in found.types or before_collation
