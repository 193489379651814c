"""Answers that a client may keep: their tag (``ETag``), whether it still holds, and who else may keep them.

A tag is made of everything that an answer depends on: the request, the program, who asks (unless everybody may), the
table's schema as this worker knows it, and the table's version. The version is read within the statement that reads the
rows, or before it: the data that goes out with a tag is never older than the tag says.

To ask whether a tag still holds costs one look-up of the version in the registry, with the rights of the role that
would read the rows. So "not modified" is as true as an answer would be, at once and in every worker, and needs no cache
that a write would have to invalidate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from datastore.accounts.actor import Actor
from datastore.postgres.database import Database
from datastore.tables import registry
from datastore.tables.schema import TableSchema

_MOVING = re.compile("(?<![a-z])(now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE)


class NotModified(Exception):
    """The client has the answer already."""


@dataclass(slots=True)
class Freshness:
    """What a client has of the answer to its request, and what it may keep of it."""

    request: str
    """Everything that the answer depends on, but for the table and the actor."""
    known: str = ""
    """The tags of the answers that the client has, as ``If-None-Match`` lists them."""
    tag: str = ""
    """The tag of the answer, in quotes; empty if it has none."""
    public: bool = False
    """The answer would be the same for everybody."""

    async def check(self, database: Database, schema: TableSchema, actor: Actor) -> None:
        """Raise :class:`NotModified` if the client has the answer; the table itself is not read."""
        if not self.known or not schema.counted:
            return
        version = await registry.version(database, schema)
        if version is not None and (tag := self._tag(schema, version, actor)) in self.known:
            self.tag, self.public = tag, schema.public
            raise NotModified

    def keep(self, schema: TableSchema, version: int | None, actor: Actor) -> None:
        """Tag the answer, which was read from the table at ``version`` or later; no tag without a version."""
        if version is not None:
            self.tag, self.public = self._tag(schema, version, actor), schema.public

    def _tag(self, schema: TableSchema, version: int, actor: Actor) -> str:
        reader = "" if schema.public else actor.id
        text = f"{version} {schema.fingerprint} {reader} {self.request}"
        return f'"{blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()}"'


def moves(values: Any) -> bool:
    """Whether there may be a word among the values that PostgreSQL reads as a time: it is another one tomorrow."""
    return values is not None and _MOVING.search(str(values)) is not None
