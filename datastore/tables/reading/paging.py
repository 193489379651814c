"""The SQL of one page of rows: selected, ordered, and found by offset or behind a cursor's row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from datastore.postgres.quoting import identifier
from datastore.tables.reading import sorting
from datastore.tables.reading.cursor import Position
from datastore.tables.reading.filters import Arguments
from datastore.tables.reading.sorting import Term


def split(offset: int) -> tuple[int, int]:
    """An offset as a power of two (or 0) and the rest, which is less than that.

    The first stands in the statement and the rest is its argument. So pages share statements, and PostgreSQL, which
    plans each of them once, knows how many rows it will read within a factor of two.
    """
    begin = 1 << (offset.bit_length() - 1) if offset else 0
    return begin, offset - begin


NUMBER = "__number"
"""Column of a numbered page: its rows are counted from 1."""


@dataclass(frozen=True)
class Page:
    """What is on a page."""

    table: str
    where: str
    columns: Mapping[str, str]
    """Expressions over the table ``t`` by the name under which the page gives them."""
    terms: Sequence[Term]
    limit: int | None
    offset: int = 0
    distinct: bool = False
    position: Position | None = None
    """The row behind which the page starts."""
    numbered: bool = False
    """Also give the row numbers, and the sort values of the last row (:attr:`last`)."""

    def sql(self, arguments: Arguments) -> tuple[str, str]:
        """The common table expressions (or nothing), and the FROM item with the page's rows."""
        condition, terms, tail = self._behind(arguments)
        rows = self._part(condition, terms, arguments)
        if not self.numbered:
            return "", f"({rows})"
        if tail is None:
            return f"WITH page AS MATERIALIZED ({_counted(rows)}) ", "page"
        # Behind the rows with a value in the first term come those without, if the page has room for them.
        room = f" LIMIT {self.limit} - (SELECT count(*) FROM head)"
        return (
            f"WITH head AS MATERIALIZED ({_counted(rows)}),"
            f" tail AS MATERIALIZED ({_counted(self._select(tail, room, self.terms[1:]))}),"
            f" page AS (SELECT * FROM head UNION ALL SELECT {', '.join(self._names)},"
            f" {NUMBER} + (SELECT count(*) FROM head) FROM tail) "
        ), "page"

    @property
    def last(self) -> str:
        """The statement that gives what :func:`read_last` reads."""
        values = "".join(f", {_value(number)}" for number in range(len(self.terms)))
        return f"SELECT json_build_array({NUMBER}::text{values}) FROM page ORDER BY {NUMBER} DESC LIMIT 1"

    @property
    def _names(self) -> list[str]:
        values = [_value(number) for number in range(len(self.terms))] if self.numbered else []
        return [*(identifier(name) for name in self.columns), *values]

    def _select(self, condition: str, limits: str, order: Sequence[Term]) -> str:
        expressions = list(self.columns.values())
        if self.numbered:
            expressions += [f"({term.sql})::text" for term in self.terms]
        chosen = ", ".join(f"{sql} AS {name}" for sql, name in zip(expressions, self._names, strict=True))
        where = " AND ".join(part for part in (self.where, condition) if part)
        return (
            f"SELECT {'DISTINCT ' if self.distinct else ''}{chosen} FROM {self.table} AS t"
            + (f" WHERE {where}" if where else "")
            + (f" ORDER BY {', '.join(term.order for term in order)}" if order else "")
            + limits
        )

    def _part(self, condition: str, terms: Sequence[Term], arguments: Arguments) -> str:
        # The limit stands in the text: PostgreSQL then plans the statement once and for it.
        limit = "" if self.limit is None else f" LIMIT {self.limit}"
        if not self.offset or arguments.inline:
            return self._select(condition, f"{limit} OFFSET {self.offset}" if self.offset else limit, terms)
        begin, rest = split(self.offset)
        most = "" if self.limit is None else f" LIMIT {self.limit + begin}"
        rows = self._select(condition, f"{most} OFFSET {begin}", terms)
        return f"SELECT * FROM ({rows}) AS begun{limit} OFFSET {arguments.add(str(rest))}::text::bigint"

    def _behind(self, arguments: Arguments) -> tuple[str, Sequence[Term], str | None]:
        """The condition of the rows behind the position, and their order.

        If rows without a value in the first term come last, they are left out, and their condition is given apart:
        the others are then a range that an ordinary index serves, in its own order.
        """
        if self.position is None:
            return "", self.terms, None
        values = [
            None if value is None else f"({arguments.add(value)}::text)::{term.type}"
            for term, value in zip(self.terms, self.position.values, strict=True)
        ]
        first = self.terms[0]
        if values[0] is None or not first.nullable or first.nulls_first or self.limit is None:
            return sorting.behind(self.terms, values), self.terms, None
        terms = [replace(first, nullable=False, nulls_first=first.descending), *self.terms[1:]]
        return sorting.behind(terms, values), terms, f"{first.sql} IS NULL"


def _counted(rows: str) -> str:
    return f"SELECT *, row_number() OVER () AS {NUMBER} FROM ({rows}) AS ordered"


def _value(number: int) -> str:
    return f"__value{number}"


def read_last(last: bytes | None) -> tuple[int, list[str | None] | None]:
    """The number of rows of a page, and the sort values of its last row; 0 and None for an empty page."""
    if last is None:
        return 0, None
    number, *values = msgspec.json.decode(last, type=list[str | None])
    return int(number or 0), values
