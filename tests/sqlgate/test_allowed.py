"""The functions that statements may call, held against the server's list: each variant of each name."""

from __future__ import annotations

from datastore.actions.services import Services
from datastore.sqlgate.allowed import FUNCTIONS, IMPLICIT_FUNCTIONS

NEWEST = 18
_CHANCE_AND_CLOCK = {
    "array_sample", "array_shuffle", "clock_timestamp", "gen_random_uuid", "random", "random_normal", "timeofday",
    "uuidv4", "uuidv7",
}  # fmt: skip
_OF_THE_GRAMMAR = {"coalesce", "greatest", "grouping", "jsonb", "least", "nullif", "trim"}
"""PostgreSQL has them under no name, or under another one."""


async def test_nothing_allowed_does_anything(services: Services) -> None:
    """A volatile function may do anything. One of a ``reg…`` type finds a thing by its name in a text."""
    rows = await services.database.owner.fetch(
        """
        SELECT function.oid::regprocedure::text AS function, function.proname::text AS name, function.provolatile = 'v' AS volatile,
               function.prokind = 'p' AS procedure, function.proacl IS NOT NULL AS restricted,
               EXISTS (
                   SELECT FROM unnest(function.proargtypes::oid[]) AS argument
                   WHERE argument::regtype::text ~ '^reg' AND argument <> 'regconfig'::regtype
               ) AS finds
        FROM pg_proc AS function
        WHERE function.pronamespace = 'pg_catalog'::regnamespace AND function.proname = ANY ($1)
        """,
        list(FUNCTIONS | IMPLICIT_FUNCTIONS),
    )
    assert len(rows) > len(FUNCTIONS)
    assert {row["name"] for row in rows if row["volatile"]} <= _CHANCE_AND_CLOCK
    assert [row["function"] for row in rows if row["procedure"] or row["restricted"] or row["finds"]] == []


async def test_every_name_is_one_of_the_server(services: Services) -> None:
    """Of the newest one: older ones lack some."""
    async with services.database.owner.acquire() as connection:
        version = connection.get_server_version().major
        known = await connection.fetchval(
            "SELECT array_agg(proname::text) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        )
    assert "abs" in known
    if version >= NEWEST:
        assert FUNCTIONS - set(known) <= _OF_THE_GRAMMAR
