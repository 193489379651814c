"""Bodies that are records alone: CSV, NDJSON, Arrow and Parquet, with the parameters in the query string."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from datastore.loading.upload import Upload
from datastore.tables.writing.columns import ColumnRecords, plain, small
from tests.e2e.http import Api
from tests.tables.strategies import BY_TYPE, column_names, dumps

CSV = "text/csv"
TSV = "text/tab-separated-values"
NDJSON = "application/x-ndjson"
STREAM = "application/vnd.apache.arrow.stream"
FILE = "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def api(client: httpx.AsyncClient, admin_headers: dict[str, str]) -> Api:
    return Api(client, admin_headers)


async def send(
    api: Api, action: str, body: bytes, media_type: str, headers: dict[str, str] | None = None, **parameters: Any
) -> httpx.Response:
    return await api.client.post(
        f"/api/3/action/{action}",
        params={name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()},
        content=body,
        headers={**api.headers, "Content-Type": media_type, **(headers or {})},
    )


async def upsert(api: Api, resource: str, body: bytes, media_type: str, **parameters: Any) -> httpx.Response:
    return await send(api, "datastore_upsert", body, media_type, resource_id=resource, **parameters)


# --- records in each format -------------------------------------------------------------------------------------------


def as_cell(value: Any) -> str | None:
    if isinstance(value, (dict, list)):
        return dumps(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else value if isinstance(value, str) else dumps(value).decode()


def as_table(names: list[str], records: list[dict[str, Any]]) -> pa.Table:
    """Texts, as a client sends that knows nothing of the columns' types."""
    cells = {name: [as_cell(record.get(name)) for record in records] for name in names}
    return pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()})


def separated(delimiter: str) -> Callable[[list[str], list[dict[str, Any]]], bytes]:
    def write(names: list[str], records: list[dict[str, Any]]) -> bytes:
        output = io.BytesIO()
        # Arrow writes NULL as nothing, and an empty text as "".
        pa.csv.write_csv(as_table(names, records), output, pa.csv.WriteOptions(delimiter=delimiter))
        return output.getvalue()

    return write


def lines(_names: list[str], records: list[dict[str, Any]]) -> bytes:
    return b"".join(dumps(record) + b"\n" for record in records)


