"""Three judges on generated statements: nothing unsafe, nothing unfaithful. ``make fuzz`` makes it long."""

from __future__ import annotations

import os
import time

import pytest

from datastore.actions.services import Services
from tests.sqlgate.conftest import World
from tests.sqlgate.fuzz import Fuzz, report

STATEMENTS = 10_000
"""As many, and always the same, are tried in an ordinary run."""
SECONDS = float(os.environ.get("DATASTORE_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("DATASTORE_FUZZ_SEED", "0"))
LIVE_EVERY = 10


async def test_fuzz(services: Services, world: World) -> None:
    if await services.database.owner.fetchval("SELECT current_setting('server_version_num')::int") < 160000:
        pytest.skip("the judge reads json_object() by the grammar of PostgreSQL 16 and later")
    fuzz = Fuzz(services, world, await services.sql.gate.catalogue())
    end = time.monotonic() + SECONDS
    first = seed = SEED * 1_000_000_000
    while seed < first + STATEMENTS or time.monotonic() < end:
        seed += 1
        await fuzz.try_one(seed, live=seed % LIVE_EVERY == 0)
    figures = report(fuzz.tally)
    print(figures)
    for kind in (fuzz.tally.unsafe, fuzz.tally.unfaithful):
        for text, found in kind[:20]:
            print(repr(text), "→", repr(found))
    assert not fuzz.tally.unsafe, fuzz.tally.unsafe[:20]
    assert not fuzz.tally.unfaithful, fuzz.tally.unfaithful[:20]
    assert figures["allowed"] > figures["tried"] / 50
