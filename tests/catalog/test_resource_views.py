"""Resource views: the default ones, those that people make, and who may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, unique


async def types_of(call: ActionCall, resource_id: str) -> list[str]:
    return [view["view_type"] for view in await call("resource_view_list", id=resource_id)]


@pytest.mark.parametrize(
    ("fields", "view_types"),
    [
        ({"format": "png"}, ["image_view"]),
        ({"url": "http://example.org/a.pdf"}, ["pdf_view"]),
        ({"format": "application/json"}, ["text_view"]),
        ({"format": "GeoJSON"}, ["geojson_view"]),
        ({"format": "html"}, ["webpage_view"]),
        ({"format": "mp4"}, ["video_view"]),
        ({"format": "mp3"}, ["audio_view"]),
        ({"format": "CSV"}, []),
        ({}, []),
    ],
)
async def test_resources_get_the_views_that_suit_them(
    call: ActionCall, dataset: str, organization: str, fields: dict[str, Any], view_types: list[str]
) -> None:
    resource = await call("resource_create", package_id=dataset, **fields)
    assert await types_of(call, resource["id"]) == view_types
    made = await call("package_create", name=unique(), owner_org=organization, resources=[fields, {}])
    assert [await types_of(call, item["id"]) for item in made["resources"]] == [view_types, []]


async def test_a_table_brings_its_view_once(call: ActionCall, resource: str, dataset: str) -> None:
    views = await call("resource_view_list", id=resource)
    assert [(view["view_type"], view["title"]) for view in views] == [("datatables_view", "Table")]
    assert (views[0]["resource_id"], views[0]["package_id"]) == (resource, dataset)
    await call("resource_update", id=resource, format="PDF")
    assert await types_of(call, resource) == ["datatables_view", "pdf_view"]
    await call("resource_view_delete", id=views[0]["id"])
    await call("datastore_create", resource_id=resource, fields=[{"id": "a", "type": "int"}])
    await call("resource_patch", id=resource, name="renamed")
    await call("package_patch", id=dataset, title="renamed")
    assert await types_of(call, resource) == ["pdf_view"]


async def test_default_views_on_demand(call: ActionCall, resource: str, dataset: str, services: Services) -> None:
    await call("resource_patch", id=resource, format="PDF")
    await call("resource_view_clear", view_types=["datatables_view", "pdf_view"])
    assert await types_of(call, resource) == []
    made = await call("resource_create_default_resource_views", resource={"id": resource})
    assert [view["view_type"] for view in made] == ["pdf_view"]
    assert await call("resource_view_list", id=resource) == made
    more = await call("package_create_default_resource_views", package={"id": dataset}, create_datastore_views=True)
    assert [view["view_type"] for view in more] == ["datatables_view"]
    for action, parameters in (
        ("resource_create_default_resource_views", {"resource": {"id": resource}}),
        ("package_create_default_resource_views", {"package": {"id": dataset}}),
    ):
        assert await call(action, **parameters) == []
        field = next(iter(parameters))
        assert await errors_of(call(action)) == {field: ["Missing value"]}
        assert await errors_of(call(action, **{field: {"id": 5}})) == {field: ["Missing value"]}
        with pytest.raises(NotFound):
            await call(action, **{field: {"id": "nope"}})
        for actor in (ANONYMOUS, await person(services)):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, **parameters)


async def test_a_view_and_its_life(call: ActionCall, resource: str) -> None:
    first = (await call("resource_view_list", id=resource))[0]
    graph = {
        "view_type": "recline_graph_view",
        "title": "Graph",
        "graph_type": "bars",
        "group": "year",
        "series": ["a", "b"],
        "limit": "100",
    }
    filters = {"filter_fields": ["x", "y", "x"], "filter_values": ["1", "2", "3"]}
    view = await call("resource_view_create", resource_id=resource, **graph, **filters)
    assert view == {
        **graph,
        "limit": 100,
        "filters": {"x": ["1", "3"], "y": ["2"]},
        "id": view["id"],
        "resource_id": resource,
        "package_id": first["package_id"],
        "description": None,
    }
    assert await call("resource_view_show", actor=ANONYMOUS, id=view["id"]) == view
    assert await call("resource_view_list", actor=ANONYMOUS, id=resource, limit=0) == [first, view]
    assert await call("resource_view_update", **view) == view
    changed = await call("resource_view_update", id=view["id"], description="d", filters={"x": [1]})
    assert changed == {
        **{key: view[key] for key in ("id", "resource_id", "package_id", "view_type", "title")},
        "description": "d",
        "filters": {"x": [1]},
    }
    assert await call("resource_view_show", id=view["id"]) == changed
    order = {"id": resource, "order": [view["id"], first["id"]]}
    assert await call("resource_view_reorder", id=resource, order=[view["id"]]) == order
    assert await call("resource_view_list", id=resource) == [changed, first]
    assert await call("resource_view_delete", id=view["id"]) == {"resource_id": resource}
    assert await call("resource_view_list", id=resource) == [first]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, {"view_type": ["Missing value"], "title": ["Missing value"]}),
        ({"view_type": "pie", "title": "t"}, {"view_type": "No plugin found for view_type pie"}),
        ({"view_type": {"a": 1}, "title": "t"}, {"view_type": ["Must be a text value"]}),
        ({"view_type": "text_view", "title": " "}, {"title": ["Missing value"]}),
        ({"view_type": "text_view", "title": "t", "size": 1}, {"size": ["The input field size was not expected."]}),
        (
            {"view_type": "text_view", "title": "t", "filters": {}},
            {"filters": ["The input field filters was not expected."]},
        ),
        (
            {"view_type": "image_view", "title": "t", "image_url": "javascript:alert(1)"},
            {"image_url": ["Please provide a valid URL"]},
        ),
        (
            {"view_type": "recline_view", "title": "t", "filter_fields": "a"},
            {"filter_fields": ["There must be as many filter_fields as filter_values"]},
        ),
        (
            {"view_type": "recline_view", "title": "t", "filters": {"a": "b"}},
            {"filters": ["Must be an object with a list of values for each column"]},
        ),
        ({"view_type": "recline_view", "title": "t", "limit": -1}, {"limit": ["Must be a natural number"]}),
        ({"view_type": "recline_view", "title": "t", "limit": "x"}, {"limit": ["Invalid integer"]}),
        ({"view_type": "recline_map_view", "title": "t", "latitude_field": "\0"},
         {"latitude_field": ["Text must not contain NUL characters or lone surrogates"]}),
    ],
)  # fmt: skip
async def test_bad_fields_are_named(
    call: ActionCall, resource: str, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    before = await call("resource_view_list", id=resource)
    assert await errors_of(call("resource_view_create", resource_id=resource, **fields)) == errors
    assert await call("resource_view_list", id=resource) == before


async def test_a_wrong_order_is_refused(call: ActionCall, resource: str) -> None:
    view = (await call("resource_view_list", id=resource))[0]["id"]
    assert await errors_of(call("resource_view_reorder", id=resource, order=[view, view])) == {
        "order": ["Duplicate ids"]
    }
    unknown = {"order": ["There is no view nope here"]}
    assert await errors_of(call("resource_view_reorder", id=resource, order=["nope"])) == unknown
    assert await errors_of(call("resource_view_reorder", id=resource)) == {"order": ["Missing value"]}


async def test_who_may_see_and_write(
    call: ActionCall, services: Services, organization: str, dataset: str, resource: str
) -> None:
    member = await person(services, {organization: "member"})
    editor = await person(services, {organization: "editor"})
    view = (await call("resource_view_list", id=resource))[0]
    await call("package_patch", id=dataset, private=True)
    reads = {"resource_view_show": view["id"], "resource_view_list": resource}
    for action, key in reads.items():
        assert await call(action, actor=member, id=key)
        for actor in (ANONYMOUS, await person(services)):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, id=key)
        with pytest.raises(NotFound):
            await call(action, id="nope")
    writes: dict[str, dict[str, Any]] = {
        "resource_view_create": {"resource_id": resource, "view_type": "text_view", "title": "t"},
        "resource_view_update": {"id": view["id"], "title": "t"},
        "resource_view_reorder": {"id": resource, "order": []},
        "resource_view_delete": {"id": view["id"]},
    }
    for action, parameters in writes.items():
        for actor in (ANONYMOUS, member):
            with pytest.raises(NotAuthorized):
                await call(action, actor=actor, **parameters)
        await call(action, actor=editor, **parameters)
        key = "resource_id" if action == "resource_view_create" else "id"
        with pytest.raises(NotFound):
            await call(action, actor=editor, **{**parameters, key: "nope"})
    with pytest.raises(NotAuthorized):
        await call("resource_view_clear", actor=editor)


async def test_views_go_with_their_resource(call: ActionCall, dataset: str, resource: str) -> None:
    view = (await call("resource_view_list", id=resource))[0]["id"]
    await call("resource_delete", id=resource)
    for action, key in (("resource_view_show", view), ("resource_view_list", resource)):
        with pytest.raises(NotFound):
            await call(action, id=key)
    await call("resource_create", package_id=dataset, id=resource, format="PNG")
    assert await types_of(call, resource) == ["image_view"]


async def test_views_made_at_once_all_arrive(call: ActionCall, resource: str) -> None:
    fields = {"resource_id": resource, "view_type": "text_view"}
    await asyncio.gather(*(call("resource_view_create", title=str(n), **fields) for n in range(6)))
    titles = [view["title"] for view in await call("resource_view_list", id=resource)]
    assert sorted(titles[1:]) == [str(n) for n in range(6)]


async def test_views_of_a_dump_come_back(call: ActionCall, organization: str) -> None:
    data = {"name": unique(), "owner_org": organization, "resources": [{"format": "png"}, {"format": "png"}, {}]}
    made = await call("package_create", **data)
    ids = [item["id"] for item in made["resources"]]
    await call("resource_view_clear", view_types=[])
    for title in ("first", "second"):
        graph = {"view_type": "recline_graph_view", "graph_type": "bars", "filters": {"a": ["1"]}}
        await call("resource_view_create", resource_id=ids[0], title=title, **graph)
    before = [await call("resource_view_list", id=id) for id in ids]
    for item, views in zip(made["resources"], before, strict=True):
        item["resource_views"] = views
    await call("dataset_purge", id=made["id"])
    again = await call("package_create", **made)
    assert "resource_views" not in again["resources"][0]
    assert [await call("resource_view_list", id=id) for id in ids] == before
    for kept in ([], None, [{"view_type": "text_view", "title": "x"}]):
        again["resources"][0]["resource_views"] = kept
        again = await call("package_update", **again)
        await call("resource_update", **again["resources"][0], resource_views=kept)
        assert await call("resource_view_list", id=ids[0]) == before[0]
    # Somebody else has the ids, and some is no view at all.
    odd = [*before[0], before[0][0], {"view_type": "none", "title": "x"}, {"view_type": "image_view"}, None, "x", {}]
    copy = await call("resource_create", package_id=made["id"], format="png", resource_views=odd)
    views = await call("resource_view_list", id=copy["id"])
    assert [(view["title"], view["filters"]) for view in views] == [("first", {"a": ["1"]}), ("second", {"a": ["1"]})]
    assert not {view["id"] for view in views} & {view["id"] for view in before[0]}
    for text in ("x", {"a": 1}, None):
        new = await call("resource_create", package_id=made["id"], format="png", resource_views=text)
        assert await types_of(call, new["id"]) == ["image_view"]
