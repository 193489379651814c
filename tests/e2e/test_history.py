"""The history of a table: what it has, who sees it, and that nothing gets past it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from datastore.actions.services import Services
from tests.accounts.people import person_with_token
from tests.e2e.http import Api

FIELDS = [{"id": "k", "type": "int"}, {"id": "v", "type": "text"}]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


async def kept(api: Api, resource: str, rows: int = 2) -> str:
    """Give the table rows and a history; gives the history's id."""
    records = [{"k": number, "v": "old"} for number in range(rows)]
    await api.ok("datastore_create", resource_id=resource, fields=FIELDS, primary_key="k", records=records)
    created = await api.ok("datastore_history_create", resource_id=resource)
    assert created["name"] == "table: history"
    assert created["datastore_active"] is True
    return str(created["id"])


async def entries(api: Api, history: str) -> list[tuple[str, str, int, Any]]:
    rows = await api.rows(history, sort="_id", limit=1000)
    total = (await api.ok("datastore_search", resource_id=history, limit=0))["total"]
    assert total == len(rows)
    return [(row["operation"], row["changed_by"], row["record_id"], row["record"]) for row in rows]


async def test_old_rows_are_recorded(api: Api, services: Services, resource: str, organization: str) -> None:
    history = await kept(api, resource)
    assert await entries(api, history) == []
    assert (await api.ok("datastore_info", id=resource))["history"] == history
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "new"}, {"k": 5, "v": "added"}])
    added = (await api.rows(resource, filters={"k": 5}))[0]["_id"]
    user_id, token = await person_with_token(services, {organization: "editor"})
    name = (await api.ok("user_show", id=user_id))["name"]
    editor = Api(api.client, {"Authorization": token})
    await editor.ok("datastore_upsert", resource_id=resource, method="update", records=[{"k": 1, "v": "x"}])
    await editor.ok("datastore_upsert", resource_id=resource, records=[{"k": 1, "v": "x"}])  # changes nothing
    await editor.ok("datastore_records_delete", resource_id=resource, filters={"k": [0, 5]})
    assert await entries(api, history) == [
        ("update", "admin", 1, {"k": 0, "v": "old"}),
        ("update", name, 2, {"k": 1, "v": "old"}),
        ("delete", name, 1, {"k": 0, "v": "new"}),
        ("delete", name, added, {"k": 5, "v": "added"}),
    ]
    found = await api.ok(
        "datastore_search_sql",
        sql=f"""SELECT record ->> 'v' AS v FROM "{history}" WHERE record_id = 1 ORDER BY changed_at, _id""",
    )
    assert [row["v"] for row in found["records"]] == ["old", "new"]


@pytest.mark.parametrize("method", ["upsert", "update"])
async def test_a_big_change(api: Api, resource: str, method: str) -> None:
    """By COPY; and all that belongs to a row is in its record, exactly."""
    fields = [*FIELDS, {"id": "n", "type": "numeric"}, {"id": "j", "type": "json"}, {"id": "t", "type": "timestamp"}]
    old = [
        {"k": number, "v": "é\n", "n": "1.50", "j": {"a": [number]}, "t": "2020-01-02T03:04:05.000006"}
        for number in range(500)
    ]
    await api.ok("datastore_create", resource_id=resource, fields=fields, primary_key="k", records=old)
    history = (await api.ok("datastore_history_create", resource_id=resource, name="What was"))["id"]
    records = [{"k": number, "v": "é\n" if number % 2 else "new"} for number in range(500)]
    await api.ok("datastore_upsert", resource_id=resource, method=method, records=records)
    found = await entries(api, history)
    assert sorted(record["k"] for _, _, _, record in found) == list(range(0, 500, 2))
    assert found[0][3] == {"k": 0, "v": "é\n", "n": 1.5, "j": {"a": [0]}, "t": "2020-01-02T03:04:05.000006"}


async def test_what_is_undone_leaves_no_history(api: Api, resource: str) -> None:
    history = await kept(api, resource)
    records: list[dict[str, Any]] = [{"k": 0, "v": "new"}, {"k": "x", "v": "new"}]
    await api.refused(409, "datastore_upsert", resource_id=resource, records=records)
    await api.ok("datastore_upsert", resource_id=resource, records=records[:1], dry_run=True)
    assert await entries(api, history) == []


async def test_beside_other_triggers(api: Api, resource: str) -> None:
    history = await kept(api, resource)
    await api.ok("datastore_trigger_install", name="trim_text")
    triggers = [{"function": "trim_text", "arguments": ["v"]}]
    await api.ok("datastore_create", resource_id=resource, triggers=triggers)
    assert (await api.ok("datastore_info", id=resource))["triggers"] == triggers
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": " old "}, {"k": 1, "v": " new "}])
    await api.ok("datastore_create", resource_id=resource, triggers=[])
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 1, "v": "newer"}])
    assert [(key, row["v"]) for _, _, key, row in await entries(api, history)] == [(2, "old"), (2, "new")]


