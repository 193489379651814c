"""Password hashes: Argon2id with the library's parameters (RFC 9106), in a thread because one takes tens of ms."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from datastore.validation import MISSING, Invalid, text

MIN_LENGTH = 8
_hasher = PasswordHasher()


def acceptable(value: Any) -> str:
    """A password that may be set. Raises :class:`Invalid` with the message for the client."""
    found = text(value)
    if not found:
        raise Invalid(MISSING)
    if len(found) < MIN_LENGTH:
        raise Invalid(f"Your password must be {MIN_LENGTH} characters or longer")
    return found


async def hash_password(password: str) -> str:
    """The hash to store; every call makes another salt."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one that was hashed.

    Without a stored hash (no such user) the same work is done, so that the time taken says nothing.
    """
    return await asyncio.to_thread(_verify, password.encode("utf-8", "surrogatepass"), password_hash)


def _verify(password: bytes, password_hash: str | None) -> bool:
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_bytes(16))
