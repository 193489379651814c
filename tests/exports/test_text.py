"""csv, tsv, json, ndjson and xml: exactly as specified, and read back by readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import uuid
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from lxml import etree

from datastore.actions.services import Services
from datastore.exports.xml import element_names
from tests.exports.conftest import CallAction, Fetch, MakeTable, types_of
from tests.tables.strategies import Table, as_shown, tables

NAMESPACE = "{http://www.w3.org/2001/XMLSchema-instance}nil"


async def test_layout_of_csv_and_tsv(make_table: MakeTable, fetch: Fetch) -> None:
    records = [{"a": 'x "y", z', "b": None, "c": ""}, {"a": "line\nbreak\ttab", "b": [1, None], "c": "ü"}]
    resource = await make_table({"a": "text", "b": "json", "c": "text"}, records)

    assert (await fetch(resource)).decode() == (
        '_id,a,b,c\n1,"x ""y"", z",null,""\n2,"line\nbreak\ttab","[1, null]",ü\n'
    )
    assert (await fetch(resource, format="tsv")).decode() == (
        '_id\ta\tb\tc\n1\t"x ""y"", z"\tnull\t""\n2\t"line\nbreak\ttab"\t[1, null]\tü\n'
    )
    assert (await fetch(resource, eol="crlf")).decode() == (
        '_id,a,b,c\r\n1,"x ""y"", z",null,""\r\n2,"line\nbreak\ttab","[1, null]",ü\r\n'
    )
    assert (await fetch(resource, limit=0, bom=True)).decode() == "\ufeff_id,a,b,c\n"


async def test_layout_of_json(make_table: MakeTable, fetch: Fetch) -> None:
    resource = await make_table({"a": "text", "n": "numeric"}, [{"a": "é", "n": 1}, {"a": None, "n": None}])
    fields = '[{"id":"_id","type":"int"},{"id":"a","type":"text"},{"id":"n","type":"numeric"}]'

    assert (await fetch(resource, format="json")).decode() == (
        f'{{\n  "fields": {fields},\n  "records": [\n    [1,"é",1],\n    [2,null,null]\n]}}\n'
    )
    assert (await fetch(resource, format="json", limit=0, bom="true")).decode() == (
        f'\ufeff{{\n  "fields": {fields},\n  "records": [\n]}}\n'
    )
    assert (await fetch(resource, format="ndjson")).decode() == (
        '{"_id":1,"a":"é","n":1}\n{"_id":2,"a":null,"n":null}\n'
    )
    assert await fetch(resource, format="ndjson", limit=0) == b""


async def test_layout_of_xml(make_table: MakeTable, fetch: Fetch) -> None:
    types = {"a b": "text", "2020": "bool", "j": "json", "t": "timestamp", "x": "_int4"}
    records: list[dict[str, Any]] = [
        {"a b": "<&>", "2020": True, "j": {"k": [1.50, None, ""], 'q"': {}}, "t": "2020-01-02", "x": [1, None]},
        {"a b": "", "2020": None, "j": None, "t": None, "x": []},
    ]
    resource = await make_table(types, records)

    assert (await fetch(resource, format="xml")).decode() == (
        '<data xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        '<row _id="1"><a_b>&lt;&amp;&gt;</a_b><_2020>True</_2020><j><value key="k"><value key="0">1.5</value>'
        '<value xsi:nil="true" key="1" /><value key="2" /></value><value key="q&quot;" /></j>'
        '<t>2020-01-02T00:00:00.000</t><x><value key="0">1</value><value xsi:nil="true" key="1" /></x></row>\n'
        '<row _id="2"><a_b /><_2020 xsi:nil="true" /><j xsi:nil="true" /><t xsi:nil="true" /><x /></row>\n'
        "</data>\n"
    )
    without = (await fetch(resource, format="xml", fields="t,_id", limit=1)).decode().splitlines()[1]
    assert without == "<row><t>2020-01-02T00:00:00.000</t><_id>1</_id></row>"


@given(tables())
async def test_json_and_ndjson_read_back(make_table: MakeTable, client: httpx.AsyncClient, table: Table) -> None:
    resource = await make_table(types_of(table), table.sent)
    shown = [exact({"_id": number, **row}) for number, row in enumerate(table.shown, 1)]

    whole = _decoded((await client.get(f"/datastore/dump/{resource}?format=json")).content)
    assert [field["id"] for field in whole["fields"]] == ["_id", *(field["id"] for field in table.fields)]
    assert exact(whole["records"]) == [list(row.values()) for row in shown]
    text = (await client.get(f"/datastore/dump/{resource}?format=ndjson")).content
    assert [exact(_decoded(line)) for line in text.split(b"\n")[:-1]] == shown


def _decoded(text: bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def exact(value: Any) -> Any:
    """Numbers by their value, however they are written; a boolean is none."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return Decimal(str(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


