"""What is secret leaves no trace: not in counts, facets, suggestions, orders or lists. Nobody who may not see it can
tell a site that has it from one that has not."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.actions import registry
from tests.catalog.samples import unique
from tests.catalog.search.world import letters
from tests.permissions.cases import CASES
from tests.permissions.world import KINDS, Site, World, lasting

WORD = "confidential"
FACETS = ["tags", "organization", "groups", "license_id", "res_format", "state", "capacity", "author"]


def _more(world: World, word: str) -> list[tuple[str, dict[str, Any]]]:
    """What is asked besides the cases of the other test: everything that counts or lists, without narrowing it."""
    everything = {"include_private": True, "include_drafts": True, "include_deleted": True}
    lists: list[tuple[str, dict[str, Any]]] = [
        ("package_search", {"rows": 0, "facet.field": FACETS, "facet.limit": -1, **everything}),
        ("package_search", {"q": word, **everything}),
        ("package_search", {"q": f"{word[:-1]}x", **everything}),  # one letter is wrong: did_you_mean
        ("package_search", {"fq": "+state:(draft OR deleted OR active)", "rows": 1000}),
        ("package_search", {"fq": f'tags:"{word}" OR private:true OR capacity:private', **everything}),
        ("package_search", {"sort": f"{word} asc", "fl": "*", "rows": 1000, **everything}),
        ("package_autocomplete", {"q": word[:6]}),
        ("tag_list", {}),
        ("tag_list", {"all_fields": True}),
        ("tag_search", {"query": word[:6]}),
        ("tag_autocomplete", {"query": word[:6]}),
        ("tag_show", {"id": word}),
        ("format_autocomplete", {"q": word[:6]}),
        ("resource_search", {"query": f"name:{word}"}),
        ("resource_search", {"query": "url:http", "order_by": "name"}),
        ("datastore_search", {"resource_id": "_table_metadata", "limit": 1000}),
        ("datastore_search_sql", {"sql": f"SELECT * FROM {word}"}),  # an alias
        ("package_relationships_list", {"id": world.friend}),
        ("user_list", {"order_by": "number_created_packages"}),
        ("user_show", {"id": world.site.ids["sysadmin"], "include_datasets": True}),
        ("member_list", {"id": world.organization}),
        ("member_list", {"id": world.group, "object_type": "package"}),
        ("term_translation_show", {"terms": [word]}),
    ]
    for kind in ("group", "organization"):
        lists.append((f"{kind}_list", {"sort": "package_count desc", "all_fields": True}))
        lists.append((f"{kind}_list", {"sort": "package_count desc"}))
        lists.append((f"{kind}_autocomplete", {"q": word[:6]}))
    return lists


async def _seen(world: World, word: str, who: str) -> list[tuple[str, int, Any]]:
    site = world.site
    calls = _more(world, word)
    for name, case in CASES.items():
        found = registry.find(name)
        if found is not None and found.get:
            calls.append((name, case.parameters(world, world.guest)))
    answers = []
    for name, parameters in calls:
        response = await site.post(name, site.tokens[who], parameters)
        answers.append((f"{name} {parameters}", response.status_code, lasting(response.json())))
    return answers


@pytest.mark.parametrize("who", ["anonymous", "stranger", "deleted"])
async def test_secrets_leave_no_trace(site: Site, who: str) -> None:
    """The answers before the secrets are there, and after."""
    world = await World.make(site, "public")
    word = letters(WORD)
    elsewhere = (await site.do("organization_create", name=unique("org")))["id"]
    before = await _seen(world, word, who)
    seen_by_sysadmins = await _seen(world, word, "sysadmin")
    for kind, fields in KINDS.items():
        if kind == "public":
            continue
        for organization in (world.organization, elsewhere):
            dataset = await site.do(
                "package_create",
                name=unique(word if kind == "private" else "secret"),
                title=f"{word} {word}",
                notes=word,
                author=word,
                license_id=word,
                owner_org=organization,
                groups=[{"id": world.group}],
                tags=[{"name": word}, {"name": world.mark}, {"name": "a tag of all"}],
                extras=[{"key": word, "value": word}],
                resources=[{"url": f"http://example.org/{word}", "name": word, "format": word, "hash": word}],
                **fields,
            )
            await site.do(
                "datastore_create",
                resource={"package_id": dataset["id"], "name": word},
                fields=[{"id": word, "type": "text"}],
                records=[{word: word}],
                aliases=[word] if (kind, organization) == ("private", elsewhere) else [],
            )
    for now, earlier in zip(await _seen(world, word, who), before, strict=True):
        assert now == earlier
    changed = [
        now[0].split()[0]
        for now, earlier in zip(await _seen(world, word, "sysadmin"), seen_by_sysadmins, strict=True)
        if now != earlier
    ]
    assert {"package_search", "tag_list", "group_list", "organization_list", "datastore_search", "member_list"} <= {
        *changed
    }


async def test_a_refusal_tells_no_more_than_was_asked(site: Site) -> None:
    """By an alias one learns that there is such a table, and not which one it is."""
    world = await World.make(site, "private")
    alias = unique("alias")
    await site.do("datastore_create", resource_id=world.table, aliases=[alias])
    for name, parameters in (
        ("datastore_search", {"resource_id": alias}),
        ("datastore_info", {"resource_id": alias}),
    ):
        response = await site.post(name, site.tokens["stranger"], parameters)
        assert response.status_code == 403, (name, response.text)
        assert not [secret for secret in world.secrets if secret in response.text]
