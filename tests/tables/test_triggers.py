"""Functions and triggers at the engine: rights of the roles, locks, concurrent changes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from datastore.accounts.tokens import ensure_sysadmin
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import ValidationError
from datastore.postgres.migrate import migrate
from datastore.postgres.roles import ensure_roles, missing_roles_sql
from datastore.settings import Settings
from datastore.tables.definition import sequences
from datastore.tables.functions import plpgsql as functions
from datastore.tables.functions.plpgsql import Argument

CallAction = Callable[..., Awaitable[Any]]
RETURN_NEW = "BEGIN RETURN NEW; END"
TOKEN = "another-sysadmin-token-0123456789"


def unique() -> str:
    return f"f_{uuid.uuid4().hex[:12]}"


async def make(services: Services, name: str, body: str = RETURN_NEW, replace: bool = False) -> None:
    await services.database.write(
        lambda tx: functions.create_function(tx, name, body, result="trigger", replace=replace)
    )


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_text_that_postgresql_cannot_hold(services: Services, call: CallAction, resource: str, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        await make(services, name)
    assert list(refused.value.fields) == ["name"]
    with pytest.raises(ValidationError) as refused:
        await make(services, unique(), f"BEGIN {name} END")
    assert refused.value.fields == {"definition": ["invalid characters"]}
    with pytest.raises(ValidationError) as refused:
        await services.database.write(
            lambda tx: functions.create_function(tx, unique(), "BEGIN END", [Argument(name, "int")], "void")
        )
    assert list(refused.value.fields) == ["definition"]
    with pytest.raises(ValidationError) as refused:
        await services.database.write(lambda tx: sequences.next_value(tx, name))
    assert list(refused.value.fields) == ["name"]
    with pytest.raises(ValidationError) as refused:
        await call("datastore_create", resource_id=resource, triggers=[{"function": name}])
    assert list(refused.value.fields) == ["triggers"]


async def test_functions_belong_to_the_triggers_role(services: Services) -> None:
    name = unique()
    await make(services, name)
    row = await services.database.owner.fetchrow(
        """
        SELECT proowner::regrole::text AS owner, prosecdef AS definer, proconfig AS config,
               has_schema_privilege(proowner, 'datastore_functions', 'CREATE') AS may_create,
               has_schema_privilege(proowner, 'datastore', 'USAGE') AS sees_catalog
        FROM pg_proc WHERE proname = $1
        """,
        name,
    )
    assert row["owner"] == services.settings.triggers_role
    assert row["definer"]
    assert row["config"] == ["search_path=pg_catalog, datastore_functions, pg_temp"]
    assert not row["may_create"]
    assert not row["sees_catalog"]


async def test_of_several_functions_with_one_name(services: Services) -> None:
    """The one without arguments is meant; without it, none."""
    name = unique()

    async def create(*arguments: Argument) -> None:
        await services.database.write(lambda tx: functions.create_function(tx, name, "BEGIN END", arguments, "void"))

    async def delete() -> None:
        await services.database.write(lambda tx: functions.delete_function(tx, name))

    await create()
    await create(Argument("a", "int"))
    await create(Argument("a", "text"))
    await delete()
    with pytest.raises(ValidationError) as refused:
        await delete()
    assert refused.value.fields == {"name": [f'function name "{name}" is not unique']}


async def test_definitions_at_the_same_time(services: Services) -> None:
    """Of many that make one function or sequence one succeeds; replacing always does."""
    name = unique()
    results = await asyncio.gather(*(make(services, name) for _ in range(8)), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, ValidationError) for result in results)
    await asyncio.gather(*(make(services, name, f"BEGIN RETURN NEW; /* {n} */ END", True) for n in range(8)))
    made = [services.database.write(lambda tx: sequences.create_sequence(tx, name)) for _ in range(8)]
    results = await asyncio.gather(*made, return_exceptions=True)
    assert sum(result is None for result in results) == 1
    numbers = [services.database.write(lambda tx: sequences.next_value(tx, name)) for _ in range(20)]
    assert sorted(await asyncio.gather(*numbers)) == list(range(1, 21))


async def test_a_function_is_deleted_or_a_trigger_but_never_both(
    services: Services, call: CallAction, dataset: str
) -> None:
    for _ in range(10):
        name = unique()
        await make(services, name)
        resource = (await call("datastore_create", resource={"package_id": dataset}))["resource_id"]
        made, deleted = await asyncio.gather(
            call("datastore_create", resource_id=resource, triggers=[{"function": name}], records=[{"a": 1}]),
            call("datastore_function_delete", name=name),
            return_exceptions=True,
        )
        assert isinstance(made, ValidationError) != isinstance(deleted, ValidationError)
        await call("datastore_upsert", resource_id=resource, method="insert", records=[{}])


async def test_readers_do_not_wait_for_new_triggers(services: Services, call: CallAction, resource: str) -> None:
    """Making, replacing and taking away triggers goes beside a long read."""
    first, second = unique(), unique()
    await make(services, first)
    await make(services, second)
    await call("datastore_create", resource_id=resource, records=[{"a": 1}])
    schema = await services.schemas.fresh(resource)
    assert schema is not None
    async with services.database.reader.acquire() as connection, connection.transaction():
        await connection.fetch(f"SELECT FROM {schema.sql_name}")
        for names in ([first], [second, first], [first, first]):
            triggers = [{"function": name} for name in names]
            await asyncio.wait_for(call("datastore_create", resource_id=resource, triggers=triggers), 60)
        removal: asyncio.Future[Any] = asyncio.ensure_future(
            call("datastore_create", resource_id=resource, triggers=[])
        )
        await asyncio.sleep(0.3)
        assert not removal.done()  # it waits for the reader, and others do not wait behind it
        await asyncio.wait_for(call("datastore_search", resource_id=resource), 5)
    await asyncio.wait_for(removal, 60)
    schema = await services.schemas.fresh(resource)
    assert schema is not None
    assert schema.triggers == ()


async def test_concurrent_upserts_with_triggers(
    services: Services, call: CallAction, resource: str, dataset: str
) -> None:
    """No row twice or lost, and exact counts: of the table, and of the one that the trigger writes."""
    log = (await call("datastore_create", resource={"package_id": dataset}, fields=[{"id": "k", "type": "int"}]))[
        "resource_id"
    ]
    name = unique()
    await make(services, name, f'BEGIN INSERT INTO "{dataset}"."{log}" (k) VALUES (NEW.k); RETURN NEW; END')
    fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "int"}]
    await call("datastore_create", resource_id=resource, fields=fields, primary_key="k", triggers=[{"function": name}])

    async def writer(number: int) -> None:
        for turn in range(5):
            keys = list(range(turn * 10, turn * 10 + 20))
            records = [{"k": key, "v": number} for key in (keys if number % 2 else reversed(keys))]
            await call("datastore_upsert", resource_id=resource, records=records)

    await asyncio.gather(*(writer(number) for number in range(8)))
    for table in (resource, log):
        schema = await services.schemas.fresh(table)
        assert schema is not None
        counted, known = await services.database.owner.fetchrow(
            f"""
            SELECT (SELECT count(*) FROM {schema.sql_name}), record_count
            FROM datastore.tables WHERE resource_id = $1
            """,
            table,
        )
        assert counted == known
    rows = (await call("datastore_search", resource_id=resource, limit=1000))["records"]
    assert sorted(row["k"] for row in rows) == list(range(60))


# --- on a server where the owner is an ordinary role ------------------------------------------------------------------


@pytest.fixture
async def ordinary(server_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    """Services whose owner is no superuser, but may create roles."""
    owner = f"t{uuid.uuid4().hex[:10]}"
    root = await asyncpg.connect(server_url)
    await root.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'p'")
    await root.execute(f"CREATE DATABASE {owner} OWNER {owner}")
    parts = urlsplit(server_url)
    url = parts._replace(netloc=f"{owner}:p@{parts.netloc.rpartition('@')[2]}", path=f"/{owner}").geturl()
    settings = Settings(data_dir=tmp_path, secret_key="x" * 20, role_prefix=owner, pool_size=2)
    connection = await asyncpg.connect(url)
    await ensure_roles(connection, settings)
    await ensure_roles(connection, settings)
    assert await missing_roles_sql(connection, settings) == ""
    await migrate(connection, settings)
    await connection.close()
    services = await Services.open(url, settings)
    await services.database.write(lambda tx: ensure_sysadmin(tx, "admin", TOKEN))
    yield services
    await services.close()
    await root.execute(f"DROP DATABASE {owner} WITH (FORCE)")
    for role in (settings.reader_role, settings.public_role, settings.triggers_role, owner):
        await root.execute(f"DROP ROLE {role}")
    await root.close()


async def test_an_ordinary_owner(ordinary: Services) -> None:
    admin = await ordinary.tokens.actor(TOKEN)

    async def act(name: str, /, **parameters: Any) -> Any:
        return await run(name, Call(ordinary, admin, "http://test"), parameters)

    organization = await act("organization_create", name="the-org")
    dataset = await act("package_create", name="the-dataset", owner_org=organization["id"])
    await act("datastore_sequence_create", name="numbers", last_value=6)
    library = await act("datastore_trigger_library")
    assert {function["state"] for function in library} == {"absent"}
    for function in library:
        await act("datastore_trigger_install", name=function["name"])
    assert {function["state"] for function in await act("datastore_trigger_library")} == {"installed"}
    for replace in (False, True):
        await act(
            "datastore_function_create",
            name="stamp",
            rettype="trigger",
            or_replace=replace,
            definition="BEGIN NEW.n := nextval('numbers'); RETURN NEW; END",
        )
    resource = (await act("resource_create", package_id=dataset["id"], url_type="datastore"))["id"]
    fields, triggers = [{"id": "n", "type": "int"}], [{"function": "stamp"}]
    await act("datastore_create", resource_id=resource, fields=fields, triggers=triggers, records=[{}, {}])
    assert await act("datastore_run_triggers", resource_id=resource) == 2
    found = await act("datastore_search", resource_id=resource, fields="n", records_format="csv")
    assert b'"records":"9\\n10\\n"' in found
    forbidden = "BEGIN PERFORM 1 FROM datastore.users; RETURN NEW; END"
    await act("datastore_function_create", name="stamp", rettype="trigger", or_replace=True, definition=forbidden)
    with pytest.raises(ValidationError) as refused:
        await act("datastore_upsert", resource_id=resource, method="insert", records=[{}])
    assert "permission denied" in refused.value.fields["records"][0]
    await act("datastore_create", resource_id=resource, triggers=[])
    await act("datastore_function_delete", name="stamp")
    await act("datastore_sequence_delete", name="numbers")
