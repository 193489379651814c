"""Relationships between datasets: both sides, who may, and what is seen of them."""

from __future__ import annotations

import asyncio

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import person
from tests.catalog.samples import ActionCall, errors_of, unique


async def pair(call: ActionCall, organization: str) -> tuple[str, str]:
    """The names of two datasets, in the order of the alphabet."""
    first, second = sorted((unique(), unique()))
    for name in (first, second):
        await call("package_create", name=name, owner_org=organization)
    return first, second


async def test_a_relationship_has_two_sides(call: ActionCall, organization: str) -> None:
    a, b = await pair(call, organization)
    made = await call("package_relationship_create", subject=a, object=b, type="parent_of", comment="c")
    assert made == {"subject": a, "type": "parent_of", "object": b, "comment": "c"}
    assert await call("package_relationships_list", actor=ANONYMOUS, id=a) == [made]
    reverse = {"subject": b, "type": "child_of", "object": a, "comment": "c"}
    assert await call("package_relationships_list", id=b, id2=a) == [reverse]
    assert await call("package_relationships_list", id=b, rel="child_of") == [reverse]
    with pytest.raises(NotFound):
        await call("package_relationships_list", id=b, rel="parent_of")
    shown_a, shown_b = await call("package_show", id=a), await call("package_show", id=b)
    row = shown_b["relationships_as_subject"][0]
    assert set(row) == {"id", "subject_package_id", "object_package_id", "type", "comment", "state"}
    assert (row["subject_package_id"], row["object_package_id"]) == (shown_b["id"], shown_a["id"])
    assert (row["type"], row["comment"], row["state"]) == ("child_of", "c", "active")
    assert shown_a["relationships_as_object"] == [row]
    assert shown_a["relationships_as_subject"] == shown_b["relationships_as_object"] == []

    again = await call("package_relationship_create", subject=b, object=a, type="child_of", comment="d")
    assert again["comment"] == "d"
    updated = await call("package_relationship_update", subject=a, object=b, type="parent_of", comment="e")
    assert await call("package_relationships_list", id=a) == [updated]
    assert updated["comment"] == "e"
    assert await call("package_update", **shown_a) == await call("package_show", id=a)
    assert (await call("package_show", id=a))["relationships_as_object"][0]["comment"] == "e"
    assert await call("package_relationship_delete", subject=b, object=a, type="child_of") is None
    assert await call("package_relationships_list", id=a) == []
    for action in ("package_relationship_delete", "package_relationship_update"):
        with pytest.raises(NotFound):
            await call(action, subject=b, object=a, type="child_of")


async def test_what_is_refused(call: ActionCall, services: Services, organization: str) -> None:
    a, b = await pair(call, organization)
    missing = ["Missing value"]
    assert await errors_of(call("package_relationship_create")) == {
        "subject": missing,
        "object": missing,
        "type": missing,
    }
    assert await errors_of(call("package_relationship_create", subject=a, object=b)) == {"type": missing}
    assert list(await errors_of(call("package_relationship_create", subject=a, object=b, type="x"))) == ["type"]
    assert list(await errors_of(call("package_relationship_create", subject=a, object=a, type="child_of"))) == [
        "object"
    ]
    assert list(
        await errors_of(call("package_relationship_create", subject=a, object=b, type="child_of", comment=[]))
    ) == ["comment"]
    assert list(await errors_of(call("package_relationships_list", id=a, rel="x"))) == ["rel"]
    with pytest.raises(NotFound):
        await call("package_relationship_create", subject=a, object="no-such-dataset", type="child_of")
    theirs = await call("organization_create", name=unique("o"))
    foreign = await call("package_create", name=unique(), owner_org=theirs["id"])
    editor = await person(services, {organization: "editor"})
    for object in (foreign["name"], b):
        for actor in (ANONYMOUS, await person(services), editor if object != b else ANONYMOUS):
            with pytest.raises(NotAuthorized):
                await call("package_relationship_create", actor=actor, subject=a, object=object, type="child_of")
    await call("package_relationship_create", actor=editor, subject=a, object=b, type="child_of")


