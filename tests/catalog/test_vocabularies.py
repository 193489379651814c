"""Vocabularies, and the tags of datasets that come from them."""

from __future__ import annotations

import asyncio

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, unique


async def test_a_vocabulary_and_its_life(call: ActionCall) -> None:
    name = unique("Genre ")
    made = await call("vocabulary_create", name=name, tags=[{"name": "jazz"}, {"name": "blues"}, {"name": "jazz"}])
    assert [tag["name"] for tag in made["tags"]] == ["blues", "jazz"]
    assert set(made["tags"][0]) == {"id", "name", "display_name", "vocabulary_id"}
    assert made["tags"][0]["vocabulary_id"] == made["id"]
    assert await call("vocabulary_show", actor=ANONYMOUS, id=name) == made
    assert await call("vocabulary_show", id=made["id"]) == made
    assert made in await call("vocabulary_list", actor=ANONYMOUS)

    renamed = await call("vocabulary_update", id=name, name=name + "s")
    assert renamed == {**made, "name": name + "s"}
    replaced = await call("vocabulary_update", id=made["id"], tags=[{"name": "soul"}, {"name": "jazz"}])
    assert [tag["name"] for tag in replaced["tags"]] == ["jazz", "soul"]
    assert replaced["tags"][0] == made["tags"][1]
    tag = await call("tag_create", name="funk", vocabulary_id=made["id"])
    assert (await call("vocabulary_show", id=made["id"]))["tags"][0] == tag
    assert await call("tag_delete", id="funk", vocabulary_id=name + "s") is None
    assert await call("vocabulary_show", id=made["id"]) == replaced
    assert await call("vocabulary_delete", id=made["id"]) is None
    for key in (made["id"], name + "s"):
        with pytest.raises(NotFound):
            await call("vocabulary_show", id=key)


async def test_what_is_refused(call: ActionCall, services: Services) -> None:
    name = unique("Genre ")
    made = await call("vocabulary_create", name=name, tags=[{"name": "jazz"}])
    taken = {"name": ["That vocabulary name is already in use."]}
    other = await call("vocabulary_create", name=unique())
    assert await errors_of(call("vocabulary_create", name=name)) == taken
    assert await errors_of(call("vocabulary_create", name=made["id"])) == taken
    assert await errors_of(call("vocabulary_update", id=other["id"], name=name)) == taken
    length = {"name": ["Must be 2 to 100 characters long"]}
    assert await errors_of(call("vocabulary_create", name="x")) == length
    assert await errors_of(call("vocabulary_create", name="x" * 101)) == length
    assert await errors_of(call("vocabulary_create")) == {"name": ["Missing value"]}
    assert list(await errors_of(call("vocabulary_create", name=unique(), tags=[{"name": "a,b"}]))) == ["tags"]
    again = {"name": [f"Tag jazz already belongs to vocabulary {name}"]}
    assert await errors_of(call("tag_create", name="jazz", vocabulary_id=name)) == again
    unknown = {"vocabulary_id": ["Tag vocabulary was not found."]}
    assert await errors_of(call("tag_create", name="jazz", vocabulary_id="nope")) == unknown
    assert await errors_of(call("tag_create", name="jazz")) == {"vocabulary_id": ["Missing value"]}
    for action, parameters in (
        ("vocabulary_update", {"id": "nope"}),
        ("vocabulary_delete", {"id": "nope"}),
        ("tag_delete", {"id": unique()}),
        ("tag_delete", {"id": "rock", "vocabulary_id": name}),
        ("tag_delete", {"id": "rock", "vocabulary_id": "nope"}),
    ):
        with pytest.raises(NotFound):
            await call(action, **parameters)
    for actor in (ANONYMOUS, await person(services)):
        for action, parameters in (
            ("vocabulary_create", {"name": unique()}),
            ("vocabulary_update", {"id": name}),
            ("vocabulary_delete", {"id": name}),
            ("tag_create", {"name": "rock", "vocabulary_id": name}),
            ("tag_delete", {"id": "jazz", "vocabulary_id": name}),
        ):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, **parameters)
    assert await call("vocabulary_show", id=name) == made


async def test_datasets_choose_from_a_vocabulary(call: ActionCall, organization: str) -> None:
    name, jazz = unique("Genre "), unique("jazz")
    genre = await call("vocabulary_create", name=name, tags=[{"name": jazz}, {"name": "soul"}])
    tags = [{"name": jazz, "vocabulary_id": genre["id"]}, {"name": jazz}, {"name": "soul", "vocabulary_id": name}]
    made = await call("package_create", name=unique(), owner_org=organization, tags=tags)
    shown = [(tag["name"], tag["vocabulary_id"]) for tag in made["tags"]]
    assert sorted(shown, key=str) == [(jazz, genre["id"]), (jazz, None), ("soul", genre["id"])]
    assert await call("package_update", **made) == made
    assert await call("package_patch", id=made["id"], tags=tags) == made
    for bad, message in (
        ({"name": "rock", "vocabulary_id": genre["id"]}, f"Tag rock does not belong to vocabulary {genre['id']}"),
        ({"name": jazz, "vocabulary_id": "nope"}, "Tag vocabulary was not found."),
        ({"name": jazz, "vocabulary_id": {}}, "Must be a text value"),
        ({"name": jazz, "vocabulary_id": "\0"}, "Text must not contain NUL characters or lone surrogates"),
    ):
        errors = await errors_of(call("package_patch", id=made["id"], tags=[{"name": "free"}, bad]))
        assert errors == {"tags": [{}, {"vocabulary_id": [message]}]}
    assert await call("package_show", id=made["id"]) == made

    await call("tag_delete", id=jazz)
    assert [tag["name"] for tag in (await call("package_show", id=made["id"]))["tags"]] == [jazz, "soul"]
    await call("vocabulary_update", id=name, tags=[{"name": "soul"}])
    assert [tag["name"] for tag in (await call("package_show", id=made["id"]))["tags"]] == ["soul"]
    await call("vocabulary_delete", id=name)
    assert (await call("package_show", id=made["id"]))["tags"] == []


async def test_a_tag_that_goes_while_datasets_take_it(call: ActionCall, organization: str) -> None:
    name = unique("Genre ")
    for _ in range(5):
        genre = await call("vocabulary_create", name=name, tags=[{"name": "jazz"}, {"name": "soul"}])
        wanted = [{"name": tag["name"], "vocabulary_id": genre["id"]} for tag in genre["tags"]]
        results = await asyncio.gather(
            *(call("package_create", name=unique(), owner_org=organization, tags=wanted) for _ in range(3)),
            call("vocabulary_delete", id=name),
            *(call("package_create", name=unique(), owner_org=organization, tags=wanted) for _ in range(3)),
            return_exceptions=True,
        )
        assert results[3] is None
        for result in results[:3] + results[4:]:
            assert isinstance(result, (dict, ValidationError))
            if isinstance(result, dict):
                assert (await call("package_show", id=result["id"]))["tags"] == []


async def test_of_many_creators_of_one_vocabulary_one_succeeds(call: ActionCall) -> None:
    name = unique()
    results = await asyncio.gather(*(call("vocabulary_create", name=name) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, dict) for result in results) == 1
    assert sum(isinstance(result, ValidationError) for result in results) == 4
