"""Who sees what happened: whoever could see it then, and can see the object now; in every stream there is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.permissions import DatasetAccess, actor_labels, dataset_labels, may_read_dataset
from datastore.accounts.tokens import Scope
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import caller, now, person, person_with_token, site_with
from tests.catalog.samples import ActionCall, unique

PEOPLE = ["anonymous", "stranger", "member", "editor", "admin", "sysadmin"]
INSIDERS = {"member", "editor", "admin", "sysadmin"}
DETAILED = {"editor", "admin", "sysadmin"}


@dataclass
class Labelled:
    """A dataset that was private under one title, and is public under another; one that went the other way; …"""

    call: ActionCall
    organization: str
    people: dict[str, Actor]
    ids: dict[str, str] = field(default_factory=dict)

    async def everything(self, services: Services, who: str) -> str:
        """All that any stream tells."""
        ask = caller(services, self.people[who])
        told: list[Any] = [
            await ask("organization_activity_list", id=self.organization, limit=100),
            await ask("recently_changed_packages_activity_list", limit=100),
        ]
        maker = await self.call("user_show")
        told.append(await ask("user_activity_list", id=maker["id"], limit=100))
        for id in self.ids.values():
            try:
                told.append(await ask("package_activity_list", id=id, limit=100))
            except NotAuthorized:
                continue
        if who != "anonymous":
            await ask("follow_group", id=self.organization)
            await ask("follow_user", id=maker["id"]) if who != "sysadmin" else None
            told.append(await ask("dashboard_activity_list", limit=100))
        return json.dumps(told)


@pytest.fixture
async def labelled(call: ActionCall, services: Services, sysadmin: Actor) -> Labelled:
    organization = (await call("organization_create", name=unique("org")))["id"]
    people = {"anonymous": ANONYMOUS, "stranger": await person(services), "sysadmin": sysadmin}
    for role in ("member", "editor", "admin"):
        people[role] = await person(services, {organization: role})
    world = Labelled(call, organization, people)

    async def make(key: str, **fields: Any) -> str:
        created = await call("package_create", owner_org=organization, name=unique(), title=f"{key}-first", **fields)
        world.ids[key] = created["id"]
        return str(created["id"])

    opened = await make("opened", private=True)
    await call("package_patch", id=opened, title="opened-second")
    await call("package_patch", id=opened, private=False, title="opened-third")
    closed = await make("closed")
    await call("package_patch", id=closed, private=True, title="closed-second")
    deleted = await make("deleted")
    await call("package_delete", id=deleted)
    await make("private", private=True)
    resource = await call("resource_create", package_id=opened, url="http://example.org/x", format="unknown")
    await call("package_patch", id=opened, private=True)
    await call("resource_view_create", resource_id=resource["id"], view_type="webpage_view", title="opened-view")
    await call("package_patch", id=opened, private=False)
    return world


@pytest.mark.parametrize("who", PEOPLE)
async def test_streams(labelled: Labelled, services: Services, who: str) -> None:
    told = await labelled.everything(services, who)
    for mark in ("opened-third",):
        assert mark in told
    for mark in (
        "opened-first",
        "opened-second",
        "opened-view",
        "closed-first",
        "closed-second",
        "deleted-first",
        "private-first",
    ):
        assert (mark in told) is (who in INSIDERS), mark
    for key in ("closed", "deleted", "private"):
        assert (labelled.ids[key] in told) is (who in INSIDERS), key


@pytest.mark.parametrize("who", PEOPLE)
async def test_the_stream_of_the_opened_dataset(labelled: Labelled, services: Services, who: str) -> None:
    ask = caller(services, labelled.people[who])
    found = await ask("package_activity_list", id=labelled.ids["opened"])
    kinds = ["new package", *["changed package"] * 4, "new resource view", "changed package"]
    expected = kinds if who in INSIDERS else ["changed package"] * 3
    assert [activity["activity_type"] for activity in reversed(found)] == expected
    for activity in found:
        shown = activity["data"].get("package", activity["data"].get("resource_view"))
        assert ("state" in shown or "description" in shown) is (who in DETAILED)


@pytest.mark.parametrize("who", PEOPLE)
async def test_single_activities(labelled: Labelled, services: Services, who: str) -> None:
    """Each activity that the sysadmin sees, by its id: as the streams tell it, or not at all."""
    ask = caller(services, labelled.people[who])
    open_site = caller(site_with(services, public_activity_stream_detail=True), labelled.people[who])
    for key, id in labelled.ids.items():
        for activity in await labelled.call("package_activity_list", id=id):
            visible = who in INSIDERS or (key == "opened" and activity["permission_labels"] == ["public"])
            kind = "package" if "package" in activity["data"] else "resource_view"
            asked = {"id": activity["id"], "object_type": kind}
            if not visible:
                for site in (ask, open_site):
                    for name in ("activity_show", "activity_data_show", "activity_diff"):
                        with pytest.raises(NotAuthorized):
                            await site(name, **asked)
                continue
            shown = await ask("activity_show", id=activity["id"])
            assert shown["activity_type"] == activity["activity_type"]
            assert (shown["data"] == activity["data"]) is (who in DETAILED)
            assert await open_site("activity_show", id=activity["id"]) == activity
            assert await open_site("activity_data_show", **asked) == activity["data"][kind]
            if who not in DETAILED:
                for name in ("activity_data_show", "activity_diff"):
                    with pytest.raises(NotAuthorized):
                        await ask(name, **asked)


@pytest.mark.parametrize("who", PEOPLE)
async def test_differences_tell_of_visible_versions_only(labelled: Labelled, services: Services, who: str) -> None:
    ask = caller(site_with(services, public_activity_stream_detail=True), labelled.people[who])
    found = await ask("package_activity_list", id=labelled.ids["opened"], activity_types=["changed package"])
    first = next(activity for activity in reversed(found) if activity["data"]["package"]["title"] == "opened-third")
    if who in INSIDERS:
        compared = await ask("activity_diff", id=first["id"], object_type="package")
        assert '-  "title": "opened-second",' in compared["diff"]
    else:
        with pytest.raises(NotFound):
            await ask("activity_diff", id=first["id"], object_type="package")


async def test_a_new_owner_does_not_see_what_was_private_before(call: ActionCall, services: Services) -> None:
    old, new = [(await call("organization_create", name=unique("org")))["id"] for _ in range(2)]
    before, after = await person(services, {old: "editor"}), await person(services, {new: "editor"})
    dataset = await call("package_create", name=unique(), owner_org=old, private=True, title="before")
    await call("package_patch", id=dataset["id"], owner_org=new, title="after")
    (seen,) = await caller(services, after)("package_activity_list", id=dataset["id"])
    assert seen["data"]["package"]["title"] == "after"
    assert [
        activity["data"]["package"]["title"]
        for activity in await caller(services, after)("organization_activity_list", id=new)
        if "package" in activity["data"]
    ] == ["after"]
    ask = caller(services, before)
    assert dataset["id"] not in json.dumps(await ask("organization_activity_list", id=old))
    with pytest.raises(NotAuthorized):
        await ask("package_activity_list", id=dataset["id"])


async def test_who_left_sees_no_more(call: ActionCall, services: Services) -> None:
    organization = (await call("organization_create", name=unique("org")))["id"]
    ann = await person(services, {organization: "admin"})
    ask = caller(services, ann)
    dataset = await ask("package_create", name=unique(), owner_org=organization, private=True)
    assert len(await ask("package_activity_list", id=dataset["id"])) == 1
    await call("member_delete", id=organization, object=ann.id, object_type="user")
    ask = caller(services, await now(services, ann))
    assert dataset["id"] not in json.dumps(await ask("user_activity_list", id=ann.id))
    assert dataset["id"] not in json.dumps(await ask("dashboard_activity_list"))


async def test_deleted_groups_and_users(call: ActionCall, services: Services) -> None:
    group = (await call("group_create", name=unique("group"), title="goes away"))["id"]
    user = await call("user_create", name=unique("user"), email=f"{unique()}@example.org", password="12345678")
    ann = await person(services)
    ask = caller(services, ann)
    await ask("follow_user", id=(await call("user_show"))["id"])
    await call("activity_create", user_id="admin", object_id=user["id"], activity_type="changed user")
    told = json.dumps(await ask("dashboard_activity_list", limit=100))
    assert group in told
    assert user["id"] in told
    await call("group_delete", id=group)
    await call("user_delete", id=user["id"])
    told = json.dumps(await ask("dashboard_activity_list", limit=100))
    assert group not in told
    assert user["id"] not in told
    with pytest.raises(NotAuthorized):
        await ask("group_activity_list", id=group)
    with pytest.raises(NotFound):
        await ask("user_activity_list", id=user["id"])


async def test_whom_one_follows_is_ones_own_business(call: ActionCall, services: Services, dataset: str) -> None:
    ann, bob = await person(services), await person(services)
    await caller(services, ann)("follow_dataset", id=dataset)
    await caller(services, bob)("follow_user", id=ann.id)
    for reader, seen in ((bob, False), (ANONYMOUS, False), (ann, True)):
        for stream, id in (("user", ann.id), ("package", dataset)):
            found = await caller(services, reader)(f"{stream}_activity_list", id=id)
            assert ("follow dataset" in [activity["activity_type"] for activity in found]) is seen
    assert "follow dataset" not in json.dumps(await caller(services, bob)("dashboard_activity_list"))


async def test_sites_that_do_not_show_their_users(call: ActionCall, services: Services, dataset: str) -> None:
    hiding = site_with(services, public_user_details=False)
    admin = await call("user_show")
    with pytest.raises(NotAuthorized):
        await caller(hiding, ANONYMOUS)("user_activity_list", id=admin["id"])
    (made,) = await call("user_activity_list", id=(await person(services)).id)
    with pytest.raises(NotAuthorized):
        await caller(hiding, ANONYMOUS)("activity_show", id=made["id"])
    (shown,) = await caller(hiding, ANONYMOUS)("package_activity_list", id=dataset)
    assert shown["data"]["actor"] is None
    (shown,) = await caller(hiding, await person(services))("package_activity_list", id=dataset)
    assert shown["data"]["actor"] == "admin"


async def test_the_site_user_is_hidden(call: ActionCall, services: Services, dataset: str) -> None:
    site_user = await call("get_site_user")
    made = await call("activity_create", user_id=site_user["id"], object_id=dataset, activity_type="changed package")
    listed = await call("package_activity_list", id=dataset, include_hidden_activity=True)
    assert made["id"] in [activity["id"] for activity in listed]
    assert made["id"] not in [activity["id"] for activity in await call("package_activity_list", id=dataset)]
    internal = Actor(name=services.settings.site_id, sysadmin=True)
    await caller(services, internal)("package_patch", id=dataset, notes="by the service")
    assert len(await call("package_activity_list", id=dataset)) == 1
    assert len(await call("package_activity_list", id=dataset, include_hidden_activity=True)) == 3
    with pytest.raises(NotAuthorized):
        await caller(services, await person(services))(
            "package_activity_list", id=dataset, include_hidden_activity=True
        )


async def test_limited_tokens(call: ActionCall, services: Services) -> None:
    """They see the streams of what they are for; nothing of their user's own."""
    mine, other = [(await call("organization_create", name=unique("org")))["id"] for _ in range(2)]
    inside = await call("package_create", name=unique(), owner_org=mine, private=True)
    outside = await call("package_create", name=unique(), owner_org=other, private=True)
    scope = Scope(organization_id=mine)
    user_id, token = await person_with_token(services, {mine: "admin", other: "admin"}, scope=scope)
    ask = caller(services, await services.tokens.actor(token))
    told = json.dumps(await ask("recently_changed_packages_activity_list", limit=100))
    assert inside["id"] in told
    assert outside["id"] not in told
    for name, parameters in {
        "dashboard_activity_list": {},
        "dashboard_new_activities_count": {},
        "dashboard_mark_activities_old": {},
        "follow_dataset": {"id": inside["id"]},
        "am_following_dataset": {"id": inside["id"]},
        "followee_list": {"id": user_id},
    }.items():
        with pytest.raises(NotAuthorized):
            await ask(name, **parameters)


_IDS = st.sampled_from(["a", "b", "c"])
_ROLES = st.dictionaries(_IDS, st.sampled_from(["admin", "editor", "member"]))
_ACTORS = st.builds(
    Actor,
    id=st.none() | _IDS,
    sysadmin=st.booleans(),
    roles=_ROLES,
    collaborations=_ROLES,
    limited=st.booleans(),
)
_DATASETS = st.builds(
    DatasetAccess,
    id=_IDS,
    name=st.just("n"),
    owner_org=st.none() | _IDS,
    private=st.booleans(),
    state=st.sampled_from(["active", "draft", "deleted"]),
    creator_user_id=st.none() | _IDS,
)


@given(actor=_ACTORS, access=_DATASETS)
def test_labels_are_the_rule_of_reading(actor: Actor, access: DatasetAccess) -> None:
    shared = set(dataset_labels(access)) & set(actor_labels(actor))
    assert (actor.sysadmin or bool(shared)) is may_read_dataset(actor, access)
