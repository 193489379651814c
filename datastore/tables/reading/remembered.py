"""What hot searches found, kept in a worker's memory for as long as the table's version is the same.

A search that comes again and again while nobody writes gives the same rows. Whether somebody has written is asked
each time: one look-up of the version by its key, with the rights of the role that would read the rows, as for "not
modified" (``actions/freshness.py``). So what is kept is as fresh as what is read, and shown to nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from datastore.postgres.database import Database
from datastore.tables import registry
from datastore.tables.reading.search import Found, Plan, run
from datastore.tables.schema import TableSchema

_HOT = 4
"""So often in a row a search has to find the same version: what comes once is not kept, and the look-up that could
turn out to be in vain is not made for tables that are written all the time.
"""
_LARGEST = 2**18
"""Bytes of records; of more than that, reading them again is not what takes the time."""
_ROOM = 2**24
"""Bytes of all records that a worker keeps."""


@dataclass(slots=True, eq=False)
class Heat:
    """How often one search has found the same version."""

    version: int | None = None
    times: int = 0


class Answers:
    """What a worker keeps, at most ``room`` bytes: the least recently used go first."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._size = 0
        self._kept: OrderedDict[Heat, Found] = OrderedDict()

    async def find(self, heat: Heat, database: Database, schema: TableSchema, plan: Plan) -> Found:
        """The result of a search, from memory or from the table. ``heat`` belongs to this search alone, of this schema.

        Raises what :func:`run` raises.
        """
        known = self._kept.get(heat)
        if known is not None:
            if await registry.version(database, schema) == known.version:
                if heat in self._kept:
                    self._kept.move_to_end(heat)
                return known
            self._drop(heat)
        found = await run(database, schema, plan)
        if found.version is None or found.version != heat.version:
            heat.version, heat.times = found.version, 1
        else:
            heat.times += 1
            if heat.times >= _HOT and len(found.records) <= _LARGEST:
                self._keep(heat, found)
        return found

    def _keep(self, heat: Heat, found: Found) -> None:
        self._drop(heat)
        self._kept[heat] = found
        self._size += len(found.records)
        while self._size > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, heat: Heat) -> None:
        gone = self._kept.pop(heat, None)
        if gone is not None:
            self._size -= len(gone.records)
