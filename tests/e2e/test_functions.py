"""Functions, sequences and triggers over HTTP: what happens to a record before it is stored."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.actions.services import Services
from tests.accounts.people import person_with_token
from tests.e2e.http import Api

TRIM = "BEGIN NEW.name := upper(trim(NEW.name)); RETURN NEW; END;"
CHECK = """
BEGIN
    IF NEW.n < 0 THEN
        RAISE EXCEPTION 'n of % is negative: %', NEW.name, NEW.n;
    END IF;
    RETURN NEW;
END;
"""
SKIP = "BEGIN IF NEW.n % 2 = 1 THEN RETURN NULL; END IF; RETURN NEW; END;"
MARK = "BEGIN NEW.name := concat(NEW.name, '!'); RETURN NEW; END;"
FIELDS = [{"id": "name", "type": "text"}, {"id": "n", "type": "int"}]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
def name() -> str:
    return f"f_{uuid.uuid4().hex[:12]}"


async def function(api: Api, body: str, **parameters: Any) -> str:
    """The name of a new trigger function."""
    name = f"f_{uuid.uuid4().hex[:12]}"
    result = await api.ok("datastore_function_create", name=name, rettype="trigger", definition=body, **parameters)
    assert result is None
    return name


async def table(api: Api, resource: str, *bodies: str, **parameters: Any) -> list[str]:
    """Give the table columns, a key and triggers with these bodies; gives the functions' names."""
    names = [await function(api, body) for body in bodies]
    triggers = [{"function": name} for name in names]
    await api.ok(
        "datastore_create", resource_id=resource, fields=FIELDS, primary_key=["name"], triggers=triggers, **parameters
    )
    return names


async def total(api: Api, resource: str) -> tuple[int, int]:
    """The number of rows by the registry, and as they are counted."""
    counted = await api.ok("datastore_search", resource_id=resource, filters={"_id": {"gt": 0}}, limit=0)
    known = await api.ok("datastore_search", resource_id=resource, limit=0)
    return known["total"], counted["total"]


# --- functions --------------------------------------------------------------------------------------------------------


async def test_a_function_exists_once(api: Api, name: str) -> None:
    function = {"name": name, "rettype": "trigger", "definition": TRIM}
    assert await api.ok("datastore_function_create", **function) is None
    expected = {"name": [f'function "{name}" already exists with same argument types']}
    assert await api.refused(409, "datastore_function_create", **function) == expected
    await api.ok("datastore_function_create", or_replace=True, **function)
    assert await api.ok("datastore_function_delete", name=name) is None
    gone = {"name": [f"function {name}() does not exist"]}
    assert await api.refused(409, "datastore_function_delete", name=name) == gone
    await api.ok("datastore_function_delete", name=name, if_exists=True)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"definition": "BEGIN oops oops; END;"}, {"definition": ['syntax error at or near "oops"']}),
        ({"definition": "HELLO"}, {"definition": ['syntax error at or near "HELLO"']}),
        ({"rettype": "nonsense"}, {"definition": ['type "nonsense" does not exist']}),
        ({"rettype": "int; DROP TABLE x"}, {"definition": ['type "int; DROP TABLE x" does not exist']}),
        ({"definition": ""}, {"definition": ["Missing value"]}),
        ({"definition": 5}, {"definition": ["Must be a Unicode string value"]}),
        ({"name": ""}, {"name": ["Missing value"]}),
        ({"name": 5}, {"name": ["Must be a Unicode string value"]}),
        ({"name": "ü" * 32}, {"name": ["exceeds limit of 63 characters."]}),
        (
            {"arguments": [{"argname": "a", "argtype": "int"}, {"argtype": "int", "argmode": "sideways"}]},
            {"arguments": [
                {}, {"argname": ["Missing value"], "argmode": ["Value must be one of ['in', 'out', 'inout']"]},
            ]},
        ),
        (
            {"arguments": [{"argname": "a", "argtype": "int"}]},
            {"definition": ["trigger functions cannot have declared arguments"]},
        ),
        (
            {"rettype": "void", "arguments": [{"argname": "a", "argtype": "integr"}]},
            {"definition": ['type "integr" does not exist']},
        ),
    ],
)  # fmt: skip
async def test_bad_functions(api: Api, name: str, parameters: dict[str, Any], error: dict[str, Any]) -> None:
    function = {"name": name, "rettype": "trigger", "definition": TRIM} | parameters
    assert await api.refused(409, "datastore_function_create", **function) == error


