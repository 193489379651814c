"""Requests in the form in which a server hands them to the application."""

from __future__ import annotations

from typing import Any

from starlette.types import Message, Receive

from datastore.actions.parameters import Parameters
from datastore.actions.registry import Action
from datastore.http.decode import Decoded, decode
from datastore.settings import Settings

FORM = "application/x-www-form-urlencoded"
SETTINGS = Settings(max_body_size=100_000, max_json_depth=20)


async def _unused(_call: object, _parameters: object) -> None:
    raise AssertionError("nothing here runs an action")


READ = Action("read", _unused, Parameters, True, frozenset({"records"}))
WRITE = Action("write", _unused, Parameters, False, frozenset({"records"}))


def receiver(*chunks: bytes, complete: bool = True) -> Receive:
    """Delivers a body in chunks; an incomplete one ends with the client's disconnect."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b""} if complete else {"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return receive


async def send(
    body: bytes = b"",
    content_type: str | None = "application/json",
    *,
    query: str | bytes = b"",
    method: str = "POST",
    action: Action = WRITE,
    headers: dict[str, str] | None = None,
    complete: bool = True,
    settings: Settings = SETTINGS,
) -> Decoded:
    """What ``decode`` makes of a request."""
    sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    if content_type is not None:
        sent[b"content-type"] = content_type.encode()
    scope = {
        "type": "http",
        "method": method,
        "query_string": query.encode() if isinstance(query, str) else query,
        "headers": list(sent.items()),
    }
    half = len(body) // 2
    return await decode(scope, sent, receiver(body[:half], body[half:], complete=complete), action, settings)


async def parameters(*arguments: Any, **options: Any) -> dict[str, Any]:
    """The parameters of that request, uploaded files closed."""
    decoded = await send(*arguments, **options)
    await decoded.close()
    return decoded.parameters