@pytest.mark.parametrize("way", ["datastore_delete", "resource_delete"])
async def test_a_dropped_table_is_recorded_whole(api: Api, resource: str, way: str) -> None:
    history = await kept(api, resource)
    await api.ok(way, **({"id": resource} if way == "resource_delete" else {"resource_id": resource}))
    found = await entries(api, history)
    assert [(operation, row["k"]) for operation, _, _, row in found] == [("delete", 0), ("delete", 1)]
    assert {actor for _, actor, _, _ in found} == {"admin"}
    # Now it is a table like any other.
    await api.ok("datastore_upsert", resource_id=history, method="insert", records=[{"operation": "note"}])


async def test_readers_with_sql_see_the_history_of_a_deleted_dataset_no_more(
    api: Api, resource: str, dataset: str
) -> None:
    history = await kept(api, resource)
    await api.ok("package_delete", id=dataset)
    await Api(api.client, {}).refused(403, "datastore_search", resource_id=history)


async def test_truncation_by_an_operator_is_recorded(api: Api, services: Services, resource: str) -> None:
    history = await kept(api, resource)
    schema = await services.schemas.fresh(resource)
    assert schema is not None
    await services.database.owner.execute(f"TRUNCATE {schema.sql_name}")
    rows = await api.rows(history)
    assert [(row["operation"], row["changed_by"], row["record_id"]) for row in rows] == [
        ("delete", None, 1),
        ("delete", None, 2),
    ]


async def test_columns_come_and_go(api: Api, resource: str) -> None:
    history = await kept(api, resource)
    fields = [{"id": "k", "type": "int"}, {"id": "w", "type": "int"}]
    await api.ok("datastore_create", resource_id=resource, fields=fields, delete_fields=True)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "w": 1}])
    fields[1]["type"] = "text"
    await api.ok("datastore_create", resource_id=resource, fields=fields, convert=True)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "w": "two"}])
    assert [row for _, _, _, row in await entries(api, history)] == [{"k": 0, "w": None}, {"k": 0, "w": "1"}]


async def test_it_is_written_by_nobody(api: Api, resource: str) -> None:
    history = await kept(api, resource)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "new"}])
    for force in (False, True):
        for name, parameters in (
            ("datastore_upsert", {"records": [{"record_id": 1}], "method": "insert"}),
            ("datastore_upsert", {"records": [{"_id": 1, "changed_by": "nobody"}], "method": "update"}),
            ("datastore_create", {"records": [{"record_id": 1}]}),
            ("datastore_create", {"fields": [{"id": "x", "type": "int"}]}),
            ("datastore_create", {"triggers": []}),
            ("datastore_records_delete", {"filters": {}}),
            ("datastore_delete", {}),
            ("datastore_history_create", {}),
        ):
            arguments: dict[str, Any] = {**parameters, "force": force, "resource_id": history}
            error = await api.refused(409, name, **arguments)
            assert error == {"read-only": [f"This is the history of {resource}: it is written by that alone"]}
    assert len(await entries(api, history)) == 1
    await api.ok("datastore_create", resource_id=history, aliases=[f"history-of-{resource}"])
    assert len(await api.rows(f"history-of-{resource}")) == 1


async def test_it_is_seen_by_whom_the_dataset_is_seen(api: Api, resource: str, dataset: str) -> None:
    history = await kept(api, resource)
    anonymous = Api(api.client, {})
    assert await anonymous.rows(history) == []
    await api.ok("package_patch", id=dataset, private=True)
    await anonymous.refused(403, "datastore_search", resource_id=history)
    await api.ok("package_patch", id=dataset, private=False)
    assert await anonymous.rows(history) == []


async def test_only_sysadmins_begin_and_end_it(api: Api, services: Services, resource: str, organization: str) -> None:
    _, token = await person_with_token(services, {organization: "admin"})
    others = Api(api.client, {"Authorization": token})
    for name in ("datastore_history_create", "datastore_history_delete"):
        error = await others.refused(403, name, resource_id=resource)
        assert error["message"].endswith(f"not authorized to perform {name}")
    error = await others.refused(403, "datastore_trigger_install", name="trim_text")
    assert error["message"].endswith("not authorized to perform datastore_trigger_install")


async def test_beginning_and_ending(api: Api, resource: str) -> None:
    assert await api.refused(409, "datastore_history_delete", resource_id=resource) == {
        "resource_id": ["The table has no history"]
    }
    history = await kept(api, resource)
    assert await api.refused(409, "datastore_history_create", resource_id=resource) == {
        "resource_id": [f"The table has a history already: {history}"]
    }
    in_use = await api.refused(409, "datastore_function_delete", name="record_history")
    assert "in use by triggers" in in_use["name"][0]
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "new"}])
    assert await api.ok("datastore_history_delete", resource_id=resource) is None
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "newer"}])
    assert len(await entries(api, history)) == 1
    await api.ok("datastore_upsert", resource_id=history, method="insert", records=[{"operation": "note"}])
    again = (await api.ok("datastore_history_create", resource_id=resource))["id"]
    assert again != history
    await api.ok("resource_delete", id=again)
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "newest"}])
    third = (await api.ok("datastore_history_create", resource_id=resource))["id"]
    await api.ok("datastore_upsert", resource_id=resource, records=[{"k": 0, "v": "last"}])
    assert [row["v"] for _, _, _, row in await entries(api, third)] == ["newest"]