def arrow(make: Any) -> Callable[[list[str], list[dict[str, Any]]], bytes]:
    def write(names: list[str], records: list[dict[str, Any]]) -> bytes:
        output, table = io.BytesIO(), as_table(names, records)
        with make(output, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        return output.getvalue()

    return write


def parquet(names: list[str], records: list[dict[str, Any]]) -> bytes:
    output = io.BytesIO()
    pa.parquet.write_table(as_table(names, records), output, row_group_size=2)
    return output.getvalue()


FORMATS: dict[str, Callable[[list[str], list[dict[str, Any]]], bytes]] = {
    NDJSON: lines,
    CSV: separated(","),
    TSV: separated("\t"),
    STREAM: arrow(pa.ipc.new_stream),
    FILE: arrow(pa.ipc.new_file),
    PARQUET: parquet,
}

# An empty text in a JSON column is a JSON string there; as a cell of text it is no JSON.
_TYPES = sorted(BY_TYPE.keys() - {"json"})
_cells = {name: values.map(lambda value: value.sent) for name, values in BY_TYPE.items()}
_json = st.recursive(
    st.integers(-(2**53), 2**53) | st.booleans() | st.just("ü\n\"'"),
    lambda inner: (
        st.lists(inner | st.none(), max_size=3) | st.dictionaries(st.text("aü\n,", max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
).filter(lambda value: not isinstance(value, str))


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    names = draw(st.lists(column_names, min_size=1, max_size=4, unique=True))
    types = [draw(st.sampled_from([*_TYPES, "json"])) for _ in names]
    records = [
        {
            name: draw(st.none() | (_json if kind == "json" else _cells[kind]))
            for name, kind in zip(names, types, strict=True)
        }
        for _ in range(draw(st.integers(1, 5)))
    ]
    return [{"id": name, "type": kind} for name, kind in zip(names, types, strict=True)], records


@hypothesis_settings(max_examples=25)
@given(_tables())
async def test_the_same_records_make_the_same_table(
    api: Api, dataset: str, made: tuple[list[dict[str, str]], list[dict[str, Any]]]
) -> None:
    fields, records = made
    names = [field["id"] for field in fields]
    sent: dict[str, bytes | None] = {"application/json": None}
    sent |= {media_type: write(names, records) for media_type, write in FORMATS.items()}
    dumped = {}
    for media_type, body in sent.items():
        created = await api.ok("datastore_create", resource={"package_id": dataset}, fields=fields)
        resource = created["resource_id"]
        if body is None:
            text = dumps({"resource_id": resource, "method": "insert", "records": records})
            response = await api.client.post("/api/3/action/datastore_upsert", content=text, headers=api.headers)
        else:
            response = await upsert(api, resource, body, media_type, method="insert")
        assert response.status_code == 200, (media_type, response.text)
        dumped[media_type] = (await api.client.get(f"/datastore/dump/{resource}", headers=api.headers)).content
    for media_type, content in dumped.items():
        assert content == dumped["application/json"], media_type


PEOPLE = [{"id": "name", "type": "text"}, {"id": "age", "type": "int"}, {"id": "tags", "type": "text[]"}]


@pytest.fixture
async def people(api: Api, dataset: str) -> str:
    created = await api.ok("datastore_create", resource={"package_id": dataset}, fields=PEOPLE, primary_key="name")
    return str(created["resource_id"])


async def ages(api: Api, resource: str) -> dict[str, int]:
    return {row["name"]: row["age"] for row in await api.rows(resource)}


@pytest.mark.parametrize("media_type", FORMATS)
async def test_every_method(api: Api, people: str, media_type: str) -> None:
    def body(*records: dict[str, Any]) -> bytes:
        return FORMATS[media_type](["name", "age"], list(records))

    first = body({"name": "Ann", "age": 30}, {"name": "Bob", "age": 40})
    assert (await upsert(api, people, first, media_type, method="insert")).status_code == 200
    more = body({"name": "Bob", "age": 41}, {"name": "Cyd", "age": 1}, {"name": "Cyd", "age": 50})
    assert (await upsert(api, people, more, media_type, dry_run=True)).json()["result"]["dry_run"]
    assert await ages(api, people) == {"Ann": 30, "Bob": 40}
    shown = await upsert(api, people, more, media_type, include_records=True)
    assert [row["age"] for row in shown.json()["result"]["records"]] == [41, 50]
    assert await ages(api, people) == {"Ann": 30, "Bob": 41, "Cyd": 50}
    changed = body({"name": "Ann", "age": 31})
    assert (await upsert(api, people, changed, media_type, method="update")).status_code == 200
    assert await ages(api, people) == {"Ann": 31, "Bob": 41, "Cyd": 50}
    missing = await upsert(api, people, body({"name": "Dan", "age": 1}), media_type, method="update")
    assert missing.json()["error"]["key"] == ["key \"{'name': 'Dan'}\" not found"]


@pytest.mark.parametrize("media_type", FORMATS)
async def test_the_record_that_is_refused(api: Api, people: str, media_type: str) -> None:
    """Its index is right, whatever line breaks stand in cells before it, and nothing is written."""
    records: list[dict[str, Any]] = [{"name": f"a\nb\n{number}", "age": number} for number in range(30)]
    records[17]["age"] = "old"
    for method in ("insert", "upsert"):
        response = await upsert(api, people, FORMATS[media_type](["name", "age"], records), media_type, method=method)
        error = response.json()["error"]
        assert error["records"] == ['invalid input syntax for type integer: "old"'], error
        assert error["records_row"] == 17
    assert await ages(api, people) == {}


@pytest.mark.parametrize("media_type", FORMATS)
async def test_unknown_columns_are_named(api: Api, people: str, media_type: str) -> None:
    body = FORMATS[media_type](["name", "size"], [{"name": "Ann", "size": 1}])
    inserted = await upsert(api, people, body, media_type, method="insert")
    assert inserted.json()["error"]["records"] == ['row "1" has extra keys "size"']
    merged = await upsert(api, people, body, media_type)
    assert merged.json()["error"]["fields"] == ['fields "size" do not exist']


@pytest.mark.parametrize("media_type", FORMATS)
async def test_a_body_that_ends_early_writes_nothing(api: Api, people: str, media_type: str) -> None:
    """Cut anywhere, as by a proxy that gave up: refused. (Whole lines of CSV or NDJSON are a shorter file.)"""
    records = [{"name": f'say "{number}"', "age": number} for number in range(50)]
    body = FORMATS[media_type](["name", "age"], records)
    for length in range(1, len(body) - 8, max(1, len(body) // 25)):
        cut = body[:length]
        if media_type in (CSV, TSV, NDJSON) and cut.endswith((b"\n", b"}")):
            continue
        response = await upsert(api, people, cut, media_type, method="insert")
        if response.status_code == 200:
            # A cell may be cut so that a shorter one is left: nothing in the file can tell.
            assert media_type in (CSV, TSV), length
            await api.ok("datastore_records_delete", resource_id=people, filters={})
        else:
            assert response.status_code == 409, response.text
        assert await ages(api, people) == {}


async def test_a_quote_that_is_never_closed(api: Api, people: str) -> None:
    response = await upsert(api, people, b'name,age\nAnn,1\n"Bob,2\nCyd,3\n', CSV, method="insert")
    assert response.status_code == 409, response.text
    assert await ages(api, people) == {}


@pytest.mark.parametrize("media_type", FORMATS)
async def test_the_types_of_a_new_table(api: Api, dataset: str, media_type: str) -> None:
    records: list[dict[str, Any]] = [
        {"n": 1, "big": 2**40, "x": 1.5, "ok": True, "at": "2026-01-01T10:00:00", "word": "a"},
        {"n": None, "big": 5, "x": 2.25, "ok": False, "at": None, "word": ""},
    ]
    names = list(records[0])
    created = await send(
        api,
        "datastore_create",
        FORMATS[media_type](names, records),
        media_type,
        resource={"package_id": dataset},
        primary_key="big",
        aliases="",
    )
    assert created.status_code == 200, created.text
    resource = created.json()["result"]["resource_id"]
    found = await api.ok("datastore_search", resource_id=resource, sort="_id")
    types = {field["id"]: field["type"] for field in found["fields"]}
    if media_type in (CSV, TSV):
        expected = {"n": "int4", "big": "int8", "x": "numeric", "ok": "bool", "at": "timestamp", "word": "text"}
    elif media_type == NDJSON:
        expected = {"n": "int4", "big": "int8", "x": "float8", "ok": "bool", "at": "timestamp", "word": "text"}
    else:
        expected = dict.fromkeys(names, "text")  # an Arrow schema says what they are
    assert {name: types[name] for name in names} == expected
    assert [row["word"] for row in found["records"]] == ["a", ""]
    assert (await api.ok("datastore_info", id=resource))["meta"]["count"] == 2


@pytest.mark.parametrize("make", [pa.ipc.new_stream, pa.ipc.new_file, None])
async def test_an_arrow_schema_makes_the_columns(api: Api, dataset: str, make: Any) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000)
    columns = {
        "i": (pa.array([7], pa.int16()), "int2", 7),
        "u": (pa.array([2**63], pa.uint64()), "numeric", 2**63),
        "f": (pa.array([0.1], pa.float32()), "float4", 0.1),
        "d": (pa.array([Decimal("1.10")]), "numeric", 1.1),
        "b": (pa.array([True]), "bool", True),
        "t": (pa.array([moment]), "timestamp", "2026-01-02T03:04:05.678"),
        "z": (pa.array([moment.replace(tzinfo=UTC)]), "timestamptz", "2026-01-02T03:04:05.678+00:00"),
        "day": (pa.array([date(2026, 1, 2)]), "date", "2026-01-02"),
        "clock": (pa.array([time(1, 2, 3)]), "time", "01:02:03"),
        "span": (pa.array([timedelta(days=1, seconds=3600)]), "interval", "1 day 01:00:00"),
        "raw": (pa.array([b"\x01\xff"]), "bytea", "\\x01ff"),
        "kind": (pa.array(["x"]).dictionary_encode(), "text", "x"),
        "list": (pa.array([[1, None]], pa.list_(pa.int32())), "_int4", [1, None]),
        "deep": (pa.array([[[1.5], []]]), "json", [[1.5], []]),
        "struct": (pa.array([{"a": 1, "b": [True]}]), "json", {"a": 1, "b": [True]}),
        "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), "json", {"k": 1}),
        "nothing": (pa.nulls(1), "text", None),
    }
    table = pa.table({name: array for name, (array, _, _) in columns.items()})
    output = io.BytesIO()
    if make is None:
        table = table.drop_columns(["f"])
        pa.parquet.write_table(table, output)
    else:
        with make(output, table.schema) as writer:
            writer.write_table(table)
    media_type = PARQUET if make is None else STREAM
    created = await send(api, "datastore_create", output.getvalue(), media_type, resource={"package_id": dataset})
    assert created.status_code == 200, created.text
    found = await api.ok("datastore_search", resource_id=created.json()["result"]["resource_id"])
    types = {field["id"]: field["type"] for field in found["fields"]}
    for name in table.column_names:
        assert (name, types[name], found["records"][0][name]) == (name, *columns[name][1:])


async def test_numbers_for_integers_are_rounded(api: Api, people: str) -> None:
    table = pa.table({"name": ["a", "b", "c"], "age": [2.5, -2.5, 3.0]})
    output = io.BytesIO()
    pa.parquet.write_table(table, output)
    assert (await upsert(api, people, output.getvalue(), PARQUET)).status_code == 200
    assert await ages(api, people) == {"a": 3, "b": -3, "c": 3}


async def test_nothing_is_null_and_quotes_are_a_text(api: Api, people: str) -> None:
    body = b'\xef\xbb\xbfname,age,tags\r\n"",1,"[""x"",null]"\r\nBob,"",null\r\n\r\nCyd,,"{a,b}"\r\n'
    assert (await upsert(api, people, body, CSV, method="insert")).status_code == 200
    assert [(row["name"], row["age"], row["tags"]) for row in await api.rows(people, sort="_id")] == [
        ("", 1, ["x", None]),
        ("Bob", None, None),
        ("Cyd", None, ["a", "b"]),
    ]


async def test_a_dump_can_be_read_back(api: Api, dataset: str) -> None:
    fields = [*PEOPLE, {"id": "more", "type": "json"}, {"id": "seen", "type": "timestamp"}]
    first = await api.ok(
        "datastore_create",
        resource={"package_id": dataset},
        fields=fields,
        records=[
            {"name": "", "age": None, "tags": ["a,b", None], "more": {"ü": [1.10]}, "seen": "2026-01-01T10:00:00.5"},
            {"name": None, "age": 5, "tags": None, "more": None, "seen": None},
        ],
    )
    dump = await api.client.get(f"/datastore/dump/{first['resource_id']}", headers=api.headers)
    second = await api.ok("datastore_create", resource={"package_id": dataset}, fields=fields)
    response = await upsert(api, second["resource_id"], dump.content, CSV)
    assert response.status_code == 200, response.text
    again = await api.client.get(f"/datastore/dump/{second['resource_id']}", headers=api.headers)
    assert again.content == dump.content


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)])
@pytest.mark.parametrize("media_type", FORMATS)
async def test_compressed(api: Api, people: str, coding: str, pack: Callable[[bytes], bytes], media_type: str) -> None:
    body = pack(FORMATS[media_type](["name", "age"], [{"name": "Ann", "age": 30}]))
    address = {"resource_id": people, "method": "insert"}
    headers = {"Content-Encoding": coding}
    assert (await send(api, "datastore_upsert", body, media_type, headers, **address)).status_code == 200
    assert await ages(api, people) == {"Ann": 30}
    cut = await send(api, "datastore_upsert", body[:-3], media_type, headers, **address)
    assert cut.status_code == 400
    assert await ages(api, people) == {"Ann": 30}


async def test_another_charset(api: Api, people: str) -> None:
    assert (await upsert(api, people, "name,age\nJosé,1\n".encode("cp1252"), "text/csv; charset=cp1252")).is_success
    assert await ages(api, people) == {"José": 1}
    bad = await upsert(api, people, "name,age\nJosé,1\n".encode("cp1252"), CSV)
    assert bad.status_code == 409
    unknown = await upsert(api, people, b"name\n", "text/csv; charset=klingon")
    assert unknown.status_code == 400


@pytest.mark.parametrize(
    ("body", "message", "row"),
    [
        (b"", "there is no column", None),
        (b"\n", "there is no column", None),
        (b"name,,age\n", "a column has no name", None),
        (b"name,age,name\n", 'the column "name" is there twice', None),
        (b"name,age\nAnn,1\nBob\n", "1 cells where the header has 2", 1),
        (b"name,age\nAnn,1\nBob,2\nCyd,3,4\n", "3 cells where the header has 2", 2),
        (b"name,age\nAnn\0,1\n", 'invalid byte sequence for encoding "UTF8": 0x00', 0),
    ],
)
async def test_bad_csv(api: Api, people: str, body: bytes, message: str, row: int | None) -> None:
    response = await upsert(api, people, body, CSV, method="insert")
    error = response.json()["error"]
    assert (error["records"], error.get("records_row")) == ([message], row)


@pytest.mark.parametrize("media_type", [STREAM, FILE, PARQUET])
@pytest.mark.parametrize("body", [b"", b"x", b"ARROW1\0\0", b"PAR1", b"name,age\nAnn,1\n" * 100])
async def test_what_is_no_file_of_the_kind(api: Api, people: str, media_type: str, body: bytes) -> None:
    response = await upsert(api, people, body, media_type)
    assert response.status_code == 409, response.text
    assert list(response.json()["error"]) == ["records", "__type"]


async def test_only_a_header_is_no_record(api: Api, people: str) -> None:
    assert (await upsert(api, people, b"name,age\n", CSV)).status_code == 200
    assert (await upsert(api, people, b"", NDJSON)).status_code == 200
    assert await ages(api, people) == {}


async def test_who_may_send(api: Api, people: str) -> None:
    anonymous = Api(api.client, {})
    assert (await upsert(anonymous, people, b"name\nx\n", CSV)).status_code == 403
    other = await send(api, "datastore_search", b"a,b\n", CSV, resource_id=people)
    assert other.status_code == 200  # not an action that takes records: the query string counts


async def test_standard_csv_module(api: Api, people: str) -> None:
    """What Python's csv module writes is read: it quotes an empty cell only where it stands alone."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerows([["name", "age"], ['say "hi",\nAnn', 1], ["x", None]])
    assert (await upsert(api, people, output.getvalue().encode(), CSV)).status_code == 200
    assert await ages(api, people) == {'say "hi",\nAnn': 1, "x": None}


async def test_rows_of_any_length(api: Api, dataset: str) -> None:
    """Longer than what is read at once, and behind shorter ones: each once, in order."""
    fields = [{"id": "n", "type": "int"}, {"id": "text", "type": "text"}]
    created = await api.ok("datastore_create", resource={"package_id": dataset}, fields=fields)
    lengths = [10, 600_000, 600_000, 3, 2_500_000, 10, 1_100_000, 7]
    body = "n,text\n" + "".join(f"{number},{'x' * length}\n" for number, length in enumerate(lengths))
    response = await upsert(api, created["resource_id"], body.encode(), CSV, method="insert")
    assert response.status_code == 200, response.text
    rows = await api.rows(created["resource_id"], sort="_id")
    assert [(row["n"], len(row["text"])) for row in rows] == list(enumerate(lengths))


def bomb(kind: str) -> tuple[bytes, str]:
    """Some kilobytes that become gigabytes when they are unpacked as a whole."""
    output = pa.BufferOutputStream()
    if kind == "parquet: one long text in all rows":
        repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 4_000, pa.int32()), pa.array(["x" * 2**20]))
        pa.parquet.write_table(pa.table({"name": repeated}), output, compression="zstd", store_schema=False)
        return output.getvalue().to_pybytes(), PARQUET
    if kind == "parquet: texts that only repeat the first":
        same = pa.table({"name": pa.array(["x" * 2**20] * 2_000, pa.large_string())})
        encoding = {"name": "DELTA_BYTE_ARRAY"}
        pa.parquet.write_table(same, output, compression="zstd", use_dictionary=False, column_encoding=encoding)
        return output.getvalue().to_pybytes(), PARQUET
    if kind == "parquet: a large page":
        long = pa.table({"name": pa.array(["x" * 2**26] * 6, pa.large_string())})
        pa.parquet.write_table(long, output, compression="zstd", use_dictionary=False)
        return output.getvalue().to_pybytes(), PARQUET
    if kind == "parquet: a large page that the footer denies":
        long = pa.table({"name": pa.array(["x" * 2**26] * 6, pa.large_string())})
        pa.parquet.write_table(long, output, compression="zstd", use_dictionary=False)
        group = pa.parquet.read_metadata(output.getvalue()).row_group(0)
        true = number(group.total_byte_size)
        body = output.getvalue().to_pybytes()
        assert group.total_byte_size == group.column(0).total_uncompressed_size
        assert body.count(true) == 2
        body = body.replace(true, number(1000, len(true)))
        assert pa.parquet.read_metadata(io.BytesIO(body)).row_group(0).total_byte_size == 1000
        return body, PARQUET
    if kind == "parquet: a list of very many":
        many = pa.ListArray.from_arrays(pa.array([0, 2**25], pa.int32()), pa.repeat(pa.scalar(0, pa.int8()), 2**25))
        pa.parquet.write_table(pa.table({"tags": many}), output, compression="zstd")
        return output.getvalue().to_pybytes(), PARQUET
    table = pa.table({"age": pa.repeat(pa.scalar(0, pa.int64()), 50_000_000)})
    new = pa.ipc.new_file if kind == "arrow file" else pa.ipc.new_stream
    with new(output, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return output.getvalue().to_pybytes(), FILE if kind == "arrow file" else STREAM


def number(value: int, length: int = 0) -> bytes:
    """As Thrift's compact protocol has a number above zero, in at least so many bytes."""
    rest = value << 1
    parts: list[int] = []
    while rest > 127 or len(parts) < length - 1:
        parts.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*parts, rest])


@pytest.mark.parametrize(
    "kind",
    [
        *("parquet: a large page", "parquet: a large page that the footer denies", "parquet: a list of very many"),
        *("arrow stream", "arrow file"),
    ],
)
async def test_what_would_unpack_to_gigabytes_is_refused(api: Api, people: str, kind: str) -> None:
    body, media_type = bomb(kind)
    assert len(body) < 100_000
    response = await upsert(api, people, body, media_type, method="insert")
    assert response.status_code == 409, response.text
    assert "bytes when unpacked" in response.json()["error"]["records"][0]


@pytest.mark.parametrize("kind", ["parquet: one long text in all rows", "parquet: texts that only repeat the first"])
def test_one_long_text_in_all_rows_is_unpacked_row_by_row(kind: str) -> None:
    body, media_type = bomb(kind)
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        records = Upload(file, len(body), media_type, "utf-8").records()
        assert isinstance(records, ColumnRecords)
        before = pa.total_allocated_bytes()
        for batch in itertools.islice(small(records.batches()), 20):
            assert plain(batch.column(0)).nbytes < 2**22
        assert pa.total_allocated_bytes() - before < 2**27
