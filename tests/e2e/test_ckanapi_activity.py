"""What happened and who follows it, through ckanapi over a real socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import ckanapi
import pytest

from datastore.actions.services import Services
from tests.accounts.people import person_with_token
from tests.catalog.samples import unique
from tests.conftest import ADMIN_TOKEN


def follow_the_news(address: str, organization: str, token: str) -> None:
    with (
        ckanapi.RemoteCKAN(address, apikey=ADMIN_TOKEN) as portal,
        ckanapi.RemoteCKAN(address, apikey=token) as reader,
        ckanapi.RemoteCKAN(address, get_only=True) as anonymous,
    ):
        name = unique()
        dataset = portal.action.package_create(name=name, owner_org=organization, title="First")
        assert reader.action.am_following_dataset(id=name) is False
        followed = reader.action.follow_dataset(id=name)
        assert reader.action.follow_dataset(id=dataset["id"]) == followed
        assert anonymous.action.dataset_follower_count(id=name) == 1
        reader.action.dashboard_mark_activities_old()
        assert reader.action.dashboard_new_activities_count() == 0
        portal.action.package_patch(id=name, title="Second")
        assert reader.action.dashboard_new_activities_count() == 1
        latest = reader.action.dashboard_activity_list(limit=1)[0]
        assert latest["activity_type"] == "changed package"
        assert latest["is_new"] is True

        found = anonymous.action.package_activity_list(id=name)
        assert [activity["activity_type"] for activity in found] == ["changed package", "new package"]
        at = datetime.fromisoformat(found[0]["timestamp"]).replace(tzinfo=UTC).timestamp()
        assert anonymous.action.package_activity_list(id=name, before=at) == found[1:]
        assert found[0]["data"]["package"]["title"] == "Second"
        assert '+  "title": "Second",' in portal.action.activity_diff(id=latest["id"], object_type="package")["diff"]
        with pytest.raises(ckanapi.NotAuthorized):
            anonymous.action.activity_diff(id=latest["id"], object_type="package")
        with pytest.raises(ckanapi.NotAuthorized):
            anonymous.action.dashboard_activity_list()
        with pytest.raises(ckanapi.ValidationError) as caught:
            reader.action.follow_dataset(id="nosuch")
        assert caught.value.error_dict["id"] == ["Not found: Dataset"]

        portal.action.package_patch(id=name, private=True)
        assert name not in str(reader.action.dashboard_activity_list(limit=100))
        with pytest.raises(ckanapi.NotAuthorized):
            anonymous.action.package_activity_list(id=name)
        reader.action.unfollow_dataset(id=name)
        assert portal.action.dataset_follower_list(id=name) == []


async def test_the_news(address: str, services: Services, organization: str) -> None:
    _, token = await person_with_token(services)
    await asyncio.to_thread(follow_the_news, address, organization, token)
