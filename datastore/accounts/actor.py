"""Who is asking: one value, made once a request from a token or a session, and passed to every permission check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Actor:
    """A user with everything that decides about permissions, or the anonymous visitor (``id`` is None)."""

    id: str | None = None
    name: str = ""
    sysadmin: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)
    """Capacity (``admin``, ``editor``, ``member``) by id of an organization or group."""
    token_id: str | None = None
    """The API token that was presented, if one was."""

    @property
    def anonymous(self) -> bool:
        """Nobody is logged in."""
        return self.id is None


ANONYMOUS = Actor()