async def test_required_parameters(api: Api) -> None:
    missing = await api.refused(409, "datastore_function_create")
    assert missing == {"name": ["Missing value"], "definition": ["Missing value"]}
    for action in ("datastore_function_delete", "datastore_sequence_create", "datastore_sequence_next"):
        assert await api.refused(409, action) == {"name": ["Missing value"]}
    assert await api.refused(409, "datastore_run_triggers") == {"resource_id": ["Missing value"]}


@pytest.mark.parametrize(
    "body", ["BEGIN RAISE NOTICE '$body$'; END; --$body$", "BEGIN END; -- $body", "BEGIN END --$body$$"]
)
async def test_a_body_cannot_end_its_quotes(api: Api, name: str, body: str, services: Services) -> None:
    await api.ok("datastore_function_create", name=name, definition=body)
    stored = await services.database.owner.fetchval("SELECT prosrc FROM pg_proc WHERE proname = $1", name)
    assert stored == body


async def test_functions_with_arguments(api: Api, resource: str, name: str) -> None:
    """One may call another, by its bare name; and both can be deleted."""
    arguments = [
        {"argname": "a", "argtype": "int"},
        {"argname": "b", "argtype": "numeric(10,2)", "argmode": "in"},
        {"argname": "sum", "argtype": "int", "argmode": "out"},
    ]
    await api.ok("datastore_function_create", name=name, definition="BEGIN sum := a + b; END", arguments=arguments)
    await table(api, resource, f"BEGIN NEW.n := {name}(NEW.n, 1); RETURN NEW; END")
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": "x", "n": 1}])
    assert await api.rows(resource) == [{"_id": 1, "name": "x", "n": 2}]
    await api.ok("datastore_function_delete", name=name)


async def test_names_are_quoted(api: Api, resource: str) -> None:
    name = f'Größe "{uuid.uuid4().hex[:8]}"; DROP TABLE x --'
    await api.ok("datastore_function_create", name=name, rettype="trigger", definition=MARK)
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, triggers=[{"function": name}])
    await api.ok("datastore_upsert", resource_id=resource, method="insert", records=[{"name": "x"}])
    assert (await api.rows(resource))[0]["name"] == "x!"
    error = await api.refused(409, "datastore_function_delete", name=name)
    assert error == {"name": [f'function {name}() is in use by triggers of "{resource}"']}
    await api.ok("datastore_create", resource_id=resource, triggers=[])
    await api.ok("datastore_function_delete", name=name)


async def test_a_function_cannot_stand_in_for_another(api: Api, resource: str) -> None:
    """One named like a function of PostgreSQL is another function: theirs is still theirs."""
    await api.ok(
        "datastore_function_create", name="upper", or_replace=True, rettype="text", definition="BEGIN RETURN 'no'; END",
        arguments=[{"argname": "value", "argtype": "text"}],
    )  # fmt: skip
    await table(api, resource, TRIM)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": "x"}])
    assert (await api.rows(resource))[0]["name"] == "X"
    await api.ok("datastore_function_delete", name="upper")
    assert await api.refused(409, "datastore_function_delete", name="lower") == {
        "name": ["function lower() does not exist"]
    }


