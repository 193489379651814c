"""The list of attacks: none runs, and none hears more than it may."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.errors import DataStoreError
from tests.sqlgate.attacks import ATTACKS
from tests.sqlgate.conftest import CallAction, World

CASES = [
    pytest.param(status, statement, id=f"{reason[:30]}-{number}")
    for reason, statements in ATTACKS.items()
    for number, (status, statement) in enumerate(statements)
]


def test_there_are_enough() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize(("status", "statement"), CASES)
async def test_attack(sql: CallAction, world: World, status: int, statement: str) -> None:
    for label in world.tables:
        statement = statement.replace(f"{{{label}_dataset}}", f'"{world.datasets[label]}"')
        statement = statement.replace(f"{{{label}_alias}}", f'"{world.aliases[label]}"')
    with pytest.raises(DataStoreError) as refusal:
        await sql(statement)
    body: dict[str, Any] = refusal.value.body()
    assert refusal.value.status == status, body
    if statement.strip(" ;"):
        assert status == 403 or "query" in body or ("\0" in statement and "sql" in body), body
    told = str(body)
    assert not any(secret in told for secret in world.secrets.values())
    assert all(dataset not in told or dataset in statement for dataset in world.datasets.values())
