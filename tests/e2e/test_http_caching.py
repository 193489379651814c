"""ETag, If-None-Match and Cache-Control of what is read from tables: never an old answer, no private one shared."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from datastore.actions.services import Services
from datastore.app import create_app
from tests.e2e.http import Api

PATHS = (
    "/api/3/action/datastore_search?resource_id={}&limit=5",
    "/api/3/action/datastore_search?resource_id={}&records_format=csv&include_total=false",
    "/api/3/action/datastore_search?resource_id={}&cursor=*&q=one",
    "/api/3/action/datastore_aggregate?resource_id={}&group_by=name",
    "/api/3/action/datastore_info?resource_id={}",
    "/datastore/dump/{}",
    "/datastore/dump/{}?format=tsv&limit=1",
)
PUBLIC = "public, max-age=0, must-revalidate"
PRIVATE = "private, max-age=0"
Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def table(call: Call, dataset: str) -> str:
    """A table with two rows in a public dataset."""
    fields = [{"id": "name", "type": "text"}, {"id": "day", "type": "date"}]
    records = [{"name": "one", "day": "2020-01-01"}, {"name": "two", "day": "2020-01-02"}]
    created = await call("datastore_create", resource={"package_id": dataset}, fields=fields, records=records)
    return str(created["resource_id"])


async def get(
    client: httpx.AsyncClient, path: str, tag: str = "", method: str = "GET", **headers: str
) -> httpx.Response:
    """The answer, to a client that has one with that tag already."""
    if tag:
        headers["If-None-Match"] = tag
    return await client.request(method, path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_unchanged_then_written(client: httpx.AsyncClient, call: Call, table: str, path: str) -> None:
    path = path.format(table)
    first = await get(client, path)
    tag = first.headers["etag"]
    assert first.status_code == 200
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == PUBLIC
    assert "Authorization, X-Ckan-Api-Key" in first.headers["vary"]

    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}'):
        again = await get(client, path, known)
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control"):
            assert again.headers[name] == first.headers[name]
        assert "Authorization" in again.headers["vary"]
        assert "content-encoding" not in again.headers
    assert (await get(client, path, '"other"')).status_code == 200

    head = await get(client, path, method="HEAD")
    assert (head.status_code, head.headers["etag"], head.content) == (200, tag, b"")
    assert (await get(client, path, tag, method="HEAD")).status_code == 304

    await call("datastore_upsert", resource_id=table, method="insert", records=[{"name": "one"}])
    changed = await get(client, path, tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert (await get(client, path, changed.headers["etag"])).status_code == 304


async def test_every_kind_of_change_makes_another_tag(client: httpx.AsyncClient, call: Call, table: str) -> None:
    path = PATHS[0].format(table)
    info = PATHS[4].format(table)
    changes: list[tuple[str, dict[str, Any]]] = [
        ("datastore_upsert", {"method": "insert", "records": [{"name": "three"}]}),
        ("datastore_records_delete", {"filters": {"name": "three"}}),
        ("datastore_create", {"fields": [{"id": "name", "type": "text", "info": {"label": "Name"}}, {"id": "day"}]}),
        ("datastore_create", {"fields": [{"id": "more", "type": "int"}]}),
        ("datastore_create", {"fields": [{"id": "more", "type": "text"}], "convert": True}),
        ("datastore_create", {"primary_key": ["name"]}),
        ("datastore_create", {"indexes": ["day"]}),
        ("datastore_create", {"aliases": [f"alias-{uuid.uuid4().hex[:8]}"]}),
        ("datastore_create", {"language": "german"}),
        ("datastore_create", {"fields": [{"id": "name"}, {"id": "day"}], "delete_fields": True}),
        ("datastore_upsert", {"method": "upsert", "records": [{"name": "one", "day": "2021-01-01"}]}),
    ]
    tags = set()
    for name, parameters in changes:
        before = [(await get(client, address)).headers["etag"] for address in (path, info)]
        await call(name, resource_id=table, **parameters)
        for address, tag in zip((path, info), before, strict=True):
            answer = await get(client, address, tag)
            assert (answer.status_code, answer.headers["etag"] != tag) == (200, True), (name, parameters)
            tags.add(answer.headers["etag"])
    assert len(tags) == 2 * len(changes)


async def test_a_table_made_anew_has_other_tags(
    client: httpx.AsyncClient, call: Call, dataset: str, table: str
) -> None:
    path = PATHS[0].format(table)
    tag = (await get(client, path)).headers["etag"]
    await call("datastore_delete", resource_id=table)
    assert (await get(client, path, tag)).status_code == 404
    await call(
        "datastore_create",
        resource_id=table,
        fields=[{"id": "name", "type": "text"}, {"id": "day", "type": "date"}],
        records=[{"name": "other"}],
    )
    assert (await get(client, path, tag)).status_code == 200


async def test_writes_through_another_worker_count_at_once(
    client: httpx.AsyncClient, services: Services, database_url: str, admin_headers: dict[str, str], table: str
) -> None:
    """Another worker's caches and connections are its own; only the database connects the two."""
    other = await Services.open(database_url, services.settings)
    try:
        transport = httpx.ASGITransport(create_app(services.settings, other))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as writer:
            path = PATHS[0].format(table)
            for number in range(20):
                tag = (await get(client, path)).headers["etag"]
                assert (await get(client, path, tag)).status_code == 304
                # The tag holds in every worker that has the same schema.
                assert (await get(writer, path, tag)).status_code == 304
                await Api(writer, admin_headers).ok(
                    "datastore_upsert", resource_id=table, method="insert", records=[{"name": str(number)}]
                )
                answer = await get(client, path, tag)
                assert answer.status_code == 200
                assert answer.json()["result"]["total"] == number + 3
            # A change of the schema gets here by a message; until then an answer in the old shape has a tag of its own.
            tag = (await get(client, path)).headers["etag"]
            await Api(writer, admin_headers).ok(
                "datastore_create", resource_id=table, fields=[{"id": "more", "type": "int"}]
            )
            async with asyncio.timeout(60):
                while "more" not in (await get(client, path, tag)).text:
                    assert (await get(client, path, tag)).status_code == 200
            final = await get(client, path)
            assert (await get(writer, path)).headers["etag"] == final.headers["etag"]
    finally:
        await other.close()


