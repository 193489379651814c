"""ckanapi, library and command line, as a real client over a real socket."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import ckanapi
import pytest

from tests.conftest import ADMIN_TOKEN


async def command_line(*arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("ckanapi"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


def a_table_by_library(address: str, organization: str) -> str:
    with ckanapi.RemoteCKAN(address, apikey=ADMIN_TOKEN) as portal:
        dataset = portal.action.package_create(name=f"c-{uuid.uuid4().hex[:8]}", owner_org=organization)
        created = portal.action.datastore_create(
            resource={"package_id": dataset["id"]},
            fields=[{"id": "code", "type": "text"}, {"id": "n", "type": "int"}],
            records=[{"code": "JFK", "n": 1}, {"code": "LGA", "n": 2}],
            primary_key="code",
        )
        portal.action.datastore_upsert(resource_id=created["resource_id"], records=[{"code": "LGA", "n": 3}])
        with pytest.raises(ckanapi.ValidationError) as caught:
            portal.action.datastore_upsert(resource_id=created["resource_id"], records=[{"code": "X", "n": "y"}])
        assert caught.value.error_dict["records_row"] == 0
        with pytest.raises(ckanapi.NotFound):
            portal.action.datastore_search(resource_id="nope")
    with ckanapi.RemoteCKAN(address, get_only=True) as anonymous:
        found = anonymous.action.datastore_search(resource_id=created["resource_id"], q="LGA", limit=3)
        assert [row["n"] for row in found["records"]] == [3]
    with ckanapi.RemoteCKAN(address) as anonymous, pytest.raises(ckanapi.NotAuthorized):
        anonymous.action.datastore_delete(resource_id=created["resource_id"])
    return str(created["resource_id"])


async def test_library_and_command_line(address: str, organization: str) -> None:
    resource_id = await asyncio.to_thread(a_table_by_library, address, organization)
    found = await command_line(
        "action", "datastore_search", f"resource_id={resource_id}", "q=JFK", "limit:3", "-r", address
    )
    assert [row["code"] for row in found["records"]] == ["JFK"]