async def test_only_sysadmins(client: httpx.AsyncClient, services: Services, organization: str, resource: str) -> None:
    _, token = await person_with_token(services, {organization: "admin"})
    admin_of_organization, anonymous = Api(client, {"Authorization": token}), Api(client, {})
    actions: dict[str, dict[str, Any]] = {
        "datastore_function_create": {"name": "f", "definition": "BEGIN END"},
        "datastore_function_delete": {"name": "f"},
        "datastore_sequence_create": {"name": "s"},
        "datastore_sequence_delete": {"name": "s"},
        "datastore_sequence_next": {"name": "s"},
        "datastore_run_triggers": {"resource_id": resource},
    }
    for name, parameters in actions.items():
        error = await anonymous.refused(403, name, **parameters)
        assert error["message"] == f"Access denied: Action {name} requires an authenticated user"
        error = await admin_of_organization.refused(403, name, **parameters)
        assert error["message"].endswith(f"not authorized to perform {name}")
        response = await client.get(f"/api/3/action/{name}")
        assert response.status_code == 400


# --- triggers ---------------------------------------------------------------------------------------------------------


async def test_triggers_are_echoed_with_defaults(api: Api, resource: str) -> None:
    names = [await function(api, body) for body in (TRIM, MARK)]
    result = await api.ok(
        "datastore_create",
        resource_id=resource,
        fields=FIELDS,
        triggers=[{"function": names[0]}, {"function": names[1], "when": "before insert or update", "for_each": "row"}],
    )
    assert result["triggers"] == [
        {"function": name, "when": "before insert or update", "for_each": "row"} for name in names
    ]
    assert "triggers" not in await api.ok("datastore_create", resource_id=resource)
    assert (await api.ok("datastore_create", resource_id=resource, triggers=[]))["triggers"] == []


@pytest.mark.parametrize(
    ("triggers", "errors"),
    [
        ([{"function": "f", "when": "after insert"}], [{"when": ["Value must be one of ['before insert or update']"]}]),
        ([{"function": "f", "for_each": "statement"}], [{"for_each": ["Value must be one of ['row']"]}]),
        ([{"when": ""}], [{"function": ["Missing value"]}]),
        ([{"function": ["f"], "for_each": []}],
         [{"function": ["Must be a Unicode string value"], "for_each": ["Value must be one of ['row']"]}]),
        ([{"function": "no_such"}], ["function no_such() does not exist"]),
        ([{"function": "now"}], ["function now() does not exist"]),
        ([{"function": "x" * 64}], [f"function {'x' * 64}() does not exist"]),
        ([{"function": "f"}] * 101, ["A table can have at most 100 triggers"]),
    ],
)  # fmt: skip
async def test_bad_triggers(api: Api, resource: str, triggers: Any, errors: Any) -> None:
    before = await api.ok("datastore_info", id=resource)
    error = await api.refused(409, "datastore_create", resource_id=resource, fields=FIELDS, triggers=triggers)
    assert error == {"triggers": errors}
    assert (await api.ok("datastore_info", id=resource))["fields"] == before["fields"] == []


@pytest.mark.parametrize("triggers", ["x", {"function": "f"}, ["f"], 5, True])
async def test_triggers_of_a_wrong_shape_are_a_structure_error(api: Api, resource: str, triggers: Any) -> None:
    await api.refused(400, "datastore_create", resource_id=resource, triggers=triggers)


async def test_only_trigger_functions_can_be_triggers(api: Api, resource: str, name: str) -> None:
    await api.ok("datastore_function_create", name=name, definition="BEGIN END")
    error = await api.refused(409, "datastore_create", resource_id=resource, triggers=[{"function": name}])
    assert list(error) == ["triggers"]
    assert "must return type trigger" in error["triggers"][0]


async def test_triggers_fire_in_the_order_of_the_list(api: Api, resource: str) -> None:
    digits = [
        await function(api, f"BEGIN NEW.name := concat(NEW.name, {digit}); RETURN NEW; END") for digit in range(3)
    ]
    order = [2, 0, 1, 0, *[1] * 10]
    triggers = [{"function": digits[digit]} for digit in order]
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, triggers=triggers, records=[{"name": ""}])
    await api.ok("datastore_create", resource_id=resource, triggers=triggers[:2], records=[{"name": ""}])
    await api.ok("datastore_create", resource_id=resource, triggers=[], records=[{"name": ""}])
    names = [row["name"] for row in await api.rows(resource)]
    assert names == ["".join(map(str, order)), "20", ""]
    for digit in digits:
        await api.ok("datastore_function_delete", name=digit)


