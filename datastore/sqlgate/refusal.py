"""What a client hears about a statement that the gate does not let through."""

from __future__ import annotations

from datastore.errors import NotAuthorized, ValidationError

NOT_SINGLE = "Query is not a single statement."
UNREADABLE = "Not authorized to read resource."
SYSTEM_TABLES = "Not authorized to access system tables"
TOO_LONG = "Query took too long"
UNSUPPORTED = "This statement, or a construct in it, is not supported."


class Doubtful(Exception):
    """The gate does not understand the statement. PostgreSQL is asked whether its grammar does (see ``run.py``)."""


def refused(message: str) -> ValidationError:
    """409: the statement cannot be run, and why; in the form of PostgreSQL's own errors."""
    if message in (NOT_SINGLE, TOO_LONG):
        return ValidationError({"query": [message]})
    return ValidationError({"query": [message], "info": {"orig": [message]}})


def no_function(name: str) -> NotAuthorized:
    """403: the function is not on the list."""
    return NotAuthorized(f"Not authorized to call function {name}")


def no_system_table() -> NotAuthorized:
    """403: the name belongs to PostgreSQL or to this service."""
    return NotAuthorized(SYSTEM_TABLES)


def unreadable() -> NotAuthorized:
    """403: the table is not there, or not for the caller."""
    return NotAuthorized(UNREADABLE)
