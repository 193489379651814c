"""Who is asking: one value, made once a request from a token or a session, and passed to every permission check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CACHE_KIND = "account"
"""Kind of the change messages on which cached actors are dropped. Their key is the id of a user, of an organization or
dataset that a token is limited to, or the hash of a token."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A user with everything that decides about permissions, or the anonymous visitor (``id`` is None)."""

    id: str | None = None
    name: str = ""
    sysadmin: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    """Capacity (``admin``, ``editor``, ``member``) by id of an organization or group."""
    collaborations: Mapping[str, str] = field(default_factory=dict)
    """Capacity (the same words) by id of a dataset into which the user is let without a role in its organization."""
    token_id: str | None = None
    """The API token that was presented, if one was."""
    read_only: bool = False
    """The token may call no action that writes."""
    limited: bool = False
    """The token acts in one organization or on one dataset: ``roles`` and ``collaborations`` have nothing else, and
    being this user gives no right."""

    @property
    def anonymous(self) -> bool:
        """Nobody is logged in."""
        return self.id is None

    @property
    def who(self) -> tuple[str | None, bool, list[str]]:
        """The last three arguments of the SQL function ``datastore.may_read``, for lists of what the actor may see."""
        return None if self.limited else self.id, self.sysadmin, sorted({*self.roles, *self.collaborations})


ANONYMOUS = Actor()
