"""What functions of triggers cannot do: fail in another way than with a 409, or leave traces in the session."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.postgres.database import Author, Database, Transaction
from datastore.postgres.quoting import identifier
from datastore.tables.functions.triggers import announce, set_triggers
from datastore.tables.schema import TableSchema, Trigger, load
from tests.accounts.people import person
from tests.e2e.http import Api

FIELDS = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


async def function(api: Api, body: str) -> str:
    name = f"f_{uuid.uuid4().hex[:12]}"
    await api.ok("datastore_function_create", name=name, rettype="trigger", definition=body)
    return name


async def table(api: Api, resource: str, body: str, rows: int = 0) -> None:
    """A table with ``rows`` rows, and then a trigger with this body."""
    records = [{"k": number, "v": "old"} for number in range(rows)]
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, primary_key="k", records=records)
    await api.ok("datastore_create", resource_id=resource, triggers=[{"function": await function(api, body)}])


# --- errors -----------------------------------------------------------------------------------------------------------

RAISED = [
    *("08000", "08006", "0A000", "22012", "23505", "25000", "25006", "25P02", "26000", "28000", "2D000"),
    *("40000", "40001", "40P01", "42501", "42P01", "42703", "42804", "53100", "53200", "53300", "54000", "54001"),
    *("55000", "55006", "55P03", "57000", "57014", "57P01", "57P02", "57P03", "58000", "58030", "F0000", "HV000"),
    *("P0001", "P0002", "P0003", "P0004", "XX000", "XX001", "XX002", "01000", "02000", "ABCDE"),
]  # fmt: skip


@pytest.mark.parametrize("rows", [3, 300])
@pytest.mark.parametrize("method", ["insert", "upsert", "update"])
async def test_whatever_sqlstate_a_function_raises(api: Api, resource: str, method: str, rows: int) -> None:
    """It is the function's word against the record: never an error of the server, and nothing is tried again."""
    sequence = f"s_{uuid.uuid4().hex[:12]}"
    await api.ok("datastore_sequence_create", name=sequence)
    body = f"""
        BEGIN
            IF NEW.v <> 'old' THEN
                PERFORM nextval('{sequence}');
                RAISE EXCEPTION 'no' USING ERRCODE = NEW.v;
            END IF;
            RETURN NEW;
        END
    """
    await table(api, resource, body, rows)
    before = 0
    for state in RAISED if rows == 3 else ("40001", "57P01", "XX000"):
        key = 1000 if method == "insert" else 0
        records = [{"k": key + number, "v": "old"} for number in range(rows)]
        records[-1]["v"] = state
        error = await api.refused(409, "datastore_upsert", resource_id=resource, method=method, records=records)
        assert (error["records"], error["records_row"]) == (["no"], rows - 1)
        tried = await api.ok("datastore_sequence_next", name=sequence)
        # Once for the whole; and, to find the record, once more for each time that half of the rest holds it.
        assert tried - before <= 14
        before = tried


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("ASSERT false, 'not so'", "not so"),
        ("RETURN 1 / (NEW.k - NEW.k)", "division by zero"),
        ("PERFORM k FROM (VALUES (1), (2)) AS t (k); SELECT 1 INTO STRICT NEW.k FROM generate_series(1, 2)",
         "query returned more than one row"),
        ("PERFORM currval('{sequence}')", 'currval of sequence "{sequence}" is not yet defined in this session'),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
         "SET TRANSACTION ISOLATION LEVEL must be called before any query"),
        ("COMMIT", "invalid transaction termination"),
        ("NEW.k := 'x'", 'invalid input syntax for type integer: "x"'),
        ("PERFORM no_such()", "function no_such() does not exist"),
        ("RAISE EXCEPTION E'two\\nlines'", "two"),
        ("BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RAISE; END", "division by zero"),
    ],
)  # fmt: skip
async def test_whatever_a_function_does_wrong(api: Api, resource: str, statement: str, message: str) -> None:
    sequence = f"s_{uuid.uuid4().hex[:12]}"
    await api.ok("datastore_sequence_create", name=sequence)
    await table(api, resource, f"BEGIN {statement.format(sequence=sequence)}; RETURN NEW; END")
    for rows in (1, 300):
        records = [{"k": number} for number in range(rows)]
        error = await api.refused(409, "datastore_upsert", resource_id=resource, records=records)
        assert (error["records"], error["records_row"]) == ([message.format(sequence=sequence)], 0)


