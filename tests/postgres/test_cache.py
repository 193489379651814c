"""What one worker changes, another one's cache does not have any more, before any message has come."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from datastore.postgres.cache import Cache
from datastore.postgres.marks import FILE, Marks
from datastore.postgres.notifications import Notifications


async def _no_connection() -> asyncpg.Connection:
    raise AssertionError("nothing listens here: no message comes")


def _worker(folder: Path) -> Notifications:
    notifications = Notifications(_no_connection, Marks(folder))
    notifications.listening = True
    return notifications


async def test_another_worker_s_change_is_seen_at_once(tmp_path: Path) -> None:
    stored = {"hash": "ann"}
    loads = []

    async def load(key: str) -> str | None:
        loads.append(key)
        return stored.get(key)

    here, there = _worker(tmp_path), _worker(tmp_path)
    cache = Cache(here, "user", load, keys=lambda name: (f"id of {name}",))
    assert await cache.get("hash") == await cache.get("hash") == "ann"
    assert loads == ["hash"]
    there.announce("user", "somebody else")
    there.announce("table", "hash")
    assert await cache.get("hash") == "ann"
    assert loads == ["hash"]
    for key in ("hash", "id of ann"):
        loads.clear()
        there.announce("user", key)
        assert await cache.get("hash") == await cache.get("hash") == "ann"
        assert loads == ["hash"]
    del stored["hash"]
    there.announce("user", "id of ann")
    assert await cache.get("hash") is None


async def test_a_change_while_reading_is_not_missed(tmp_path: Path) -> None:
    there = _worker(tmp_path)
    values = ["old", "new"]

    async def load(_key: str) -> str:
        value = values.pop(0)
        there.announce("user", "key")
        return value

    cache = Cache(_worker(tmp_path), "user", load)
    assert await cache.get("key") == "old"
    assert await cache.get("key") == "new"


async def test_marks_without_a_folder_that_can_be_written_to(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    marks = Marks(tmp_path)
    seen = marks.seen(marks.snapshot(), "user", ["a", "b"])
    assert marks.unchanged(seen)
    marks.change("user", "b")
    assert not marks.unchanged(seen)
    assert marks.unchanged(marks.seen(marks.snapshot(), "user", ["a", "b"]))
