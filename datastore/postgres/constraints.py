"""What a violated constraint of our own tables means to the client who caused it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from datastore.errors import ValidationError


@contextmanager
def taken(**fields_and_messages: tuple[str, str]) -> Iterator[None]:
    """Turn the violation of a unique constraint into a :class:`ValidationError`.

    ``taken(users_name_key=("name", "That login name is not available."))``. The index decides, whatever was looked up
    before: of two writers of one unique value one succeeds and the other gets this message.
    """
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        found = fields_and_messages.get(error.constraint_name or "")
        if found is None:
            raise
        field, message = found
        raise ValidationError({field: [message]}) from None
