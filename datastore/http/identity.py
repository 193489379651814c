"""Who is asking: the API token among the headers of a request, and the actor it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from datastore.accounts.actor import Actor
from datastore.actions.services import Services


async def identify(headers: Mapping[bytes, bytes], services: Services) -> Actor:
    """The user whose token the request carries; anonymous without a token, or with one that is not valid (any more)."""
    return await services.tokens.actor(token_of(headers, services.settings.apitoken_header_name))


def token_of(headers: Mapping[bytes, bytes], header_name: str) -> str | None:
    """The first token in the configured header, ``Authorization`` and ``X-CKAN-API-Key``, in that order.

    A value is the token itself, or ``Bearer`` and the token; any other value with a space (``Basic …``) is none.
    """
    for name in token_headers(header_name):
        value = headers.get(name)
        if value is None:
            continue
        token = value.decode("utf-8", "replace").strip()
        scheme, _, rest = token.partition(" ")
        if scheme.lower() == "bearer":
            token = rest.strip()
        if token and " " not in token:
            return token
    return None


@lru_cache(maxsize=16)
def token_headers(header_name: str) -> tuple[bytes, ...]:
    """The headers that may carry a token, in their order: answers vary with them."""
    return tuple(dict.fromkeys((header_name.lower().encode(), b"authorization", b"x-ckan-api-key")))
