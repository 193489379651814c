"""Password hashes."""

from __future__ import annotations

import pytest

from datastore.accounts.passwords import acceptable, hash_password, verify_password
from datastore.validation import Invalid


async def test_a_hash_verifies_its_password_only() -> None:
    stored = await hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert stored != await hash_password("correct horse")
    assert await verify_password("correct horse", stored)
    assert not await verify_password("correct horsf", stored)
    assert not await verify_password("\ud800", stored)


async def test_without_a_stored_hash_nothing_verifies() -> None:
    assert not await verify_password("anything", None)
    assert not await verify_password("anything", "not a hash")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Missing value"),
        ("", "Missing value"),
        ("1234567", "Your password must be 8 characters or longer"),
        (["12345678"], "Must be a text value"),
    ],
)
def test_unacceptable_passwords(value: object, message: str) -> None:
    with pytest.raises(Invalid, match=f"^{message}$"):
        acceptable(value)


def test_acceptable_passwords() -> None:
    assert acceptable("12345678") == "12345678"
