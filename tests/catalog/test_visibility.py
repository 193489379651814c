"""What the database grants follows what the catalog says, and the two forms of the rule agree."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.permissions import DatasetAccess, may_read_dataset
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, ValidationError
from tests.accounts.test_permissions import accesses, actors
from tests.catalog.samples import ActionCall

_MAY_READ = """
    SELECT datastore.may_read(
        jsonb_populate_record(NULL::datastore.datasets, $1::text::jsonb), $2, $3, $4)
"""


@given(actor=actors, access=accesses)
async def test_the_rule_in_sql_is_the_rule_in_python(services: Services, actor: Actor, access: DatasetAccess) -> None:
    row = (
        f'{{"id": {_json(access.id)}, "owner_org": {_json(access.owner_org)}, '
        f'"private": {str(access.private).lower()}, "state": "{access.state}", '
        f'"creator_user_id": {_json(access.creator_user_id)}}}'
    )
    found = await services.database.owner.fetchval(_MAY_READ, row, *actor.who)
    assert found is may_read_dataset(actor, access)


def _json(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


async def test_grants_follow_the_dataset(call: ActionCall, services: Services, dataset: str, resource: str) -> None:
    async def public_may_read() -> bool:
        found: bool = await services.database.owner.fetchval(
            "SELECT has_schema_privilege($1, $2, 'USAGE')", services.settings.public_role, dataset
        )
        if found:
            assert (await call("datastore_search", actor=ANONYMOUS, resource_id=resource))["total"] == 0
        else:
            with pytest.raises(NotAuthorized):
                await call("datastore_search", actor=ANONYMOUS, resource_id=resource)
        assert (await call("datastore_search", resource_id=resource))["total"] == 0
        return found

    assert await public_may_read()
    steps: list[tuple[dict[str, Any], bool]] = [
        ({"private": True}, False),
        ({"title": "no change"}, False),
        ({"private": False}, True),
        ({"state": "draft"}, False),
        ({"state": "active"}, True),
        ({"state": "deleted"}, False),
        ({"private": True, "state": "active"}, False),
        ({"private": False}, True),
    ]
    for fields, expected in steps:
        await call("package_patch", id=dataset, **fields)
        assert await public_may_read() is expected, fields
    await call("package_delete", id=dataset)
    assert not await public_may_read()
    await call("package_update", id=dataset, state="active")
    assert await public_may_read()


async def test_a_refused_change_leaves_the_grants(call: ActionCall, services: Services, dataset: str) -> None:
    await call("datastore_create", resource={"package_id": dataset}, fields=[{"id": "a", "type": "int"}])
    foreign = await _foreign_resource(call)
    with pytest.raises(ValidationError, match="Resource id already exists"):
        await call("package_patch", id=dataset, private=True, resources=[{"id": foreign}])
    assert await services.database.owner.fetchval(
        "SELECT has_schema_privilege($1, $2, 'USAGE')", services.settings.public_role, dataset
    )
    assert (await call("package_show", id=dataset))["private"] is False


async def _foreign_resource(call: ActionCall) -> str:
    organization = await call("organization_create", name=f"org-{uuid.uuid4().hex[:8]}")
    dataset = await call(
        "package_create", name=f"d-{uuid.uuid4().hex[:8]}", owner_org=organization["id"], resources=[{"url": "x"}]
    )
    return str(dataset["resources"][0]["id"])
