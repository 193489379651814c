"""Many writers at once: each change happens whole, once, or is refused with a message."""

from __future__ import annotations

import asyncio
import uuid

from datastore.errors import ValidationError
from tests.catalog.samples import ActionCall, unique


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