@pytest.mark.parametrize("state", ["40001", "53200", "57014", "57P01", "P0004", "XX000"])
async def test_run_triggers_names_the_row(api: Api, resource: str, state: str) -> None:
    body = f"BEGIN IF NEW.k = 7 THEN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END IF; RETURN NEW; END"
    await table(api, resource, body, rows=20)
    error = await api.refused(409, "datastore_run_triggers", resource_id=resource)
    assert error == {"records": ["no"], "records_id": 8}


async def test_rows_without_columns_are_refused_too(api: Api, resource: str) -> None:
    name = await function(api, "BEGIN RAISE EXCEPTION 'no'; END")
    await api.ok("datastore_create", resource_id=resource, triggers=[{"function": name}])
    error = await api.refused(409, "datastore_upsert", resource_id=resource, method="insert", records=[{}, {}])
    assert error["records"] == ["no"]


async def test_an_endless_function_is_stopped(api: Api, services: Services, database_url: str, resource: str) -> None:
    await table(api, resource, "BEGIN LOOP NULL; END LOOP; END")
    schema = await services.schemas.fresh(resource)
    assert schema is not None
    quick = services.settings.model_copy(update={"write_timeout": 0.5})
    database = await Database.connect(database_url, quick)
    try:
        with pytest.raises(asyncpg.QueryCanceledError, match="statement timeout"):
            await database.write(lambda tx: tx.connection.execute(f"INSERT INTO {schema.sql_name} (k) VALUES (1)"))
    finally:
        await database.close()