@pytest.mark.parametrize("rows", [3, 500])  # the text way and the strict way of COPY
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("way", ["create", "insert", "upsert"])
async def test_triggers_change_what_is_stored(api: Api, resource: str, rows: int, include: bool, way: str) -> None:
    await table(api, resource, TRIM)
    records = [{"name": f" r{row} ", "n": row} for row in range(rows)]
    action, method = ("datastore_create", {}) if way == "create" else ("datastore_upsert", {"method": way})
    result = await api.ok(action, resource_id=resource, records=records, include_records=include, **method)
    stored = await api.rows(resource, limit=1000, sort="n")
    assert [row["name"] for row in stored] == [f"R{row}" for row in range(rows)]
    if include:
        assert sorted(result["records"], key=lambda row: row["n"]) == stored
    assert await total(api, resource) == (rows, rows)
    assert await api.rows(resource, q="R1") != []


@pytest.mark.parametrize("rows", [4, 500])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("way", ["create", "insert", "upsert", "update"])
async def test_an_exception_names_its_record(api: Api, resource: str, rows: int, include: bool, way: str) -> None:
    await table(
        api, resource, CHECK, records=[{"name": str(row), "n": 0} for row in range(rows)] if way == "update" else []
    )
    before = await api.rows(resource, limit=1000)
    bad = rows * 3 // 4
    records = [{"name": str(row), "n": -5 if row == bad else row} for row in range(rows)]
    action, method = ("datastore_create", {}) if way == "create" else ("datastore_upsert", {"method": way})
    error = await api.refused(409, action, resource_id=resource, records=records, include_records=include, **method)
    assert error["records"] == [f"n of {bad} is negative: -5"]
    assert error["records_row"] == bad
    assert await api.rows(resource, limit=1000) == before


