"""datastore_create, _upsert, _search, _info, _delete and the dump, over HTTP against PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.http import Api

CallAction = Callable[..., Awaitable[Any]]


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


@pytest.fixture
def anonymous(client: httpx.AsyncClient) -> Api:
    return Api(client, {})


@pytest.fixture
async def books(api: Api, dataset: str) -> str:
    """The resource id of a table of three books with a unique key."""
    created = await api.ok(
        "datastore_create",
        resource={"package_id": dataset},
        fields=[
            {"id": "isbn", "type": "text", "info": {"label": "ISBN"}},
            {"id": "title", "type": "text"},
            {"id": "pages", "type": "int"},
        ],
        records=[
            {"isbn": "1", "title": "A Clockwork Orange", "pages": 213},
            {"isbn": "2", "title": "Dune", "pages": 412},
            {"isbn": "3", "title": "Emma", "pages": None},
        ],
        primary_key=["isbn"],
    )
    return str(created["resource_id"])


# --- create -----------------------------------------------------------------------------------------------------------


async def test_create_echoes_the_request(api: Api, resource: str) -> None:
    fields = [{"id": "a", "type": "INT"}, {"id": "b"}, {"id": "c", "type": "json"}]
    result = await api.ok(
        "datastore_create",
        resource_id=resource,
        fields=fields,
        records=[{"a": 1, "b": "x"}],
        primary_key="a",
        indexes=["b", "a,b"],
        aliases=f"books {resource}",
    )
    assert result == {
        "resource_id": resource,
        "fields": [{"id": "a", "type": "INT"}, {"id": "b", "type": "text"}, {"id": "c", "type": "json"}],
        "primary_key": ["a"],
        "indexes": ["b", "a,b"],
        "aliases": [f"books {resource}"],
        "delete_fields": False,
        "calculate_record_count": "background",
        "method": "insert",
    }


async def test_create_makes_the_resource_writable_and_active(api: Api, dataset: str) -> None:
    result = await api.ok("datastore_create", resource={"package_id": dataset, "name": "n"}, records=[{"a": 1}])
    shown = await api.ok("resource_show", id=result["resource_id"])
    assert shown["datastore_active"] is True
    assert shown["url_type"] == "datastore"
    assert shown["url"] == f"http://test/datastore/dump/{result['resource_id']}"


async def test_a_failed_create_leaves_nothing(api: Api, dataset: str, services: Any) -> None:
    error = await api.refused(
        409,
        "datastore_create",
        resource={"package_id": dataset},
        fields=[{"id": "a", "type": "int"}],
        records=[{"a": 1}, {"a": "x"}],
    )
    assert error == {"records": ['invalid input syntax for type integer: "x"'], "records_row": 1}
    assert (await api.ok("package_show", id=dataset))["resources"] == []
    assert await services.database.owner.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", dataset) == 0


async def test_types_are_guessed_from_all_records(api: Api, resource: str) -> None:
    await api.ok(
        "datastore_create",
        resource_id=resource,
        records=[{"a": 1, "b": True, "c": "2026-01-01", "d": 1, "e": None}, {"a": 2.5, "b": False, "d": 2**40, "e": 1}],
    )
    info = await api.ok("datastore_info", id=resource)
    assert {field["id"]: field["type"] for field in info["fields"]} == {
        "a": "float8", "b": "bool", "c": "timestamp", "d": "int8", "e": "int4",
    }  # fmt: skip


async def test_columns_are_added_and_dropped(api: Api, books: str) -> None:
    await api.ok("datastore_create", resource_id=books, records=[{"isbn": "4", "year": 1999}])
    await api.ok(
        "datastore_create", resource_id=books, fields=[{"id": "pages", "type": "text"}, {"id": "new", "type": "date"}]
    )
    types = {field["id"]: field["type"] for field in (await api.ok("datastore_info", id=books))["fields"]}
    assert types == {"isbn": "text", "title": "text", "pages": "int4", "year": "int4", "new": "date"}
    kept = [{"id": "title"}, {"id": "year"}]
    await api.ok("datastore_create", resource_id=books, fields=kept, delete_fields=True)
    assert [field["id"] for field in (await api.ok("datastore_info", id=books))["fields"]] == ["title", "year"]
    error = await api.refused(409, "datastore_upsert", resource_id=books, records=[{"title": "x"}])
    assert error == {"table": ["unique key must be passed for update/upsert"]}


async def test_info_is_replaced_only_where_given(api: Api, books: str) -> None:
    await api.ok(
        "datastore_create", resource_id=books, fields=[{"id": "title", "info": {"notes": "n"}}, {"id": "isbn"}]
    )
    infos = {field["id"]: field.get("info") for field in (await api.ok("datastore_info", id=books))["fields"]}
    assert infos == {"isbn": {"label": "ISBN"}, "title": {"notes": "n"}, "pages": None}
    found = await api.ok("datastore_search", resource_id=books, limit=0)
    assert found["fields"][:2] == [
        {"id": "_id", "type": "int"},
        {"id": "isbn", "type": "text", "info": {"label": "ISBN"}},
    ]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"fields": [{"id": "_x", "type": "text"}]}, {"fields": [{"id": ['"_x" is not a valid field name']}]}),
        ({"fields": [{"type": "text"}]}, {"fields": [{"id": ["Missing value"]}]}),
        ({"fields": [{"id": "a", "type": "int; drop"}]}, {"fields": ['"int; drop" is not a valid field type']}),
        ({"fields": [{"id": "a"}]}, {"fields": ['"a" type not guessable']}),
        ({"fields": [{"id": "a", "type": "text"}] * 2}, {"field": ["Duplicate column names are not supported"]}),
        ({"records": ["x"]}, {"records": ["The first row is not a json object"]}),
        ({"records": "x"}, {"records": ["Records has to be a list of dicts"]}),
        ({"records": [{"a": 1}, 2]}, {"records": ['row "1" is not a json object']}),
        ({"records": [{"a": 1}, {"a": 1, "b": 2}]}, {"records": ['row "2" has extra keys "b"']}),
        ({"primary_key": ["nope"]}, {"index": ['The field "nope" is not a valid column name.']}),
        ({"indexes": ["_id"]}, {"index": ['The field "_id" is not a valid column name.']}),
        ({"aliases": ["_bad"]}, {"alias": ['"_bad" is not a valid alias name']}),
        ({"resource": {"package_id": "x"}}, {"resource": ["resource cannot be used with resource_id"]}),
        (
            {"calculate_record_count": "maybe"},
            {"calculate_record_count": ["Value must be boolean or one of: background"]},
        ),
    ],
)  # fmt: skip
async def test_bad_create(api: Api, resource: str, parameters: dict[str, Any], error: dict[str, Any]) -> None:
    assert await api.refused(409, "datastore_create", resource_id=resource, **parameters) == error


@pytest.mark.parametrize("fields", ["a", ["a"], {"id": "a"}, 5])
async def test_fields_of_a_wrong_shape_are_a_structure_error(api: Api, resource: str, fields: Any) -> None:
    response = await api.post("datastore_create", resource_id=resource, fields=fields)
    assert response.status_code == 400
    assert response.json()["error"]["__type"] == "Integrity Error"


async def test_unknown_resource(api: Api, anonymous: Api) -> None:
    missing = str(uuid.uuid4())
    expected = {"resource_id": [f"Resource not found: {missing}"]}
    assert await api.refused(409, "datastore_create", resource_id=missing) == expected
    assert await api.refused(409, "datastore_create") == {"resource_id": ["resource_id or resource required"]}
    for name, kind in (("datastore_search", "Resource"), ("datastore_info", "Resource/Alias")):
        error = await anonymous.refused(404, name, resource_id=missing)
        assert error == {"message": f'Not found: {kind} "{missing}" was not found.'}
    for name in ("datastore_upsert", "datastore_delete"):
        await api.refused(404, name, resource_id=missing)
        await anonymous.refused(403, name, resource_id=missing)
    assert await api.refused(409, "datastore_search") == {"resource_id": ["Missing value"]}


async def test_a_linked_resource_is_read_only_without_force(api: Api, dataset: str) -> None:
    linked = await api.ok("resource_create", package_id=dataset, url="http://example.com/data.csv")
    error = await api.refused(409, "datastore_create", resource_id=linked["id"], records=[{"a": 1}])
    assert "Cannot edit read-only resource" in error["read-only"][0]
    await api.ok("datastore_create", resource_id=linked["id"], records=[{"a": 1}], force=True)
    for name, more in (("datastore_upsert", {"records": [{"a": 2}], "method": "insert"}), ("datastore_delete", {})):
        assert "read-only" in await api.refused(409, name, resource_id=linked["id"], **more)
        await api.ok(name, resource_id=linked["id"], force="yes", **more)


async def test_a_key_that_the_rows_violate(api: Api, resource: str) -> None:
    await api.ok("datastore_create", resource_id=resource, records=[{"a": 1}, {"a": 1}])
    error = await api.refused(409, "datastore_create", resource_id=resource, primary_key="a")
    assert "uniqueness constraint" in error["constraints"][0]
    assert error["info"]["pgcode"] == "23505"


async def test_aliases(api: Api, anonymous: Api, books: str, resource: str) -> None:
    name = f"b{resource}"
    await api.ok("datastore_create", resource_id=books, aliases=[name, f"{name}2"])
    taken = await api.refused(409, "datastore_create", resource_id=resource, aliases=name)
    assert taken == {"alias": [f'The alias "{name}" already exists.']}
    taken = await api.refused(409, "datastore_create", resource_id=resource, aliases=books)
    assert taken == {"alias": [f'"{books}" already exists']}
    found = await anonymous.ok("datastore_search", resource_id=name)
    assert (found["resource_id"], found["total"]) == (books, 3)
    await api.ok("datastore_create", resource_id=books, fields=[{"id": "added", "type": "int"}])
    assert "added" in (await anonymous.rows(name))[0]
    assert (await api.ok("datastore_info", id=name))["meta"]["aliases"] == [f"{name}2", name]
    await api.ok("datastore_create", resource_id=books, aliases=[])
    await anonymous.refused(404, "datastore_search", resource_id=name)


# --- write ------------------------------------------------------------------------------------------------------------


async def test_upsert_changes_what_is_named_and_keeps_the_rest(api: Api, books: str) -> None:
    result = await api.ok(
        "datastore_upsert",
        resource_id=books,
        records=[{"isbn": "2", "pages": 500}, {"isbn": "9", "title": "New"}, {"isbn": "9", "pages": 7}, {"isbn": "1"}],
        include_records=True,
    )
    assert result["records"] == [
        {"_id": 2, "isbn": "2", "title": "Dune", "pages": 500},
        {"_id": 5, "isbn": "9", "title": "New", "pages": 7},
        {"_id": 1, "isbn": "1", "title": "A Clockwork Orange", "pages": 213},
    ]
    assert (await api.ok("datastore_search", resource_id=books, limit=0))["total"] == 4


async def test_new_rows_are_numbered_in_the_order_of_the_records(api: Api, books: str) -> None:
    records = [{"isbn": key, "title": key} for key in ("z", "m", "a")]
    await api.ok("datastore_upsert", resource_id=books, records=records)
    assert [row["isbn"] for row in await api.rows(books, offset=3)] == ["z", "m", "a"]


async def test_null_keys_match_nothing(api: Api, books: str) -> None:
    await api.ok(
        "datastore_upsert", resource_id=books, records=[{"isbn": None, "title": "x"}, {"isbn": None, "title": "y"}]
    )
    assert [row["title"] for row in await api.rows(books, offset=3)] == ["x", "y"]
    error = await api.refused(
        409, "datastore_upsert", resource_id=books, method="update", records=[{"isbn": None, "title": "z"}]
    )
    assert "not found" in error["key"][0]


async def test_update_needs_its_row(api: Api, books: str) -> None:
    records = [{"isbn": "1", "pages": 1}, {"isbn": "nope", "pages": 2}]
    error = await api.refused(409, "datastore_upsert", resource_id=books, method="update", records=records)
    assert error == {"key": ["key \"{'isbn': 'nope'}\" not found"]}
    assert (await api.rows(books))[0]["pages"] == 213


async def test_rows_are_addressed_by_id(api: Api, books: str) -> None:
    records = [{"_id": 1, "isbn": "one"}, {"_id": "2", "pages": 1}, {"_id": 40, "isbn": "40"}]
    await api.ok("datastore_upsert", resource_id=books, records=records)
    await api.ok("datastore_upsert", resource_id=books, method="insert", records=[{"isbn": "41"}])
    assert [(row["_id"], row["isbn"]) for row in await api.rows(books)] == [
        (1, "one"), (2, "2"), (3, "3"), (40, "40"), (41, "41"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "records", "error"),
    [
        ("insert", [{"isbn": "5"}, {"isbn": "5"}], {"records_row": 1}),
        ("insert", [{"isbn": "5", "zz": 1}], {"records": ['row "1" has extra keys "zz"']}),
        ("insert", [{"_id": 9, "isbn": "5"}], {"records": ['row "1" has extra keys "_id"']}),
        ("upsert", [{"isbn": "1"}, {"title": "x"}], {"key": ['fields "isbn" are missing but needed as key']}),
        ("upsert", [{"isbn": "1", "zz": 1}], {"fields": ['fields "zz" do not exist']}),
        ("upsert", [{"isbn": "1"}, {"isbn": "2", "pages": "many"}], {"records_row": 1}),
        ("upsert", [{"_id": 1, "isbn": "2"}], {"records_row": 0}),
        ("upsert", [{"_id": None, "title": "x"}], {"records_row": 0}),
        ("update", [{"_id": "", "title": "x"}], {}),
        ("insert", [{"isbn": "a\0b"}], {"records_row": 0}),
        ("insert", [{"isbn": "x", "pages": 2**31}], {"records": ["integer out of range"]}),
        ("nope", [], {"method": ["Value must be one of ['upsert', 'insert', 'update']"]}),
    ],
)
async def test_bad_records_change_nothing(
    api: Api, books: str, method: str, records: list[Any], error: dict[str, Any]
) -> None:
    before = await api.rows(books)
    found = await api.refused(409, "datastore_upsert", resource_id=books, method=method, records=records)
    assert {key: found[key] for key in error} == error or "out of range" in found["records"][0]
    assert await api.rows(books) == before


@pytest.mark.parametrize("method", ["insert", "upsert"])
async def test_the_failing_row_of_a_large_request(api: Api, resource: str, method: str) -> None:
    """Both the strict way and the text way behind it tell the index; nothing of the request remains."""
    await api.ok("datastore_create", resource_id=resource, fields=[{"id": "k", "type": "int"}], primary_key="k")
    bad = [{"k": number if number != 1234 else "x"} for number in range(3000)]
    error = await api.refused(409, "datastore_upsert", resource_id=resource, method=method, records=bad)
    assert error == {"records": ['invalid input syntax for type integer: "x"'], "records_row": 1234}
    await api.ok("datastore_upsert", resource_id=resource, method=method, records=[{"k": 999}])
    if method == "insert":
        error = await api.refused(
            409, "datastore_upsert", resource_id=resource, method=method, records=[{"k": n} for n in range(3000)]
        )
        assert error["records_row"] == 999
        assert "duplicate key value violates unique constraint" in error["records"][0]
    assert (await api.ok("datastore_search", resource_id=resource))["total"] == 1


@pytest.mark.parametrize("method", ["insert", "upsert", "create"])
async def test_all_bad_rows_are_told(api: Api, books: str, method: str) -> None:
    records = [{"isbn": str(number), "pages": "x" if number in (3, 700, 701) else number} for number in range(1000)]
    if method == "create":
        error = await api.refused(409, "datastore_create", resource_id=books, records=records)
    else:
        error = await api.refused(409, "datastore_upsert", resource_id=books, method=method, records=records)
    message = 'invalid input syntax for type integer: "x"'
    assert error["records_row"] == 3
    assert error["records_errors"] == [{"row": row, "message": message} for row in (3, 700, 701)]
    many = [{"isbn": str(number), "pages": "x"} for number in range(50)]
    error = await api.refused(409, "datastore_upsert", resource_id=books, records=many)
    assert [bad["row"] for bad in error["records_errors"]] == list(range(20))


async def test_dry_run_tells_errors_and_changes_nothing(api: Api, books: str) -> None:
    before = await api.rows(books)
    result = await api.ok(
        "datastore_upsert", resource_id=books, records=[{"isbn": "1", "pages": 9}], dry_run=True, include_records=True
    )
    assert result["dry_run"] is True
    assert result["records"][0]["pages"] == 9
    await api.refused(409, "datastore_upsert", resource_id=books, records=[{"isbn": "1", "pages": "x"}], dry_run=True)
    assert await api.rows(books) == before


async def test_nothing_to_write_is_fine(api: Api, books: str) -> None:
    nothing: list[dict[str, Any]] = [{}, {"records": []}]
    for more in nothing:
        assert (await api.ok("datastore_upsert", resource_id=books, **more))["resource_id"] == books


# --- delete -----------------------------------------------------------------------------------------------------------


async def test_delete_rows(api: Api, books: str) -> None:
    result = await api.ok(
        "datastore_delete", resource_id=books, filters={"isbn": ["1", "3"]}, include_deleted_records=True
    )
    assert result == {
        "resource_id": books,
        "filters": {"isbn": ["1", "3"]},
        "deleted_records": [
            {"_id": 1, "isbn": "1", "title": "A Clockwork Orange", "pages": 213},
            {"_id": 3, "isbn": "3", "title": "Emma", "pages": None},
        ],
    }
    assert (await api.ok("datastore_search", resource_id=books))["total"] == 1
    assert await api.ok("datastore_delete", resource_id=books, filters={}) == {"resource_id": books, "filters": {}}
    assert (await api.ok("datastore_search", resource_id=books))["total"] == 0


async def test_delete_the_table(api: Api, books: str) -> None:
    await api.ok("datastore_create", resource_id=books, aliases=f"a{books}")
    assert await api.ok("datastore_delete", resource_id=books) == {"resource_id": books}
    for name in (books, f"a{books}"):
        await api.refused(404, "datastore_search", resource_id=name)
    assert (await api.ok("resource_show", id=books))["datastore_active"] is False


@pytest.mark.parametrize("filters", ["x", [], [{}], '{"isbn": "1"}', 5])
async def test_delete_takes_an_object_only(api: Api, books: str, filters: Any) -> None:
    error = await api.refused(409, "datastore_delete", resource_id=books, filters=filters)
    assert error == {"filters": ["filters must be either a dict or null."]}


@pytest.mark.parametrize("name", ["datastore_delete", "datastore_records_delete"])
async def test_a_misspelled_filter_deletes_nothing(api: Api, books: str, name: str) -> None:
    error = await api.refused(409, name, resource_id=books, filter={"isbn": "1"})
    assert error == {"__extras": ['invalid value "filter"']}
    assert (await api.ok("datastore_search", resource_id=books))["total"] == 3


@pytest.mark.parametrize("filters", [{"pages": "x"}, {"nope": 1}, {"pages": {}}])
async def test_bad_filters_delete_nothing(api: Api, books: str, filters: Any) -> None:
    assert "filters" in await api.refused(409, "datastore_delete", resource_id=books, filters=filters)
    assert (await api.ok("datastore_search", resource_id=books))["total"] == 3


async def test_deleting_the_resource_drops_its_table(api: Api, books: str, dataset: str, services: Any) -> None:
    await api.ok("resource_delete", id=books)
    await api.refused(404, "datastore_search", resource_id=books)
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = $1"
    assert await services.database.owner.fetchval(count, dataset) == 0


# --- search -----------------------------------------------------------------------------------------------------------


async def test_search_result(api: Api, books: str) -> None:
    found = await api.ok(
        "datastore_search", resource_id=books, filters={"pages": [213, 412]}, sort="pages desc", limit=1
    )
    assert found == {
        "resource_id": books,
        "fields": [
            {"id": "_id", "type": "int"},
            {"id": "isbn", "type": "text", "info": {"label": "ISBN"}},
            {"id": "title", "type": "text"},
            {"id": "pages", "type": "int4"},
        ],
        "records": [{"_id": 2, "isbn": "2", "title": "Dune", "pages": 412}],
        "limit": 1,
        "include_total": True,
        "records_format": "objects",
        "filters": {"pages": [213, 412]},
        "sort": ["pages desc"],
        "total": 2,
        "total_was_estimated": False,
        "include_next_page": False,
        "_links": {
            "start": "/api/3/action/datastore_search",
            "next": "/api/3/action/datastore_search?offset=1",
        },
    }


@pytest.mark.parametrize(
    ("filters", "isbns"),
    [
        ({"title": "Dune"}, ["2"]),
        ({"pages": "412"}, ["2"]),
        ({"isbn": 2}, ["2"]),
        ({"isbn": []}, []),
        ({"pages": None}, ["3"]),
        ({"pages": [None, 412]}, ["2", "3"]),
        ({"pages": {"gt": 213}}, ["2"]),
        ({"pages": {"gte": 213, "lt": 412}}, ["1"]),
        ({"pages": [{"lte": 213}, 412]}, ["1", "2"]),
        ({"$or": [{"isbn": "1"}, {"title": "Emma"}]}, ["1", "3"]),
        ({"$and": [{"isbn": ["1", "2"]}, {"pages": {"gt": 300}}]}, ["2"]),
        ([{"isbn": "1"}, {"isbn": "3"}], ["1", "3"]),
        ([], ["1", "2", "3"]),
        ({}, ["1", "2", "3"]),
        ({"_id": {"in": [1, 3]}}, ["1", "3"]),
    ],
)
async def test_filters(api: Api, books: str, filters: Any, isbns: list[str]) -> None:
    assert [row["isbn"] for row in await api.rows(books, filters=filters)] == isbns
    as_text = await api.rows(books, filters=json.dumps(filters))
    assert [row["isbn"] for row in as_text] == isbns


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"filters": {"nope": 1}}, {"filters": ["Unknown field: nope"]}),
        ({"filters": {"_full_text": "x"}}, {"filters": ["Unknown field: _full_text"]}),
        ({"filters": {"isbn": {"near": 1}}}, {"filters": ["Unknown filter operation: near"]}),
        ({"filters": {"$nor": []}}, {"filters": ["Unknown operators (must be one of $or, $and): $nor"]}),
        ({"filters": 5}, {"filters": ["Filters must be defined as a dict or a list of dicts"]}),
        ({"filters": "{"}, {"filters": ["Cannot parse JSON"]}),
        ({"fields": ["nope"]}, {"fields": ['invalid value "nope"']}),
        ({"sort": "pages sideways"}, {"sort": ['invalid value "pages sideways"']}),
        ({"q": {"nope": "x"}}, {"q": ['invalid value "nope"']}),
        ({"limit": -1}, {"limit": ["Must be a natural number"]}),
        ({"offset": -1}, {"offset": ['invalid value "-1"']}),
        ({"offset": "x"}, {"offset": ["Invalid integer"]}),
        ({"records_format": "xls"}, {"records_format": ["Value must be one of ['objects', 'lists', 'csv', 'tsv']"]}),
        ({"colour": "red"}, {"__extras": ['invalid value "colour"']}),
    ],
)
async def test_bad_search(api: Api, books: str, parameters: dict[str, Any], error: dict[str, Any]) -> None:
    assert await api.refused(409, "datastore_search", resource_id=books, **parameters) == error


@pytest.mark.parametrize(
    "parameters",
    [
        {"filters": {"pages": "many"}},
        {"q": "a & | b", "plain": False},
        {"q": "dune", "language": "klingon"},
        {"distinct": True, "fields": "title", "sort": "pages"},
    ],
)
async def test_what_postgresql_refuses_is_an_invalid_query(api: Api, books: str, parameters: dict[str, Any]) -> None:
    error = await api.refused(409, "datastore_search", resource_id=books, **parameters)
    assert error["query"] == ["Invalid query"]
    assert books not in json.dumps(error)


async def test_sort_and_pages(api: Api, books: str) -> None:
    def titles(rows: list[dict[str, Any]]) -> list[str]:
        return [row["isbn"] for row in rows]

    assert titles(await api.rows(books, sort="pages desc nulls last, isbn")) == ["2", "1", "3"]
    assert titles(await api.rows(books, sort=['"title" DESC'])) == ["3", "2", "1"]
    assert titles(await api.rows(books, limit=1, offset=1)) == ["2"]
    assert titles(await api.rows(books, limit="2")) == ["1", "2"]
    assert (await api.ok("datastore_search", resource_id=books, limit=10**6))["limit"] == 32000
    assert await api.rows(books, fields="title", limit=1) == [{"title": "A Clockwork Orange"}]
    assert await api.rows(books, fields=["pages", "_id"], limit=1) == [{"pages": 213, "_id": 1}]


async def test_full_text(api: Api, books: str) -> None:
    found = await api.ok("datastore_search", resource_id=books, q="oranges")
    assert [row["isbn"] for row in found["records"]] == ["1"]
    assert found["fields"][-1] == {"id": "rank", "type": "float"}
    assert 0 < found["records"][0]["rank"] < 1
    assert [row["isbn"] for row in await api.rows(books, q={"title": "dune"})] == ["2"]
    assert [row["isbn"] for row in await api.rows(books, q="41:* | emma", plain=False, sort="_id")] == ["2", "3"]
    assert await api.rows(books, q="it's \"{}\" '") == []


async def test_distinct(api: Api, books: str) -> None:
    await api.ok("datastore_upsert", resource_id=books, records=[{"isbn": "8", "title": "Dune"}])
    found = await api.ok("datastore_search", resource_id=books, fields="title", distinct=True, sort="title", limit=2)
    assert found["total"] == 3
    assert found["records"] == [{"title": "A Clockwork Orange"}, {"title": "Dune"}]


async def test_search_by_get_and_by_form(client: httpx.AsyncClient, books: str) -> None:
    parameters = {"resource_id": books, "filters": '{"isbn": "2"}', "fields": "title,pages", "limit": "5"}
    by_get = (await client.get("/api/3/action/datastore_search", params=parameters)).json()
    by_form = (await client.post("/api/action/datastore_search", data=parameters)).json()
    assert by_get["result"].pop("_links") != by_form["result"].pop("_links")
    assert by_get == by_form
    assert by_get["result"]["records"] == [{"title": "Dune", "pages": 412}]


# --- info, dump, permissions ------------------------------------------------------------------------------------------


async def test_info(api: Api, books: str) -> None:
    await api.ok("datastore_create", resource_id=books, indexes=["pages"])
    info = await api.ok("datastore_info", resource_id=books)
    assert set(info["meta"]) == {"id", "count", "table_type", "size", "db_size", "idx_size", "aliases"}
    assert (info["meta"]["id"], info["meta"]["count"], info["meta"]["table_type"]) == (books, 3, "BASE TABLE")
    schemas = {field["id"]: field["schema"] for field in info["fields"]}
    assert schemas["isbn"]["uniquekey"] is True
    assert (schemas["pages"]["native_type"], schemas["pages"]["is_index"]) == ("integer", True)
    assert (schemas["title"]["is_index"], schemas["title"]["index_name"]) == (False, None)
    assert set(await api.ok("datastore_info", id=books, include_meta=False)) == {"fields"}


async def test_dump(client: httpx.AsyncClient, books: str) -> None:
    response = await client.get(f"/datastore/dump/{books}")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == f'attachment; filename="{books}.csv"'
    assert response.text == "_id,isbn,title,pages\n1,1,A Clockwork Orange,213\n2,2,Dune,412\n3,3,Emma,\n"
    parameters = {"format": "tsv", "bom": "true", "filters": '{"isbn": "2"}', "fields": "title,pages"}
    response = await client.get(f"/datastore/dump/{books}", params=parameters)
    assert response.content == b"\xef\xbb\xbftitle\tpages\nDune\t412\n"
    assert (await client.get(f"/datastore/dump/{books}?full_text=oranges&fields=isbn")).text == "isbn\n1\n"
    assert (await client.get(f"/datastore/dump/{books}?limit=0")).text == "_id,isbn,title,pages\n"
    assert (await client.get(f"/datastore/dump/{uuid.uuid4()}")).status_code == 404
    for query in ("limit=-1", "filters={", "format=exe", "fields=nope", "filters=%7B%22pages%22%3A%22x%22%7D"):
        assert (await client.get(f"/datastore/dump/{books}?{query}")).status_code == 400


async def test_private_tables_are_for_members(
    api: Api, anonymous: Api, call: CallAction, client: httpx.AsyncClient, organization: str, books: str, dataset: str
) -> None:
    assert (await anonymous.ok("datastore_search", resource_id=books))["total"] == 3
    await api.ok("package_patch", id=dataset, private=True)
    for name in ("datastore_search", "datastore_info"):
        error = await anonymous.refused(403, name, resource_id=books)
        assert error["message"].startswith("Access denied")
    assert (await client.get(f"/datastore/dump/{books}")).status_code == 404
    assert (await client.get(f"/datastore/dump/{books}", headers=api.headers)).status_code == 200
    assert (await api.ok("datastore_search", resource_id=books))["total"] == 3
    await api.ok("package_patch", id=dataset, private=False)
    assert (await anonymous.ok("datastore_search", resource_id=books))["total"] == 3


async def test_the_public_role_itself_cannot_read_private_tables(
    api: Api, services: Any, books: str, dataset: str
) -> None:
    """Grants, not Python, are what stands between a reader and private data."""
    table = f'SELECT count(*) FROM "{dataset}"."{books}"'
    count = "SELECT record_count FROM datastore.tables WHERE resource_id = $1"
    assert await services.database.public.fetchval(table) == 3
    assert await services.database.public.fetchval(count, books) == 3
    await api.ok("package_patch", id=dataset, private=True)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await services.database.public.fetchval(table)
    assert await services.database.public.fetchval(count, books) is None
    assert await services.database.reader.fetchval(table) == 3
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await services.database.reader.execute(f'DELETE FROM "{dataset}"."{books}"')
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await services.database.public.fetchval("SELECT count(*) FROM datastore.users")


async def test_anonymous_visitors_write_nothing(anonymous: Api, books: str) -> None:
    for name, more in (
        ("datastore_create", {}),
        ("datastore_upsert", {"records": [{"isbn": "1"}]}),
        ("datastore_delete", {"filters": {}}),
    ):
        error = await anonymous.refused(403, name, resource_id=books, **more)
        assert error == {"message": f"Access denied: Action {name} requires an authenticated user"}


# --- changing types, indexes, language --------------------------------------------------------------------------------


async def test_a_type_is_changed_on_request_only(api: Api, resource: str) -> None:
    records = [{"n": "1"}, {"n": "2"}, {"n": ""}, {"n": None}]
    fields = [{"id": "n", "type": "text", "info": {"label": "N"}}]
    await api.ok("datastore_create", resource_id=resource, fields=fields, records=records)
    await api.ok("datastore_create", resource_id=resource, fields=[{"id": "n", "type": "int"}])
    assert [row["n"] for row in await api.rows(resource)] == ["1", "2", "", None]
    await api.ok("datastore_create", resource_id=resource, fields=[{"id": "n", "type": "int"}], convert=True)
    assert [row["n"] for row in await api.rows(resource)] == [1, 2, None, None]
    info = await api.ok("datastore_info", id=resource)
    assert info["fields"][0]["info"] == {"label": "N"}
    assert [row["_id"] for row in await api.rows(resource, q="2")] == [2]


@pytest.mark.parametrize(
    ("old", "new", "values", "expected"),
    [
        ("int", "text", [1, None], ["1", None]),
        ("float8", "int", [1.5, 2.4], [2, 2]),
        ("text", "timestamp", ["2026-01-01", ""], ["2026-01-01T00:00:00.000", None]),
        ("timestamp", "date", ["2026-01-01T10:00:00"], ["2026-01-01"]),
        ("json", "text", ["x", {"a": 1}, 5], ["x", '{"a": 1}', "5"]),
        ("text", "json", ['{"a": 1}', "7"], [{"a": 1}, 7]),
        ("int", "json", [1, None], [1, None]),
        ("text", "int[]", ["{1,2}", ""], [[1, 2], None]),
        ("int", "bigint", [1], [1]),
        ("numeric", "numeric(5,1)", [1.25], [1.3]),
        ("bool", "int", [True, False], [1, 0]),
    ],
)
async def test_conversions(api: Api, resource: str, old: str, new: str, values: list[Any], expected: list[Any]) -> None:
    records = [{"c": value} for value in values]
    await api.ok("datastore_create", resource_id=resource, fields=[{"id": "c", "type": old}], records=records)
    await api.ok("datastore_create", resource_id=resource, fields=[{"id": "c", "type": new}], convert=True)
    assert [row["c"] for row in await api.rows(resource)] == expected


async def test_what_does_not_convert_is_told_and_nothing_changes(api: Api, resource: str) -> None:
    records = [{"n": str(number), "m": "x"} for number in range(5)] + [{"n": "many"}, {"n": "many"}, {"n": "1.5"}]
    fields = [{"id": "n", "type": "text"}, {"id": "m", "type": "text"}]
    await api.ok("datastore_create", resource_id=resource, fields=fields, records=records)
    wanted = [{"id": "n", "type": "int"}, {"id": "m", "type": "varchar(9)"}, {"id": "new", "type": "int"}]
    error = await api.refused(409, "datastore_create", resource_id=resource, fields=wanted, convert=True)
    assert error == {"fields": ['"n": 3 values cannot be converted to int4, such as "many" (_id 6), "1.5" (_id 8)']}
    found = await api.ok("datastore_search", resource_id=resource)
    assert [field["type"] for field in found["fields"]] == ["int", "text", "text"]
    error = await api.refused(
        409, "datastore_create", resource_id=resource, fields=[{"id": "n", "type": "int; x"}], convert=True
    )
    assert error == {"fields": ['"int; x" is not a valid field type']}


async def index_definitions(services: Any, resource_id: str) -> dict[str, str]:
    rows = await services.database.owner.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexname NOT LIKE '%pkey'", resource_id
    )
    return {row["indexname"]: row["indexdef"] for row in rows}


async def test_indexes_are_replaced_and_never_doubled(api: Api, books: str, services: Any) -> None:
    await api.ok("datastore_create", resource_id=books, indexes=["title", ["title", "pages"]])
    before = await index_definitions(services, books)
    assert len(before) == 3
    await api.ok("datastore_create", resource_id=books, indexes=["title", "title,pages"], primary_key="isbn")
    assert await index_definitions(services, books) == before
    wanted = [{"fields": "title", "type": "trigram"}, {"fields": ["title"], "type": "fulltext"}]
    await api.ok("datastore_create", resource_id=books, indexes=wanted, primary_key=[])
    after = await index_definitions(services, books)
    assert len(after) == 2
    assert not after.keys() & before.keys()
    assert sum("gin_trgm_ops" in definition for definition in after.values()) == 1
    for bad in (
        [{"fields": "title", "type": "hash"}],
        [{"type": "btree"}],
        [5],
        [{"fields": "a,b", "type": "trigram"}],
    ):
        await api.refused(409, "datastore_create", resource_id=books, indexes=bad)


async def test_the_language_of_a_table(api: Api, resource: str) -> None:
    records = [{"t": "die Häuser laufen"}, {"t": "das Haus lief"}]
    await api.ok("datastore_create", resource_id=resource, records=records, language="german")
    assert len(await api.rows(resource, q="haus")) == 2
    assert len(await api.rows(resource, q="Hauser", language="simple")) == 0
    await api.ok("datastore_create", resource_id=resource, language="english")
    assert len(await api.rows(resource, q="haus")) == 1
    error = await api.refused(409, "datastore_create", resource_id=resource, language="klingon")
    assert error == {"language": ['"klingon" is not a text-search configuration']}


async def test_readers_do_not_wait_for_a_change_of_the_table(api: Api, books: str, services: Any, dataset: str) -> None:
    """While a long read holds the table, a change waits; readers that come meanwhile pass."""
    async with services.database.reader.acquire() as connection, connection.transaction():
        await connection.fetch(f'SELECT * FROM "{dataset}"."{books}"')
        change = asyncio.create_task(
            api.ok("datastore_create", resource_id=books, fields=[{"id": "late", "type": "int"}])
        )
        for _ in range(20):
            # Behind a change that waits for its lock in the queue, this would wait for the long read too.
            assert len(await api.rows(books)) == 3
            await asyncio.sleep(0.02)
        assert not change.done()
    await change
    assert "late" in (await api.rows(books))[0]
