"""Organizations, groups, users and members with ckanapi, as library and command line, over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import ckanapi
import httpx
import pytest

from tests.conftest import ADMIN_TOKEN
from tests.e2e.test_ckanapi import command_line


def _unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def _by_library(address: str) -> None:
    with ckanapi.RemoteCKAN(address, apikey=ADMIN_TOKEN) as portal:
        name = _unique("u")
        user = portal.action.user_create(name=name, email=f"{name}@example.org", password="long enough")
        token = portal.action.api_token_create(user=name, name="library")["token"]
        organization = portal.action.organization_create(name=_unique("org"), title="Office")
        with ckanapi.RemoteCKAN(address, apikey=token) as member:
            with pytest.raises(ckanapi.NotAuthorized):
                member.action.package_create(name=_unique("d"), owner_org=organization["id"])
            portal.action.organization_member_create(id=organization["name"], username=name, role="editor")
            dataset = member.action.package_create(name=_unique("d"), owner_org=organization["id"])
            with pytest.raises(ckanapi.NotAuthorized):
                member.action.organization_patch(id=organization["id"], title="Mine")
            group = member.action.group_create(name=_unique("grp"), packages=[{"id": dataset["id"]}])
            assert [u["capacity"] for u in group["users"]] == ["admin"]
            assert [p["id"] for p in member.action.group_package_show(id=group["id"])] == [dataset["id"]]
            changed = member.action.group_update(**{**group, "title": "All"})
            assert changed["title"] == "All"
            member.action.user_patch(id=name, fullname="Ann")
            assert member.action.user_show(id=name)["display_name"] == "Ann"
            mine = member.action.organization_list_for_user(permission="create_dataset")
            assert [(o["id"], o["capacity"]) for o in mine] == [(organization["id"], "editor")]
        with pytest.raises(ckanapi.ValidationError) as caught:
            portal.action.group_create(name=organization["name"])
        assert caught.value.error_dict["name"] == ["Group name already exists in database"]
        with pytest.raises(ckanapi.NotFound):
            portal.action.group_show(id=organization["id"])
        members = portal.action.member_list(id=organization["id"], object_type="user", capacity="editor")
        assert members == [[user["id"], "user", "Editor"]]
        portal.action.user_delete(id=name)
        with ckanapi.RemoteCKAN(address, apikey=token) as gone, pytest.raises(ckanapi.NotAuthorized):
            gone.action.organization_patch(id=organization["id"], title="x")


async def test_library(address: str) -> None:
    await asyncio.to_thread(_by_library, address)


@pytest.mark.parametrize("kind", ["groups", "organizations"])
async def test_command_line_dumps_and_loads(address: str, tmp_path: Path, kind: str) -> None:
    single = kind.removesuffix("s")
    api = httpx.AsyncClient(base_url=f"{address}/api/3/action/", headers={"Authorization": ADMIN_TOKEN})

    async def call(name: str, /, **parameters: Any) -> Any:
        response = await api.post(name, json=parameters)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    parent = await call(f"{single}_create", name=_unique("top"))
    made = await call(
        f"{single}_create",
        name=_unique("dump"),
        title="T",
        description="D",
        extras=[{"key": "k", "value": "v"}],
        groups=[{"name": parent["name"]}],
    )
    file = tmp_path / "dump.jsonl"
    await _ckanapi("dump", kind, made["name"], "-O", str(file), "-r", address, "-a", ADMIN_TOKEN)
    dumped = json.loads(file.read_text())
    assert (dumped["name"], dumped["title"], dumped["extras"]) == (made["name"], "T", made["extras"])
    await call(f"{single}_patch", id=made["id"], title="changed", extras=[], groups=[])
    await _ckanapi("load", kind, "-I", str(file), "-r", address, "-a", ADMIN_TOKEN)
    loaded = await call(f"{single}_show", id=made["id"])
    assert (loaded["title"], loaded["extras"]) == ("T", made["extras"])
    assert [group["id"] for group in loaded["groups"]] == [parent["id"]]
    await call(f"{single}_purge", id=made["id"])
    await _ckanapi("load", kind, "-I", str(file), "-r", address, "-a", ADMIN_TOKEN)
    again = await call(f"{single}_show", id=made["name"])
    volatile = {"created", "users"}
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in loaded.items() if k not in volatile
    }
    assert [user["name"] for user in again["users"]] == [user["name"] for user in loaded["users"]]
    await _ckanapi("delete", kind, made["name"], "-r", address, "-a", ADMIN_TOKEN)
    assert made["name"] not in await call(f"{single}_list", q=made["name"])
    await api.aclose()


async def test_command_line_dumps_users(address: str, tmp_path: Path) -> None:
    name = _unique("u")
    made = await command_line(
        "action", "user_create", f"name={name}", f"email={name}@example.org", "password=long enough",
        "-r", address, "-a", ADMIN_TOKEN,
    )  # fmt: skip
    file = tmp_path / "users.jsonl"
    await _ckanapi("dump", "users", name, "-O", str(file), "-r", address, "-a", ADMIN_TOKEN)
    dumped = json.loads(file.read_text())
    assert (dumped["id"], dumped["email"]) == (made["id"], made["email"])
    assert dumped["password_hash"].startswith("$argon2id$")


async def _ckanapi(*arguments: str) -> None:
    folder = Path(sys.executable).parent  # it starts workers of its own, by its name
    process = await asyncio.create_subprocess_exec(
        folder / "ckanapi",
        *arguments,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()


async def test_members_and_pictures_by_forms(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    name = _unique("org")
    made = await client.post(
        "/api/3/action/organization_create", data={"name": name, "title": "T"}, headers=admin_headers
    )
    assert made.status_code == 200, made.text
    changed = await client.post(
        "/api/3/action/group_update",
        data={"id": name, "image_upload": "http://example.org/logo.png", "clear_upload": "True"},
        files={"ignored": ("a.txt", b"x")},
        headers=admin_headers,
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["result"]["image_display_url"] == "http://example.org/logo.png"
    assert changed.json()["result"]["title"] == "T"
    uploaded = await client.post(
        "/api/3/action/group_update",
        data={"id": name},
        files={"image_upload": ("logo.png", b"\x89PNG")},
        headers=admin_headers,
    )
    assert uploaded.status_code == 200, uploaded.text
    assert uploaded.json()["result"]["image_display_url"] == "http://example.org/logo.png"


async def test_a_read_only_token_over_http(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    made = await client.post(
        "/api/3/action/api_token_create",
        json={"user": "admin", "name": "reader", "read_only": True},
        headers=admin_headers,
    )
    reader = {"Authorization": made.json()["result"]["token"]}
    shown = await client.get("/api/3/action/user_show", headers=reader)
    assert shown.json()["result"]["name"] == "admin"
    refused = await client.post("/api/3/action/group_create", json={"name": _unique("grp")}, headers=reader)
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "__type": "Authorization Error",
        "message": "Access denied: This token may only read, not call group_create",
    }
