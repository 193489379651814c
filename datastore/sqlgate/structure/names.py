"""Names: which of them are relations, functions, types, columns and aliases."""

from __future__ import annotations

from datastore.sqlgate.allowed import ARRAY_TYPES, FUNCTIONS, SAMPLING, TYPES
from datastore.sqlgate.refusal import Doubtful, no_function, no_system_table, refused
from datastore.sqlgate.structure.reader import SYSTEM, Chain, Level, Reader
from datastore.sqlgate.tokens import FORBIDDEN, NAME, OPERATOR, STRING, WORD


def chain(reader: Reader, at: int) -> int:
    """A name, with what follows it by dots. Gives the index where reading goes on."""
    tokens, texts, parts, end = reader.tokens, reader.texts, [at], at + 1
    while texts[end] == "." and end + 1 < len(tokens):
        after = tokens[end + 1]
        if after.kind in (NAME, WORD, FORBIDDEN):
            reader.found.names.add(end + 1)
            parts.append(end + 1)
            end += 2
        elif after.kind == OPERATOR and after.text == "*":
            end += 2
            break
        else:
            raise Doubtful("a dot without a name")
    chain = Chain(tuple(parts), end)
    _place(reader, chain)
    reader.levels[-1].fresh = False
    return end + 1 if texts[end] == "(" else end


def _place(reader: Reader, chain: Chain) -> None:
    """Find out what the name is, by what stands before and behind it; open the level of its parentheses."""
    level, first, end = reader.levels[-1], chain.parts[0], chain.end
    before, opens = reader.texts[first - 1], reader.texts[end] == "("
    kind = level.kind
    if kind == "modifiers":
        raise Doubtful("a name among the modifiers of a type")
    if kind == "columns":
        _column_definition(reader, chain, before, opens)
    elif before == "::" or (before == "as" and level.call == "cast"):
        _type(reader, chain, opens)
    elif level.expecting and kind == "query" and level.clause == "with":
        _alias(reader, chain, opens)
        level.expecting = False
    elif level.expecting and level.clause == "from":
        level.expecting, level.after_item = False, True
        if opens:
            _called(reader, chain)
        else:
            _relation(reader, chain)
    elif level.after_item and level.clause == "from":
        if before == "tablesample":
            _sample(reader, chain, opens)
        else:
            _alias(reader, chain, opens)
            level.after_item = reader.texts[end] == "tablesample"
    elif before == "as":
        _alias(reader, chain, False)
        if opens:
            raise Doubtful("a parenthesis behind a label")
    elif before == "collate":
        if opens or (len(chain.parts) > 1 and reader.tokens[first].text != SYSTEM):
            raise Doubtful("a collation of another schema")
    elif opens:
        _called(reader, chain)
    elif end < len(reader.tokens) and reader.tokens[end].kind == STRING:
        _type(reader, chain, False)
    else:
        _column(reader, chain)


def _relation(reader: Reader, chain: Chain) -> None:
    if len(chain.parts) > 2 or reader.texts[chain.end - 1] == "*" or reader.tokens[chain.end - 1].text == "*":
        raise refused("a table has at most two names: dataset and resource")
    reader.found.relations.append(chain)


def _alias(reader: Reader, chain: Chain, opens: bool) -> None:
    if len(chain.parts) > 1 or chain.end != chain.parts[0] + 1:
        raise Doubtful("a dotted alias")
    if opens:
        reader.push(Level("columns"))


def _column(reader: Reader, chain: Chain) -> None:
    parts = chain.parts
    if len(parts) > 1:
        for part in parts[1:]:
            attribute(reader, part)
        if reader.tokens[parts[0]].text in reader.catalogue.schemas:
            raise no_system_table()
        if len(parts) > 3:
            raise Doubtful("too many dots")
    reader.found.columns.append(chain)


def attribute(reader: Reader, at: int) -> None:
    """A name behind a dot: PostgreSQL takes it for a function if there is no such column."""
    name = reader.tokens[at].text
    if name in reader.catalogue.functions and name not in FUNCTIONS:
        raise no_function(name)


def _called(reader: Reader, chain: Chain) -> None:
    last = chain.parts[-1]
    name = reader.tokens[last].text
    if chain.end != last + 1 or len(chain.parts) > 2:
        raise Doubtful("the name of a function with several dots")
    if len(chain.parts) == 2 and reader.tokens[chain.parts[0]].text != SYSTEM:
        raise no_function(f"{reader.tokens[chain.parts[0]].text}.{name}")
    if name in FUNCTIONS:
        reader.found.calls[last] = name
        reader.push(Level("call", call=name))
    elif name in TYPES and reader.tokens[last].kind == NAME:
        reader.found.types.add(chain.parts[0])
        reader.push(Level("modifiers"))
    else:
        raise no_function(name)


def _type(reader: Reader, chain: Chain, opens: bool) -> None:
    last = chain.parts[-1]
    name = reader.tokens[last].text
    qualified = len(chain.parts) == 2 and reader.tokens[chain.parts[0]].text == SYSTEM
    if chain.end != last + 1 or not (len(chain.parts) == 1 or qualified):
        raise refused("a cast to a type of another schema is not supported")
    if name not in TYPES and name not in ARRAY_TYPES:
        raise refused(f"a cast to the type {name} is not supported")
    reader.found.types.add(chain.parts[0])
    if opens:
        reader.push(Level("modifiers"))


def _column_definition(reader: Reader, chain: Chain, before: str, opens: bool) -> None:
    """In a list of columns: a name, or the type behind a name."""
    if before in ("(", ","):
        if opens:
            raise Doubtful("a parenthesis behind the name of a column")
        _alias(reader, chain, False)
    elif reader.tokens[chain.parts[0] - 1].kind in (NAME, WORD):
        _type(reader, chain, opens)
    else:
        raise Doubtful("not a list of columns")


def _sample(reader: Reader, chain: Chain, opens: bool) -> None:
    last = chain.parts[-1]
    if len(chain.parts) > 1 or not opens or reader.tokens[last].text not in SAMPLING:
        raise refused("TABLESAMPLE takes BERNOULLI or SYSTEM")
    reader.push(Level("group"))
