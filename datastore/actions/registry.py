"""The operations by their public names, and the one way to run them.

A function becomes an action by the decorator::

    @action(PackageShow, get=True)
    async def package_show(call: Call, parameters: PackageShow) -> dict[str, Any]:

Its parameter model is also its documentation. The HTTP routes, the command line and the demo all use :func:`run`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from datastore.accounts.actor import Actor
from datastore.actions.freshness import Freshness
from datastore.actions.parameters import Parameters, validate
from datastore.actions.scopes import check_scope
from datastore.actions.services import Services
from datastore.postgres.database import Author, Transaction
from datastore.settings import Settings

Model = TypeVar("Model", bound=Parameters)
Result = TypeVar("Result")

encode = msgspec.json.Encoder(decimal_format="number").encode
"""JSON text of a result, as bytes; numbers keep their digits."""


class RawJson(bytes):
    """A result (or a parameter) that is JSON text already: it is spliced into the envelope as it stands."""


@dataclass(frozen=True, slots=True)
class File:
    """A result that is sent as a file, not in an envelope. Whoever gets it iterates over it, or closes it."""

    name: str
    content_type: str
    chunks: AsyncGenerator[bytes, None]


@dataclass(slots=True)
class Call:
    """One call of an action: who asks, where, and with which services."""

    services: Services
    actor: Actor
    site_url: str
    """Public address of the site, without a final slash; the base of every address in a result."""
    request_target: tuple[str, str] = ("", "")
    """Path and query string of the HTTP request, for links to further pages; empty outside HTTP."""
    changed_entities: dict[str, list[str]] = field(default_factory=dict)
    """What a write changed, ``{"packages": [id]}``, shown in the envelope."""
    freshness: Freshness | None = None
    """What the client may keep of the answer; None if nothing, as outside HTTP."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by phase, shown in ``Server-Timing``."""

    @property
    def settings(self) -> Settings:
        """The settings of the service."""
        return self.services.settings

    async def write(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """:meth:`Database.write` on behalf of the actor."""
        author = Author(self.actor.id, self.actor.name, self.site_url)
        return await self.services.database.write(work, author)


Function = Callable[[Call, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """A registered operation."""

    name: str
    function: Function
    model: type[Parameters]
    get: bool
    """Free of side effects: may be called by GET, and reads the query string."""
    raw: frozenset[str]
    """Parameters of a JSON body that are handed over as :class:`msgspec.Raw`, not decoded."""
    reads_all: bool = False
    """It decodes every one of its ``records`` before it commits anything, so nobody needs to check them before it."""

    @property
    def help(self) -> str:
        """The text of ``help_show``: the docstring, then every parameter with its type and description."""
        return self.model.describe(self.name, self.function.__doc__ or "")


_actions: dict[str, Action] = {}


def action(
    model: type[Model], *, get: bool = False, raw: tuple[str, ...] = (), reads_all: bool = False
) -> Callable[[Callable[[Call, Model], Awaitable[Any]]], Callable[[Call, Model], Awaitable[Any]]]:
    """Register the decorated function under its own name."""

    def register(function: Callable[[Call, Model], Awaitable[Any]]) -> Callable[[Call, Model], Awaitable[Any]]:
        name = function.__name__
        if name in _actions:
            raise ValueError(f"action registered twice: {name}")
        _actions[name] = Action(name, function, model, get, frozenset(raw), reads_all)
        return function

    return register


def find(name: str) -> Action | None:
    """The action of that name, or None."""
    return _actions.get(name)


def names() -> list[str]:
    """The names of all actions, sorted."""
    return sorted(_actions)


async def run(name: str, call: Call, data: Mapping[str, Any]) -> Any:
    """Validate ``data`` and run the action.

    The result is anything that encodes to JSON, :class:`RawJson` or a :class:`File`. Raises :class:`KeyError` for an
    unknown name, and the errors of ``datastore.errors``.
    """
    found = _actions[name]
    return await found.function(call, accept(found, call, data))


def accept(action: Action, call: Call, data: Mapping[str, Any]) -> Parameters:
    """The validated parameters of a call, if the actor's token is for such actions. Raises :class:`NotAuthorized` and
    :class:`ValidationError`."""
    check_scope(call.actor, action.name, writes=not action.get)
    return validate(action.model, data)