# --- traces -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def lockable(services: Services) -> None:
    """On another server than the embedded one, functions may take locks; here too, for these tests."""
    role = identifier(services.settings.triggers_role)
    await services.database.owner.execute(f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_advisory_lock(bigint) TO {role}")


@pytest.fixture
async def alone(services: Services, database_url: str) -> AsyncIterator[Database]:
    """A database with one connection for writes: what the next request gets is what this one left."""
    database = await Database.connect(database_url, services.settings.model_copy(update={"pool_size": 1}))
    yield database
    await database.close()


_SESSION = """
    SELECT current_setting('search_path') AS search_path, current_setting('datestyle') AS datestyle,
           current_setting('timezone') AS timezone, current_setting('statement_timeout') AS statement_timeout,
           current_setting('default_transaction_read_only') AS read_only, current_setting('jit') AS jit,
           current_user::text AS "user", session_user::text AS session_user,
           current_setting('datastore.actor', true) IS NOT DISTINCT FROM nullif('x', 'x')
               OR current_setting('datastore.actor', true) = '' AS no_actor,
           (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
           (SELECT count(*) FROM pg_listening_channels()) AS channels,
           (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors,
           (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS temporary
"""
_TRACES = """
    BEGIN
        PERFORM set_config('search_path', 'pg_temp', false);
        PERFORM set_config('datestyle', 'SQL, DMY', false);
        PERFORM set_config('timezone', 'Asia/Tokyo', false);
        PERFORM set_config('statement_timeout', '77777', false);
        PERFORM set_config('default_transaction_read_only', 'on', false);
        PERFORM set_config('datastore.actor', 'mallory', false);
        SET SESSION jit = on;
        PERFORM pg_advisory_lock(hashtextextended('trace', 0));
        LISTEN traces;
        EXECUTE 'CREATE TEMPORARY TABLE datastore_stage (a int)';
        EXECUTE 'DECLARE trace CURSOR WITH HOLD FOR SELECT 1';
        {end}
    END
"""


@pytest.mark.usefixtures("lockable")
@pytest.mark.parametrize("end", ["RETURN NEW;", "RAISE EXCEPTION 'no';", "RETURN NULL;"])
async def test_nothing_remains_in_the_session(
    api: Api, services: Services, alone: Database, resource: str, end: str
) -> None:
    await table(api, resource, _TRACES.format(end=end))
    schema = await services.schemas.fresh(resource)
    assert schema is not None
    table_schema = schema

    async def write(tx: Transaction) -> None:
        await announce(tx, table_schema)
        await tx.connection.execute(f"INSERT INTO {table_schema.sql_name} (k) VALUES (1)")

    before = dict(await alone.owner.fetchrow(_SESSION))
    process = await alone.owner.fetchval("SELECT pg_backend_pid()")
    if "EXCEPTION" in end:
        with pytest.raises(asyncpg.RaiseError, match=r"^no$"):
            await alone.write(write, Author(name="ada"))
    else:
        await alone.write(write, Author(name="ada"))
    assert dict(await alone.owner.fetchrow(_SESSION)) == before
    assert before["no_actor"]
    assert await alone.owner.fetchval("SELECT pg_backend_pid()") == process


@pytest.mark.usefixtures("lockable")
async def test_requests_after_a_function_that_changes_its_session(api: Api, resource: str) -> None:
    """Over the whole of the API: many writes, on whichever connections."""
    await table(api, resource, _TRACES.format(end="RETURN NEW;"))
    for number in range(30):
        records = [{"k": number, "v": "2020-01-02"}]
        await api.ok("datastore_upsert", resource_id=resource, records=records, method="insert")
    await api.ok("datastore_create", resource_id=resource, triggers=[])
    fields = [{"id": "d", "type": "date"}]
    await api.ok("datastore_create", resource_id=resource, fields=[*FIELDS, *fields])
    for number in range(30):
        await api.ok("datastore_upsert", resource_id=resource, records=[{"k": number, "d": "2020-01-02"}])
    assert {row["d"] for row in await api.rows(resource)} == {"2020-01-02"}


# --- who acts ---------------------------------------------------------------------------------------------------------

_WHO = "BEGIN NEW.v := coalesce(nullif(current_setting('datastore.actor', true), ''), '?'); RETURN NEW; END"


async def test_functions_are_told_who_acts(api: Api, services: Services, organization: str, resource: str) -> None:
    await table(api, resource, _WHO)
    editor = await person(services, {organization: "editor"})
    call = {"resource_id": resource, "method": "insert"}
    await api.ok("datastore_upsert", records=[{"k": 1, "v": "forged"}], **call)
    await run("datastore_upsert", Call(services, editor, "http://test"), {**call, "records": [{"k": 2}]})
    await run("datastore_create", Call(services, editor, "http://test"), {**call, "records": [{"k": 3}]})
    assert [row["v"] for row in await api.rows(resource, sort="k")] == ["admin", editor.name, editor.name]
    assert await api.ok("datastore_run_triggers", resource_id=resource) == 3
    assert {row["v"] for row in await api.rows(resource)} == {"admin"}


async def test_a_write_planned_before_the_triggers_came(
    api: Api, services: Services, resource: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has not heard of the triggers yet: its write runs again and tells the functions who acts."""
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS)
    stale = await services.schemas.get(resource)
    name = await function(api, _WHO)

    async def other_worker(tx: Transaction) -> None:
        schema = await load(tx.connection, resource)
        assert schema is not None
        await set_triggers(tx, schema, [Trigger(name)])

    async def not_heard_yet(_id: str) -> TableSchema | None:
        return stale

    await services.database.write(other_worker)
    with monkeypatch.context() as ours:
        ours.setattr(services.schemas, "get", not_heard_yet)
        await api.ok("datastore_upsert", resource_id=resource, method="insert", records=[{"k": 1}])
    assert [row["v"] for row in await api.rows(resource)] == ["admin"]
