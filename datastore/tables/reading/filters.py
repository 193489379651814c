"""Filters: which rows a client wants, as JSON → a condition in SQL (datastore-api.md §7, and beyond it).

    {"city": "Graz", "age": {"gte": 18, "lt": 65}, "$or": [{"vip": true}, {"visits": [1, 2, {"gt": 99}]}]}

An object's entries must all hold; of a list of objects one must. An entry is a column with a value (equal), a list (one
of the values or operator objects), or an object of operators (all hold); or a group: ``$and``, ``$or``, ``$not``, whose
lists of objects nest. A column whose own name starts with ``$`` is written with one more.

============ ===========================================================================================
eq, ne       equal, or not; ``null`` is equal to no value alone
in, nin      equal to one of a list, or to none of it
gt gte lt lte  larger, smaller; between [a, b] is ``gte`` a and ``lte`` b
is_null      true or false
like, ilike  the pattern language of SQL (``%``, ``_``, escaped by ``\\``); ilike ignores case
contains     text: this text is in it; array: this element, or all of these; json: PostgreSQL's ``@>``
icontains    as contains of text, case ignored
startswith   the text starts with this
overlaps     array: at least one of these elements
============ ===========================================================================================

Rules that hold for all of them:

- *NULL* fits only what asks for it: ``null``, ``is_null``. What negates (``ne``, ``nin``, ``$not``) finds exactly the
  rows that the same without the negation does not find: ``ne 5`` finds rows without a value too.
- *Types*: PostgreSQL's input function for the column's type reads the value's text. So ``"412"`` and ``412`` are one
  for an integer column, ``1``, ``"yes"`` and ``true`` for a boolean, ``25`` and ``"25"`` for text. What it refuses is
  an error. A JSON number is a number to any integer column: larger than 1.5, or than 10^20, has an answer.
- *JSON* columns compare by structure: ``{"eq": {"a": 1}}`` finds ``{"a": 1.0}`` in any layout. An object that stands
  directly with the column, or in its list, is one of operators.
- The operators of text work on the text form of any column that is no array.
"""

from __future__ import annotations

from typing import Any

from datastore.tables.arguments import Arguments
from datastore.tables.reading import conditions, filter_sql
from datastore.tables.schema import TableSchema

__all__ = ["Arguments", "plan"]


def plan(filters: Any, schema: TableSchema, arguments: Arguments) -> str | None:
    """The condition as SQL over the unqualified columns of the table, or None if every row fits.

    ``filters`` is decoded JSON; numbers may be Decimals, which keep their digits. Raises :class:`ValidationError` for
    ``filters``. That a value fits its column's type shows when the statement runs.
    """
    condition = conditions.read(filters, schema.by_name)
    return filter_sql.write(condition, arguments) if filters else None
