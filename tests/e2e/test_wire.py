"""The wire as real clients use it: over sockets, behind uvicorn as in production, with ckanapi, broken on purpose."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import ckanapi
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from datastore.actions.services import Services
from datastore.app import create_app
from datastore.http.writes import HttpProtocol
from datastore.settings import Settings

READ = "/api/3/action/site_read"


@asynccontextmanager
async def serve(app: Starlette) -> AsyncIterator[tuple[str, int]]:
    """Host and port of the application behind uvicorn, in this event loop."""
    config = uvicorn.Config(app, port=0, http=HttpProtocol, lifespan="off", log_config=None, access_log=False)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 -- uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    host, port = running.servers[0].sockets[0].getsockname()
    yield host, port
    running.should_exit = True
    await task


@pytest.fixture
async def server(app: Starlette) -> AsyncIterator[tuple[str, int]]:
    """The application, served."""
    async with serve(app) as address:
        yield address


async def raw(server: tuple[str, int], request: bytes, *, end: bool = False) -> bytes:
    """What the server answers to these bytes until it closes the connection; ``end`` half-closes ours after them."""
    reader, writer = await asyncio.open_connection(*server)
    writer.write(request)
    await writer.drain()
    if end:
        writer.write_eof()
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def address(server: tuple[str, int]) -> str:
    return f"http://{server[0]}:{server[1]}"


async def test_requests_leave_nothing_to_the_garbage_collector(server: tuple[str, int]) -> None:
    # It would stop the worker for a tenth of a second each time that it collects thousands of them.
    gc.disable()
    try:
        async with httpx.AsyncClient(base_url=address(server)) as client:
            for path in [READ, "/api/3/action/help_show?name=nothing", "/livez"] * 20:
                await client.get(path)
        left = sum(isinstance(held, RequestResponseCycle) for held in gc.get_objects())
    finally:
        gc.enable()
    assert left < 10


async def test_ckanapi(server: tuple[str, int]) -> None:
    def calls() -> None:
        with ckanapi.RemoteCKAN(address(server)) as remote:
            assert remote.action.site_read() is True
            assert "name" in remote.action.help_show(name="help_show")
            assert remote.call_action("status_show", requests_kwargs={"timeout": 5})["ckan_version"] == "2.11.0"
            with pytest.raises(ckanapi.NotFound):
                remote.action.help_show(name="nothing")
            with pytest.raises(ckanapi.ValidationError) as caught:
                remote.action.help_show()
            assert caught.value.error_dict["name"] == ["Missing value"]
            with pytest.raises(ckanapi.CKANAPIError):
                remote.action.nothing()
        with ckanapi.RemoteCKAN(address(server), get_only=True) as remote:
            assert remote.action.help_show(name="site_read").startswith("site_read")

    await asyncio.to_thread(calls)


async def test_head_answers_without_a_body(server: tuple[str, int]) -> None:
    answer = await raw(server, f"HEAD {READ} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: " in head.lower()
    assert body == b""


async def test_requests_sent_together_are_answered_in_their_order(server: tuple[str, int]) -> None:
    """One of each way in which an answer leaves, on one connection, which the last one closes."""
    lines = [f"GET {READ} HTTP/1.1", f"HEAD {READ} HTTP/1.1", "GET /livez HTTP/1.1", "GET /api/3/action/none HTTP/1.1"]
    requests = [f"{line}\r\nHost: x\r\n\r\n" for line in (*lines, lines[0])]
    requests[-1] = requests[-1].replace("Host: x", "Host: x\r\nConnection: close")
    answer = await raw(server, "".join(requests).encode())
    heads, bodies = [], []
    while answer:
        head, _, answer = answer.partition(b"\r\n\r\n")
        heads.append(head.lower().split(b"\r\n"))
        length = next(int(line.partition(b":")[2]) for line in heads[-1] if line.startswith(b"content-length:"))
        if len(heads) == 2:  # HEAD
            continue
        bodies.append(answer[:length])
        answer = answer[length:]
    assert [head[0] for head in heads] == [b"http/1.1 200 ok"] * 3 + [b"http/1.1 400 bad request", b"http/1.1 200 ok"]
    assert [json.loads(body) for body in (bodies[0], bodies[3])] == [json.loads(bodies[0])] * 2
    names = [sorted(line.partition(b":")[0] for line in heads[number]) for number in (0, 1)]
    assert names[0] == names[1]
    assert {b"date", b"content-type", b"x-request-id", b"server-timing"} <= set(names[0])
    assert b"connection: close" in heads[-1]


async def test_an_older_client_gets_its_answer_and_the_end(server: tuple[str, int]) -> None:
    head, _, body = (await raw(server, f"GET {READ} HTTP/1.0\r\n\r\n".encode())).partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["success"] is True


async def test_a_body_cut_short(server: tuple[str, int]) -> None:
    head = f"POST {READ} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n".encode()
    await raw(server, head + b'{"a": ', end=True)
    async with httpx.AsyncClient(base_url=address(server)) as client:
        assert (await client.get(READ)).status_code == 200


@pytest.mark.parametrize("length", [b"-1", b"abc", b"99999999999999999999999"])
async def test_wrong_lengths(server: tuple[str, int], length: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %b\r\n\r\n" % (READ.encode(), length)
    answer = await raw(server, head)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


async def test_chunked_and_compressed_bodies(server: tuple[str, int]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b'{"na', b'me": "site', b'_read"}'):
            yield piece

    async with httpx.AsyncClient(base_url=address(server)) as client:
        response = await client.post("/api/3/action/help_show", content=chunks())
        assert response.json()["result"].startswith("site_read")
        assert response.json()["help"].startswith(address(server))


async def test_a_body_too_large_is_refused_before_it_is_sent(server: tuple[str, int]) -> None:
    head = (
        f"POST {READ} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n"
        f"Content-Length: {10**12}\r\n\r\n"
    )
    answer = await raw(server, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]).startswith("Bad request: the request body is larger than")


async def test_many_requests_at_once(server: tuple[str, int]) -> None:
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=address(server), limits=limits) as client:
        ids = [f"request-{number}" for number in range(200)]
        answers = await asyncio.gather(*(client.get(READ, headers={"X-Request-Id": one}) for one in ids))
    assert [answer.headers["x-request-id"] for answer in answers] == ids
    assert {answer.status_code for answer in answers} == {200}


async def test_a_response_that_breaks_off_is_seen_as_broken(settings: Settings, services: Services) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half of "
        raise RuntimeError("the disk is gone")

    async def dump(_request: Request) -> StreamingResponse:
        return StreamingResponse(half(), media_type="text/csv")

    app = create_app(settings, services)
    app.add_route("/dump", dump)
    async with serve(app) as where, httpx.AsyncClient(base_url=address(where)) as client:
        for coding in ("identity", "gzip"):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/dump", headers={"Accept-Encoding": coding})


async def test_lists_of_objects_in_forms_and_what_is_none(
    client: httpx.AsyncClient, admin_headers: dict[str, str], dataset: str
) -> None:
    async def patch(tags: str) -> httpx.Response:
        url = "/api/3/action/package_patch"
        return await client.post(url, data={"id": dataset, "tags": tags}, headers=admin_headers)

    shown = (await patch('[{"name": "by form"}]')).json()["result"]
    assert [tag["name"] for tag in shown["tags"]] == ["by form"]
    refused = await patch("by form")
    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "__type": "Integrity Error",
        "message": "tags must be a list of objects",
        "data": {"id": dataset, "tags": "by form"},
    }
