"""Which header value counts as the token."""

from __future__ import annotations

import pytest

from datastore.http.identity import token_of


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"authorization": "abc"}, "abc"),
        ({"authorization": " Bearer  abc "}, "abc"),
        ({"authorization": "bearer abc"}, "abc"),
        ({"authorization": "Basic abc"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": ""}, None),
        ({"x-ckan-api-key": "abc"}, "abc"),
        ({"x-token": "a", "authorization": "b", "x-ckan-api-key": "c"}, "a"),
        ({"authorization": "b", "x-ckan-api-key": "c"}, "b"),
        ({"authorization": "Basic b", "x-ckan-api-key": "c"}, "c"),
    ],
)
def test_token_of(headers: dict[str, str], token: str | None) -> None:
    assert token_of({name.encode(): value.encode() for name, value in headers.items()}, "X-Token") == token