@pytest.mark.parametrize("rows", [4, 500])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("way", ["create", "insert", "upsert"])
async def test_skipped_rows_are_not_counted(api: Api, resource: str, rows: int, include: bool, way: str) -> None:
    await table(api, resource, SKIP, records=[{"name": "old", "n": 0}])
    records = [{"name": str(row), "n": row} for row in range(rows)]
    action, method = ("datastore_create", {}) if way == "create" else ("datastore_upsert", {"method": way})
    await api.ok(action, resource_id=resource, records=records, include_records=include, **method)
    assert await total(api, resource) == (1 + rows // 2, 1 + rows // 2)
    if way == "upsert":  # the same again: updates, and rows that are skipped once more
        await api.ok("datastore_upsert", resource_id=resource, records=records, include_records=include)
        assert await total(api, resource) == (1 + rows // 2, 1 + rows // 2)


async def test_rows_without_any_column_are_skipped_too(api: Api, resource: str) -> None:
    skip = await function(api, "BEGIN IF NEW._id = 2 THEN RETURN NULL; END IF; RETURN NEW; END")
    await api.ok("datastore_create", resource_id=resource, triggers=[{"function": skip}], records=[{}, {}, {}])
    assert await total(api, resource) == (2, 2)


@pytest.mark.parametrize("count", [1, 300])
async def test_an_upsert_fires_once_for_each_row(api: Api, resource: str, count: int) -> None:
    """Also with some columns only: the trigger sees the row as it will be stored."""
    complete = """
        BEGIN
            IF NEW.note IS NULL THEN RAISE EXCEPTION 'no note'; END IF;
            NEW.fired := concat(NEW.fired, TG_OP);
            RETURN NEW;
        END
    """
    triggers = [{"function": await function(api, complete)}]
    fields = [*FIELDS, {"id": "note", "type": "text"}, {"id": "fired", "type": "text"}]
    await api.ok("datastore_create", resource_id=resource, fields=fields, primary_key="name", triggers=triggers)
    records: list[dict[str, Any]] = [{"name": str(number), "note": "x", "n": 1} for number in range(count)]
    await api.ok("datastore_upsert", resource_id=resource, records=records)
    for records in (
        [{"name": str(number), "n": 2} for number in range(count)],
        [{"_id": number + 1, "n": 3} for number in range(count)],
    ):
        await api.ok("datastore_upsert", resource_id=resource, records=records)
    rows = await api.rows(resource, limit=1000)
    assert {row["fired"] for row in rows} == {"INSERTUPDATEUPDATE"}
    assert {row["n"] for row in rows} == {3}
    assert await total(api, resource) == (count, count)
    error = await api.refused(409, "datastore_upsert", resource_id=resource, records=[{"name": "0"}, {"name": "new"}])
    assert (error["records"], error["records_row"]) == (["no note"], 1)


async def test_a_trigger_may_normalise_the_key(api: Api, resource: str) -> None:
    await table(api, resource, TRIM, records=[{"name": "A", "n": 1}])
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": " a", "n": 2}, {"name": "b ", "n": 3}])
    assert [(row["name"], row["n"]) for row in await api.rows(resource)] == [("A", 2), ("B", 3)]
    assert await total(api, resource) == (2, 2)


async def test_a_dry_run_fires_and_stores_nothing(api: Api, resource: str) -> None:
    await table(api, resource, CHECK)
    records = [{"name": "x", "n": 1}, {"name": "y", "n": -1}]
    error = await api.refused(409, "datastore_upsert", resource_id=resource, records=records, dry_run=True)
    assert error["records_row"] == 1
    await api.ok("datastore_upsert", resource_id=resource, records=records[:1], dry_run=True)
    assert await total(api, resource) == (0, 0)


async def test_run_triggers_commits(api: Api, resource: str) -> None:
    await api.ok(
        "datastore_create", resource_id=resource, fields=FIELDS, records=[{"name": f"r{n}", "n": n} for n in range(5)]
    )
    assert await api.ok("datastore_run_triggers", resource_id=resource) == 5
    await table(api, resource, MARK)
    assert [row["name"] for row in await api.rows(resource)] == [f"r{n}" for n in range(5)]
    assert await api.ok("datastore_run_triggers", id=resource) == 5
    assert [row["name"] for row in await api.rows(resource)] == [f"r{n}!" for n in range(5)]
    refusing = await function(api, "BEGIN IF NEW.n = 3 THEN RAISE EXCEPTION 'three'; END IF; RETURN NEW; END")
    await api.ok("datastore_create", resource_id=resource, triggers=[{"function": refusing}])
    assert await api.refused(409, "datastore_run_triggers", resource_id=resource) == {
        "records": ["three"],
        "records_id": 4,
    }
    skipping = await function(api, SKIP)
    await api.ok("datastore_create", resource_id=resource, triggers=[{"function": skipping}])
    assert await api.ok("datastore_run_triggers", resource_id=resource) == 3
    assert await total(api, resource) == (5, 5)
    assert "was not found" in (await api.refused(404, "datastore_run_triggers", resource_id="x"))["message"]


async def test_triggers_go_with_their_table(api: Api, resource: str) -> None:
    [name] = await table(api, resource, TRIM)
    assert "in use" in (await api.refused(409, "datastore_function_delete", name=name))["name"][0]
    await api.ok("datastore_function_create", name=name, or_replace=True, rettype="trigger", definition=MARK)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": "x"}])
    assert (await api.rows(resource))[0]["name"] == "x!"
    await api.ok("datastore_delete", resource_id=resource)
    await api.ok("datastore_function_delete", name=name)
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, records=[{"name": " x "}])
    assert (await api.rows(resource))[0]["name"] == " x "


# --- what trigger functions may do ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt",
    [
        "PERFORM 1 FROM datastore.users",
        "PERFORM 1 FROM datastore.tables",
        "DELETE FROM datastore.api_tokens",
        "EXECUTE 'CREATE TABLE datastore_functions.x (a int)'",
        "EXECUTE 'CREATE FUNCTION datastore_functions.x() RETURNS int LANGUAGE sql AS ''SELECT 1'''",
        "EXECUTE 'CREATE SCHEMA x'",
        "EXECUTE 'CREATE ROLE x'",
        "EXECUTE format('ALTER TABLE %I.%I ADD x int', TG_TABLE_SCHEMA, TG_TABLE_NAME)",
        "EXECUTE format('DROP TABLE %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)",
        "EXECUTE format('TRUNCATE %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME)",
        "PERFORM pg_read_file('/etc/passwd')",
        "EXECUTE 'COPY (SELECT 1) TO PROGRAM ''true'''",
        "PERFORM set_config('role', session_user, false)",
        "EXECUTE format('SET SESSION AUTHORIZATION %I', session_user)",
        "PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = session_user",
    ],
)
async def test_a_function_has_no_more_rights_than_it_needs(api: Api, resource: str, attempt: str) -> None:
    await table(api, resource, f"BEGIN {attempt}; RETURN NEW; END")
    error = await api.refused(409, "datastore_upsert", resource_id=resource, records=[{"name": "x"}])
    assert error["records_row"] == 0
    assert any(word in error["records"][0].lower() for word in ("permission denied", "cannot", "must be"))
    assert await total(api, resource) == (0, 0)


