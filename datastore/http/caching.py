"""What HTTP caches may do with an answer: ``ETag``, ``Cache-Control``, ``Vary`` (RFC 9110 and 9111)."""

from __future__ import annotations

from collections.abc import Mapping

import datastore
from datastore.accounts.actor import Actor
from datastore.actions.freshness import Freshness
from datastore.http.exchange import Header
from datastore.http.identity import token_headers
from datastore.settings import Settings

UNCACHED: Header = (b"cache-control", b"private, max-age=0")


class Caching:
    """The rules of one service."""

    def __init__(self, settings: Settings) -> None:
        seconds = settings.public_max_age
        lifetime = f"max-age={seconds}" if seconds else "max-age=0, must-revalidate"
        names = token_headers(settings.apitoken_header_name)
        self._public: Header = (b"cache-control", f"public, {lifetime}".encode())
        self._vary: Header = (b"vary", b", ".join(name.title() for name in names))
        shown = (settings.ms_in_timestamp, settings.search_rows_default, settings.search_rows_max)
        # What an answer depends on besides the request and the data: the program, and settings that show.
        self._program = f"{datastore.__version__} {shown}"

    def freshness(self, headers: Mapping[bytes, bytes], request: str) -> Freshness:
        """What the client has and may keep of the answer to ``request``, which is its whole address."""
        known = headers.get(b"if-none-match", b"").decode("latin-1")
        return Freshness(f"{self._program} {request}", known)

    def headers(self, freshness: Freshness, actor: Actor) -> list[Header]:
        """The headers that let caches keep the answer, if it has a tag.

        The tag is weak: it stays the same however the answer is compressed. Other caches than the client's own keep
        only what anonymous visitors get of public data.
        """
        if not freshness.tag:
            return [UNCACHED]
        shared = freshness.public and actor.anonymous
        return [self._public if shared else UNCACHED, (b"etag", b"W/" + freshness.tag.encode()), self._vary]
