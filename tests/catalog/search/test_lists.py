"""Tags, resources and formats: the lists beside the search."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.errors import NotFound, ValidationError
from tests.catalog.samples import ActionCall, errors_of
from tests.catalog.search.world import World, letters


@pytest.fixture
async def world(call: ActionCall) -> World:
    return await World.make(call)


async def test_tags(world: World) -> None:
    mark = letters("t")
    names = [f"{mark} b", f"{mark} a", f"{mark} Économie"]
    await world.add("Tagged", tags=[{"name": name} for name in names])
    call = world.call
    assert [name for name in await call("tag_list", actor=ANONYMOUS) if mark in name] == sorted(names)
    assert await call("tag_list", query=mark) == await call("tag_list", q=mark.upper()) == sorted(names)
    whole = await call("tag_list", query=f"{mark} a", all_fields=True)
    assert [tag["name"] for tag in whole] == [f"{mark} a"]
    assert whole[0] == {"id": whole[0]["id"], "name": f"{mark} a", "display_name": f"{mark} a", "vocabulary_id": None}
    assert await call("tag_show", id=f"{mark} a") == whole[0]
    assert await call("tag_show", id=whole[0]["id"]) == whole[0]
    shown = await call("tag_show", id=f"{mark} b", include_datasets=True)
    assert [dataset["title"] for dataset in shown["packages"]] == ["Tagged"]
    assert await call("tag_search", query=[mark, "écon"]) == {
        "count": 1,
        "results": [await call("tag_show", id=f"{mark} Économie")],
    }
    found = await call("tag_search", query=mark, limit=1, offset=1)
    assert (found["count"], [tag["name"] for tag in found["results"]]) == (3, [f"{mark} b"])
    assert await call("tag_autocomplete", q=mark, limit=1) == [f"{mark} a"]
    nothing: dict[str, Any]
    for nothing in ({}, {"query": ""}, {"query": []}, {"q": "  "}):
        assert await call("tag_search", **nothing) == {"count": 0, "results": []}
        assert await call("tag_autocomplete", **nothing) == []
    assert await call("tag_autocomplete", q="100%_\\") == []
    for unknown in ({"id": "nosuchtag"}, {"id": f"{mark} a", "vocabulary_id": "nosuchvocabulary"}):
        with pytest.raises(NotFound):
            await call("tag_show", **unknown)
    with pytest.raises(NotFound):
        await call("tag_list", vocabulary_id="nosuchvocabulary")
    assert await errors_of(call("tag_search", query=[1])) == {"query": ["Must be a string or a list of strings"]}
    assert await errors_of(call("tag_show")) == {"id": ["Missing value"]}


async def test_unused_tags_are_not_listed(world: World) -> None:
    mark = letters("t")
    dataset = await world.add("Tagged", tags=[{"name": mark}])
    assert await world.call("tag_autocomplete", q=mark) == [mark]
    await world.call("package_patch", id=dataset["id"], tags=[])
    assert await world.call("tag_autocomplete", q=mark) == []


async def test_resource_search(world: World) -> None:
    mark = letters("r")
    dataset = await world.add(
        "With resources",
        resources=[
            {
                "url": f"http://example.org/{mark}/B",
                "name": f"Zeta {mark}",
                "format": "csv",
                "hash": "abc123",
                "size": 7,
            },
            {"url": f"http://example.org/{mark}/a", "name": f"alpha {mark}", "format": "JSON", mark: "Own key 100%"},
        ],
    )

    async def names(*query: str, **parameters: Any) -> list[str]:
        found = await world.call("resource_search", query=list(query), **parameters)
        assert found["count"] >= len(found["results"])
        return [resource["name"].split()[0] for resource in found["results"]]

    assert await names(f"url:{mark}") == ["Zeta", "alpha"]
    assert await names(f"url:{mark.upper()}/b") == ["Zeta"]
    assert await names(f"name:{mark}", "format:CSV") == ["Zeta"]
    assert await names(f"name:{mark}", "hash:abc") == ["Zeta"]
    assert await names(f"name:{mark}", "hash:bc1") == []
    assert await names(f"name:{mark}", "size:7") == ["Zeta"]
    assert await names(f"{mark}:own KEY 100%") == ["alpha"]
    assert await names(f"package_id:{dataset['id']}", "format:csv") == ["Zeta"]
    assert await names(f"{mark}:100_") == []
    assert await names(f"name:{mark}", order_by="name") == ["Zeta", "alpha"]
    assert await names(f"name:{mark}", order_by="format") == ["Zeta", "alpha"]
    assert await names(f"name:{mark}", order_by=mark, limit=1) == ["alpha"]
    assert await names(f"name:{mark}", offset=1) == ["alpha"]
    assert await names(f"name:{mark}", limit=0) == []
    assert (await world.call("resource_search", query=f"name:{mark}", limit=1))["count"] == 2
    call = world.call
    assert await errors_of(call("resource_search")) == {"query": ["Missing value"]}
    for nothing in ("x", ":x"):
        assert await errors_of(call("resource_search", query=nothing)) == {"query": "Must be <field>:<value> pair(s)"}
    unknown = {"query": 'Field "nosuch" not recognised in resource_search.'}
    assert await errors_of(call("resource_search", query="nosuch:x")) == unknown
    with pytest.raises(ValidationError, match="order_by"):
        await call("resource_search", query="name:x", order_by="nosuch")


async def test_formats(world: World) -> None:
    mark = letters("F")
    for count in (1, 2, 2):
        await world.add("Formats", resources=[{"url": "x", "format": f"{mark}{number}"} for number in range(count)])
    await world.add("One more", resources=[{"url": "x", "format": f"{mark}1"}] * 2)
    call = world.call
    assert await call("format_autocomplete", q=mark.lower()) == [f"{mark}1".lower(), f"{mark}0".lower()]
    assert await call("format_autocomplete", q=mark, limit=1) == [f"{mark}1".lower()]
    assert await call("format_autocomplete", q=" ") == []
    assert await errors_of(call("format_autocomplete")) == {"q": ["Missing value"]}


async def test_package_autocomplete(world: World) -> None:
    mark = letters("n")
    await world.add(f"Big {mark} in the middle", name=f"x-{mark}")
    await world.add(f"{mark} First", name=letters("other"))
    found = await world.call("package_autocomplete", q=mark.upper())
    assert [(item["title"], item["match_field"]) for item in found] == [
        (f"{mark} First", "title"),
        (f"Big {mark} in the middle", "name"),
    ]
    assert found[0]["match_displayed"] == f"{mark} First ({found[0]['name']})"
    assert found[1]["match_displayed"] == f"x-{mark}"
    assert len(await world.call("package_autocomplete", q=mark, limit=1)) == 1
    assert await world.call("package_autocomplete", q=f"{mark}%") == []
    assert await world.call("package_autocomplete", q="") == []
    assert await errors_of(world.call("package_autocomplete")) == {"q": ["Missing value"]}
