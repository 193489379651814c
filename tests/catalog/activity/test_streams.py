"""Parts of streams: limits, times, types; what belongs to which stream; the dashboard and what is new on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.activity.streams import ObjectStream
from datastore.actions.parameters import validate
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import caller, person, person_with_token
from tests.catalog.samples import ActionCall, errors_of, unique


def seconds(activity: dict[str, Any]) -> float:
    return datetime.fromisoformat(activity["timestamp"]).replace(tzinfo=UTC).timestamp()


@pytest.fixture
async def busy(call: ActionCall, dataset: str) -> str:
    """A dataset with ten activities."""
    for number in range(9):
        await call("package_patch", id=dataset, notes=f"{number}")
    return dataset


async def test_limits(call: ActionCall, busy: str) -> None:
    for number in range(25):
        await call("package_patch", id=busy, notes=f"more {number}")
    whole = await call("package_activity_list", id=busy, limit=100)
    assert len(whole) == 35
    assert await call("package_activity_list", id=busy) == whole[:31]
    assert await call("package_activity_list", id=busy, limit=1000) == whole
    assert await call("package_activity_list", id=busy, limit=0) == []
    assert await call("package_activity_list", id=busy, limit="3", offset="4") == whole[4:7]
    assert await call("package_activity_list", id=busy, offset=2**62) == []
    assert "limit" in await errors_of(call("package_activity_list", id=busy, limit=-1))


async def test_pages_by_time_join_without_a_gap(call: ActionCall, busy: str) -> None:
    whole = await call("package_activity_list", id=busy)
    read = await call("package_activity_list", id=busy, limit=3)
    while more := await call("package_activity_list", id=busy, limit=3, before=seconds(read[-1])):
        read += more
    assert read == whole
    # And back: the first that came after, newest first as ever.
    back: list[Any] = []
    while more := await call("package_activity_list", id=busy, limit=4, after=seconds(([*back] or whole[-1:])[0])):
        back = [*more, *back]
    assert back == whole[:-1]
    between = await call("package_activity_list", id=busy, after=seconds(whole[6]), before=seconds(whole[2]), limit=2)
    assert between == whole[3:5]


@pytest.mark.parametrize("value", ["soon", "nan", "1e400", [1], {"a": 1}, "0x1", "-1e18", 1e300])
async def test_times_that_are_none(call: ActionCall, dataset: str, value: Any) -> None:
    assert list(await errors_of(call("package_activity_list", id=dataset, before=value))) == ["before"]


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.lists(st.integers())))
def test_any_time_is_a_time_or_refused(value: Any) -> None:
    refused: list[str] = []
    read = None
    try:
        read = validate(ObjectStream, {"id": "x", "after": value}).after
    except ValidationError as error:
        refused = list(error.fields)
    assert refused in ([], ["after"])
    if read is not None:
        assert abs((read - datetime(1970, 1, 1)).total_seconds() - float(value)) < 1e-6 + abs(float(value)) * 1e-15


async def test_types(call: ActionCall, busy: str) -> None:
    found = await call("package_activity_list", id=busy, activity_types="new package")
    assert [activity["activity_type"] for activity in found] == ["new package"]
    assert len(await call("package_activity_list", id=busy, exclude_activity_types=["new package"])) == 9
    assert await call("package_activity_list", id=busy, activity_types=["new user"]) == []
    both = {"activity_types": ["new package"], "exclude_activity_types": ["new user"]}
    assert "activity_types" in await errors_of(call("package_activity_list", id=busy, **both))
    unknown = await errors_of(call("package_activity_list", id=busy, exclude_activity_types=["eaten package"]))
    assert unknown == {"exclude_activity_types": ["No activity type: eaten package"]}


async def test_unknown_objects(call: ActionCall, dataset: str, organization: str) -> None:
    for stream in ("package", "group", "organization", "user"):
        with pytest.raises(NotFound):
            await call(f"{stream}_activity_list", id="nosuch")
        assert list(await errors_of(call(f"{stream}_activity_list"))) == ["id"]
    with pytest.raises(NotFound):
        await call("group_activity_list", id=organization)
    with pytest.raises(NotFound):
        await call("activity_show", id=dataset)


async def test_a_group_shows_its_datasets(call: ActionCall, dataset: str, organization: str) -> None:
    group = (await call("group_create", name=unique("group")))["id"]
    assert len(await call("group_activity_list", id=group)) == 1
    await call("member_create", id=group, object=dataset, object_type="package", capacity="public")
    found = await call("group_activity_list", id=group)
    assert [activity["activity_type"] for activity in found] == ["new package", "new group"][::-1]
    assert dataset in str(await call("organization_activity_list", id=organization, limit=100))


async def test_the_dashboard(call: ActionCall, services: Services, dataset: str) -> None:
    organization = (await call("organization_create", name=unique("org")))["id"]
    group = (await call("group_create", name=unique("group")))["id"]
    followed = await person(services)
    ann = await person(services)
    ask = caller(services, ann)
    collected = (await call("package_create", name=unique(), owner_org=organization))["id"]
    elsewhere = (await call("package_create", name=unique(), owner_org=organization))["id"]
    await call("member_create", id=group, object=collected, object_type="package", capacity="public")
    for kind, id in (("dataset", dataset), ("user", followed.id), ("group", group)):
        await ask(f"follow_{kind}", id=id)

    async def dashboard() -> dict[str, bool]:
        found = await ask("dashboard_activity_list", limit=100)
        assert len({activity["id"] for activity in found}) == len(found)
        news = [activity for activity in found if activity["is_new"]]
        assert await ask("dashboard_new_activities_count") == len(news)
        return {f"{activity['activity_type']} {activity['object_id']}": activity["is_new"] for activity in found}

    assert await dashboard() == {
        f"new user {ann.id}": False,
        f"follow dataset {dataset}": False,
        f"follow user {followed.id}": False,
        f"follow group {group}": False,
        f"new package {dataset}": True,
        f"new package {collected}": True,
        f"new user {followed.id}": True,
        f"new group {group}": True,
    }
    assert await ask("dashboard_mark_activities_old") is None
    assert not any((await dashboard()).values())

    await call("package_patch", id=dataset, notes="x")
    await call("package_patch", id=collected, notes="x")
    await call("package_patch", id=elsewhere, notes="x")
    await caller(services, followed)("user_patch", id=followed.id, about="x")
    await ask("user_patch", id=ann.id, about="x")
    news = {key for key, is_new in (await dashboard()).items() if is_new}
    assert news == {f"changed package {dataset}", f"changed package {collected}", f"changed user {followed.id}"}
    await ask("unfollow_dataset", id=dataset)
    await ask("unfollow_group", id=group)
    assert {key for key, is_new in (await dashboard()).items() if is_new} == {f"changed user {followed.id}"}

    await ask("follow_group", id=organization)
    assert f"changed package {elsewhere}" in await dashboard()
    first = (await ask("dashboard_activity_list", limit=1))[0]
    older = await ask("dashboard_activity_list", before=seconds(first), limit=2)
    assert older == (await ask("dashboard_activity_list", offset=1, limit=2))


async def test_nobody_has_no_dashboard(services: Services) -> None:
    for name in ("dashboard_activity_list", "dashboard_new_activities_count", "dashboard_mark_activities_old"):
        with pytest.raises(NotAuthorized):
            await caller(services, ANONYMOUS)(name)


async def test_reported_activities(call: ActionCall, services: Services, dataset: str) -> None:
    ann = await person(services)
    given = {"user_id": ann.name, "object_id": dataset, "activity_type": "changed package"}
    made = await call("activity_create", **given, data={"package": {"title": "as it was"}})
    assert made["user_id"] == ann.id
    assert made["permission_labels"] == ["public"]
    assert made["data"]["package"] == {"title": "as it was"}
    assert made in await call("user_activity_list", id=ann.id)
    for field, value in {
        "user_id": "nobody",
        "object_id": "nothing",
        "activity_type": "eaten package",
        "data": [1],
    }.items():
        assert list(await errors_of(call("activity_create", **{**given, field: value}))) == [field]
    with pytest.raises(NotAuthorized):
        await call("activity_delete", actor=ann, id=made["id"])
    assert await call("activity_delete", id=made["id"]) is None
    assert made not in await call("user_activity_list", id=ann.id)
    for unknown in (made["id"], "nothing"):
        with pytest.raises(NotFound):
            await call("activity_delete", id=unknown)
    with pytest.raises(NotAuthorized):
        await caller(services, ann)("activity_create", **given)
    user_id, token = await person_with_token(services)
    assert user_id
    with pytest.raises(NotAuthorized):
        await caller(services, await services.tokens.actor(token))("activity_create", **given)