async def test_the_read_only_roles_cannot_call_functions(api: Api, services: Services, name: str) -> None:
    await api.ok("datastore_function_create", name=name, definition="BEGIN END")
    for role in (services.settings.public_role, services.settings.reader_role):
        allowed = await services.database.owner.fetchrow(
            """
            SELECT has_schema_privilege($1, 'datastore_functions', 'USAGE'),
                   has_function_privilege($1, (SELECT oid FROM pg_proc WHERE proname = $2), 'EXECUTE')
            """,
            role,
            name,
        )
        assert tuple(allowed) == (False, False)


async def test_a_function_may_write_other_tables_and_they_are_counted(
    api: Api, services: Services, dataset: str, resource: str
) -> None:
    created = await api.ok(
        "datastore_create", resource={"package_id": dataset}, fields=FIELDS, records=[{"name": "first", "n": 0}]
    )
    log = created["resource_id"]
    target = f'"{dataset}"."{log}"'
    await table(
        api,
        resource,
        f"""
        BEGIN
            INSERT INTO {target} (name, n) VALUES (concat(TG_OP, ' ', NEW.name), NEW.n);
            IF NEW.n = 2 THEN DELETE FROM {target} WHERE n = 0; END IF;
            IF NEW.n = 9 THEN UPDATE {target} SET n = 9; RAISE EXCEPTION 'nine'; END IF;
            RETURN NEW;
        END
        """,
    )

    async def version() -> int:
        found: int = await services.database.owner.fetchval(
            "SELECT version FROM datastore.tables WHERE resource_id = $1", log
        )
        return found

    before = await version()
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": "a", "n": 1}])
    assert await total(api, log) == (2, 2)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"name": "a", "n": 2}, {"name": "b", "n": 3}])
    assert await total(api, log) == (3, 3)
    assert await version() > before + 1
    many = [{"name": f"m{number}", "n": number + 100} for number in range(400)]
    await api.ok("datastore_upsert", resource_id=resource, method="insert", records=many)
    assert await total(api, log) == (403, 403)
    # Refused by the strict way first, so that the trigger has fired for rows that were then undone.
    odd = [{"name": f"o{number}", "n": number + 100 if number < 399 else "499"} for number in range(400)]
    await api.ok("datastore_upsert", resource_id=resource, method="insert", records=odd)
    assert await total(api, log) == (803, 803)
    error = await api.refused(409, "datastore_upsert", resource_id=resource, records=[{"name": "c", "n": 9}])
    assert error["records"] == ["nine"]
    assert await total(api, log) == (803, 803)
    assert await api.ok("datastore_run_triggers", resource_id=resource) == 802
    assert await total(api, log) == (1605, 1605)
    assert await total(api, resource) == (802, 802)


async def test_a_function_may_write_its_own_table(api: Api, dataset: str, resource: str) -> None:
    own = f'"{dataset}"."{resource}"'
    await table(
        api,
        resource,
        f"""
        BEGIN
            IF NEW.n > 0 THEN INSERT INTO {own} (name, n) VALUES (NEW.name || '-', NEW.n - 1); END IF;
            RETURN NEW;
        END
        """,
    )
    for method in ("insert", "upsert"):
        await api.ok("datastore_upsert", resource_id=resource, method=method, records=[{"name": method, "n": 3}])
    assert await total(api, resource) == (8, 8)


