"""PostgreSQL's errors in the API's words: the one place that does it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import asyncpg

from datastore.errors import ValidationError

REFUSED = (asyncpg.PostgresError, asyncpg.PostgresWarning)
"""What asyncpg raises for a statement that writes records: a function may RAISE EXCEPTION with the SQLSTATE of a
warning, and asyncpg goes by that."""

# The routines of PostgreSQL by which RAISE and ASSERT of a PL/pgSQL function speak, with any SQLSTATE they like.
_RAISED = frozenset({"exec_stmt_raise", "exec_stmt_assert"})
# Classes of SQLSTATE that tell of the server's state, not of what the client sent: connection, transaction state,
# rollback, resources, locks, operator, system, bug.
_NOT_INPUT = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
# Those of them that a function brings about by what it does: SET TRANSACTION, currval() of a sequence not used yet, …
_OF_FUNCTIONS = frozenset({"25", "55", "XX"})
_COPY_LINE = re.compile(r"^COPY .*, line (\d+)", re.MULTILINE)


def about_input(error: asyncpg.PostgresError) -> bool:
    """What the client sent is the reason, so that the same request would fail again."""
    state = error.sqlstate or "XX000"
    return raised(error) or state[:2] not in _NOT_INPUT or (state[:2] in _OF_FUNCTIONS and _in_function(error, state))


def _in_function(error: asyncpg.PostgresError, state: str) -> bool:
    return "PL/pgSQL" in (error.context or "") and state != "55P03"  # that one is a lock


def raised(error: asyncpg.PostgresError) -> bool:
    """A function of a trigger says so, in its own words; the SQLSTATE it chose tells nothing about the server."""
    return error.server_source_function in _RAISED


def message(error: asyncpg.PostgresError) -> str:
    """The first line of the message."""
    return (error.message or str(error)).split("\n", 1)[0]


def reason(error: asyncpg.PostgresError) -> str:
    """The same for clients: where our own objects live in the database is nobody's business."""
    return message(error).replace('"datastore.', '"')


def copy_row(error: asyncpg.PostgresError) -> int | None:
    """The zero-based number of the row at which a COPY failed, if the error tells it."""
    lines = _COPY_LINE.findall(error.context or "")
    return int(lines[-1]) - 1 if lines else None


def record_error(
    error: asyncpg.PostgresError, numbers: Sequence[int] | None = None
) -> asyncpg.PostgresError | ValidationError:
    """The error to raise when PostgreSQL refused records: ``records`` with ``records_row``, or ``error`` itself if the
    records are not the reason.

    ``numbers`` are the indexes, in the request, of the rows that were copied; of a single one it is the failing one.
    """
    if not about_input(error):
        return error
    fields: dict[str, Any] = {"records": [message(error)]}
    row = 0 if numbers is not None and len(numbers) == 1 else copy_row(error)
    if row is not None:
        fields["records_row"] = row if numbers is None else numbers[row]
    return ValidationError(fields)


def query_error(error: asyncpg.PostgresError, key: str, text: str) -> asyncpg.PostgresError | ValidationError:
    """The error to raise when PostgreSQL refused a query: ``key`` with ``text``, and a safe reason in ``info``."""
    if isinstance(error, asyncpg.QueryCanceledError) and not raised(error):
        return ValidationError({key: ["Search took too long"]})
    return ValidationError({key: [text], "info": {"orig": [reason(error)]}}) if about_input(error) else error
