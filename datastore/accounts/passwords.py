"""Password hashes: Argon2id with the library's parameters (RFC 9106), in a thread because one takes tens of ms.

Hashes of the original (PBKDF2 with SHA-512, in the form of passlib) can be brought along, and are verified too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from datastore.validation import MISSING, Invalid, text

MIN_LENGTH = 8
_hasher = PasswordHasher()
_PBKDF2 = re.compile(r"\$pbkdf2-sha512\$([1-9][0-9]{0,6})\$([A-Za-z0-9./]{1,200})\$([A-Za-z0-9./]{86})")
_ARGON2 = re.compile(r"\$argon2id\$[\x21-\x7e]{20,300}")


def acceptable(value: Any) -> str:
    """A password that may be set. Raises :class:`Invalid` with the message for the client."""
    found = text(value)
    if not found:
        raise Invalid(MISSING)
    if len(found) < MIN_LENGTH:
        raise Invalid(f"Your password must be {MIN_LENGTH} characters or longer")
    return found


def is_hash(value: Any) -> str:
    """A hash that was made elsewhere and may be stored, or :class:`Invalid`."""
    if isinstance(value, str) and (_ARGON2.fullmatch(value) or _PBKDF2.fullmatch(value)):
        return value
    raise Invalid("Must be a hash of Argon2id, or of PBKDF2 with SHA-512")


async def hash_password(password: str) -> str:
    """The hash to store; every call makes another salt."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether the password is the one that was hashed.

    Without a stored hash (no such user) the same work is done, so that the time taken says nothing.
    """
    return await asyncio.to_thread(_verify, password.encode("utf-8", "surrogatepass"), password_hash)


def _verify(password: bytes, password_hash: str | None) -> bool:
    if password_hash is not None and (parts := _PBKDF2.fullmatch(password_hash)):
        rounds, salt, expected = int(parts[1]), _decode(parts[2]), _decode(parts[3])
        return hmac.compare_digest(hashlib.pbkdf2_hmac("sha512", password, salt, rounds), expected)
    try:
        _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def _decode(text: str) -> bytes:
    """passlib's Base64: ``.`` for ``+``, and no padding."""
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4))


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_bytes(16))