# --- sequences --------------------------------------------------------------------------------------------------------


async def test_sequences(api: Api, name: str) -> None:
    assert await api.ok("datastore_sequence_create", name=name) is None
    assert [await api.ok("datastore_sequence_next", name=name) for _ in range(3)] == [1, 2, 3]
    expected = {"name": [f'relation "{name}" already exists']}
    assert await api.refused(409, "datastore_sequence_create", name=name) == expected
    await api.ok("datastore_sequence_create", name=name, if_not_exists=True)
    assert await api.ok("datastore_sequence_next", name=name) == 4
    await api.ok("datastore_sequence_create", name=name, if_not_exists=True, last_value="99")
    assert await api.ok("datastore_sequence_next", name=name) == 100
    assert await api.ok("datastore_sequence_delete", name=name) is None
    missing = {"name": [f'sequence "{name}" does not exist']}
    assert await api.refused(409, "datastore_sequence_delete", name=name) == missing
    await api.ok("datastore_sequence_delete", name=name, if_exists=True)
    assert await api.refused(409, "datastore_sequence_next", name=name) == {
        "name": [f'relation "{name}" does not exist']
    }
    await api.ok("datastore_sequence_create", name=name, last_value=0)
    assert await api.ok("datastore_sequence_next", name=name) == 1


async def test_the_end_of_a_sequence(api: Api, name: str) -> None:
    for last_value in (-1, 2**63 - 1):
        error = await api.refused(409, "datastore_sequence_create", name=name, last_value=last_value)
        assert list(error) == ["last_value"]
    assert await api.refused(409, "datastore_sequence_create", name=name, last_value="x") == {
        "last_value": ["Invalid integer"]
    }
    await api.ok("datastore_sequence_create", name=name, last_value=2**63 - 2)
    assert await api.ok("datastore_sequence_next", name=name) == 2**63 - 1
    assert "maximum value" in (await api.refused(409, "datastore_sequence_next", name=name))["name"][0]


async def test_a_trigger_takes_numbers_from_a_sequence(api: Api, resource: str, name: str) -> None:
    await api.ok("datastore_sequence_create", name=name, last_value=41)
    await table(api, resource, f"BEGIN NEW.n := nextval('{name}'); RETURN NEW; END")
    await api.ok("datastore_upsert", resource_id=resource, method="insert", records=[{"name": "a"}, {"name": "b"}])
    assert [row["n"] for row in await api.rows(resource)] == [42, 43]


# --- the other actions ------------------------------------------------------------------------------------------------


async def test_records_delete(api: Api, resource: str) -> None:
    alias = f"alias {resource}"
    records = [{"name": str(n), "n": n} for n in range(5)]
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, aliases=[alias], records=records)
    result = await api.ok(
        "datastore_records_delete", resource_id=resource, filters={"n": {"gt": 3}}, include_deleted_records=True
    )
    assert result == {
        "resource_id": resource,
        "filters": {"n": {"gt": 3}},
        "deleted_records": [{"_id": 5, "name": "4", "n": 4}],
    }
    assert await api.ok("datastore_records_delete", id=resource, filters={"n": [0, 1]}) == {
        "resource_id": resource,
        "filters": {"n": [0, 1]},
    }
    assert await total(api, resource) == (2, 2)
    assert await api.refused(409, "datastore_records_delete", resource_id=resource) == {"filters": ["Missing value"]}
    wrong: list[Any] = [None, [], "x", "{}", 5]
    for filters in wrong:
        error = await api.refused(409, "datastore_records_delete", resource_id=resource, filters=filters)
        assert error == {"filters": ["Must be a dict"]}
    error = await api.refused(409, "datastore_records_delete", resource_id=resource, filters={"n": "x"})
    assert "filters" in error
    await api.refused(404, "datastore_records_delete", resource_id=alias, filters={})
    await api.ok("datastore_records_delete", resource_id=resource, filters={})
    assert await total(api, alias) == (0, 0)


