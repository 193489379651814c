"""A labelled world: what each of six kinds of people may see, through everything that the search tells."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.services import Services
from datastore.errors import NotFound, SearchError
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, unique
from tests.catalog.search.world import World, letters

PUBLIC, PRIVATE, DRAFT, DELETED = "openword", "secretword", "draftword", "goneword"
WORDS = (PUBLIC, PRIVATE, DRAFT, DELETED)


@dataclass
class Labelled:
    """Datasets each with a word of their own, in their title, tags, extras, resources and columns."""

    world: World
    people: dict[str, Actor] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)

    def seen(self, who: str) -> set[str]:
        """What may be seen, if all is asked for."""
        return {PUBLIC} if who in ("anonymous", "stranger") else set(WORDS)


@pytest.fixture
async def labelled(call: ActionCall, services: Services, sysadmin: Actor) -> Labelled:
    world = await World.make(call)
    labelled = Labelled(world)
    states: dict[str, dict[str, Any]] = {
        PUBLIC: {},
        PRIVATE: {"private": True},
        DRAFT: {"state": "draft"},
        DELETED: {"state": "deleted"},
    }
    for word, fields in states.items():
        mark = letters(word)
        labelled.marks[word] = mark
        dataset = await world.add(
            mark,
            name=unique(mark),
            notes=f"Notes on {mark}",
            tags=[{"name": mark}],
            license_id=mark,
            extras=[{"key": "secret", "value": mark}],
            resources=[{"url": f"http://example.org/{mark}", "name": mark, "format": mark}],
        )
        await call(
            "datastore_create", resource={"package_id": dataset["id"]}, fields=[{"id": f"c{mark}", "type": "int"}]
        )
        if fields:
            await call("package_patch", id=dataset["id"], **fields)
    roles = {role: {world.organization["id"]: role} for role in ("member", "editor", "admin")}
    labelled.people = {
        "anonymous": ANONYMOUS,
        "stranger": await person(services),
        "sysadmin": sysadmin,
        **{role: await person(services, given) for role, given in roles.items()},
    }
    return labelled


EVERYTHING = {"include_private": True, "include_drafts": True, "include_deleted": True}
PEOPLE = ["anonymous", "stranger", "member", "editor", "admin", "sysadmin"]


@pytest.mark.parametrize("who", PEOPLE)
async def test_search(labelled: Labelled, who: str) -> None:
    world, actor, marks = labelled.world, labelled.people[who], labelled.marks
    hidden = {marks[word] for word in WORDS} - {marks[word] for word in labelled.seen(who)}

    async def asked(**parameters: Any) -> dict[str, Any]:
        found = await world.search(actor=actor, facet_field=FIELDS, rows=100, **parameters)
        text = json.dumps(found)
        assert not [mark for mark in hidden if mark in text], parameters
        counts = {name: sum(values.values()) for name, values in found["facets"].items()}
        assert counts["tags"] == counts["license_id"] == counts["secret"] == found["count"]
        assert found["count"] == len(found["results"])
        return found

    async def words(**parameters: Any) -> set[str]:
        found = await asked(**parameters)
        by_mark = {mark: word for word, mark in marks.items()}
        return {by_mark[dataset["title"]] for dataset in found["results"]}

    assert await words() == {PUBLIC}
    assert await words(**EVERYTHING) == labelled.seen(who)
    assert await words(include_private=True) == labelled.seen(who) & {PUBLIC, PRIVATE}
    assert await words(include_drafts=True) == labelled.seen(who) & {PUBLIC, DRAFT}
    assert await words(include_deleted=True) == labelled.seen(who) & {PUBLIC, DELETED}
    # The built-in condition on the state can be replaced, what one may see cannot.
    assert await words(fq="+state:draft") == labelled.seen(who) & {DRAFT}
    assert await words(fq="+state:(draft OR deleted OR active)") == labelled.seen(who) - {PRIVATE}
    assert await words(fq="state:draft") == set()
    for attempt in (
        "*:* OR state:draft OR capacity:private",
        "capacity:private OR private:true",
        "-capacity:public OR -state:active",
        "NOT nosuch:thing",
    ):
        assert await words(fq=attempt) <= {PUBLIC}
        assert await words(fq=attempt, **EVERYTHING) <= labelled.seen(who)
    with pytest.raises(SearchError):
        await asked(fq=") OR (*:*")
    for word in WORDS:
        mark = marks[word]
        expected = {word} & labelled.seen(who)
        queries = [mark, *(f"{name}:{mark}" for name in ("title", "tags", "secret", "res_format"))]
        queries += [
            f"{mark[:-1]}*",
            f"columns:c{mark}",
            f"title:{mark[:-1]}~1",
            f"title_ngram:{mark[2:]}",
            f"name:{mark}*",
        ]
        for query in queries:
            assert await words(q=query, **EVERYTHING) == expected, query
            assert await words(q=query) == expected & {PUBLIC}, query


FIELDS = ["tags", "license_id", "res_format", "secret", "organization", "capacity", "state"]


@pytest.mark.parametrize("who", PEOPLE)
async def test_suggestions(labelled: Labelled, who: str) -> None:
    """Words of datasets that one does not see are never suggested, not even as a form of a word that one may see."""
    world, actor = labelled.world, labelled.people[who]
    for word in WORDS:
        mark = labelled.marks[word]
        misspelled = f"{mark[:6]}{mark[7:]}"
        every = (await world.search(misspelled, actor=actor, **EVERYTHING)).get("did_you_mean")
        assert (every == mark) is (word in labelled.seen(who))
        if word != PUBLIC:
            assert (await world.search(misspelled, actor=actor)).get("did_you_mean") is None


async def test_a_form_of_a_word_is_not_told_either(call: ActionCall, services: Services) -> None:
    world = await World.make(call)
    stem = letters("q")
    await world.add(f"Open {stem}ing")
    await world.add(f"Hidden {stem}ed", private=True)
    suggested = (await world.search(f"{stem[:3]}{stem[4:]}ed", actor=ANONYMOUS)).get("did_you_mean")
    assert suggested != f"{stem}ed"
    assert suggested in (None, f"{stem}ing")


@pytest.mark.parametrize("who", PEOPLE)
async def test_lists(labelled: Labelled, who: str) -> None:
    call, actor, marks = labelled.world.call, labelled.people[who], labelled.marks
    active = labelled.seen(who) & {PUBLIC, PRIVATE}
    for word in WORDS:
        mark = marks[word]
        expected = [mark] if word in active else []
        assert [item["title"] for item in await call("package_autocomplete", actor=actor, q=mark)] == expected
        assert await call("tag_autocomplete", actor=actor, q=mark) == expected
        assert (await call("tag_search", actor=actor, query=mark))["count"] == len(expected)
        assert (mark in await call("tag_list", actor=actor)) is bool(expected)
        assert (mark in json.dumps(await call("tag_list", actor=actor, all_fields=True))) is bool(expected)
        if expected:
            shown = await call("tag_show", actor=actor, id=mark, include_datasets=True)
            assert [dataset["title"] for dataset in shown["packages"]] == ([mark] if word == PUBLIC else [])
        else:
            with pytest.raises(NotFound):
                await call("tag_show", actor=actor, id=mark)
        public = [mark] if word == PUBLIC else []
        assert await call("format_autocomplete", actor=actor, q=mark) == public
        found = await call("resource_search", actor=actor, query=f"name:{mark}")
        assert found["count"] == len(public)
        assert [resource["name"] for resource in found["results"]] == public
