"""Datasets that were shown are loaded into a store without them, and are the same again.

``DATASTORE_ROUND_TRIP=1000`` for more of them than a quick run has.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from datastore.catalog.licenses import LICENSES
from tests.catalog.samples import ActionCall, unique

DATASETS = int(os.environ.get("DATASTORE_ROUND_TRIP", "30"))
_WORDS = [
    "river",
    "Straße",
    "日本",
    "<b>bold</b>",
    "naïve",
    "O'Neill",
    '"quoted"',
    "tab\tand\nline",
    "a\\b",
    "😀",
    "%s",
    "",
]
_AT_ONCE = 4


def text(chance: random.Random) -> str | None:
    return chance.choice([None, "", " ".join(chance.choices(_WORDS, k=chance.randint(1, 20)))])


def value(chance: random.Random, depth: int = 3) -> Any:
    """Some JSON."""
    kind = chance.randint(0, 6 if depth else 4)
    if kind == 5:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    if kind == 6:
        return {chance.choice(_WORDS): value(chance, depth - 1) for _ in range(chance.randint(0, 3))}
    return [None, True, chance.randint(-(2**63), 2**63), chance.uniform(-1e300, 1e300), text(chance)][kind]


def resource(chance: random.Random) -> dict[str, Any]:
    return {
        "url": chance.choice(["", "example.org/a b.csv", "http://example.org/ä.PDF?x=1", "ftp://x/y.json"]),
        "url_type": chance.choice([None, None, "upload", "datastore"]),
        "name": text(chance),
        "description": text(chance),
        "format": chance.choice(["", "csv", "Unheard of", "application/json"]),
        "size": chance.choice([None, 0, 2**40]),
        "last_modified": chance.choice([None, "2020-01-02", "2021-05-06T07:08:09.123456"]),
        "hash": chance.choice(["", "abc"]),
        **{f"key {n}": value(chance) for n in range(chance.randint(0, 3))},
    }


def dataset(chance: random.Random, organization: str, groups: Sequence[str], tags: Sequence[Any]) -> dict[str, Any]:
    return {
        "name": unique(),
        "owner_org": organization,
        "title": text(chance),
        "notes": text(chance),
        "url": text(chance),
        "version": chance.choice([None, "1.0"]),
        "author": text(chance),
        "author_email": chance.choice([None, "a@example.org"]),
        "license_id": chance.choice([None, "unheard-of", *LICENSES]),
        "private": chance.random() < 0.3,
        "state": chance.choice(["active", "active", "draft", "deleted"]),
        "type": chance.choice(["dataset", "showcase"]),
        "tags": [{"name": f"tag {chance.randint(0, 50)}"} for _ in range(chance.randint(0, 5))]
        + chance.choices(tags, k=chance.randint(0, 2)),
        "extras": [
            {"key": f"{word}{n}", "value": text(chance) or ""} for n, word in enumerate(chance.sample(_WORDS, 3))
        ],
        "groups": [{"id": group} for group in chance.sample(groups, chance.randint(0, len(groups)))],
        "resources": [resource(chance) for _ in range(chance.randint(0, 4))],
    }


async def each(items: Sequence[Any], work: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """``work`` of every item, some at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Any) -> Any:
        async with places:
            return await work(item)

    return await asyncio.gather(*map(one, items))


def comparable(shown: dict[str, Any]) -> dict[str, Any]:
    """The dataset without the times of its creation here."""
    resources = [{key: item[key] for key in item if key != "metadata_modified"} for item in shown["resources"]]
    return {**{key: shown[key] for key in shown if key != "metadata_created"}, "resources": resources}


async def test_generated_datasets_come_back(call: ActionCall, organization: str) -> None:
    chance = random.Random(7)
    words = [{"name": f"word {n}"} for n in range(5)]
    vocabulary = await call("vocabulary_create", name=unique(), tags=words)
    tags = [{**word, "vocabulary_id": vocabulary["id"]} for word in words]
    wanted = [dataset(chance, organization, [], tags) for _ in range(DATASETS)]
    made = await each(wanted, lambda data: call("package_create", **data))
    for _ in range(DATASETS // 2):
        one, other = chance.sample(made, 2)
        kind = chance.choice(["depends_on", "has_derivation", "links_to"])
        await call("package_relationship_create", subject=one["id"], object=other["id"], type=kind, comment="c")

    async def show(item: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = await call("package_show", id=item["id"])
        return shown

    before = await each(made, show)
    assert await each(before, lambda shown: call("package_update", **shown)) == before
    assert await each(before, lambda shown: call("package_patch", **shown)) == before
    await each(made, lambda item: call("dataset_purge", id=item["id"]))
    await each(before, lambda shown: call("package_create", **shown))
    after = await each(made, show)
    assert [comparable(shown) for shown in after] == [comparable(shown) for shown in before]
    copies = await each(
        before,
        lambda shown: call(
            "package_create",
            **{
                **shown,
                "id": str(uuid.uuid4()),
                "name": unique(),
                "resources": [{key: item[key] for key in item if key != "id"} for item in shown["resources"]],
            },
        ),
    )
    for copy, shown in zip(copies, before, strict=True):
        for field in ("title", "notes", "extras", "tags", "license_id", "private", "state", "type"):
            assert copy[field] == shown[field]
