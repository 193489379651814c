"""A world with secrets: public, of two organizations, draft, deleted; and people who may see some of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services

CallAction = Callable[..., Awaitable[Any]]

BIRDS = [
    {"name": "Amsel", "mass": "96.5", "eggs": 5, "seen": "2024-03-01T06:30:00", "tags": ["song", "city"]},
    {"name": "Eule", "mass": "480.25", "eggs": 3, "seen": "2024-03-02T23:00:00.25", "tags": ["night"]},
    {"name": "Kiwi", "mass": "2800", "eggs": 1, "seen": None, "tags": []},
    {"name": "Zaunkönig", "mass": "9.0", "eggs": 6, "seen": "2024-04-10T05:00:00", "tags": ["song"]},
]
MORE = [{"legs": 2}, {"legs": 2, "eyes": {"colour": "orange"}}, None, {"legs": 2}]
"""The column ``more`` of these birds."""


@dataclass
class World:
    """Resource ids by the label of their table, the secret in each, and the people."""

    tables: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    actors: dict[str, Actor] = field(default_factory=dict)
    birds: str = ""
    places: str = ""

    def may_see(self, actor: str, table: str) -> bool:
        """Who may read what."""
        seen = {
            "anonymous": {"public"},
            "member_a": {"public", "private_a", "draft_a", "deleted_a"},
            "member_b": {"public", "private_b"},
            "sysadmin": {"public", "private_a", "private_b", "draft_a", "deleted_a"},
        }
        return table in seen[actor]


async def _table(call: CallAction, dataset: str, alias: str, **table: Any) -> str:
    created = await call("datastore_create", resource={"package_id": dataset, "name": "table"}, aliases=alias, **table)
    return str(created["resource_id"])


@pytest.fixture(scope="session")
async def world(services: Services, sysadmin: Actor) -> World:
    """The labelled world, made once."""
    world = World()

    async def call(name: str, /, **parameters: Any) -> Any:
        result = await run(name, Call(services, sysadmin, "http://test"), parameters)
        return json.loads(result) if isinstance(result, bytes) else result

    tag = uuid.uuid4().hex[:8]
    organizations = {}
    for side in "ab":
        created = await call("organization_create", name=f"world-{side}-{tag}")
        organizations[side] = str(created["id"])
    plans: dict[str, tuple[str, dict[str, Any]]] = {
        "public": ("a", {}),
        "private_a": ("a", {"private": True}),
        "private_b": ("b", {"private": True}),
        "draft_a": ("a", {"state": "draft"}),
        "deleted_a": ("a", {}),
    }
    for label, (side, more) in plans.items():
        name = f"world-{label.replace('_', '-')}-{tag}"
        dataset = await call("package_create", name=name, owner_org=organizations[side], **more)
        world.datasets[label] = dataset["id"]
        world.secrets[label] = f"secret{uuid.uuid4().hex}"
        world.aliases[label] = f"{label}_{tag}"
        world.tables[label] = await _table(
            call,
            dataset["id"],
            world.aliases[label],
            fields=[{"id": "name", "type": "text"}, {"id": "code", "type": "text"}, {"id": "n", "type": "int"}],
            records=[{"name": "first", "code": world.secrets[label], "n": 1}, {"name": "second", "code": "x", "n": 2}],
        )
    await call("package_delete", id=world.datasets["deleted_a"])
    world.birds = await _table(
        call,
        world.datasets["public"],
        f"birds_{tag}",
        fields=[
            {"id": "name", "type": "text"},
            {"id": "mass", "type": "numeric"},
            {"id": "eggs", "type": "int"},
            {"id": "seen", "type": "timestamp"},
            {"id": "tags", "type": "_text"},
            {"id": "more", "type": "jsonb"},
        ],
        records=[bird | {"more": more} for bird, more in zip(BIRDS, MORE, strict=True)],
    )
    world.places = await _table(
        call,
        world.datasets["public"],
        f"places_{tag}",
        fields=[{"id": "bird", "type": "text"}, {"id": "place", "type": "text"}, {"id": "day", "type": "date"}],
        records=[
            {"bird": "Amsel", "place": "Ulm", "day": "2024-03-01"},
            {"bird": "Amsel", "place": "Bonn", "day": "2024-03-05"},
            {"bird": "Eule", "place": "Ulm", "day": "2024-02-11"},
            {"bird": "Strauß", "place": "Berlin", "day": "2024-01-01"},
        ],
    )
    world.actors = {
        "anonymous": ANONYMOUS,
        "member_a": Actor(id="user-a", name="anna", roles={organizations["a"]: "member"}),
        "member_b": Actor(id="user-b", name="bert", roles={organizations["b"]: "member"}),
        "sysadmin": sysadmin,
    }
    return world


@pytest.fixture
def sql(services: Services, world: World) -> CallAction:
    """Run a statement: ``await sql("SELECT …", "member_a", [value])``; gives the result of the action.

    ``{birds}`` and the labels of tables stand for the quoted resource ids.
    """

    async def run_sql(statement: str, actor: str = "anonymous", params: list[Any] | None = None) -> Any:
        names = {label: f'"{table}"' for label, table in world.tables.items()}
        names |= {"birds": f'"{world.birds}"', "places": f'"{world.places}"'}
        for label, name in names.items():
            statement = statement.replace("{" + label + "}", name)
        data = {"sql": statement} | ({} if params is None else {"params": params})
        result = await run("datastore_search_sql", Call(services, world.actors[actor], "http://test"), data)
        return json.loads(result)

    return run_sql
