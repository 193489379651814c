"""The Action API: ``/api/3/action/<name>`` to a call of that action, and its outcome back."""

from __future__ import annotations

from time import perf_counter

from starlette.types import Receive, Scope, Send

from datastore.accounts.actor import ANONYMOUS
from datastore.actions import registry
from datastore.actions.registry import Call, File
from datastore.actions.services import Services
from datastore.api import envelope
from datastore.api.decode import Decoded, decode
from datastore.api.download import Download
from datastore.api.exchange import JSON_TYPE, Header, exchange_of, respond, site_url
from datastore.api.identity import identify
from datastore.errors import BadRequest

METHODS: Header = (b"allow", b"GET, HEAD, OPTIONS, POST")
_SCRIPT_TYPE: Header = (b"content-type", b"application/javascript;charset=utf-8")
_UNCACHED: Header = (b"cache-control", b"private, max-age=0")


class ActionEndpoint:
    """ASGI application for a route with the path parameter ``name``."""

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
        callback = None
        try:
            if action is None:
                raise BadRequest(f"Action name not known: {name}")
            started = perf_counter()
            headers = dict(scope["headers"])
            decoded = await decode(scope, headers, receive, action, services.settings)
            exchange.timings["decode"] = perf_counter() - started
            try:
                body = await _run(scope, name, decoded, headers, services, address)
            finally:
                await decoded.close()
            callback = decoded.callback if method != "POST" else None
        except Exception as error:
            failure = envelope.failure(error, address, exchange.action)
            await respond(send, failure.status, failure.body, (JSON_TYPE, *failure.headers))
            return
        if isinstance(body, File):
            await Download(body.name, body.content_type, body.chunks)(scope, receive, send)
        elif callback is None:
            await respond(send, 200, body, (JSON_TYPE, _UNCACHED))
        else:
            await respond(send, 200, _script(callback, body), (_SCRIPT_TYPE, _UNCACHED))


async def _run(
    scope: Scope, name: str, decoded: Decoded, headers: dict[bytes, bytes], services: Services, address: str
) -> bytes | File:
    """The envelope of the action's result, or the file that it is. Raises what the action raises."""
    started = perf_counter()
    exchange = exchange_of(scope)
    # A script on any page can ask for JSONP with its visitor's credentials: so they do not count.
    actor = await identify(headers, services) if decoded.callback is None else ANONYMOUS
    exchange.user = actor.name
    authenticated = perf_counter()
    exchange.timings["auth"] = authenticated - started
    target = (scope["path"], scope["query_string"].decode("latin-1"))
    call = Call(services, actor, address, target, timings=exchange.timings)
    result = await registry.run(name, call, decoded.parameters)
    exchange.timings["action"] = perf_counter() - authenticated
    if isinstance(result, File):
        return result
    return envelope.success(address, name, result, call.changed_entities)


def _script(callback: str, body: bytes) -> bytes:
    """A JSONP answer. The two line separators that JSON allows in strings were no part of JavaScript before 2019."""
    safe = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return b"".join((callback.encode(), b"(", safe, b");"))
