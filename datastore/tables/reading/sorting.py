"""Sort order: the clauses of a request → terms, which also tell how to go on behind a given row (keyset paging)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier
from datastore.tables.names import ID, printable
from datastore.tables.schema import ID_COLUMN, Column, TableSchema
from datastore.tables.types import TEXT

_CLAUSE = re.compile(
    r"(?P<name>.+?)(?:\s+(?P<direction>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Term:
    """One step of an order: an expression and a direction."""

    name: str
    sql: str
    type: str
    """The type of the expression, as the target of a cast."""
    descending: bool = False
    nulls_first: bool = False
    nullable: bool = True

    @property
    def order(self) -> str:
        """The term in an ORDER BY clause."""
        direction = " DESC" if self.descending else ""
        # PostgreSQL's default: NULL is larger than every value.
        nulls = "" if self.nulls_first == self.descending else f" NULLS {'FIRST' if self.nulls_first else 'LAST'}"
        return f"{self.sql}{direction}{nulls}"

    @property
    def key(self) -> str:
        """What the order is, in short: part of a cursor, so that it is not used with another order."""
        return f"{self.name} {'desc' if self.descending else 'asc'} {'first' if self.nulls_first else 'last'}"

    def same(self, value: str | None) -> str:
        """The condition that a row has this value (an SQL expression, None for NULL)."""
        return f"{self.sql} IS NULL" if value is None else f"{self.sql} = {value}"

    def after(self, value: str | None) -> str:
        """The condition that a row comes behind those with this value."""
        if value is None:
            return f"{self.sql} IS NOT NULL" if self.nulls_first else "false"
        beyond = f"{self.sql} {'<' if self.descending else '>'} {value}"
        return f"({beyond} OR {self.sql} IS NULL)" if self.nullable and not self.nulls_first else beyond


ID_TERM = Term(ID, f"t.{identifier(ID)}", "pg_catalog.int8", nullable=False)


def column_term(column: Column, descending: bool = False, nulls_first: bool | None = None) -> Term:
    """Order by a column. NULL comes last when ascending, first when descending, unless said otherwise."""
    if column is ID_COLUMN:
        return Term(ID, ID_TERM.sql, ID_TERM.type, descending, nullable=False)
    sql, type = f"t.{identifier(column.name)}", column.cast
    if column.type == "json":
        sql, type = f"{sql}::text", "pg_catalog.text"  # json itself has no order
    elif column.type in TEXT:
        type = "pg_catalog.text"
    return Term(
        column.name, sql, type, descending, descending if nulls_first is None else nulls_first, not column.not_null
    )


def parse(clauses: Iterable[str], schema: TableSchema) -> list[Term]:
    """The terms of ``name [asc|desc] [nulls first|last]`` clauses; a name may stand in double quotes.

    Raises :class:`ValidationError` ``sort`` with the clause that is not understood.
    """
    return [_parse(clause, schema) for clause in clauses]


def _parse(clause: str, schema: TableSchema) -> Term:
    # The bound is for the pattern, which takes long over thousands of blanks; no name comes near it.
    match = _CLAUSE.fullmatch(clause.strip()) if len(clause) <= 500 else None
    if match is not None:
        name = match["name"].strip()
        if len(name) > 1 and name[0] == name[-1] == '"':
            name = name[1:-1]
        column = schema.by_name.get(name)
        if column is not None:
            nulls = match["nulls"]
            return column_term(
                column,
                (match["direction"] or "").lower() == "desc",
                None if nulls is None else nulls.lower() == "first",
            )
    raise ValidationError({"sort": [f'invalid value "{printable(clause)}"']})


def behind(terms: Sequence[Term], values: Sequence[str | None]) -> str:
    """The condition that a row comes behind the row with these values of the terms (SQL expressions).

    The bound on the first term is written once more by itself, where it can be, so that an index serves it.
    """
    steps = []
    for number, (term, value) in enumerate(zip(terms, values, strict=True)):
        equal = [other.same(given) for other, given in zip(terms[:number], values[:number], strict=True)]
        steps.append(" AND ".join([*equal, term.after(value)]))
    condition = f"({' OR '.join(f'({step})' for step in steps)})"
    first, value = terms[0], values[0]
    if value is not None and (first.nulls_first or not first.nullable):
        return f"{first.sql} {'<=' if first.descending else '>='} {value} AND {condition}"
    return condition
