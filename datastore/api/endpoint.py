"""The Action API: ``/api/3/action/<name>`` to a call of that action, and its outcome back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from time import perf_counter
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from datastore.accounts.actor import ANONYMOUS
from datastore.accounts.permissions import require_login
from datastore.actions import registry
from datastore.actions.freshness import NotModified
from datastore.actions.parameters import Parameters, validate
from datastore.actions.registry import Action, Call, File, RawJson
from datastore.actions.services import Services
from datastore.errors import BadRequest, StructureError
from datastore.http import envelope
from datastore.http.caching import UNCACHED, Caching
from datastore.http.decode import decode, decode_query, is_upload
from datastore.http.download import Download
from datastore.http.exchange import JSON_TYPE, Exchange, Header, answer, exchange_of, respond, site_url
from datastore.http.identity import identify
from datastore.loading.upload import Upload
from datastore.settings import Settings
from datastore.tables.writing.sources import JsonList

METHODS: Header = (b"allow", b"GET, HEAD, OPTIONS, POST")
_LONGEST_REMEMBERED = 2000


class ActionEndpoint:
    """ASGI application for a route with the path parameter ``name``."""

    def __init__(self, settings: Settings) -> None:
        self._caching = Caching(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "OPTIONS":
            await respond(send, 204, b"", (METHODS,))
            return
        if method not in ("GET", "HEAD", "POST"):
            await respond(send, 405, envelope.dumps(f"Method not allowed: {method}"), (JSON_TYPE, METHODS))
            return
        services: Services = scope["app"].state.services
        exchange = exchange_of(scope)
        name = scope["path_params"]["name"].removesuffix("/")
        address = site_url(scope, services.settings)
        action = registry.find(name)
        exchange.action = name if action else "unknown"
        try:
            if action is None:
                raise BadRequest(f"Action name not known: {name}")
            if method == "POST":
                answered = await _post(scope, receive, action, exchange, services, address)
            else:
                answered = await _get(scope, action, exchange, services, address, self._caching)
        except Exception as error:
            failure = envelope.failure(error, address, exchange.action)
            await answer(send, failure.status, failure.body, [JSON_TYPE, *failure.headers])
            return
        if isinstance(answered, File):
            await Download(answered.name, answered.content_type, answered.chunks)(scope, receive, send)
        else:
            status, headers, body = answered
            await answer(send, status, body, headers)


_Answer = tuple[int, list[Header], bytes] | File


async def _post(
    scope: Scope, receive: Receive, action: Action, exchange: Exchange, services: Services, address: str
) -> _Answer:
    started = perf_counter()
    headers = dict(scope["headers"])
    if is_upload(headers, action):
        # Nobody else may fill our disk.
        require_login(await identify(headers, services), action.name)
    decoded = await decode(scope, headers, receive, action, services.settings)

    async def answer(found: dict[str, Any]) -> bytes | File:
        # Whoever asks for JSONP is anonymous, wherever they ask for it; in a body they do not get it.
        scripted = found.pop("callback", None) is not None or decoded.callback is not None
        actor = ANONYMOUS if scripted else await identify(headers, services)
        exchange.user = actor.name
        call = Call(services, actor, address, _target(scope), timings=exchange.timings)
        try:
            parameters = registry.accept(action, call, found)
            exchange.timings["parse"] = perf_counter() - started
            return await _run(action, call, parameters)
        except StructureError as error:
            if error.data is None:
                error.data = _echo(found)
            raise

    try:
        try:
            body = await answer(decoded.parameters)
        except Exception:
            whole = decoded.whole()
            if whole is None:
                raise
            body = await answer(whole)
    finally:
        await decoded.close()
    return body if isinstance(body, File) else _answer(body, decoded.callback)


async def _get(
    scope: Scope, action: Action, exchange: Exchange, services: Services, address: str, caching: Caching
) -> _Answer:
    started = perf_counter()
    query_string = scope["query_string"]
    asked = _asked if len(query_string) <= _LONGEST_REMEMBERED else _asked.__wrapped__
    parameters, callback = asked(action, query_string)
    exchange.timings["parse"] = perf_counter() - started
    target = _target(scope)
    if callback is not None:
        # A script on any page can ask for JSONP with its visitor's credentials: so they do not count.
        body = await _run(action, Call(services, ANONYMOUS, address, target, timings=exchange.timings), parameters)
        return body if isinstance(body, File) else _answer(body, callback)
    headers = dict(scope["headers"])
    actor = await identify(headers, services)
    exchange.user = actor.name
    freshness = caching.freshness(headers, f"{address} {target[0]}?{target[1]}")
    call = Call(services, actor, address, target, freshness=freshness, timings=exchange.timings)
    try:
        body = await _run(action, call, parameters)
    except NotModified:
        return 304, caching.headers(freshness, actor), b""
    return body if isinstance(body, File) else (200, [JSON_TYPE, *caching.headers(freshness, actor)], body)


@lru_cache(maxsize=1024)
def _asked(action: Action, query_string: bytes) -> tuple[Parameters, str | None]:
    """The parameters of a query string, and the JSONP callback. Parameters never change, so calls may share them."""
    if not action.get:
        raise BadRequest("JSON Error: Invalid request. Please use POST method for your request")
    page = _OFFSET.split(query_string)
    if len(page) == 3:
        others = b"&".join(part for part in (page[0].rstrip(b"&"), page[2].lstrip(b"&")) if part)
        parameters, callback = _asked(action, others)
        if (further := parameters.at(int(page[1]))) is not None:
            return further, callback
    query, callback = decode_query(query_string)
    return validate(action.model, query), callback


_OFFSET = re.compile(rb"(?:^|(?<=&))offset=([0-9]{1,18})(?=&|$)")
"""What tells the pages of a table apart, and needs no validation."""


def _target(scope: Scope) -> tuple[str, str]:
    return scope["path"], scope["query_string"].decode("latin-1")


async def _run(action: Action, call: Call, parameters: Parameters) -> bytes | File:
    """The envelope of the action's result, or the file that it is. Raises what the action raises."""
    started = perf_counter()
    result = await action.function(call, parameters)
    call.timings["action"] = perf_counter() - started
    if isinstance(result, File):
        return result
    return envelope.success(call.site_url, action.name, result, call.changed_entities)


def _answer(body: bytes, callback: str | None) -> tuple[int, list[Header], bytes]:
    """A success that no cache keeps, as a script if it was asked for as one."""
    if callback is None:
        return 200, [JSON_TYPE, UNCACHED], body
    return 200, [envelope.SCRIPT_TYPE, UNCACHED], envelope.script(callback, body)


def _echo(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request as an error shows them: records that nobody decoded stay their JSON text."""
    shown: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, (msgspec.Raw, JsonList)):
            shown[name] = RawJson(bytes(value.text if isinstance(value, JsonList) else value))
        elif not isinstance(value, Upload):
            shown[name] = value
    return shown
