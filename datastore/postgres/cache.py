"""A cache of things that the database tells us about, dropped by its notifications."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from datastore.postgres.marks import Seen
from datastore.postgres.notifications import Notifications

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Keeps what ``load`` returned for a key until a notification of ``kind`` names the key, or its mark has changed.

    A value whose load overlapped a notification is returned but not kept, so nothing stale stays; nothing is kept
    while notifications may be missed. ``None`` (not found) is never kept. At most ``size`` values stay, least recently
    used out first.
    """

    def __init__(
        self,
        notifications: Notifications,
        kind: str,
        load: Callable[[str], Awaitable[Value | None]],
        size: int = 10_000,
        keys: Callable[[Value], tuple[str, ...]] = lambda _value: (),
    ) -> None:
        """``keys`` gives further message keys by which a value is dropped, besides the key of its look-up."""
        self._notifications = notifications
        self._kind = kind
        self._load = load
        self._size = size
        self._keys = keys
        self._values: OrderedDict[str, tuple[Value, Seen]] = OrderedDict()
        self._named: defaultdict[str, set[str]] = defaultdict(set)
        """The keys of look-ups by the further keys of their values: a drop costs the same however much is kept."""
        self._generation = 0
        notifications.subscribe(kind, self._drop)

    async def get(self, key: str) -> Value | None:
        """The value of ``key``, or None if there is none. Raises what ``load`` raises."""
        kept = self._values.get(key)
        if kept is not None and self._notifications.marks.unchanged(kept[1]):
            self._values.move_to_end(key)
            return kept[0]
        return await self.fresh(key)

    async def fresh(self, key: str) -> Value | None:
        """The value of ``key`` as the database has it now, past the cache."""
        generation = self._generation
        marks = self._notifications.marks
        before = marks.snapshot()
        value = await self._load(key)
        if value is not None and generation == self._generation and self._notifications.listening:
            self._forget(key)
            self._values[key] = value, marks.seen(before, self._kind, (key, *self._keys(value)))
            for other in self._keys(value):
                self._named[other].add(key)
            if len(self._values) > self._size:
                self._forget(next(iter(self._values)))
        return value

    def _forget(self, key: str) -> None:
        kept = self._values.pop(key, None)
        for other in self._keys(kept[0]) if kept is not None else ():
            self._named[other].discard(key)
            if not self._named[other]:
                del self._named[other]

    def _drop(self, key: str | None) -> None:
        self._generation += 1
        if key is None:
            self._values.clear()
            self._named.clear()
            return
        for name in (key, *self._named.get(key, ())):
            self._forget(name)
