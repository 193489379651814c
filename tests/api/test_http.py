"""The rules of the Action API's transport, each over HTTP against the whole application."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import brotli  # type: ignore[import-untyped]
import httpx
import pytest
import structlog
import zstandard
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from datastore import errors
from datastore.actions import registry
from datastore.actions.parameters import Parameters
from datastore.actions.registry import Call, RawJson
from datastore.actions.services import Services
from datastore.app import create_app
from datastore.settings import Settings

READ = "/api/3/action/site_read"
READ_BODY = '{"help": "http://test/api/3/action/help_show?name=site_read", "success": true, "result": true}'
JSON_TYPE = "application/json;charset=utf-8"


class Anything(Parameters):
    """For the actions below: what no real action shows on demand."""

    kind: str = ""
    records: Any = None
    size: int = 0


async def wire_who(call: Call, _parameters: Anything) -> str:
    """Who the request comes from."""
    return call.actor.name


async def wire_fail(call: Call, parameters: Anything) -> None:
    """Raises what ``kind`` names."""
    if parameters.kind == "slow":
        async with call.services.database.owner.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 20")
            await connection.execute("SELECT pg_sleep(10)")
    if parameters.kind == "structure":
        raise errors.StructureError("not a list", {"records": RawJson(parameters.records)})
    raise {"validation": errors.ValidationError({"id": ["Missing value"]}), "bug": RuntimeError("secret detail")}[
        parameters.kind
    ]


async def wire_write(call: Call, parameters: Anything) -> Any:
    """Gives its records back, and says that it changed a package."""
    call.changed_entities["packages"] = ["p"]
    call.timings["db"] = 0.0015
    return None if parameters.records is None else RawJson(parameters.records)


async def wire_text(_call: Call, parameters: Anything) -> Any:
    """A text of that size, with the separators that once were no JavaScript."""
    return "\u2028\u2029" + "x" * parameters.size


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    registry.action(Anything, get=True)(wire_who)
    registry.action(Anything, get=True, raw=("records",))(wire_fail)
    registry.action(Anything, raw=("records",))(wire_write)
    registry.action(Anything, get=True)(wire_text)
    yield
    for name in [name for name in registry.names() if name.startswith("wire_")]:
        del registry._actions[name]


def client_of(services: Services, **changes: Any) -> httpx.AsyncClient:
    """A client of an application with other settings, over the same database."""
    settings = services.settings.model_copy(update=changes)
    app = create_app(settings, replace(services, settings=settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


# Addresses and methods


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "version"), [("/api", 1), ("/api/1", 1), ("/api/2", 2), ("/api/3", 3)])
async def test_versions(client: httpx.AsyncClient, path: str, slash: str, version: int) -> None:
    for method in ("GET", "POST"):
        response = await client.request(method, path + slash)
        assert (response.status_code, response.json()) == (200, {"version": version})
        assert response.headers["content-type"] == JSON_TYPE
    assert (await client.options(path + slash)).status_code == 204
    assert (await client.delete(path + slash)).status_code == 405


@pytest.mark.parametrize("path", ["/api/3/action/site_read", "/api/action/site_read"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_addresses_of_an_action(client: httpx.AsyncClient, path: str, slash: str, method: str) -> None:
    response = await client.request(method, path + slash)
    assert (response.status_code, response.text) == (200, READ_BODY)
    assert response.headers["content-type"] == JSON_TYPE
    assert response.headers["cache-control"] == "private, max-age=0"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/api/1/action/site_read", "/api/2/action/site_read", "/api/4", "/api/3/x", "/nothing", "/livez/"]
)
async def test_addresses_that_do_not_exist(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert (response.status_code, response.json()) == (404, "Not Found")


async def test_other_methods(client: httpx.AsyncClient) -> None:
    head = await client.head(READ)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(READ_BODY)))
    options = await client.options(READ)
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    for method in ("PUT", "DELETE", "PATCH", "BREW"):
        response = await client.request(method, READ)
        assert (response.status_code, response.json()) == (405, f"Method not allowed: {method}")


async def test_unknown_actions_and_get_on_writes_are_bare_strings(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/3/action/nothing")
    assert (response.status_code, response.text) == (400, '"Bad request: Action name not known: nothing"')
    response = await client.post("/api/3/action/a/b%22", json={})
    assert (response.status_code, response.json()) == (400, 'Bad request: Action name not known: a/b"')
    for method in ("GET", "HEAD"):
        response = await client.request(method, "/api/3/action/package_create?name=x")
        assert response.status_code == 400
    response = await client.get("/api/3/action/package_create?name=x")
    assert response.json().startswith("Bad request: JSON Error: ")
    assert "Invalid request. Please use POST method for your request" in response.json()


async def test_undecodable_bodies_are_bare_strings(client: httpx.AsyncClient) -> None:
    for body, reason in ((b"{", "JSON Error: "), (b"[]", "needs to be a dictionary"), (b'{"a": "\xff"}', "UTF-8")):
        response = await client.post(READ, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 400
        assert response.json().startswith("Bad request: JSON Error: ")
        assert reason in response.json()


# The real actions


async def test_status_show(client: httpx.AsyncClient, settings: Settings) -> None:
    status = (await client.get("/api/3/action/status_show")).json()["result"]
    assert {"site_title", "site_description", "error_emails_to", "locale_default", "datastore_version"} <= set(status)
    assert status["site_url"] == "http://test"
    assert status["ckan_version"] == "2.11.0"
    assert "datastore" in status["extensions"]
    assert status["site_title"] == settings.site_title


async def test_help_show(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/3/action/help_show", data={"name": "help_show"})
    assert "name: Name of an action" in response.json()["result"]
    assert response.json()["help"] == "http://test/api/3/action/help_show?name=help_show"
    missing = await client.get("/api/3/action/help_show")
    assert (missing.status_code, missing.json()["error"]) == (
        409,
        {"name": ["Missing value"], "__type": "Validation Error"},
    )
    unknown = await client.get("/api/3/action/help_show?name=x")
    assert (unknown.status_code, unknown.json()["error"]["__type"]) == (404, "Not Found Error")


# Outcomes


async def test_changed_entities_and_raw_records(client: httpx.AsyncClient) -> None:
    body = b'{"records": [{"a": 1.10}]}'
    for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        response = await client.post("/api/3/action/wire_write", content=body, headers={"content-type": content_type})
        assert '"result": [{"a": 1.10}], "changed_entities": {"packages":["p"]}}' in response.text


async def test_errors_in_the_envelope(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/3/action/wire_fail?kind=validation")
    assert response.status_code == 409
    assert response.json() == {
        "help": "http://test/api/3/action/help_show?name=wire_fail",
        "success": False,
        "error": {"id": ["Missing value"], "__type": "Validation Error"},
    }
    response = await client.get("/api/3/action/wire_fail?kind=slow")
    assert response.status_code == 409
    assert response.json()["error"] == {"query": ["Query took too long"], "__type": "Validation Error"}
    response = await client.post("/api/3/action/wire_fail", json={"kind": "structure", "records": [1, {}]})
    assert (response.status_code, response.json()["error"]["data"]) == (400, {"records": [1, {}]})


async def test_bad_structure_comes_back(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    sent = {"name": "of-structure", "resources": "none", "notes": None}
    response = await client.post("/api/3/action/package_create", json=sent, headers=admin_headers)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "__type": "Integrity Error",
        "message": "resources must be a list of objects",
        "data": sent,
    }
    form = {"records": (None, "x"), "fields": (None, '{"a": 1}')}
    response = await client.post("/api/3/action/datastore_create", files=form, headers=admin_headers)
    assert response.status_code in (400, 409)


async def test_a_bug_tells_nothing_and_is_logged_with_its_traceback(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        response = await client.get("/api/3/action/wire_fail?kind=bug")
    assert response.status_code == 500
    assert response.json()["error"] == {"message": "Internal Server Error", "__type": "Internal Server Error"}
    assert repr(logs[0]["exc_info"]) == "RuntimeError('secret detail')"
    assert (logs[1]["log_level"], logs[1]["status"]) == ("error", 500)


async def test_errors_outside_of_actions(settings: Settings, services: Services) -> None:
    async def broken(_request: Request) -> Response:
        raise errors.NotFound("thing")

    app = create_app(settings, services)
    app.add_route("/broken", broken)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get("/broken")
    assert (response.status_code, response.headers["content-type"]) == (404, JSON_TYPE)
    assert response.json() == {
        "success": False,
        "error": {"message": "Not found: thing", "__type": "Not Found Error"},
    }


# JSONP


async def test_jsonp(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    response = await client.get(READ + "?callback=my-fn.x", headers=admin_headers)
    assert response.text == f"my-fn.x({READ_BODY});"
    assert response.headers["content-type"] == "application/javascript;charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    response = await client.get("/api/3/action/wire_text?callback=f")
    assert '"\\u2028\\u2029"' in response.text
    assert "\u2028" not in response.text


async def test_jsonp_is_anonymous(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    address = "/api/3/action/wire_who"
    assert (await client.get(address, headers=admin_headers)).json()["result"] == "admin"
    assert '"result": ""' in (await client.get(address + "?callback=f", headers=admin_headers)).text
    posted = await client.post(address + "?callback=f", headers=admin_headers, json={})
    assert posted.headers["content-type"] == "application/javascript;charset=utf-8"
    assert posted.text.startswith("f({")
    assert '"result": ""' in posted.text
    refused = await client.post("/api/3/action/package_create?callback=f", headers=admin_headers, json={})
    assert (refused.status_code, refused.json()["error"]["__type"]) == (403, "Authorization Error")


async def test_errors_are_not_wrapped(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/3/action/help_show?name=x&callback=f")
    assert (response.status_code, response.json()["success"]) == (404, False)
    response = await client.get(READ + "?callback=alert(1)")
    assert (response.status_code, response.json()) == (400, "Bad request: the callback is not the name of a function")


# Who is asking


async def test_tokens(client: httpx.AsyncClient, services: Services, admin_headers: dict[str, str]) -> None:
    token = next(iter(admin_headers.values()))

    async def who(headers: dict[str, str], asked: httpx.AsyncClient = client) -> Any:
        return (await asked.get("/api/3/action/wire_who", headers=headers)).json()["result"]

    assert await who({"Authorization": token}) == "admin"
    assert await who({"Authorization": f"Bearer {token}"}) == "admin"
    assert await who({"X-CKAN-API-Key": token}) == "admin"
    assert await who({"Authorization": "Basic eDp5", "X-CKAN-API-Key": token}) == "admin"
    assert await who({"Authorization": "wrong"}) == ""
    assert await who({"Authorization": "wrong", "X-CKAN-API-Key": token}) == ""
    assert await who({}) == ""
    async with client_of(services, apitoken_header_name="X-Token") as other:
        assert await who({"X-Token": token, "Authorization": "wrong"}, other) == "admin"


# CORS


async def test_cors_is_off_by_default(client: httpx.AsyncClient) -> None:
    response = await client.get(READ, headers={"Origin": "https://a.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert (await client.options(READ, headers=preflight)).status_code == 204


async def test_cors_for_everybody(services: Services) -> None:
    async with client_of(services, cors_origin_allow_all=True, apitoken_header_name="X-Token") as client:
        response = await client.get(READ, headers={"Origin": "https://a.example"})
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-methods"] == "POST, PUT, GET, DELETE, OPTIONS"
        allowed = "X-Token, Content-Type, Authorization, X-CKAN-API-Key"
        assert response.headers["access-control-allow-headers"] == allowed
        assert "access-control-allow-origin" not in (await client.get(READ)).headers
        preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        answer = await client.options(READ, headers=preflight)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        missing = await client.get("/api/3/action/x", headers={"Origin": "https://a.example"})
        assert missing.headers["access-control-allow-origin"] == "*"


async def test_cors_for_listed_origins(services: Services) -> None:
    async with client_of(services, cors_origin_whitelist="https://a.example https://b.example") as client:
        response = await client.get(READ, headers={"Origin": "https://b.example"})
        assert response.headers["access-control-allow-origin"] == "https://b.example"
        assert "Origin" in response.headers["vary"].split(", ")
        other = await client.get(READ, headers={"Origin": "https://c.example"})
        assert "access-control-allow-origin" not in other.headers
        assert "Origin" in (await client.get(READ)).headers["vary"].split(", ")


# The address of the site


async def test_the_address_of_the_site(client: httpx.AsyncClient, services: Services) -> None:
    async def address(host: str) -> str:
        response = await client.get("/api/3/action/status_show", headers={"Host": host})
        assert response.json()["help"].startswith(response.json()["result"]["site_url"] + "/api/3/")
        return str(response.json()["result"]["site_url"])

    assert await address("data.example:8080") == "http://data.example:8080"
    assert await address("[::1]:80") == "http://[::1]:80"
    assert await address('a"<script>') == "http://test"
    async with client_of(services, site_url="https://data.example/portal") as other:
        status = (await other.get("/api/3/action/status_show")).json()
    assert status["result"]["site_url"] == "https://data.example/portal"


# Bodies on the way in and out


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("br", brotli.compress)]
)
async def test_compressed_requests(client: httpx.AsyncClient, coding: str, compress: Any) -> None:
    response = await client.post(
        "/api/3/action/wire_write",
        content=compress(b'{"records": [1]}'),
        headers={"content-encoding": coding, "content-type": "application/json"},
    )
    assert response.json()["result"] == [1]
    broken = await client.post("/api/3/action/wire_write", content=b"{}", headers={"content-encoding": coding})
    assert (broken.status_code, type(broken.json())) == (400, str)


async def test_bodies_beyond_the_limit(services: Services) -> None:
    async with client_of(services, max_body_size=1024) as client:
        for content, headers in (
            (b"x" * 1025, {}),
            (gzip.compress(b" " * 1_000_000), {"content-encoding": "gzip"}),
        ):
            response = await client.post(READ, content=content, headers=headers)
            expected = (413, "Bad request: the request body is larger than 1024 bytes")
            assert (response.status_code, response.json()) == expected


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br"])
@pytest.mark.parametrize("size", [5000, 3_000_000])
async def test_compressed_responses(client: httpx.AsyncClient, coding: str, size: int) -> None:
    address = f"/api/3/action/wire_text?size={size}"
    response = await client.get(address, headers={"Accept-Encoding": coding})
    assert response.headers["content-encoding"] == coding
    assert response.headers["vary"] == "Accept-Encoding"
    assert len(response.json()["result"]) == size + 2
    plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    assert plain.headers["content-length"] == str(len(plain.content))
    assert plain.json() == response.json()


async def test_small_responses_are_not_compressed(client: httpx.AsyncClient) -> None:
    response = await client.get(READ, headers={"Accept-Encoding": "gzip, zstd, br"})
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == str(len(READ_BODY))


# Operating


async def test_request_ids(client: httpx.AsyncClient) -> None:
    assert (await client.get(READ, headers={"X-Request-Id": "a-B_1.2"})).headers["x-request-id"] == "a-B_1.2"
    for odd in ("a b", "x" * 65, "a\tb", '"', ""):
        made = (await client.get(READ, headers={"X-Request-Id": odd})).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", made)


async def test_server_timing(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/3/action/wire_write", json={})
    phases = re.fullmatch(
        r"parse;dur=[\d.]+, db;dur=1\.50, action;dur=[\d.]+, total;dur=([\d.]+)",
        response.headers["server-timing"],
    )
    assert phases is not None
    assert 0 < float(phases[1]) < 10_000
    assert (await client.get("/livez")).headers["server-timing"].startswith("total;dur=")


@pytest.mark.usefixtures("restored_logging")
async def test_one_log_line_a_request_without_values(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with capture_logs() as logs:
        await client.post(
            "/api/3/action/wire_write?secret=1", json={"kind": "secret", "records": ["secret"]}, headers=admin_headers
        )
        await client.get("/api/3/action/secret")
        await client.get("/livez")
    assert [(entry["log_level"], entry["action"], entry["status"], entry["user"]) for entry in logs] == [
        ("info", "wire_write", 200, "admin"),
        ("info", "unknown", 400, ""),
        ("debug", "", 200, ""),
    ]
    entry = logs[0]
    assert (entry["event"], entry["method"], entry["path"]) == ("request", "POST", "/api/3/action/wire_write")
    assert entry["bytes"] > 50
    assert entry["ms"] > 0
    assert "secret" not in repr(entry)
    assert next(iter(admin_headers.values())) not in repr(logs)


async def test_metrics(client: httpx.AsyncClient, services: Services) -> None:
    for number in range(3):
        await client.get(f"/api/3/action/nothing_{number}")
    await client.get(READ)
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    assert float(lines['datastore_requests_total{action="unknown",status="400"}']) >= 3
    assert float(lines['datastore_requests_total{action="site_read",status="200"}']) >= 1
    assert float(lines['datastore_request_duration_seconds_bucket{action="site_read",le="+Inf"}']) >= 1
    assert float(lines["datastore_requests_in_flight"]) >= 1
    assert float(lines['datastore_pool_connections{pool="public",state="max"}']) == services.settings.pool_size
    assert "nothing_" not in response.text
    async with client_of(services, metrics=False) as other:
        assert (await other.get("/metrics")).status_code == 404


async def test_alive_and_ready(client: httpx.AsyncClient, settings: Settings) -> None:
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}
    starting = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=starting, base_url="http://test") as other:
        assert (await other.get("/livez")).status_code == 200
        assert (await other.get("/readyz")).status_code == 503


@pytest.mark.usefixtures("restored_logging")
async def test_the_lifespan_opens_and_closes_the_services(settings: Settings, database_url: str) -> None:
    app = create_app(settings.model_copy(update={"database_url": database_url}))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        async with app.router.lifespan_context(app):
            assert (await client.get("/readyz")).status_code == 200
            assert 'datastore_build_info{version="' in (await client.get("/metrics")).text
            opened: Services = app.state.services
        with pytest.raises(asyncpg.InterfaceError):
            await opened.database.public.fetchval("SELECT 1")
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
