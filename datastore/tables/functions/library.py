"""The ready-made trigger functions of ``triggers/``: one file each, whose head says what it does.

A file is the text of a function's body. Its head, which is a comment of a fixed form, goes into the database with it::

    -- check_codes: Refuses a value that is not in a list of codes.
    --
    -- Arguments:
    --   column   the column
    --   code …   the codes
    --
    -- Example:
    --   {"function": "check_codes", "arguments": ["state", "CA", "NY"]}
    --
    -- Whatever else is to be said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.migrate import asset_folder
from datastore.tables.functions.plpgsql import SCHEMA, create_function
from datastore.tables.names import printable

_HEAD = re.compile(
    r"""
    --\ (?P<name>[a-z_]+):\ (?P<summary>\S.*\.)\n
    --\n
    --\ Arguments:\n
    (?P<arguments>(?:--\ \ \ \S.*\n(?:--\ \ \ \ \ +\S.*\n)*)+)
    --\n
    --\ Example:\n
    --\ \ \ (?P<example>\{.*\})\n
    (?:--\n(?P<notes>(?:--(?:\ .*)?\n)+))?
    (?=DECLARE\n|BEGIN\n)
    """,
    re.VERBOSE,
)
_ARGUMENT = re.compile(r"^--   (?P<name>\S.*?)  +(?P<meaning>\S.*(?:\n--     +\S.*)*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LibraryFunction:
    """A file of the library."""

    name: str
    summary: str
    """One sentence."""
    arguments: tuple[tuple[str, str], ...]
    """Names and meanings; ``…`` in a name stands for several, brackets for what may be left out."""
    example: str
    """A member of ``triggers`` of datastore_create, as JSON text."""
    notes: str
    """Paragraphs of text, or nothing."""
    definition: str
    """The whole file: the body of the function, with its head."""


@cache
def library() -> dict[str, LibraryFunction]:
    """All functions of the library by name, sorted. Raises :class:`ValueError` for a file without a proper head."""
    return {path.stem: _read(path) for path in sorted(asset_folder("triggers").glob("*.sql"))}


def _read(path: Path) -> LibraryFunction:
    text = path.read_text(encoding="utf-8")
    head = _HEAD.match(text)
    if head is None or head["name"] != path.stem:
        raise ValueError(f"{path} has no head of the form that datastore/tables/functions/library.py describes")
    arguments = tuple((match["name"], _plain(match["meaning"])) for match in _ARGUMENT.finditer(head["arguments"]))
    return LibraryFunction(
        path.stem, head["summary"], arguments, head["example"], _paragraphs(head["notes"] or ""), text
    )


def _plain(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.split("\n"))


def _paragraphs(comment: str) -> str:
    lines = [line.removeprefix("--").strip() for line in comment.split("\n")]
    return "\n\n".join(" ".join(part.split("\n")) for part in "\n".join(lines).strip().split("\n\n"))


def find(name: str) -> LibraryFunction:
    """The function of that name. Raises :class:`ValidationError` ``name`` if the library has none."""
    found = library().get(name)
    if found is None:
        known = ", ".join(library())
        raise ValidationError({"name": [f'the library has no function "{printable(name)}"; it has {known}']})
    return found


async def states(connection: asyncpg.Connection | asyncpg.Pool) -> dict[str, str]:
    """How each function of the library stands in the database: ``absent``, ``installed``, ``outdated``, or ``other``
    (there is a function of this name that is not from the library)."""
    rows = await connection.fetch(
        """
        SELECT proname::text AS name, prosrc AS source
        FROM pg_proc
        WHERE pronamespace = $1::regnamespace AND pronargs = 0 AND proname::text = ANY($2::text[])
        """,
        SCHEMA,
        list(library()),
    )
    sources = {row["name"]: row["source"] for row in rows}
    return {name: _state(function, sources.get(name)) for name, function in library().items()}


def _state(function: LibraryFunction, source: str | None) -> str:
    if source is None:
        return "absent"
    if source == function.definition:
        return "installed"
    return "outdated" if source.startswith(f"-- {function.name}: ") else "other"


async def install(tx: Transaction, name: str) -> None:
    """Make the function in the database, or bring it up to date; tables that use it go on with the new one.

    Raises :class:`ValidationError` ``name`` if the library has none, or the one that is there is not from it.
    """
    function = find(name)
    state = (await states(tx.connection))[name]
    if state == "other":
        raise ValidationError({"name": [f"function {name}() is not from the library: delete it first"]})
    if state != "installed":
        await create_function(tx, name, function.definition, result="trigger", replace=True)
