"""Many writers at once: each change happens whole, once, or is refused with a message."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from datastore.errors import ValidationError
from tests.catalog.samples import ActionCall, unique


async def one_succeeds(calls: list[Any], errors: dict[str, Any]) -> None:
    """Of these calls at once one gives an object, and the others are told why not."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if not isinstance(result, dict)]
    assert len(refused) == len(calls) - 1
    for error in refused:
        assert isinstance(error, ValidationError)
        assert error.fields == errors


async def test_what_only_one_may_have(call: ActionCall, organization: str) -> None:
    id = str(uuid.uuid4())
    same = [call("package_create", id=id, name=unique(), owner_org=organization) for _ in range(6)]
    await one_succeeds(same, {"id": ["Dataset id already exists"]})
    name = unique()
    kinds = [call(f"{kind}_create", name=name) for kind in ("organization", "group") * 3]
    await one_succeeds(kinds, {"name": ["Group name already exists in database"]})
    id = str(uuid.uuid4())
    await one_succeeds(
        [call("group_create", id=id, name=unique()) for _ in range(4)], {"id": ["Group id already exists"]}
    )
    vocabulary = await call("vocabulary_create", name=unique())
    tags = [call("tag_create", name="jazz", vocabulary_id=vocabulary["id"]) for _ in range(6)]
    await one_succeeds(tags, {"name": [f"Tag jazz already belongs to vocabulary {vocabulary['name']}"]})
    datasets = [await call("package_create", name=unique(), owner_org=organization) for _ in range(4)]
    name = unique()
    renamed = [call("package_patch", id=dataset["id"], name=name) for dataset in datasets]
    await one_succeeds(renamed, {"name": ["That URL is already in use."]})
    groups = [await call("group_create", name=unique()) for _ in range(4)]
    renamed = [call("group_patch", id=group["id"], name=name) for group in groups]
    await one_succeeds(renamed, {"name": ["Group name already exists in database"]})


async def test_of_many_creators_of_one_name_one_succeeds(call: ActionCall, organization: str) -> None:
    for with_deleted_holder in (False, True):
        name = unique()
        if with_deleted_holder:
            await call("package_create", name=name, owner_org=organization, state="deleted")
        results = await asyncio.gather(
            *(call("package_create", name=name, owner_org=organization) for _ in range(6)), return_exceptions=True
        )
        assert sum(isinstance(result, dict) for result in results) == 1
        for result in results:
            if not isinstance(result, dict):
                assert isinstance(result, ValidationError)
                assert result.fields == {"name": ["That URL is already in use."]}


async def test_of_many_users_of_one_resource_id_one_succeeds(call: ActionCall, organization: str) -> None:
    datasets = [await call("package_create", name=unique(), owner_org=organization) for _ in range(4)]
    resource = str(uuid.uuid4())
    results = await asyncio.gather(
        *(call("resource_create", package_id=dataset["id"], id=resource) for dataset in datasets),
        return_exceptions=True,
    )
    assert sum(isinstance(result, dict) for result in results) == 1
    for result in results:
        if not isinstance(result, dict):
            assert isinstance(result, ValidationError)
            assert result.fields == {"id": ["Resource id already exists."]}


async def test_resources_appended_at_once_all_arrive_in_distinct_places(call: ActionCall, dataset: str) -> None:
    await asyncio.gather(*(call("resource_create", package_id=dataset, name=str(n)) for n in range(8)))
    shown = (await call("package_show", id=dataset))["resources"]
    assert sorted(resource["name"] for resource in shown) == sorted(str(n) for n in range(8))
    assert [resource["position"] for resource in shown] == list(range(8))


async def test_patches_at_once_lose_nothing(call: ActionCall, dataset: str) -> None:
    fields = ("notes", "url", "version", "author", "maintainer", "license_id")
    await asyncio.gather(*(call("package_patch", id=dataset, **{field: "x"}) for field in fields))
    shown = await call("package_show", id=dataset)
    assert {shown[field] for field in fields} == {"x"}


async def test_one_new_tag_by_many_datasets_at_once(call: ActionCall, organization: str) -> None:
    tags = [{"name": f"tag {uuid.uuid4()}"} for _ in range(5)]
    created = await asyncio.gather(
        *(
            call("package_create", name=unique(), owner_org=organization, tags=tags[:: 1 if n % 2 else -1])
            for n in range(6)
        )
    )
    assert len({tuple(tag["id"] for tag in dataset["tags"]) for dataset in created}) == 1
