"""Signs: parentheses, brackets, commas, dots; and parameters."""

from __future__ import annotations

from datastore.sqlgate.refusal import Doubtful, refused
from datastore.sqlgate.structure import names
from datastore.sqlgate.structure.reader import Level, Reader
from datastore.sqlgate.tokens import FORBIDDEN, NAME, OPERATOR, STRING, WORD

MAX_SUBSCRIPTS = 6
"""Of one array, as in PostgreSQL."""


def mark(reader: Reader, at: int, mark: str) -> int:
    """A sign. Gives the index where reading goes on."""
    level = reader.levels[-1]
    if mark == "(":
        if level.clause == "from" and level.expecting:
            level.expecting, level.after_item = False, True
            level.fresh = False
            reader.push(Level("from", clause="from", expecting=True))
        else:
            level.fresh = False
            reader.push(Level("group"))
    elif mark == ")":
        if level.kind == "brackets" or len(reader.levels) == 1 or level.expecting:
            raise Doubtful("a closing parenthesis out of place")
        if level.kind == "call" and at + 1 < len(reader.tokens) and reader.tokens[at + 1].kind == STRING:
            raise Doubtful("a type with modifiers is not supported here")  # f(1) 'x' would be a constant of type f
        reader.levels.pop()
    elif mark == "[":
        level.fresh = False
        if reader.texts[at - 1] == "]":
            reader.subscripts += 1
            if reader.subscripts >= MAX_SUBSCRIPTS:
                raise refused(f"an array has at most {MAX_SUBSCRIPTS} dimensions")
        else:
            reader.subscripts = 1
        reader.push(Level("brackets"))
    elif mark == "]":
        if level.kind != "brackets":
            raise Doubtful("a closing bracket out of place")
        reader.levels.pop()
    elif mark == ",":
        _comma(level)
    elif mark == ".":
        return _selection(reader, at)
    elif mark in (":=", ".."):
        raise refused(f"{mark} is not supported")
    return at + 1


def _comma(level: Level) -> None:
    if level.kind == "from" or (level.expecting and level.kind == "query"):
        raise Doubtful("a comma out of place")
    if level.kind == "query" and level.clause == "from":
        level.expecting, level.after_item = True, False
    elif level.kind == "query" and level.clause == "with":
        level.expecting = True


def _selection(reader: Reader, at: int) -> int:
    """A dot behind a parenthesis or bracket."""
    if at + 1 < len(reader.tokens) and reader.texts[at - 1] in (")", "]"):
        after = reader.tokens[at + 1]
        if after.kind == OPERATOR and after.text == "*":
            return at + 2
        if after.kind in (NAME, WORD, FORBIDDEN):
            names.attribute(reader, at + 1)
            reader.found.names.add(at + 1)
            if not reader.opens(at + 2):
                return at + 2
    raise Doubtful("a dot out of place")


def parameter(reader: Reader, text: str) -> None:
    """``$1`` and its like."""
    number = int(text[1:]) if len(text) < 7 else 0
    if not 1 <= number <= 1000:
        raise refused(f"there is no parameter {text}")
    reader.found.parameters = max(reader.found.parameters, number)
