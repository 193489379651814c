"""A whole portal moves: ckanapi dumps everything, loads it into an empty one, and a second dump is the same.

``DATASTORE_ROUND_TRIP=1000`` for more datasets than a quick run has.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from datastore.settings import Settings
from tests.catalog.test_round_trip import DATASETS, dataset
from tests.conftest import ADMIN_TOKEN
from tests.e2e.portal import Portal, portal
from tests.e2e.test_ckanapi_catalog import command_line

THINGS = ("users", "organizations", "groups", "datasets")
_TOKEN = ("-a", ADMIN_TOKEN)
_AS_ADMIN = ("include_private=true", *_TOKEN)
_ALL_OF_DATASETS = ("--include-private", "--include-drafts", "--include-deleted", "--resource-views")


@pytest.fixture
async def portals(server_url: str, settings: Settings) -> AsyncIterator[tuple[Portal, Portal]]:
    """Two empty ones."""
    async with portal(server_url, settings) as one, portal(server_url, settings) as other:
        yield one, other


async def fill(site: Portal) -> None:
    """People with passwords and roles, organizations below others, groups, datasets of all sorts."""
    chance = random.Random(7)
    do = site.do
    for number in range(6):
        await do(
            "user_create",
            name=f"user-{number}",
            email=f"User{number}@example.org",
            password="correct horse",
            fullname=chance.choice([None, "Zoë"]),
            about=chance.choice([None, "Counts *birds*"]),
            image_url=chance.choice([None, "http://example.org/u.png"]),
            sysadmin=number == 5,
        )
    ids: dict[str, list[str]] = {"organization": [], "group": []}
    for kind, roles in (("organization", ["admin", "editor", "member"]), ("group", ["admin", "member"])):
        for number in range(5):
            made = await do(
                f"{kind}_create",
                name=f"{kind}-{number}",
                title=f"{kind} {number} — Ämter",
                description=chance.choice([None, "*All* of it"]),
                image_url=chance.choice([None, "http://example.org/logo.png"]),
                extras=[{"key": "office", "value": str(number)}] if number % 2 else [],
                groups=[{"name": f"{kind}-{number - 1}"}] if number in (1, 2) else [],
                users=[{"name": f"user-{n}", "capacity": chance.choice(roles)} for n in range(number)],
            )
            ids[kind].append(made["id"])
    genre = await do("vocabulary_create", name="Genre", tags=[{"name": "jazz"}, {"name": "blues"}])
    tags = [{"name": tag["name"], "vocabulary_id": genre["id"]} for tag in genre["tags"]]
    made = []
    for _ in range(DATASETS):
        fields = dataset(chance, chance.choice(ids["organization"]), ids["group"], tags)
        shown = await do("package_create", **fields)
        made.append(shown["id"])
        for item in shown["resources"][:2]:
            graph = {"view_type": "recline_graph_view", "graph_type": "bars", "filters": {"jahr": ["1", "ä"]}}
            await do("resource_view_create", resource_id=item["id"], title="Säulen", description="*so*", **graph)
    for subject, object in itertools.pairwise(made[:4]):
        await do("package_relationship_create", subject=subject, object=object, type="links_to", comment="so")


async def dump(site: Portal, thing: str) -> list[dict[str, Any]]:
    """Everything of this kind, by the command line."""
    options = _ALL_OF_DATASETS if thing == "datasets" else ()
    text = await command_line("dump", thing, "--all", "-p", "3", *options, "-r", site.address, "-a", ADMIN_TOKEN)
    return [json.loads(line) for line in text.splitlines()]


async def load(site: Portal, thing: str, records: list[dict[str, Any]]) -> None:
    """All of it, by the command line, three at a time where none needs another to be there."""
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    processes = "1" if thing in ("organizations", "groups") else "3"
    await command_line("load", thing, "-p", processes, "-r", site.address, "-a", ADMIN_TOKEN, input=lines)


# Ids of tags (which no client sets), the times and the account of the load itself.
_OF_THE_LOAD = {"created", "creator_user_id", "last_active", "metadata_created"}


def comparable(site: Portal, thing: str, record: dict[str, Any]) -> Any:
    """What must be the same. Whoever loads, ``admin``, is there before: another person of that name."""
    if thing == "users" and record["name"] == "admin":
        record = {key: record[key] for key in ("name", "email", "sysadmin", "state")}
    if thing == "datasets":
        tags = [{key: tag[key] for key in tag if key != "id"} for tag in record["tags"]]
        resources = [{key: item[key] for key in item if key != "metadata_modified"} for item in record["resources"]]
        record = {**record, "tags": tags, "resources": resources}
    text = json.dumps(_lasting(record), sort_keys=True)
    return json.loads(text.replace(site.address, "SITE"))


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(each) for key, each in value.items() if key not in _OF_THE_LOAD}
    return [_lasting(each) for each in value] if isinstance(value, list) else value


async def test_everything_moves(portals: tuple[Portal, Portal]) -> None:
    one, other = portals
    await fill(one)
    before = {thing: await dump(one, thing) for thing in THINGS}
    assert [len(before[thing]) for thing in THINGS] == [7, 5, 5, DATASETS]
    for vocabulary in await one.do("vocabulary_list"):  # ckanapi has no dump of these
        await other.do("vocabulary_create", **vocabulary)
    for thing in THINGS:
        await load(other, thing, before[thing])
    after = {thing: await dump(other, thing) for thing in THINGS}
    assert any(len(item.get("resource_views", ())) > 1 for record in after["datasets"] for item in record["resources"])
    for thing in THINGS:
        assert [comparable(other, thing, record) for record in after[thing]] == [
            comparable(one, thing, record) for record in before[thing]
        ]
    # Once more changes nothing at all.
    for thing in ("organizations", "datasets"):
        await load(other, thing, after[thing])
        again = await dump(other, thing)
        assert [comparable(other, thing, record) for record in again] == [
            comparable(other, thing, record) for record in after[thing]
        ]
    by_name = {record["name"] for record in after["datasets"]}
    found = (await command_line("search", "datasets", "q=*:*", *_AS_ADMIN, "-r", other.address)).splitlines()
    assert {json.loads(line)["name"] for line in found} <= by_name
    assert len(found) == sum(record["state"] == "active" for record in after["datasets"])

    public = [record["name"] for record in after["datasets"] if record["state"] == "active"][:2]
    changes = [{"action": "package_patch", "data": {"id": name, "notes": "by batch"}} for name in public]
    lines = "".join(json.dumps(change) + "\n" for change in changes).encode()
    await command_line("batch", "-r", other.address, *_TOKEN, input=lines)
    assert [(await other.do("package_show", id=name))["notes"] for name in public] == ["by batch"] * len(public)
    await command_line("delete", "datasets", *public, "-r", other.address, *_TOKEN)
    assert [(await other.do("package_show", id=name))["state"] for name in public] == ["deleted"] * len(public)
