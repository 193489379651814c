"""Every action as everybody, in worlds of every kind, compared with the table of docs/permissions.md."""

from __future__ import annotations

import json
import re

import pytest

from datastore.actions import registry
from datastore.actions.access import ACCESS, may_call
from datastore.actions.access_rules import ACTORS
from tests.permissions.cases import CASES
from tests.permissions.world import KINDS, Site, World

COLUMNS = {"anonymous": "anonymous", "deleted": "anonymous", **{who: who for who in ACTORS if who != "anonymous"}}
"""Who calls, and the column of the table that says what they may."""


def test_every_action_has_a_rule_and_a_case() -> None:
    assert sorted(ACCESS) == registry.names()
    assert sorted(CASES) == registry.names()


def _kinds(name: str) -> list[tuple[str, str]]:
    """The kinds of things that the rule tells apart, each with a kind of world."""
    found = registry.find(name)
    assert found is not None
    kinds: list[tuple[str, str]] = []
    for kind in ACCESS[name].kinds:
        if kind == "private" and found.get:
            kinds.extend(("private", world) for world in KINDS if world != "public")
        else:
            kinds.append((kind, kind if kind in KINDS else "private"))
    return kinds


READS = [name for name in registry.names() if (found := registry.find(name)) is not None and found.get]
WRITES = [name for name in registry.names() if name not in READS]
DESTROYS = re.compile("delete|purge|revoke|cancel|clear")
"""After these the world is not what the next call needs."""


def _user(world: World, who: str, kind: str) -> str:
    """The account that a call is about."""
    return world.site.ids.get(who, world.guest) if kind == "own" else world.guest


@pytest.mark.parametrize("name", READS)
async def test_reading(name: str, site: Site, worlds: dict[str, World]) -> None:
    """Who may not is refused, or finds nothing; who may gets what there is."""
    case, rule = CASES[name], ACCESS[name]
    for kind, world_kind in _kinds(name):
        world = worlds[world_kind]
        site.tokens["limited"] = world.limited
        for who, column in COLUMNS.items():
            where = f"{name} by {who} on {kind} ({world_kind})"
            parameters = case.parameters(world, _user(world, who, kind))
            response = await site.post(name, site.tokens[who], parameters)
            may = may_call(name, ACTORS[column], kind, site.services.settings)
            assert response.status_code in (case.known if may or rule.filters else case.refused), (
                f"{where}: {response.text}"
            )
            if may and world_kind in case.shows:
                assert world.mark in response.text, f"{where} shows nothing: {response.text}"
            if not may or kind == "any":
                leaked = {secret for secret in world.secrets if secret in response.text}
                assert leaked <= _sent(parameters, world), f"{where} leaks {leaked}: {response.text}"


@pytest.mark.parametrize("name", WRITES)
async def test_writing(name: str, site: Site) -> None:
    """Who may not is refused, learns nothing, and nothing has changed; for who may it works."""
    case = CASES[name]
    for kind, world_kind in _kinds(name):
        allowed = {
            who for who, column in COLUMNS.items() if may_call(name, ACTORS[column], kind, site.services.settings)
        }
        world = await _prepared(site, name, world_kind)
        before = await world.shown()
        for who in COLUMNS.keys() - allowed:
            where = f"{name} by {who} on {kind}"
            parameters = case.parameters(world, _user(world, who, kind))
            response = await site.post(name, site.tokens[who], parameters)
            assert response.status_code in case.refused, f"{where}: {response.text}"
            leaked = {secret for secret in world.secrets if secret in response.text}
            assert leaked <= _sent(parameters, world), f"{where} leaks {leaked}: {response.text}"
        assert await world.shown() == before
        for who in sorted(allowed):
            parameters = case.parameters(world, _user(world, who, kind))
            if name == "api_token_revoke" and kind == "own":
                parameters = {"token": await site.token(who)}
            response = await site.post(name, site.tokens[who], parameters)
            assert response.status_code in case.known, f"{name} by {who} on {kind}: {response.text}"
            if DESTROYS.search(name) or case.before is not None:
                world = await _prepared(site, name, world_kind)


async def test_a_name_is_not_answered_with_its_id(site: Site, worlds: dict[str, World]) -> None:
    """Who may not see a dataset does not learn its id by calling it by its name."""
    world = worlds["private"]
    named = 0
    for name, case in CASES.items():
        parameters = json.dumps(case.parameters(world, world.guest))
        by_name = parameters.replace(world.dataset, f"n-{world.mark}")
        if case.before is not None or by_name == parameters:
            continue
        named += 1
        for who in ("anonymous", "stranger"):
            response = await site.post(name, site.tokens[who], json.loads(by_name))
            assert world.dataset not in response.text, f"{name} by {who}: {response.text}"
    assert named > 20


async def _prepared(site: Site, name: str, kind: str) -> World:
    world = await World.make(site, kind)
    before = CASES[name].before
    if before is not None:
        await before(world)
    site.tokens["limited"] = world.limited
    return world


def _sent(parameters: object, world: World) -> set[str]:
    """The secrets that the request names itself: to have them told back is no leak."""
    return {secret for secret in world.secrets if secret in str(parameters)}