async def test_records_delete_needs_the_right_to_write(client: httpx.AsyncClient, api: Api, dataset: str) -> None:
    filled = await api.ok("resource_create", package_id=dataset, url="http://example.com/x.csv")
    await api.ok("datastore_create", resource_id=filled["id"], force=True, records=[{"a": 1}])
    error = await api.refused(409, "datastore_records_delete", resource_id=filled["id"], filters={})
    assert list(error) == ["read-only"]
    await Api(client, {}).refused(403, "datastore_records_delete", resource_id=filled["id"], filters={}, force=True)
    assert await total(api, filled["id"]) == (1, 1)
    await api.ok("datastore_records_delete", resource_id=filled["id"], filters={}, force=True)


async def test_datastore_active_tells_the_truth(api: Api, dataset: str) -> None:
    created = await api.ok("resource_create", package_id=dataset, url_type="datastore")

    async def active() -> bool:
        shown = await api.ok("resource_show", id=created["id"])
        in_dataset = (await api.ok("package_show", id=dataset))["resources"][0]
        assert in_dataset["datastore_active"] is shown["datastore_active"]
        assert isinstance(shown["datastore_active"], bool)
        return bool(shown["datastore_active"])

    assert not await active()
    await api.ok("datastore_create", resource_id=created["id"], records=[{"a": 1}])
    assert await active()
    await api.ok("datastore_records_delete", resource_id=created["id"], filters={})
    assert await active()
    await api.ok("datastore_delete", resource_id=created["id"], filters={})
    assert await active()
    await api.refused(409, "datastore_create", resource_id=created["id"], triggers=[{"function": "no_such"}])
    assert await active()
    await api.ok("datastore_delete", resource_id=created["id"])
    assert not await active()
    await api.refused(409, "datastore_create", resource_id=created["id"], triggers=[{"function": "no_such"}])
    assert not await active()
    await api.ok("datastore_create", resource_id=created["id"])
    assert await active()


@pytest.mark.parametrize("action", ["datastore_make_private", "datastore_make_public"])
async def test_old_actions_do_nothing(client: httpx.AsyncClient, api: Api, resource: str, action: str) -> None:
    assert await api.ok(action, resource_id=resource) is None
    assert await Api(client, {}).rows(resource) == []
    await Api(client, {}).refused(403, action, resource_id=resource)
    await api.refused(404, action, resource_id="no such resource")
    assert await api.refused(409, action) == {"resource_id": ["Missing value"]}


# --- no soup gives a 500 ----------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
    | st.sampled_from(["", "trigger", "int", "in"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["argname", "argtype", "argmode", "function", "when", "for_each", "x"]), inner, max_size=4
    ),
    max_leaves=6,
)  # fmt: skip
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["name", "id", "resource_id", "definition", "rettype", "arguments", "or_replace", "if_exists", "if_not_exists",
         "last_value", "triggers", "filters", "fields", "records"]
    ),
    VALUES,
    max_size=8,
)  # fmt: skip
ACTIONS = [
    "datastore_function_create", "datastore_function_delete", "datastore_sequence_create", "datastore_sequence_delete",
    "datastore_sequence_next", "datastore_run_triggers", "datastore_records_delete", "datastore_make_private",
    "datastore_create",
]  # fmt: skip


@given(st.sampled_from(ACTIONS), PARAMETERS, st.booleans())
@settings(max_examples=150)
async def test_no_soup_of_parameters_is_an_internal_error(
    client: httpx.AsyncClient,
    admin_headers: dict[str, str],
    resource: str,
    action: str,
    soup: dict[str, Any],
    real: bool,
) -> None:
    if real:
        soup = {**soup, "resource_id": resource, "definition": "BEGIN RETURN NEW; END"}
        soup.pop("id", None)
    body = json.dumps(soup).encode("utf-8", "surrogatepass")
    headers = {**admin_headers, "Content-Type": "application/json"}
    response = await client.post(f"/api/3/action/{action}", content=body, headers=headers)
    assert response.status_code in (200, 400, 404, 409), response.text
