"""parquet and arrow: real types, read back by pyarrow and duckdb."""

from __future__ import annotations

import datetime
import io
import json
import uuid
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.actions.services import Services
from datastore.exports.arrow_types import by_hand
from tests.exports.conftest import CallAction, Fetch, MakeTable, types_of
from tests.tables.strategies import Table, as_shown, tables

UTC = datetime.UTC


def read(format: str, content: bytes) -> pa.Table:
    """The file as a table."""
    return pq.read_table(io.BytesIO(content)) if format == "parquet" else pa.ipc.open_stream(content).read_all()


def values(table: pa.Table, column: str) -> list[Any]:
    """A column as Python's values; JSON as its text."""
    found: list[Any] = table.column(column).to_pylist()
    return found


@pytest.mark.parametrize("format", ["parquet", "arrow"])
async def test_types(make_table: MakeTable, fetch: Fetch, format: str) -> None:
    id, at = uuid.uuid4(), partial(datetime.datetime, 2020, 1, 2)
    expected: dict[str, tuple[str, pa.DataType, Any, Any]] = {
        "i2": ("int2", pa.int16(), -3, -3),
        "i4": ("int4", pa.int32(), 2**31 - 1, 2**31 - 1),
        "i8": ("int8", pa.int64(), -(2**63), -(2**63)),
        "f4": ("real", pa.float32(), 0.5, 0.5),
        "f8": ("float8", pa.float64(), "-Infinity", float("-inf")),
        "n": ("numeric", pa.decimal128(18, 3), "-12.345", Decimal("-12.345")),
        "big": ("numeric", pa.decimal128(38, 2), "12345678901234567890.25", Decimal("12345678901234567890.25")),
        "wide": ("numeric", pa.decimal256(50, 1), "9" * 49 + ".5", Decimal("9" * 49 + ".5")),
        "vast": ("numeric", pa.string(), "9" * 80, "9" * 80),
        "fixed": ("numeric(10,2)", pa.decimal128(10, 2), "1.5", Decimal("1.50")),
        "nan": ("numeric", pa.string(), "NaN", "NaN"),
        "b": ("bool", pa.bool_(), False, False),
        "d": ("date", pa.date32(), "2020-02-29", datetime.date(2020, 2, 29)),
        "t": ("time", pa.time64("us"), "12:00:00.5", datetime.time(12, 0, 0, 500_000)),
        "ts": ("timestamp", pa.timestamp("us"), "2020-01-02 03:04:05.123456", at(3, 4, 5, 123456)),
        "tz": ("timestamptz", pa.timestamp("us", "UTC"), "2020-01-02 03:04:05+01", at(2, 4, 5, tzinfo=UTC)),
        "s": ("text", pa.string(), "", ""),
        "j": ("json", pa.json_(pa.utf8()), {"a": [1, "ü"]}, '{"a": [1, "\\u00fc"]}'),
        "jb": ("jsonb", pa.json_(pa.utf8()), '{"a": 1}', '{"a": 1}'),
        "u": ("uuid", pa.uuid(), str(id), id),
        "y": ("bytea", pa.binary(), "\\x00ff10", b"\x00\xff\x10"),
        "iv": ("interval", pa.string(), "26 hours", "26:00:00"),
        "li": ("_int4", pa.list_(pa.int32()), [1, None, 3], [1, None, 3]),
        "lt": ("_text", pa.list_(pa.string()), ["a,\"b", None, ""], ["a,\"b", None, ""]),
        "lf": ("_float8", pa.list_(pa.float64()), ["Infinity", 0.1], [float("inf"), 0.1]),
        "lb": ("_bool", pa.list_(pa.bool_()), [True, None, False], [True, None, False]),
        "ld": ("_date", pa.list_(pa.date32()), ["2020-01-02"], [datetime.date(2020, 1, 2)]),
        "lts": ("_timestamptz", pa.list_(pa.timestamp("us", "UTC")), ["2020-01-02 00:00+00"], [at(tzinfo=UTC)]),
        "lu": ("_uuid", pa.list_(pa.string()), [str(id)], [str(id)]),
        "l2": ("_int4", pa.json_(pa.utf8()), "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        "ip": ("inet", pa.string(), "10.0.0.1", "10.0.0.1"),
    }  # fmt: skip
    types = {name: type for name, (type, *_) in expected.items()}
    first = {name: sent for name, (_, _, sent, _) in expected.items()}
    resource = await make_table(types, [first, {}, first])
    table = read(format, await fetch(resource, format=format))
    assert table.column_names == ["_id", *expected]
    assert values(table, "_id") == [1, 2, 3]
    for name, (_, type, _, shown) in expected.items():
        assert table.schema.field(name).type == type, name
        assert values(table, name) == [shown, None, shown], name


@given(tables())
async def test_reads_back(make_table: MakeTable, client: httpx.AsyncClient, table: Table) -> None:
    resource = await make_table(types_of(table), table.sent)
    for format in ("parquet", "arrow"):
        found = read(format, (await client.get(f"/datastore/dump/{resource}?format={format}")).content)
        assert found.num_rows == len(table.sent)
        for field in table.fields:
            shown = [row[field["id"]] for row in table.shown]
            got = [_as_json(value, field["type"]) for value in values(found, field["id"])]
            assert list(map(as_shown, got)) == list(map(as_shown, shown))


def _as_json(value: Any, type: str) -> Any:
    """A value of Arrow as search shows it."""
    if value is None:
        return None
    if type == "json":
        return json.loads(value)
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{value.microsecond // 1000:03}"
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value) if isinstance(value, (datetime.date, uuid.UUID)) else value


@pytest.mark.parametrize("format", ["parquet", "arrow"])
async def test_times_beyond_python(make_table: MakeTable, fetch: Fetch, format: str) -> None:
    sent = [
        "0044-03-15 12:00:00.25 BC",
        "infinity",
        "-infinity",
        "10000-01-01 00:00:00",
        "1999-12-31 23:59:59.999999",
        None,
    ]
    records = [{"a": text, "z": text, "d": text, "t": "24:00:00", "l": [text]} for text in sent]
    types = {"a": "timestamp", "z": "timestamptz", "d": "date", "t": "time", "l": "_timestamp"}
    table = read(format, await fetch(await make_table(types, records), format=format))

    ours = [None if value is None else int(value) for value in table.column("a").cast(pa.int64()).to_pylist()]
    # -0043-03-15 in the proleptic Gregorian calendar is Julian day 1705428
    assert ours[0] == ((1705428 - 2440588) * 86400 + 43200) * 1_000_000 + 250_000
    assert ours[1:] == [None, None, 253_402_300_800_000_000, 946_684_799_999_999, None]
    assert table.column("z").cast(pa.int64()).to_pylist() == ours
    assert table.column("d").cast(pa.int32()).to_pylist() == [1705428 - 2440588, None, None, 2932897, 10956, None]
    assert set(values(table, "t")) == {datetime.time(23, 59, 59, 999_999)}
    lists = table.column("l").combine_chunks()
    assert lists.values.cast(pa.int64()).to_pylist() == ours


@given(st.lists(st.none() | st.datetimes(), max_size=5))
def test_by_hand_is_what_arrow_reads(times: list[datetime.datetime | None]) -> None:
    texts = pa.array([None if time is None else time.isoformat(" ") for time in times], pa.string())
    assert by_hand(pa.timestamp("us"), texts).to_pylist() == times


async def test_duckdb_reads_parquet(call: CallAction, make_table: MakeTable, fetch: Fetch, tmp_path: Path) -> None:
    types = {"n": "numeric", "j": "json", "u": "uuid", "l": "_int4", "t": "timestamp"}
    records = [
        {"n": f"{number}.25", "j": {"k": number}, "u": str(uuid.UUID(int=number)), "l": [number], "t": "2020-01-01"}
        for number in range(1000)
    ]
    resource = await make_table(types, records)
    path = tmp_path / "dump.parquet"
    path.write_bytes(await fetch(resource, format="parquet"))
    with duckdb.connect() as connection:
        [row] = connection.execute(
            "SELECT count(*), sum(n), max(u), sum(l[1]), min(t), sum((j ->> 'k')::int), any_value(typeof(j))"
            f" FROM '{path}'"
        ).fetchall()
    assert row == (
        1000,
        Decimal("499750.00"),
        uuid.UUID(int=999),
        499500,
        datetime.datetime(2020, 1, 1),
        499500,
        "JSON",
    )


async def test_numbers_and_times_as_differences(make_table: MakeTable, fetch: Fetch, tmp_path: Path) -> None:
    """But not what comes again and again; and every reader understands it."""
    types = {"n": "int", "k": "int", "t": "timestamp", "d": "date", "l": "_text", "l.list.element": "int"}
    start = datetime.datetime(2020, 1, 1)
    records: list[dict[str, Any]] = [
        {
            "n": None if number % 7 == 0 else number * (-1) ** number * 1_000_003,
            "k": number % 3,
            "t": (start + datetime.timedelta(seconds=number)).isoformat(),
            "d": (start + datetime.timedelta(days=number)).date().isoformat(),
            "l": [str(number)],
            "l.list.element": number,
        }
        for number in range(1000)
    ]
    data = await fetch(await make_table(types, records), format="parquet")
    assert [
        {"n": row["n"], "t": row["t"].isoformat(), "d": row["d"].isoformat(), "l": row["l"]}
        for row in read("parquet", data).to_pylist()
    ] == [{name: record[name] for name in ("n", "t", "d", "l")} for record in records]
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    delta = {each.path_in_schema for each in columns if "DELTA_BINARY_PACKED" in each.encodings}
    assert delta == {"_id", "n", "t", "d"}
    path = tmp_path / "dump.parquet"
    path.write_bytes(data)
    with duckdb.connect() as connection:
        [row] = connection.execute(f"SELECT sum(n), max(t), max(d), sum(_id) FROM '{path}'").fetchall()
    known = [record["n"] for record in records if record["n"] is not None]
    last = records[-1]
    assert row[0] == sum(known)
    assert [row[1].isoformat(), row[2].isoformat(), row[3]] == [last["t"], last["d"], 500_500]


@pytest.mark.parametrize("format", ["parquet", "arrow"])
async def test_selection_and_no_rows(make_table: MakeTable, fetch: Fetch, format: str) -> None:
    records = [{"n": number, "x": f"{number}.5"} for number in range(50)]
    resource = await make_table({"n": "int", "x": "numeric"}, records)
    found = read(format, await fetch(resource, format=format, sort="n desc", limit=2, offset=1, fields="x,n"))
    assert found.to_pylist() == [{"x": Decimal("48.5"), "n": 48}, {"x": Decimal("47.5"), "n": 47}]
    nothing = read(format, await fetch(resource, format=format, filters='{"n": -1}'))
    assert (nothing.num_rows, nothing.column_names) == (0, ["_id", "n", "x"])


@pytest.mark.parametrize("format", ["parquet", "arrow"])
async def test_decimals_fit_after_every_change(
    call: CallAction, make_table: MakeTable, fetch: Fetch, format: str
) -> None:
    """What was remembered of a column's values is of that version of the table only."""
    resource = await make_table({"x": "numeric"}, [{"x": "1.5"}])
    expected = [Decimal("1.5")]
    for text in ("2.125", "123456789012345678901.5", "-0.00000000000000000001", f"{'9' * 60}.5", f"{'9' * 90}.25"):
        again = [read(format, await fetch(resource, format=format)) for _ in range(2)]
        assert [list(map(Decimal, values(found, "x"))) for found in again] == [expected] * 2
        await call("datastore_upsert", resource_id=resource, method="insert", records=[{"x": text}])
        expected.append(Decimal(text))
    assert list(map(Decimal, values(read(format, await fetch(resource, format=format)), "x"))) == expected
    [only] = values(read(format, await fetch(resource, format=format, filters='{"x": "2.125"}')), "x")
    assert only == Decimal("2.125")
    await call("datastore_upsert", resource_id=resource, method="insert", records=[{"x": "NaN"}])
    assert values(read(format, await fetch(resource, format=format)), "x")[-1] == "NaN"


@pytest.mark.parametrize("format", ["parquet", "arrow"])
async def test_one_column_of_odd_texts_in_many_blocks(
    make_table: MakeTable, fetch: Fetch, services: Services, format: str
) -> None:
    odd = ["", None, "\n", "\r\n", '"', '""', ",", "\\.", "\\N", "\x01\x02", "😀" * 300_000, "NULL", "\ufeff", " "]
    resource = await make_table({"a": "text"}, [{"a": text} for text in odd * 3])
    found = read(format, await fetch(resource, format=format, fields="a", sort="_id"))
    assert values(found, "a") == odd * 3
