"""The demo, loaded for real into a database of its own: interrupted, completed, by two processes at once."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from datastore import demo
from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import NotAuthorized
from datastore.postgres.migrate import migrate
from datastore.postgres.roles import ensure_roles
from datastore.settings import Settings

ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
TYPES = {"int4": "int64", "float8": "double", "text": "string", "timestamp": "timestamp[s]"}


@pytest.fixture(scope="module")
async def address(server_url: str) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = f"demo_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture(scope="module")
async def empty_store(address: str, settings: Settings) -> AsyncIterator[Services]:
    """Services on that database, migrated, without any dataset."""
    connection = await asyncpg.connect(address)
    await ensure_roles(connection, settings)
    await migrate(connection, settings)
    await connection.close()
    services = await Services.open(address, settings)
    yield services
    await services.close()


class Interrupted(Exception):
    """Ends a load in the middle, as the end of the process would."""


async def test_the_demo(empty_store: Services, address: str) -> None:
    """One load of everything, in the steps of a bad day: loading takes its seconds, so it is done once."""

    def anonymous(name: str, **parameters: Any) -> Any:
        return run(name, Call(empty_store, ANONYMOUS, "http://test"), parameters)

    def interrupt(table: str, done: int, _total: int) -> None:
        if table == "weather" and done > 0:
            raise Interrupted

    with pytest.raises(Interrupted):
        await demo.load(empty_store, address, interrupt)
    with pytest.raises(NotAuthorized):
        await anonymous("package_show", id=demo.DATASET)

    seen: list[tuple[str, int, int]] = []
    loaded = await asyncio.gather(
        *(demo.load(empty_store, address, lambda *step: seen.append(step)) for _process in range(2))
    )
    assert sorted(loaded) == [False, True]
    assert {(table, total) for table, done, total in seen if done == total} == set(ROWS.items()) - {
        ("flights", 336_776)
    }

    dataset = await anonymous("package_show", id=demo.DATASET)
    assert [resource["name"] for resource in dataset["resources"]] == [table.title for table in demo.TABLES]
    assert dataset["organization"]["title"] == "Demo"
    assert dataset["license_id"] == "cc-zero"
    for table in demo.TABLES:
        info = await anonymous("datastore_info", id=table.name)
        assert info["meta"]["count"] == ROWS[table.name]
        assert [(field["id"], field["type"]) for field in info["fields"]] == [
            (column.name, column.type) for column in table.columns
        ]
        assert all(field["info"]["label"] for field in info["fields"])
        assert {field["id"] for field in info["fields"] if field["schema"]["uniquekey"]} == set(table.key)
        assert {field["id"] for field in info["fields"] if field["schema"]["is_index"]} >= set(table.indexes)

    found = json.loads(await anonymous("datastore_search", resource_id="flights", sort="_id", limit=1))
    assert found["records"][0]["time_hour"] == "2013-01-01T10:00:00.000"
    assert found["records"][0]["dep_time"] == 517
    cancelled = json.loads(await anonymous("datastore_search", resource_id="flights", filters={"dep_time": None}))
    assert cancelled["total"] == 8_255

    # An organization's own data, or a demo that was deleted: the store is not empty.
    internal = Call(empty_store, Actor(name="default", sysadmin=True), "http://test")
    await run("package_delete", internal, {"id": demo.DATASET})
    assert not await demo.load(empty_store, address, interrupt)


@pytest.mark.parametrize("table", demo.TABLES, ids=lambda table: table.name)
def test_the_files_have_the_declared_columns(table: demo.Table) -> None:
    folder = demo.data_folder()
    assert folder is not None
    data = demo.read_table(folder, table)

    assert data.num_rows == ROWS[table.name]
    assert [str(field.type) for field in data.schema] == [TYPES[column.type] for column in table.columns]
    unique = {tuple(row.values()) for row in data.select(list(table.key)).to_pylist()}
    assert len(unique) == data.num_rows


def test_missing_values_become_null(tmp_path: Path) -> None:
    (tmp_path / "airlines.csv").write_text("carrier,name\nXX,NA\nYY,\nZZ,Zulu\n")

    data = demo.read_table(tmp_path, demo.TABLES[-1])

    assert data.to_pylist() == [
        {"carrier": "XX", "name": None},
        {"carrier": "YY", "name": None},
        {"carrier": "ZZ", "name": "Zulu"},
    ]
