"""Column types: what a client may declare, and what PostgreSQL makes of it (datastore-api.md §3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

# Words, an optional modifier, optional words behind it (`timestamp(3) with time zone`), optional array brackets.
_TYPE = re.compile(
    r"""(?P<name>[a-z_][a-z0-9_]*(?:\ (?:precision|varying|character|char))*)
        (?:\ ?\(\ ?(?P<modifier>\d{1,5}(?:\ ?,\ ?-?\d{1,5})?)\ ?\))?
        (?P<zone>\ with\ time\ zone|\ without\ time\ zone)?
        (?P<array>(?:\ ?\[\ ?\d{0,9}\ ?\])*)""",
    re.VERBOSE,
)
# Names that PostgreSQL's catalog does not know: those of the SQL standard, which its grammar does.
_STANDARD_NAMES = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "float": "float8",
    "double precision": "float8",
    "decimal": "numeric",
    "dec": "numeric",
    "boolean": "bool",
    "character varying": "varchar",
    "char varying": "varchar",
    "national character varying": "varchar",
    "national char varying": "varchar",
    "character": "bpchar",
    "char": "bpchar",
    "national character": "bpchar",
    "national char": "bpchar",
    "nchar": "bpchar",
    "bit varying": "varbit",
    # As datastore_info of the original calls it: clients copy definitions from there.
    "nested": "json",
}
# Types of the catalog itself, whose input functions look names up or which only the system can make sense of.
_REFUSED = re.compile(r"^_?(reg.*|pg_.*|aclitem|gtsvector|refcursor|cid|tid|xid|xid8|txid_snapshot|char|unknown)$")

TEXT = frozenset({"text", "varchar", "bpchar"})
INTEGERS = frozenset({"int2", "int4", "int8"})
FLOATS = frozenset({"float4", "float8"})
JSON = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared type, understood: ``sql`` may be put into a statement, ``name`` is its ``pg_type.typname``."""

    name: str
    sql: str

    @property
    def modified(self) -> bool:
        """It has a modifier, such as a length or a precision."""
        return "(" in self.sql


def parse(declared: str) -> Declared | None:
    """Read a type name as a client writes it, or None if it cannot be one. That the type exists is not checked.

    >>> parse(" Numeric ( 10,2 )")
    Declared(name='numeric', sql='pg_catalog."numeric"(10,2)')
    >>> parse("int; drop table x") is None
    True
    """
    match = _TYPE.fullmatch(" ".join(declared.lower().split())) if declared.isascii() else None
    if match is None:
        return None
    name, modifier, array = match["name"], (match["modifier"] or "").replace(" ", ""), bool(match["array"])
    if match["zone"] is not None:
        if name not in ("time", "timestamp"):
            return None
        name += "tz" if match["zone"] == " with time zone" else ""
    elif name == "float" and modifier:
        if not (modifier.isdigit() and 1 <= int(modifier) <= 53):
            return None
        name, modifier = ("float4" if int(modifier) <= 24 else "float8"), ""
    if name in ("char", "character", "nchar", "national char", "national character", "bit") and not modifier:
        modifier = "1"  # as the SQL standard has it
    name = _STANDARD_NAMES.get(name, name)
    if _REFUSED.match(name):
        return None
    if name.startswith("_"):
        if array or modifier:
            return None
        name, array = name[1:], True
    sql = f'pg_catalog."{name}"' + (f"({modifier})" if modifier else "") + ("[]" if array else "")
    return Declared(f"_{name}" if array else name, sql)


async def resolve(connection: asyncpg.Connection, declared: Iterable[str]) -> dict[str, Declared]:
    """The declared types that this server has, by their declared names; what is no type of a column is left out."""
    parsed = {text: found for text in declared if (found := parse(text)) is not None}
    rows = await connection.fetch(
        """
        SELECT typname::text AS name
        FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typname = ANY($1::text[])
        """,
        [found.name for found in parsed.values()],
    )
    existing = {row["name"] for row in rows}
    return {text: found for text, found in parsed.items() if found.name in existing}
