"""Differences between versions, in three forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.catalog.activity.diff import FORMS, MAX_LINES, diff
from datastore.errors import NotFound, ValidationError
from tests.catalog.samples import ActionCall, errors_of, full, unique


async def test_the_change_of_a_dataset(call: ActionCall, organization: str) -> None:
    dataset = await call("package_create", **{**full(organization), "title": "Old <title>"})
    await call("package_patch", id=dataset["id"], title="New <title>")
    activities = await call("package_activity_list", id=dataset["id"])
    asked = {"id": activities[0]["id"], "object_type": "package"}

    compared = await call("activity_diff", **asked)
    assert compared["activities"] == activities[::-1]
    assert compared == await call("activity_diff", **asked, diff_type="unified")
    lines = compared["diff"].splitlines()
    assert '-  "title": "Old <title>",' in lines
    assert '+  "title": "New <title>",' in lines
    assert not [line for line in lines if line.startswith("-") and "notes" in line]

    context = (await call("activity_diff", **asked, diff_type="context"))["diff"]
    assert '!   "title": "New <title>",' in context.splitlines()
    html = (await call("activity_diff", **asked, diff_type="html"))["diff"]
    assert html.strip().startswith("<table")
    assert "&lt;title&gt;" in html
    assert "<title>" not in html

    assert "diff_type" in await errors_of(call("activity_diff", **asked, diff_type="magic"))
    assert "object_type" in await errors_of(call("activity_diff", id=asked["id"]))
    with pytest.raises(NotFound):
        await call("activity_diff", id=asked["id"], object_type="user")
    with pytest.raises(NotFound):
        await call("activity_diff", id=activities[1]["id"], object_type="package")
    assert await call("activity_data_show", **asked) == activities[0]["data"]["package"]
    assert await call("activity_data_show", id=asked["id"]) == activities[0]["data"]


async def test_the_change_of_an_organization(call: ActionCall) -> None:
    made = await call("organization_create", name=unique("org"), title="One")
    await call("organization_patch", id=made["id"], title="Two")
    last = (await call("organization_activity_list", id=made["id"]))[0]
    for kind in ("group", "organization"):
        assert '+  "title": "Two",' in (await call("activity_diff", id=last["id"], object_type=kind))["diff"]


_VERSIONS = st.dictionaries(st.text(max_size=3), st.text(max_size=30) | st.lists(st.integers(), max_size=5), max_size=6)


@given(before=_VERSIONS, after=_VERSIONS)
def test_any_two_versions(before: dict[str, Any], after: dict[str, Any]) -> None:
    for form in ("unified", "context"):
        assert (diff(before, after, form) == "") is (before == after)
    assert diff(before, after, "html").count("<table") == 1


@pytest.mark.parametrize("form", FORMS)
def test_what_is_too_large_is_refused(form: str) -> None:
    with pytest.raises(ValidationError):
        diff({"a": list(range(MAX_LINES))}, {}, form)


def test_long_texts() -> None:
    before, after = {"notes": "x" * 1_000_000}, {"notes": "y" * 1_000_000}
    assert len(diff(before, after, "unified")) > 2_000_000
    with pytest.raises(ValidationError):
        diff(before, after, "html")
    many = {"tags": [{"name": f"tag {number}"} for number in range(10_000)]}
    assert '+      "name": "one more"' in diff(many, {"tags": [*many["tags"], {"name": "one more"}]}, "unified")
