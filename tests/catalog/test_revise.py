"""package_revise: the pure parts on documents, and the action."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.catalog.editing.patterns import Pattern, filtered, merged, merged_at, mismatches, mismatches_at
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, full, unique

DOCUMENT: dict[str, Any] = {
    "id": "abc",
    "title": "T",
    "private": False,
    "extras": [],
    "resources": [
        {"id": "1492a-0000", "name": "one", "size": 1, "tags": ["x", "y"]},
        {"id": "19cfad-000", "name": "two"},
        {"id": "1492b-0000", "name": "three"},
    ],
}
FIRST, SECOND, THIRD = DOCUMENT["resources"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab_", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab_", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def patterns(*texts: str) -> list[Pattern]:
    return [Pattern.parse("filter", text) for text in texts]


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ({}, []),
        ({"title": "T", "private": False}, []),
        ({"private": 0}, ["private"]),
        ({"title": "other", "absent": None}, ["title", "absent"]),
        ({"resources": [{"name": "one"}, {}]}, []),
        ({"resources": [{"name": "two"}, {}, {}, {}]}, ["resources__0__name", "resources__3"]),
        ({"resources": {"0": {}}}, ["resources"]),
    ],
)
def test_what_does_not_match_is_named(wanted: dict[str, Any], paths: list[str]) -> None:
    assert mismatches(DOCUMENT, wanted) == paths


@pytest.mark.parametrize(
    ("path", "wanted", "paths"),
    [
        ("title", "T", []),
        ("resources__-1__name", "three", []),
        ("resources__19cfad__name", "two", []),
        ("resources__1492b", {"name": "three"}, []),
        ("resources__1492a__size", 2, ["resources__1492a__size"]),
        ("resources__149__name", "one", ["resources__149__name"]),
        ("resources__7__name", "one", ["resources__7__name"]),
        ("title__x", "T", ["title__x"]),
    ],
)
def test_a_path_leads_to_one_value(path: str, wanted: Any, paths: list[str]) -> None:
    assert mismatches_at(DOCUMENT, path, wanted) == paths


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        (["-*"], {}),
        (["+title", "-*"], {"title": "T"}),
        (["-resources", "-p*"], {"id": "abc", "title": "T", "extras": []}),
        (["+resources__1__name", "+title", "-*"], {"title": "T", "resources": [{"name": "two"}]}),
        (["-resources__*", "-title", "-private", "-id"], {"extras": [], "resources": []}),
        (["+resources__1492a__id", "-resources__1492a__*", "+resources", "-*"],
         {"resources": [{"id": FIRST["id"]}, SECOND, THIRD]}),
        (["-resources__-1", "-resources__1492a", "+resources", "-*"], {"resources": [SECOND]}),
        (["-resources__1492*", "+resources", "-*"], {"resources": [SECOND]}),
        (["-resources__0__tags__0", "+resources__0", "-*"], {"resources": [{**FIRST, "tags": ["y"]}]}),
        (["-title__x", "-nothing__at__all"], DOCUMENT),
    ],
)  # fmt: skip
def test_filters_take_out_and_keep(globs: list[str], left: dict[str, Any]) -> None:
    before = copy.deepcopy(DOCUMENT)
    assert filtered(DOCUMENT, patterns(*globs)) == left
    assert before == DOCUMENT


@given(document=json_values)
def test_a_filter_of_nothing_changes_nothing_and_of_all_leaves_nothing(document: Any) -> None:
    assert filtered(document, []) == document
    if isinstance(document, (dict, list)):
        assert filtered(document, patterns("-*")) == type(document)()
        assert filtered(document, patterns("+*", "-*")) == document


@given(document=json_values, update=json_values)
def test_what_was_merged_matches(document: Any, update: Any) -> None:
    assert mismatches(merged(document, update), update) == []
    assert merged(document, document) == document


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("title", "N", {"title": "N"}),
        ("new__deep", 1, {"new": {"deep": 1}}),
        ("resources__0", {"name": "n"}, {"resources": [{**FIRST, "name": "n"}, SECOND, THIRD]}),
        ("resources__-1__name", "n", {"resources": [FIRST, SECOND, {**THIRD, "name": "n"}]}),
        ("resources__19cfad__name", "n", {"resources": [FIRST, {**SECOND, "name": "n"}, THIRD]}),
        ("resources__extend", [{"name": "n"}], {"resources": [FIRST, SECOND, THIRD, {"name": "n"}]}),
        ("fresh__extend", [1], {"fresh": [1]}),
    ],
)
def test_an_update_at_a_path(key: str, value: Any, changed: dict[str, Any]) -> None:
    assert merged_at(DOCUMENT, key, value, "f") == {**DOCUMENT, **changed}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("resources__3__name", "n"),
        ("resources__1492__name", "n"),
        ("resources__14920__name", "n"),
        ("resources__extend", "n"),
        ("title__x", "n"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        merged_at(DOCUMENT, key, value, "update__x")
    assert list(caught.value.fields) == ["update__x"]


async def test_the_ways_to_revise(call: ActionCall, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    name, key = shown["name"], {"name": shown["name"]}
    by_notes = {"match": {**key, "notes": "About *rivers*"}, "update": {"notes": "new"}}
    first = (await call("package_revise", **by_notes))["package"]
    assert first == {**shown, "notes": "new", "metadata_modified": first["metadata_modified"]}
    assert await errors_of(call("package_revise", **by_notes)) == {"match": ["notes"]}
    flat = {"match__name": name, "match__notes": "new", "update__notes": "newer", "update__private": "true"}
    second = (await call("package_revise", **flat))["package"]
    assert (second["notes"], second["private"]) == ("newer", True)

    old = second["resources"][1]["id"]
    added = await call(
        "package_revise",
        match=f'{{"id": "{shown["id"]}"}}',
        **{
            "update__resources__extend": [{"url": "http://example.org/c.csv"}],
            f"update__resources__{old[:7]}__name": "B",
        },
    )
    assert [resource["name"] for resource in added["package"]["resources"]] == ["A", "B", None]
    assert added["package"]["resources"][1]["id"] == old
    fresh = await call(
        "package_revise",
        match=key,
        filter=["+resources__0", "-*"],
        update={"title": "Fresh start"},
        include="+title,+id,+resources__*__id,-*",
    )
    assert fresh == {
        "package": {"id": shown["id"], "title": "Fresh start", "resources": [{"id": shown["resources"][0]["id"]}]}
    }
    after = await call("package_show", id=shown["id"])
    assert (after["tags"], after["extras"], after["notes"], after["owner_org"]) == ([], [], None, organization)
    assert [resource["custom"] for resource in after["resources"]] == [{"deep": [1, 2.5, None]}]
    assert await call("package_revise", match=key, include=["-*"]) == {"package": {}}
    assert await call("package_revise", match=key, include=["-package"]) == {"package": {}}
    only_name = await call("package_revise", match=key, include=["+package__name", "-package__*"])
    assert list(only_name["package"]) == ["name"]
    assert (await call("package_show", id=shown["id"]))["metadata_modified"] == after["metadata_modified"]
    without = await call("package_revise", match=key, filter="-resources")
    assert without["package"]["resources"] == []


async def test_what_is_refused(call: ActionCall, services: Services, organization: str) -> None:
    shown = await call("package_create", **full(organization))
    key = {"name": shown["name"]}
    for bad in (
        {},
        {"match": "text"},
        {"match": key, "filter": ["title"]},
        {"match": key, "include": "-"},
        {"match": key, "update": [1]},
        {"match": key, "update": {"name": "Ä"}},
        {"match": key, "update": {"id": "other"}},
        {"match": key, "update__resources__9__url": "x"},
        {"match": {"id": 5}},
        {"match": key, "update__resources__0__upload": object()},
    ):
        assert await errors_of(call("package_revise", **bad))
    assert await errors_of(call("package_revise", match=key, update__resources__0__upload=object())) == {
        "update__resources__0__upload": ["Files cannot be uploaded here"]
    }
    with pytest.raises(NotFound):
        await call("package_revise", match={"id": "no-such-dataset"})
    for actor in (ANONYMOUS, await person(services), await person(services, {organization: "member"})):
        with pytest.raises(NotAuthorized):
            await call("package_revise", actor=actor, match=key, update={"notes": "x"})
    assert await call("package_show", id=shown["id"]) == shown


async def test_of_many_who_expect_the_same_one_succeeds(call: ActionCall, organization: str) -> None:
    name = unique()
    await call("package_create", name=name, owner_org=organization, version="0")
    results = await asyncio.gather(
        *(
            call("package_revise", match={"name": name, "version": "0"}, update={"version": str(n)})
            for n in range(1, 6)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(result, dict) for result in results) == 1
    for result in results:
        if not isinstance(result, dict):
            assert isinstance(result, ValidationError)
            assert result.fields == {"match": ["version"]}
