from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.actions.services import Services
from datastore.tables.writing.numerics import encode_all

_numbers = (
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True, alphabet="0123456789.-+eE"
    )
    | st.from_regex(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,5})?", fullmatch=True, alphabet="0123456789.")
    | st.sampled_from(["0", "-0", "0.0000", "10000", "9999.9999", "99999999", "100000000", "1e-16383", "1e1000"])
)


@given(st.lists(_numbers, min_size=1, max_size=20))
async def test_as_postgresql_itself_writes_them(services: Services, numbers: list[str]) -> None:
    """What is sent is read as the number that the same text is, with the decimals that PostgreSQL shows."""
    encoded = encode_all([text.encode() for text in numbers])
    async with services.database.owner.acquire() as connection, connection.transaction():
        await connection.execute("CREATE TEMPORARY TABLE sent (place int, n numeric) ON COMMIT DROP")
        rows = b"".join(
            b"\0\2\0\0\0\4" + place.to_bytes(4) + len(value or b"").to_bytes(4) + (value or b"")
            for place, value in enumerate(encoded)
        )

        async def source() -> object:
            yield b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows + b"\xff\xff"

        await connection.copy_to_table("sent", schema_name="pg_temp", source=source(), format="binary")
        found = await connection.fetch("SELECT n::text FROM pg_temp.sent ORDER BY place")
        expected = await connection.fetch(
            "SELECT v::numeric::text AS n FROM unnest($1::text[]) WITH ORDINALITY AS u (v, place) ORDER BY place",
            numbers,
        )
    assert [row["n"] for row in found] == [row["n"] for row in expected]


def test_null_is_none() -> None:
    assert encode_all([b"null"]) == [None]


@pytest.mark.parametrize("text", [b'"1"', b"true", b"[1]", b"{}", b"1e200000", b"1e-20000"])
def test_what_is_no_number(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"number|range"):
        encode_all([text])


def test_digits_are_kept() -> None:
    assert len({encode_all([text])[0] for text in (b"1.1", b"1.10", b"1.100")}) == 3