@given(tables())
async def test_csv_reads_back(make_table: MakeTable, client: httpx.AsyncClient, table: Table) -> None:
    resource = await make_table(types_of(table), table.sent)
    names = [field["id"] for field in table.fields]
    for format, delimiter, eol in (("csv", ",", "lf"), ("tsv", "\t", "crlf"), ("csv", ",", "crlf")):
        content = (await client.get(f"/datastore/dump/{resource}?format={format}&eol={eol}&bom=1")).content
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))
        assert rows[0] == ["_id", *names]
        for row, shown in zip(rows[1:], table.shown, strict=True):
            for text, field in zip(row[1:], table.fields, strict=True):
                assert _same_csv(text, shown[field["id"]], field["type"]), (text, shown, field)


def _same_csv(text: str, shown: Any, type: str) -> bool:
    if type == "json" or type.startswith("_"):
        return bool(as_shown(json.loads(text)) == as_shown(shown))
    if shown is None:
        return text == ""
    if type == "bool":
        return text == ("t" if shown else "f")
    return float(text) == float(shown) or shown == "NaN" if type == "float8" else text == str(shown)


@given(tables())
async def test_xml_reads_back(make_table: MakeTable, client: httpx.AsyncClient, table: Table) -> None:
    resource = await make_table(types_of(table), table.sent)
    content = (await client.get(f"/datastore/dump/{resource}?format=xml")).content
    rows = etree.fromstring(content).findall("row")
    assert [row.get("_id") for row in rows] == [str(number + 1) for number in range(len(table.sent))]
    for row, shown in zip(rows, table.shown, strict=True):
        assert len({element.tag for element in row}) == len(table.fields)
        for element, field in zip(row, table.fields, strict=True):
            assert _value(element) == _as_xml(shown[field["id"]])


def _value(element: etree._Element) -> Any:
    if element.get(NAMESPACE) == "true":
        return None
    if len(element):
        return [(child.get("key"), _value(child)) for child in element]
    return _number(element.text or "")


def _as_xml(value: Any) -> Any:
    """What a reader of XML finds for a value of JSON."""
    if value is None:
        return None
    if isinstance(value, (list, dict)):
        members = value.items() if isinstance(value, dict) else enumerate(value)
        return [(legal(str(key)), _as_xml(item)) for key, item in members] or ""
    return _number(legal(value)) if isinstance(value, str) else _number(str(value))


def _number(text: str) -> Any:
    try:
        return float(text) if text != "NaN" else text
    except ValueError:
        return text


def legal(text: str) -> str:
    """What XML can hold of a text."""
    allowed = [code in (9, 10, 13) or (code >= 32 and code not in (0xFFFE, 0xFFFF)) for code in map(ord, text)]
    return "".join(character if fine else "\ufffd" for character, fine in zip(text, allowed, strict=True))