async def test_no_answer_is_older_than_its_tag(client: httpx.AsyncClient, call: Call, table: str) -> None:
    """While somebody writes, whoever holds a tag never gets 304 for rows that have changed since."""
    path = f"/api/3/action/datastore_search?resource_id={table}&fields=name&sort=_id+desc&limit=1"
    done = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        for number in range(60):
            await call("datastore_upsert", resource_id=table, method="insert", records=[{"name": f"n{number}"}])
            written = number + 1
        done.set()

    async def read() -> None:
        tag, have = "", -1
        while not done.is_set():
            least = written
            answer = await get(client, path, tag)
            if answer.status_code == 200:
                name = answer.json()["result"]["records"][0]["name"]
                tag, have = answer.headers["etag"], int(name[1:]) + 1 if name[0] == "n" else 0
            assert have >= least

    await asyncio.gather(write(), *(read() for _ in range(4)))


async def test_tags_differ_by_request(client: httpx.AsyncClient, table: str) -> None:
    base = f"/api/3/action/datastore_search?resource_id={table}"
    addresses = [base, f"{base}&limit=1", f"{base}&offset=1", f"{base}&q=one", base.replace("_search", "_info")]
    addresses += [f"/datastore/dump/{table}", f"/datastore/dump/{table}?format=tsv"]
    tags = {(await get(client, address)).headers["etag"] for address in addresses}
    tags.add((await get(client, base, Host="elsewhere.example")).headers["etag"])
    assert len(tags) == len(addresses) + 1


