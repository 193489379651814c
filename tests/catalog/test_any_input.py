"""Whatever JSON stands in whatever field of a dataset or resource: a result, or an error that changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.actions.catalog.fields import DatasetFields, ResourceFields
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import NotFound, StructureError, ValidationError
from tests.catalog.samples import ActionCall, full, unique

PATHS = [
    "match__notes", "match__resources__0", "match____", "update__", "update__resources__0__size", "update__tags",
    "update__resources__-1", "update__extras__extend", "update__extras__0__key", "update__title__x",
]  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", " ", "\0", "\ud800", "a\x1fb", "<script>", "x" * 101, "../..", "2026-01-01", "9" * 400, "ﬃ"])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "key", "value", "vocabulary_id", "deleted", "url", "size", "\0", "é"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
dataset_fields = st.dictionaries(st.sampled_from([*DatasetFields.model_fields, "id"]), anything, min_size=1, max_size=3)
resource_fields = st.dictionaries(
    st.sampled_from([*ResourceFields.model_fields, "id", "position", "state", "datastore_active", "custom", "k\0", ""]),
    anything,
    min_size=1,
    max_size=3,
)


async def attempt(services: Services, actor: Any, name: str, data: dict[str, Any]) -> dict[str, Any] | None:
    """The result, or None if it is refused: bad values, bad structure, an unknown group."""
    try:
        result: dict[str, Any] = await run(name, Call(services, actor, "http://test"), data)
    except (ValidationError, StructureError, NotFound):
        return None
    return result


@given(fields=dataset_fields)
async def test_package_create(services: Services, sysadmin: Any, organization: str, fields: dict[str, Any]) -> None:
    data = {"name": unique(), "owner_org": organization, **fields}
    created = await attempt(services, sysadmin, "package_create", data)
    if created is None:
        if isinstance(data["name"], str) and data["name"].startswith("d-"):
            with pytest.raises(NotFound):
                await run("package_show", Call(services, sysadmin, "http://test"), {"id": data["name"]})
        return
    shown = await run("package_show", Call(services, sysadmin, "http://test"), {"id": created["id"]})
    assert shown == created
    same = await run("package_update", Call(services, sysadmin, "http://test"), created)
    assert same == created


@given(fields=dataset_fields)
async def test_package_patch(services: Services, sysadmin: Any, organization: str, fields: dict[str, Any]) -> None:
    call = Call(services, sysadmin, "http://test")
    before = await run("package_create", call, full(organization))
    after = await attempt(services, sysadmin, "package_patch", {**fields, "id": before["id"]})
    assert await run("package_show", call, {"id": before["id"]}) == (before if after is None else after)


@given(fields=resource_fields)
async def test_resource_create(services: Services, sysadmin: Any, organization: str, fields: dict[str, Any]) -> None:
    call = Call(services, sysadmin, "http://test")
    dataset = await run("package_create", call, {"name": unique(), "owner_org": organization})
    created = await attempt(services, sysadmin, "resource_create", {**fields, "package_id": dataset["id"]})
    shown = await run("package_show", call, {"id": dataset["id"]})
    if created is None:
        assert shown == dataset
        return
    assert shown["resources"] == [created]
    assert await run("resource_update", call, created) == created
    custom = fields.get("custom")
    if isinstance(custom, float) and not math.isfinite(custom):
        custom = None
    if "custom" in fields and not isinstance(custom, (list, dict)):
        assert created["custom"] == custom


@given(fields=resource_fields)
async def test_resources_of_package_create(
    services: Services, sysadmin: Any, organization: str, fields: dict[str, Any]
) -> None:
    data = {"name": unique(), "owner_org": organization, "resources": [{"url": "x"}, fields]}
    created = await attempt(services, sysadmin, "package_create", data)
    if created is not None:
        assert len(created["resources"]) == 2
        assert await run("package_update", Call(services, sysadmin, "http://test"), created) == created


@given(
    match=anything,
    update=dataset_fields | anything,
    paths=st.dictionaries(
        st.sampled_from(PATHS),
        anything,
        max_size=3,
    ),
    filter=anything | st.lists(st.sampled_from(["-*", "+title", "-resources__*__url", "-tags__0", "+", "-__", "x"])),
)
async def test_package_revise(
    services: Services, sysadmin: Any, organization: str, match: Any, update: Any, paths: dict[str, Any], filter: Any
) -> None:
    call = Call(services, sysadmin, "http://test")
    before = await run("package_create", call, full(organization))
    match = {**match, "id": before["id"]} if isinstance(match, dict) else {"id": before["id"]}
    request = {"match": match, "update": update, "filter": filter, **paths}
    after = await attempt(services, sysadmin, "package_revise", request)
    shown = await run("package_show", call, {"id": before["id"]})
    assert shown == (before if after is None else after["package"])


async def test_large_and_odd_texts_come_back(call: ActionCall, organization: str) -> None:
    notes = ("<script>alert(1)</script> \x01\x1f\u202e — ß 😀 " * 30_000)[: 2**20]
    tags = [{"name": f"tag {number:05}"} for number in range(10_000)]
    deep: Any = "bottom"
    for _ in range(60):
        deep = {"a": [deep]}
    created = await call(
        "package_create",
        name=unique(),
        owner_org=organization,
        notes=notes,
        title="<b>T</b>",
        tags=tags,
        extras=[{"key": f"k{number}", "value": "v" * 100} for number in range(1000)],
        resources=[{"url": "http://x", "deep": deep, "description": notes}],
    )
    shown = await call("package_show", id=created["id"])
    assert shown == created
    assert (shown["notes"], shown["title"], shown["num_tags"]) == (notes, "<b>T</b>", 10_000)
    assert (shown["resources"][0]["deep"], shown["resources"][0]["description"]) == (deep, notes)
    assert await call("package_update", **shown) == shown
    assert (await call("package_patch", id=created["id"], tags=tags[:1]))["num_tags"] == 1


async def test_a_thousand_resources(call: ActionCall, organization: str) -> None:
    resources = [{"url": f"http://example.org/{number}.png", "number": number} for number in range(1000)]
    created = await call("package_create", name=unique(), owner_org=organization, resources=resources)
    assert [item["number"] for item in created["resources"]] == list(range(1000))
    assert await call("package_show", id=created["id"]) == created
    assert await call("package_update", **created) == created
    turned = await call("package_patch", id=created["id"], resources=created["resources"][::-1][:500])
    assert [item["number"] for item in turned["resources"]] == list(range(999, 499, -1))
    assert [item["position"] for item in turned["resources"]] == list(range(500))
    views = await call("resource_view_list", id=turned["resources"][-1]["id"])
    assert [view["view_type"] for view in views] == ["image_view"]


@pytest.mark.parametrize("size", [1990, 2046, 2**20])
async def test_every_text_may_be_long(call: ActionCall, organization: str, size: int) -> None:
    """Also where the search would keep a word of it: those have room for 2046 bytes."""
    word, words = "x" * size, "é b " * (size // 4)
    fields = {"title": words, "notes": word, "url": word, "author": words, "license_id": word}
    extras = [{"key": "k" * size, "value": words}, {"key": "é", "value": word}]
    item = {"name": words, "description": word, "url": f"http://h/{word}", "format": word, "hash": word, word: words}
    data = {"name": unique(), "owner_org": organization, **fields, "extras": extras, "resources": [item]}
    created = await call("package_create", **data)
    assert {field: created[field] for field in fields} == fields
    assert (created["extras"], created["resources"][0]) == (extras, {**created["resources"][0], **item})
    resource = created["resources"][0]["id"]
    view = await call("resource_view_create", resource_id=resource, view_type="text_view", title=words)
    group = await call("group_create", name=unique(), title=words, description=word)
    assert (view["title"], group["title"], group["description"]) == (words, words, word)