async def test_less_usual_types_are_as_a_search_shows_them(
    call: CallAction, make_table: MakeTable, fetch: Fetch
) -> None:
    record = {
        "c": "ab",
        "ip": "10.0.0.1",
        "m": "1.5",
        "r": "[1,5)",
        "p": "(1,2)",
        "tz": "2020-01-02 03:04:05.678+02",
        "t": "24:00:00",
        "z": "12:00:00+02",
        "n": "NaN",
        "f": "-Infinity",
        "e": "0.1",
        "ts": "infinity",
        "bc": "0044-03-15 12:00:00.25 BC",
        "y": "12020-01-02 03:04:05",
        "d": "-infinity",
        "l": ["NaN", None, 1],
        "lt": ["2020-01-02T03:04:05"],
        "v": "1 year 2 days 03:00:00",
    }
    types = ["char(5)", "inet", "money", "int4range", "point", "timestamptz", "time", "timetz", "numeric", "float8"]
    types += ["real", "timestamp", "timestamp", "timestamp", "date", "_float8", "_timestamp", "interval"]
    resource = await make_table(dict(zip(record, types, strict=True)), [record, {}])

    records = (await call("datastore_search", resource_id=resource))["records"]
    for line, shown in zip((await fetch(resource, format="ndjson")).splitlines(), records, strict=True):
        assert json.loads(line) == shown
    lists = json.loads(await fetch(resource, format="json"))["records"]
    assert lists == [list(shown.values()) for shown in records]
    for row, shown in zip(etree.fromstring(await fetch(resource, format="xml")), records, strict=True):
        assert [_value(element) for element in row] == [_as_xml(value) for value in list(shown.values())[1:]]
    cells = (await call("datastore_search", resource_id=resource, records_format="csv"))["records"]
    assert (await fetch(resource)).decode().partition("\n")[2] == cells


ODD = ["\x01", "a\x02b\nc", "\x01\x01", "\\.", "\\", "\r\n", "\x7f\x85\u2028", "\ufffe\uffff", "😀\U0010ffff"]
ODD += ["<?x?>", "]]>", "&amp;", "_x0041_", '"', "'", "\t", " ", "\ufeff"]


async def test_odd_texts(make_table: MakeTable, fetch: Fetch) -> None:
    records = [{"a": text, "j": {text: text}} for text in ODD]
    resource = await make_table({"a": "text", "j": "json"}, records)

    rows = list(csv.reader(io.StringIO((await fetch(resource)).decode(), newline="")))[1:]
    assert [(row[1], json.loads(row[2])) for row in rows] == [(text, {text: text}) for text in ODD]
    single = (await fetch(resource, fields="a")).decode().removeprefix("a\n")
    assert [row[0] for row in csv.reader(io.StringIO(single, newline=""))] == ODD
    lines = (await fetch(resource, format="ndjson", fields="a,j")).split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == records
    tree = etree.fromstring(await fetch(resource, format="xml"))
    assert [(row[0].text, row[1][0].text, row[1][0].get("key")) for row in tree] == [
        (legal(text), legal(text), legal(text)) for text in ODD
    ]


async def test_json_with_line_breaks_stays_on_its_line(make_table: MakeTable, fetch: Fetch, services: Services) -> None:
    resource = await make_table({"j": "json", "l": "_json"}, [{"j": {"a": 1}, "l": [{"a": 1}]}])
    schema = await services.schemas.get(resource)
    assert schema is not None
    loose = '{\r\n\t"a" : [1,\n2]\n}'
    await services.database.owner.execute(f"UPDATE {schema.sql_name} SET j = $1, l = ARRAY[$1::json]", loose)
    for format in ("json", "ndjson", "xml"):
        assert b"\r" not in await fetch(resource, format=format)
    [line] = (await fetch(resource, format="ndjson")).splitlines()
    assert json.loads(line) == {"_id": 1, "j": {"a": [1, 2]}, "l": [{"a": [1, 2]}]}
    assert json.loads(await fetch(resource, format="json"))["records"] == [[1, {"a": [1, 2]}, [{"a": [1, 2]}]]]
    [row] = etree.fromstring(await fetch(resource, format="xml"))
    assert [value.text for value in row.findall("j/value/value")] == ["1", "2"]


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "ndjson", "xml"])
async def test_huge_cells_and_many_columns(make_table: MakeTable, fetch: Fetch, format: str) -> None:
    huge = "<é&\n" * 500_000
    types = {f"c{number}": "text" for number in range(250)}
    resource = await make_table(types, [{"c0": huge, "c249": "end"}, {"c0": "x"}])
    content = await fetch(resource, format=format)
    if format == "xml":
        first, second = etree.fromstring(content, etree.XMLParser(huge_tree=True))
        assert (first[0].text, first[249].text, second[0].text) == (huge, "end", "x")
    elif format in ("json", "ndjson"):
        rows = json.loads(content)["records"] if format == "json" else list(map(json.loads, content.splitlines()))
        values = [list(row.values()) if format == "ndjson" else row for row in rows]
        assert (values[0][1], values[0][250], values[1][1]) == (huge, "end", "x")
    else:
        csv.field_size_limit(10**7)
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter="," if format == "csv" else "\t"))
        assert (rows[1][1], rows[1][250], rows[2][1]) == (huge, "end", "x")


