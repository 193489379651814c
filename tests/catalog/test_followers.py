"""Following datasets, groups and users: who may, who is told, and two at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.tokens import Scope
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import caller, now, person, person_with_token
from tests.catalog.samples import ActionCall, errors_of, unique


@pytest.fixture
async def ann(services: Services) -> Actor:
    return await person(services)


@pytest.mark.parametrize("kind", ["dataset", "group", "organization", "user"])
async def test_following(call: ActionCall, services: Services, ann: Actor, dataset: str, kind: str) -> None:
    verb = "group" if kind == "organization" else kind
    key = {
        "dataset": lambda: call("package_show", id=dataset),
        "group": lambda: call("group_create", name=unique("group")),
        "organization": lambda: call("organization_create", name=unique("org")),
        "user": lambda: call("user_create", name=unique("u"), email=f"{unique()}@example.org", password="12345678"),
    }
    thing = await key[kind]()
    ask, nobody = caller(services, ann), caller(services, ANONYMOUS)
    assert await ask(f"am_following_{verb}", id=thing["id"]) is False
    followed = await ask(f"follow_{verb}", id=thing["name"])
    assert followed == {"follower_id": ann.id, "object_id": thing["id"], "datetime": followed["datetime"]}
    assert await ask(f"follow_{verb}", id=thing["id"]) == followed
    assert await ask(f"am_following_{verb}", id=thing["name"]) is True
    assert await nobody(f"{kind}_follower_count", id=thing["id"]) == 1
    assert [user["id"] for user in await call(f"{kind}_follower_list", id=thing["id"])] == [ann.id]
    assert await nobody("followee_count", id=ann.id) == 1
    for other in ("dataset", "group", "organization", "user"):
        expected = 1 if other == kind else 0
        assert await nobody(f"{other}_followee_count", id=ann.name) == expected
        found = await ask(f"{other}_followee_list", id=ann.id)
        assert [item["id"] for item in found] == [thing["id"]] * expected
    (generic,) = await ask("followee_list", id=ann.id)
    assert generic["type"] == kind
    assert generic["display_name"] == (thing.get("title") or thing["name"])
    assert generic["dict"]["id"] == thing["id"]
    assert len(await ask("followee_list", id=ann.id, q=thing["name"][:5].upper().lower())) == 1
    assert await ask("followee_list", id=ann.id, q="zzz") == []
    if kind in ("group", "organization"):
        assert (await nobody(f"{kind}_show", id=thing["id"]))["num_followers"] == 1
        listed = await nobody(f"{kind}_list", **{f"{kind}s": [thing["name"]]}, all_fields=True, include_followers=True)
        assert [item["num_followers"] for item in listed] == [1]
    if kind == "user":
        assert (await nobody("user_show", id=thing["id"], include_num_followers=True))["num_followers"] == 1

    assert await ask(f"unfollow_{verb}", id=thing["id"]) is None
    assert await ask(f"unfollow_{verb}", id=thing["id"]) is None
    assert await ask(f"am_following_{verb}", id=thing["id"]) is False
    assert await nobody(f"{kind}_follower_count", id=thing["id"]) == 0


async def test_two_at_once_make_one_row(call: ActionCall, services: Services, ann: Actor, dataset: str) -> None:
    ask = caller(services, ann)
    rows = await asyncio.gather(*(ask("follow_dataset", id=dataset) for _ in range(8)))
    assert all(row == rows[0] for row in rows)
    assert await call("dataset_follower_count", id=dataset) == 1
    follows = await ask("user_activity_list", id=ann.id, activity_types=["follow dataset"])
    assert len(follows) == 1


async def test_following_and_unfollowing_at_once(
    call: ActionCall, services: Services, ann: Actor, dataset: str
) -> None:
    ask = caller(services, ann)
    actions = ["follow_dataset", "unfollow_dataset"] * 6
    results = await asyncio.gather(*(ask(name, id=dataset) for name in actions))
    for name, result in zip(actions, results, strict=True):
        assert (result is None) is name.startswith("un")
    following = await ask("am_following_dataset", id=dataset)
    assert await call("dataset_follower_count", id=dataset) == int(following)


async def test_a_purge_at_the_same_time_leaves_no_follower(
    call: ActionCall, services: Services, organization: str
) -> None:
    people = [await person(services) for _ in range(4)]
    for _ in range(3):
        id = (await call("package_create", name=unique(), owner_org=organization))["id"]
        await asyncio.gather(
            *(caller(services, one)("follow_dataset", id=id) for one in people),
            call("dataset_purge", id=id),
            return_exceptions=True,
        )
        left = await services.database.owner.fetchval(
            "SELECT count(*) FROM datastore.followers WHERE object_id = $1", id
        )
        assert left == 0


async def test_refusals(call: ActionCall, services: Services, ann: Actor, dataset: str) -> None:
    ask = caller(services, ann)
    assert await errors_of(ask("follow_user", id=ann.name)) == {"message": "You cannot follow yourself"}
    for verb in ("dataset", "user", "group"):
        for action in ("follow", "am_following"):
            fields = await errors_of(ask(f"{action}_{verb}", id="nosuch"))
            assert fields == {"id": [f"Not found: {verb.capitalize()}"]}
            assert list(await errors_of(ask(f"{action}_{verb}"))) == ["id"]
            with pytest.raises(NotAuthorized):
                await caller(services, ANONYMOUS)(f"{action}_{verb}", id=dataset)
        with pytest.raises(NotAuthorized):
            await ask(f"{verb}_follower_list", id=dataset)
    bob = await person(services)
    for name in ("followee_list", "user_followee_list", "dataset_followee_list"):
        for reader in (bob, ANONYMOUS):
            with pytest.raises(NotAuthorized):
                await caller(services, reader)(name, id=ann.id)
        assert await call(name, id=ann.id) == []
    with pytest.raises(NotFound):
        await ask("followee_count", id="nobody")
    _, token = await person_with_token(services, scope=Scope(read_only=True))
    reader = await services.tokens.actor(token)
    assert await caller(services, reader)("am_following_dataset", id=dataset) is False
    for name in ("follow_dataset", "unfollow_dataset"):
        with pytest.raises(NotAuthorized):
            await caller(services, reader)(name, id=dataset)


async def test_a_private_dataset_is_as_if_it_were_not_there(call: ActionCall, services: Services, ann: Actor) -> None:
    organization = (await call("organization_create", name=unique("org")))["id"]
    member = await person(services, {organization: "member"})
    dataset = await call("package_create", name=unique(), owner_org=organization, private=True)
    theirs, ask = caller(services, member), caller(services, ann)
    await theirs("follow_dataset", id=dataset["id"])
    for key in (dataset["id"], dataset["name"]):
        for name in ("follow_dataset", "unfollow_dataset", "am_following_dataset", "dataset_follower_count"):
            unknown: dict[str, Any] = await errors_of(ask(name, id="nosuch"))
            assert await errors_of(ask(name, id=key)) == unknown
    assert await theirs("dataset_followee_count", id=member.id) == 1
    assert await ask("dataset_followee_count", id=member.id) == 0
    assert await ask("followee_count", id=member.id) == 0

    # Who may not see it any more is not told of it, and can still let go of it.
    await call("member_delete", id=organization, object=member.id, object_type="user")
    theirs = caller(services, await now(services, member))
    assert await theirs("followee_list", id=member.id) == []
    assert await theirs("unfollow_dataset", id=dataset["name"]) is None
    assert await call("dataset_follower_count", id=dataset["id"]) == 0


async def test_deleted_users_follow_nothing(call: ActionCall, services: Services, ann: Actor, dataset: str) -> None:
    bob = await person(services)
    await caller(services, ann)("follow_dataset", id=dataset)
    await caller(services, bob)("follow_user", id=ann.id)
    await call("user_delete", id=ann.id)
    assert await call("dataset_follower_count", id=dataset) == 0
    assert await call("followee_count", id=bob.id) == 0
