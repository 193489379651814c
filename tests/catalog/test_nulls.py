"""Null says nothing: nobody loses resources, members or privacy because a client knows nothing of them."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.actions.services import Services
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, full, unique

NOTHING = [None, ""]


@pytest.mark.parametrize("action", ["package_update", "package_patch"])
@pytest.mark.parametrize("nothing", NOTHING)
async def test_a_dataset_keeps_what_is_not_sent(call: ActionCall, organization: str, action: str, nothing: Any) -> None:
    group = await call("group_create", name=unique("g"))
    shown = await call("package_create", **full(organization), private=True, groups=[{"id": group["id"]}])
    silent = {**shown, "resources": nothing, "groups": nothing, "private": nothing, "state": nothing, "name": nothing}
    assert await call(action, **silent) == shown
    emptied = await call(action, **{**shown, "resources": [], "groups": []})
    assert emptied["resources"] == emptied["groups"] == []


@pytest.mark.parametrize("kind", ["group", "organization"])
@pytest.mark.parametrize("nothing", NOTHING)
async def test_a_group_keeps_what_is_not_sent(call: ActionCall, dataset: str, kind: str, nothing: Any) -> None:
    above = await call(f"{kind}_create", name=unique("g"))
    lists = {"groups": [{"name": above["name"]}], "packages": [{"id": dataset}]}
    shown = await call(f"{kind}_create", name=unique("g"), title="T", **lists)
    for action in ("update", "patch"):
        silent = {"users": nothing, "groups": nothing, "packages": nothing, "name": nothing, "state": nothing}
        kept = await call(f"{kind}_{action}", id=shown["id"], **silent)
        assert [user["name"] for user in kept["users"]] == ["admin"]
        assert [group["id"] for group in kept["groups"]] == [above["id"]]
        assert (kept["package_count"], kept["title"]) == (1 if kind == "group" else 0, "T")
    emptied = await call(f"{kind}_patch", id=shown["id"], groups=[], packages=[], users=[])
    assert (emptied["groups"], emptied["users"], emptied["package_count"]) == ([], [], 0)


async def test_a_sysadmin_stays_one(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    await call("user_patch", id=ann.id, sysadmin=True, activity_streams_email_notifications=True)
    for nothing in NOTHING:
        kept = await call("user_patch", id=ann.id, sysadmin=nothing, activity_streams_email_notifications=nothing)
        assert (kept["sysadmin"], kept["activity_streams_email_notifications"]) == (True, True)
    assert (await call("user_patch", id=ann.id, sysadmin="no"))["sysadmin"] is False


async def test_a_role_must_be_said(call: ActionCall, services: Services, dataset: str) -> None:
    group, ann = (await call("group_create", name=unique("g")))["id"], await person(services)
    for nothing in ({}, {"capacity": None}, {"capacity": ""}):
        member = {"id": group, "object": ann.name, "object_type": "user", **nothing}
        assert await errors_of(call("member_create", **member)) == {"capacity": ["Missing value"]}
        row = await call("member_create", id=group, object=dataset, object_type="package", **nothing)
        assert row["capacity"] == "public"