async def test_deeply_nested_json_in_xml(make_table: MakeTable, fetch: Fetch, services: Services) -> None:
    resource = await make_table({"j": "json"}, [{"j": 1}])
    schema = await services.schemas.get(resource)
    assert schema is not None
    deep = "[" * 3000 + '"<"' + "]" * 3000
    await services.database.owner.execute(f"UPDATE {schema.sql_name} SET j = $1", deep)
    [row] = etree.fromstring(await fetch(resource, format="xml"))
    assert row[0].text == deep


async def test_selections_for_every_text_format(make_table: MakeTable, fetch: Fetch) -> None:
    records = [{"n": number, "t": f"word{number % 3}"} for number in range(30)]
    resource = await make_table({"n": "int", "t": "text"}, records)
    selection = {"filters": '{"n": {"gte": 5}}', "q": "word1", "sort": "n desc", "fields": "n", "limit": 3, "offset": 2}

    assert (await fetch(resource, **selection)) == b"n\n22\n19\n16\n"
    assert json.loads(await fetch(resource, format="json", **selection))["records"] == [[22], [19], [16]]
    assert (await fetch(resource, format="ndjson", **selection)) == b'{"n":22}\n{"n":19}\n{"n":16}\n'
    assert [row[0].text for row in etree.fromstring(await fetch(resource, format="xml", **selection))] == [
        "22",
        "19",
        "16",
    ]
    ranked = (await fetch(resource, q="word2", limit=1)).decode().splitlines()
    assert ranked[0] == "_id,n,t,rank"


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["a", "a!", "a?"], ["a", "a_0", "a_1"]),
        (["a_0", "a", "a!"], ["a_0", "a", "a_1"]),
        (["2020", "1xml2x", "XML", "12 ab", "-.x", "ª", "é é"], ["_2020", "x", "_XML", "_ab", "x", "_", "é_é"]),
    ],
)
def test_names_of_elements(columns: list[str], names: list[str]) -> None:
    found = element_names(columns)
    assert len(set(found)) == len(columns)
    for name in found:
        etree.fromstring(f"<{name}/>")
    if len(columns) == 3:
        assert found == names


async def test_refusals(client: httpx.AsyncClient, make_table: MakeTable) -> None:
    resource = await make_table({"a": "int"}, [{"a": 1}])
    for query, message in (
        ("format=pdf", "format: "),
        ("format=json&eol=crlf", "eol: "),
        ("eol=cr", "eol: "),
        ("format=parquet&bom=1", "bom: parquet is not text"),
        ("format=xml&filters={", "filters: "),
        ("format=ndjson&limit=-1", "limit: "),
        ("format=json&fields=zz", "fields: "),
    ):
        response = await client.get(f"/datastore/dump/{resource}?{query}")
        assert (response.status_code, response.text[: len(message)]) == (400, message)
    assert (await client.get(f"/datastore/dump/{uuid.uuid4()}?format=json")).status_code == 404