async def test_nothing_is_seen_of_a_private_dataset(call: ActionCall, services: Services, organization: str) -> None:
    a, b = await pair(call, organization)
    member = await person(services, {organization: "member"})
    made = await call("package_relationship_create", subject=a, object=b, type="links_to")
    await call("package_patch", id=b, private=True)
    assert await call("package_relationships_list", actor=member, id=a) == [made]
    assert await call("package_relationships_list", actor=ANONYMOUS, id=a) == []
    assert (await call("package_show", actor=ANONYMOUS, id=a))["relationships_as_subject"] == []
    assert len((await call("package_show", actor=member, id=a))["relationships_as_subject"]) == 1
    for actor, seen in ((ANONYMOUS, 0), (member, 1)):
        found = await call("package_search", actor=actor, fq=f"name:{a}")
        assert len(found["results"][0]["relationships_as_subject"]) == seen
    listed = await call("current_package_list_with_resources", actor=member)
    assert [item["relationships_as_subject"] for item in listed if item["name"] == a] == [[]]
    with pytest.raises(NotAuthorized):
        await call("package_relationships_list", actor=ANONYMOUS, id=a, id2=b)
    with pytest.raises(NotAuthorized):
        await call("package_relationships_list", actor=ANONYMOUS, id=b)
    await call("package_patch", id=b, private=False)
    assert len((await call("package_show", actor=ANONYMOUS, id=a))["relationships_as_subject"]) == 1
    await call("dataset_purge", id=b)
    assert await call("package_relationships_list", id=a) == []


async def test_both_sides_at_once(call: ActionCall, organization: str) -> None:
    a, b = await pair(call, organization)
    await asyncio.gather(
        *(call("package_relationship_create", subject=a, object=b, type="depends_on") for _ in range(4)),
        *(call("package_relationship_create", subject=b, object=a, type="dependency_of") for _ in range(4)),
    )
    assert len(await call("package_relationships_list", id=a)) == 1


async def test_a_dump_that_is_loaded_has_its_relationships_again(
    call: ActionCall, services: Services, organization: str
) -> None:
    a, b = await pair(call, organization)
    made = await call("package_relationship_create", subject=a, object=b, type="derives_from", comment="c")
    dumped = [await call("package_show", id=name) for name in (a, b)]
    for name in (a, b):
        await call("dataset_purge", id=name)
    loaded = [await call("package_create", **dataset) for dataset in dumped]
    assert loaded[0]["relationships_as_subject"] == []
    assert loaded[1]["relationships_as_object"] == dumped[1]["relationships_as_object"]
    assert await call("package_relationships_list", id=a) == [made]

    for name in (a, b):
        await call("dataset_purge", id=name)
    await asyncio.gather(*(call("package_create", **dataset) for dataset in dumped))
    assert await call("package_relationships_list", id=b, rel="has_derivation")

    row = dumped[0]["relationships_as_subject"][0]
    theirs = await call("organization_create", name=unique("o"))
    editor = await person(services, {theirs["id"]: "editor"})
    own = {"name": unique(), "owner_org": theirs["id"]}
    for odd in ("text", [5, {}, {**row, "type": []}, {**row, "type": "has_derivation"}, row], [{**row, "comment": []}]):
        created = await call("package_create", **{**own, "name": unique()}, relationships_as_subject=odd)
        assert created["relationships_as_subject"] == []
        claimed = {**row, "subject_package_id": created["id"]}
        assert (await call("package_update", **{**created, "relationships_as_subject": [claimed]})) == created
    stranger = await call("package_create", actor=editor, **own)
    assert stranger["relationships_as_subject"] == []
    await call("dataset_purge", id=stranger["id"])
    claim = {"id": stranger["id"], "relationships_as_subject": [{**row, "subject_package_id": stranger["id"]}]}
    again = await call("package_create", **own, **claim)
    assert again["relationships_as_subject"][0]["object_package_id"] == loaded[1]["id"]
    assert again["relationships_as_subject"][0]["id"] != row["id"]
