"""Searches that come again and again: the more often one comes, the less is done for it.

At first it runs with its values as arguments. One that comes often is written without them, so that PostgreSQL plans
it for its values, once. One that comes often while nobody writes gives the same rows, which are kept in the worker's
memory. Whether somebody has written is asked each time: one look-up of the version by its key, with the rights of the
role that would read the rows, as for "not modified" (``actions/freshness.py``). So what is kept is as fresh as what is
read, and shown to nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from datastore.postgres.database import Database
from datastore.tables import registry
from datastore.tables.reading.search import Found, Plan, Search, constant, run
from datastore.tables.schema import TableSchema

_OFTEN = 3
"""From this time on a search is written without arguments; so many times after the first that found a version of the
table, what it finds is kept. What comes once costs less with arguments: PostgreSQL analyzes the statement once for all
values, even if it plans it for each. And for tables that are written all the time, no version is looked up in vain.
"""
_LARGEST = 2**18
"""Bytes of records; of more than that, reading them again is not what takes the time."""
_ROOM = 2**24
"""Bytes of all records that a worker keeps."""


@dataclass(slots=True, eq=False)
class Repeated:
    """One search of one schema, however often it comes."""

    schema: TableSchema
    plan: Plan
    """As it runs next time."""
    lasting: bool = True
    """It finds the same rows for as long as nobody writes the table; unlike one whose values are others tomorrow."""
    values: Search | None = None
    """What :attr:`plan` was made of, if it gains by a statement without arguments."""
    times: int = 0
    """How often it has run."""
    version: int | None = None
    """Of the table, as it was found last."""
    since: int = 0
    """Which time was the first that found it."""


class Answers:
    """What a worker keeps of what searches found, at most ``room`` bytes: the least recently used go first."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._size = 0
        self._kept: OrderedDict[Repeated, Found] = OrderedDict()

    async def find(self, database: Database, search: Repeated) -> Found:
        """The result of a search, from memory or from the table. Raises what :func:`run` raises."""
        known = self._kept.get(search)
        if known is not None:
            if await registry.version(database, search.schema) == known.version:
                if search in self._kept:
                    self._kept.move_to_end(search)
                return known
            self._drop(search)
        search.times = time = search.times + 1
        if time == _OFTEN and search.values is not None:
            search.plan = constant(search.values, search.schema)
        found = await run(database, search.schema, search.plan)
        if found.version is None or found.version != search.version:
            search.version, search.since = found.version, time
        elif time - search.since >= _OFTEN and search.lasting and len(found.records) <= _LARGEST:
            self._keep(search, found)
        return found

    def _keep(self, search: Repeated, found: Found) -> None:
        self._drop(search)
        self._kept[search] = found
        self._size += len(found.records)
        while self._size > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, search: Repeated) -> None:
        gone = self._kept.pop(search, None)
        if gone is not None:
            self._size -= len(gone.records)