@pytest.mark.parametrize("path", PATHS)
async def test_private_data_is_never_public(
    client: httpx.AsyncClient,
    call: Call,
    admin_headers: dict[str, str],
    dataset: str,
    table: str,
    organization: str,
    path: str,
) -> None:
    path = path.format(table)
    anonymous = await get(client, path)
    assert anonymous.headers["cache-control"] == PUBLIC
    # With a token nothing is for others, not even what is public.
    assert (await get(client, path, **admin_headers)).headers["cache-control"] == PRIVATE

    name = f"u-{uuid.uuid4().hex[:10]}"
    member = await call("user_create", name=name, email=f"{name}@example.org", password="a password")
    token = (await call("api_token_create", user=member["name"], name="t"))["token"]
    await call("package_patch", id=dataset, private=True)
    for known in ("", anonymous.headers["etag"], "*"):
        for headers in ({}, {"Authorization": token}):
            refused = await get(client, path, known, **headers)
            assert refused.status_code in (403, 404)
            assert "etag" not in refused.headers
            assert "public" not in refused.headers.get("cache-control", "")
    mine = await get(client, path, anonymous.headers["etag"], **admin_headers)
    assert (mine.status_code, mine.headers["cache-control"]) == (200, PRIVATE)
    assert mine.headers["etag"] != anonymous.headers["etag"]
    assert (await get(client, path, mine.headers["etag"], **admin_headers)).status_code == 304

    await call("package_patch", id=dataset, private=False)
    again = await get(client, path, mine.headers["etag"])
    assert (again.status_code, again.headers["cache-control"]) == (200, PUBLIC)


async def test_answers_that_move_with_time_have_no_tag(client: httpx.AsyncClient, table: str) -> None:
    for value in ("today", "NOW", " tomorrow "):
        filters = quote(json.dumps({"day": {"lte": value}}))
        for address in (f"/api/3/action/datastore_search?resource_id={table}", f"/datastore/dump/{table}?format=csv"):
            answer = await get(client, f"{address}&filters={filters}")
            assert answer.status_code == 200
            assert "etag" not in answer.headers
            assert answer.headers.get("cache-control", PRIVATE) == PRIVATE
    known = quote(json.dumps({"name": "unknown"}))
    assert "etag" in (await get(client, f"{PATHS[0].format(table)}&filters={known}")).headers


async def test_what_has_no_tag(client: httpx.AsyncClient, admin_headers: dict[str, str], table: str) -> None:
    posted = await Api(client, admin_headers).post("datastore_search", resource_id=table)
    script = await get(client, f"{PATHS[0].format(table)}&callback=f")
    metadata = await get(client, PATHS[0].format("_table_metadata"))
    for answer in (posted, script, metadata):
        assert answer.status_code == 200
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == PRIVATE


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/api/3/action/datastore_search?resource_id={}", "/datastore/dump/{}?format=csv"])
async def test_tags_and_compression(client: httpx.AsyncClient, call: Call, table: str, coding: str, path: str) -> None:
    records = [{"name": f"name {number}"} for number in range(500)]
    await call("datastore_upsert", resource_id=table, method="insert", records=records)
    path = path.format(table)
    plain = await get(client, path, **{"Accept-Encoding": "identity"})
    packed = await get(client, path, **{"Accept-Encoding": f"{coding}, *;q=0.1"})
    assert packed.headers["content-encoding"] == coding
    assert packed.headers["etag"] == plain.headers["etag"]
    assert packed.content == plain.content
    assert "Accept-Encoding" in packed.headers["vary"]
    assert "Accept-Encoding" in plain.headers["vary"]
    assert (await get(client, path, plain.headers["etag"], **{"Accept-Encoding": coding})).status_code == 304


async def test_lifetime_of_public_data(services: Services, table: str) -> None:
    settings = services.settings.model_copy(update={"public_max_age": 60})
    transport = httpx.ASGITransport(create_app(settings, services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await get(client, PATHS[0].format(table))).headers["cache-control"] == "public, max-age=60"
