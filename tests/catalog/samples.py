"""Datasets for tests."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from datastore.errors import ValidationError
from datastore.validation import MAX_TEXT

TOO_LONG = f"Text must be a maximum of {MAX_TEXT} characters long"
ActionCall = Callable[..., Awaitable[Any]]


def unique(prefix: str = "d") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def full(organization: str) -> dict[str, Any]:
    """A dataset with everything that clients set."""
    return {
        "name": unique(),
        "title": "Rivers — Ströme",
        "notes": "About *rivers*",
        "url": "http://example.org/rivers",
        "version": "1.0",
        "author": "Ann",
        "author_email": " ann@example.org ",
        "maintainer": "Bob",
        "maintainer_email": "bob@example.org",
        "license_id": "cc-by",
        "owner_org": organization,
        "tags": [{"name": "water"}, {"name": "Économie"}, {"name": "water"}],
        "extras": [{"key": "zone", "value": 4}, {"key": "area", "value": "north"}],
        "resources": [
            {"url": "http://example.org/a.csv", "name": "A", "custom": {"deep": [1, 2.5, None]}},
            {"url": "example.org/b", "format": "application/json", "size": "12"},
        ],
    }


async def errors_of(awaitable: Awaitable[Any]) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        await awaitable
    return caught.value.fields
