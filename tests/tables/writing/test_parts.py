"""Large upserts go in parts: each is applied while the next is decoded, and all of them do what each record would."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.tables.writing import parts, write

CallAction = Callable[..., Awaitable[Any]]
FIELDS = [
    {"id": "k", "type": "int"},
    {"id": "it's $$ t", "type": "text"},
    {"id": "n", "type": "numeric"},
    {"id": "v", "type": "varchar(420)"},
]
TEXT = FIELDS[1]["id"]
LONG = "x" * 400
"""With it, a piece of records has about 280 of them."""
NEIGHBOURS = 400
"""Records so far apart are never in one part."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "UNORDERED_FROM", 2**16)
    monkeypatch.setattr(parts, "FIRST_PART", 1)
    monkeypatch.setattr(parts, "LARGEST_PART", 1)  # each piece is a part


@pytest.fixture
async def table(call: CallAction, resource: str) -> str:
    await call("datastore_create", resource_id=resource, fields=FIELDS, primary_key="k")
    return resource


async def rows(call: CallAction, table: str) -> list[dict[str, Any]]:
    found = await call("datastore_search", resource_id=table, limit=32_000, sort="_id")
    assert found["total"] == len(found["records"])
    return [{name: row[name] for name in row if name != "_id"} for row in found["records"]]


async def statements(services: Services, table: str) -> int:
    """How many statements have written the rows as they are: each leaves its transaction and its number in them."""
    schema = await services.schemas.fresh(table)
    assert schema is not None
    found: int = await services.database.owner.fetchval(
        f"SELECT count(DISTINCT (xmin::text, cmin::text)) FROM {schema.sql_name}"
    )
    return found


def record(key: int | None, mark: object) -> dict[str, Any]:
    return {"k": key, TEXT: f"{mark}\t\\", "n": 1.25, "v": LONG}


@pytest.mark.parametrize("seed", range(4))
async def test_keys_again_in_other_parts(call: CallAction, services: Services, table: str, seed: int) -> None:
    """The last record of a key wins, and its row is numbered where the first one came."""
    choice = random.Random(seed)
    there = choice.sample(range(2000), 500)
    await call("datastore_upsert", resource_id=table, records=[record(key, "old") for key in there])
    keys: list[int | None] = list(choice.sample(range(2000), 1500))
    for number in range(NEIGHBOURS, len(keys)):
        if choice.random() < 0.2:
            keys[number] = keys[choice.randrange(number - NEIGHBOURS + 1)]
    last: dict[int | None, int] = {}
    for number, key in enumerate(keys):
        if number - last.get(key, -NEIGHBOURS) < NEIGHBOURS:
            keys[number] = None
        else:
            last[key] = number
    records = [record(key, number) for number, key in enumerate(keys)]
    await call("datastore_upsert", resource_id=table, records=records)
    expected: dict[Any, dict[str, Any]] = {key: record(key, "old") for key in there}
    for number, each in enumerate(records):
        expected[("null", number) if each["k"] is None else each["k"]] = each
    assert await rows(call, table) == list(expected.values())
    assert await statements(services, table) > 4


async def test_a_key_twice_in_one_part(call: CallAction, table: str) -> None:
    records = [record(key, "first") for key in range(1000)]
    records += [record(999, "second"), record(None, "n"), record(None, "n"), record(1000, "last")]
    await call("datastore_upsert", resource_id=table, records=records)
    found = await rows(call, table)
    assert len(found) == 1003
    assert {row["k"]: row for row in found}[999] == record(999, "second")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (TEXT, "\0", "NUL"),
        ("v", "x" * 421, "too long"),
        ("n", "no number", "no number"),
        ("k", 2**40, "out of range"),
    ],
)
@pytest.mark.parametrize("number", [0, 700, 999])
async def test_a_record_is_refused(
    call: CallAction, services: Services, table: str, number: int, name: str, value: object, message: str
) -> None:
    """Whoever refuses it: nothing is written, and the error tells its index."""
    await call("datastore_upsert", resource_id=table, records=[record(1, "old")])
    records = [record(key, "new") for key in range(1000)]
    records[number][name] = value
    with pytest.raises(ValidationError, match=message) as refused:
        await call("datastore_upsert", resource_id=table, records=records)
    assert refused.value.fields["records_row"] == number
    assert await rows(call, table) == [record(1, "old")]


async def test_later_records_name_other_columns(call: CallAction, table: str) -> None:
    """What the parts before have done is done again in another way."""
    await call("datastore_upsert", resource_id=table, records=[record(key, "old") for key in range(800)])
    records: list[dict[str, Any]] = [record(key, "new") for key in range(700)]
    await call("datastore_upsert", resource_id=table, records=[*records, {"k": 750, "n": 7}, {"k": 5000}])
    found = {row["k"]: row for row in await rows(call, table)}
    assert len(found) == 801
    assert found[699] == record(699, "new")
    assert found[750] == {**record(750, "old"), "n": 7}
    assert found[5000] == {"k": 5000, TEXT: None, "n": None, "v": None}


async def test_an_unknown_column_in_the_end(call: CallAction, table: str) -> None:
    records: list[dict[str, Any]] = [record(key, "new") for key in range(700)]
    with pytest.raises(ValidationError, match="do not exist"):
        await call("datastore_upsert", resource_id=table, records=[*records, {"k": 1, "other": 2}])
    assert await rows(call, table) == []


async def test_nothing_but_keys(call: CallAction, table: str) -> None:
    keys = [{"k": key} for key in range(20_000)]
    await call("datastore_upsert", resource_id=table, records=keys[:5000])
    await call("datastore_upsert", resource_id=table, records=keys)
    assert [row["k"] for row in await rows(call, table)] == [each["k"] for each in keys]
