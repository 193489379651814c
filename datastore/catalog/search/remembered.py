"""Counts of searches of public datasets, remembered for as long as nothing that is searched changes.

The pages that portals show most ask for the same counts again and again. Each transaction that changes what is searched
leaves its number in ``datastore.search_changes``, so the numbers that a snapshot sees tell exactly which state it is
of: what was counted in a snapshot with the same numbers holds, however many are writing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from datastore.catalog.search.facets import Counts, Wanted

_MOST_SEARCHES = 200
_MOST_VALUES = 2_000
"""Larger counts are not worth their memory."""

_STATE = "SELECT array_agg(transaction::text ORDER BY transaction) FROM datastore.search_changes"

State = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many datasets a search found, and the counts of their values."""

    count: int
    facets: Counts


@dataclass(slots=True)
class Remembered:
    """The counts of the latest searches of this worker."""

    _known: OrderedDict[object, tuple[State, Counted]] = field(default_factory=OrderedDict)

    def get(self, key: object, state: State) -> Counted | None:
        """What the search with this key found in this state; None if that is not known."""
        found = self._known.get(key)
        if found is None or found[0] != state:
            return None
        self._known.move_to_end(key)
        return found[1]

    def put(self, key: object, state: State, counted: Counted) -> None:
        """Remember it, and forget what was asked for longest ago."""
        if sum(map(len, counted.facets.values())) > _MOST_VALUES:
            return
        self._known[key] = (state, counted)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_SEARCHES:
            self._known.popitem(last=False)


async def state_of(connection: asyncpg.Connection) -> State:
    """The state of all that is searched, in the snapshot of the connection's transaction."""
    return tuple(await connection.fetchval(_STATE) or ())


def key_of(where: str, arguments: Sequence[object], wanted: Wanted) -> object:
    """What tells searches apart: the condition in SQL with its arguments, and what is counted."""
    values = tuple(tuple(value) if isinstance(value, list) else value for value in arguments)
    return where, values, tuple(wanted.fields), wanted.limit, wanted.least
