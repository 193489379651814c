"""Every function of the library, with good and bad records, by every way in which records are written."""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.errors import ValidationError
from datastore.tables.functions import library
from tests.tables.trigger_cases import CASES, TEXTS, Case

CallAction = Callable[..., Awaitable[Any]]
WAYS = ("create", "insert", "upsert new", "upsert old", "update")
COPIED = 300
"""So many records go by binary COPY, and again by text COPY when one is refused."""


def ways(cases: list[Case]) -> list[Any]:
    """Cases with ways of writing: the first case of a function by every way, the others by one."""
    seen: set[str] = set()
    found = []
    for case in cases:
        label = f"{case.function}({', '.join(map(str, case.arguments[:4]))})"
        chosen = ("insert",) if case.function in seen else WAYS
        found += [pytest.param(case, way, id=f"{label}-{way}") for way in chosen]
        seen.add(case.function)
    return found


async def table(call: CallAction, resource: str, case: Case, *, rows: int = 0) -> None:
    """Give the table the case's columns, a key, ``rows`` rows that no trigger has seen, and the trigger."""
    await call("datastore_trigger_install", name=case.function)
    fields = [{"id": "k", "type": "int"}, *({"id": name, "type": type} for name, type in case.columns.items())]
    await call("datastore_create", resource_id=resource, fields=fields, primary_key="k",
               records=[{"k": number} for number in range(rows)])  # fmt: skip
    triggers = [{"function": case.function, "arguments": case.arguments}]
    created = await call("datastore_create", resource_id=resource, triggers=triggers)
    assert created["triggers"][0]["arguments"] == [str(argument) for argument in case.arguments]


async def write(call: CallAction, resource: str, way: str, records: list[dict[str, Any]]) -> None:
    if way == "create":
        await call("datastore_create", resource_id=resource, records=records)
    else:
        await call("datastore_upsert", resource_id=resource, method=way.split()[0], records=records)


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"k": number, **row} for number, row in enumerate(rows)]


async def stored(call: CallAction, resource: str) -> list[dict[str, Any]]:
    rows = (await call("datastore_search", resource_id=resource, sort="k", limit=1000))["records"]
    return [{name: value for name, value in row.items() if name not in ("_id", "k")} for row in rows]


@pytest.mark.parametrize(("case", "way"), ways([case for case in CASES if case.good]))
async def test_good_records(call: CallAction, resource: str, case: Case, way: str) -> None:
    """A few, and as many as go by COPY; written again, they stay as they are."""
    after: list[dict[str, Any]] = []
    for rows in (len(case.good), COPIED):
        given = [case.good[number % len(case.good)] for number in range(rows)]
        await call("datastore_delete", resource_id=resource)
        await table(call, resource, case, rows=rows if way in ("upsert old", "update") else 0)
        await write(call, resource, way, numbered([record for record, _ in given]))
        after = await stored(call, resource)
        assert after == [expected for _, expected in given]
    assert await call("datastore_run_triggers", resource_id=resource) == COPIED
    assert await stored(call, resource) == after


@pytest.mark.parametrize(("case", "way"), ways([case for case in CASES if case.bad]))
async def test_bad_records(call: CallAction, resource: str, case: Case, way: str) -> None:
    """The first, one in the middle, the last; of a few, and of as many as go by COPY. Nothing is stored."""
    old = COPIED if way in ("upsert old", "update") else 0
    await table(call, resource, case, rows=old)
    before = await stored(call, resource)
    good = [record for record, _ in case.good]
    for number, (record, message) in enumerate(case.bad):
        for rows in (5, COPIED) if number == 0 else (5,):
            for place in (0, rows // 2, rows - 1) if good else (0,):
                records = [good[index % len(good)] if good else record for index in range(rows)]
                records[place] = record
                with pytest.raises(ValidationError) as refused:
                    await write(call, resource, way, numbered(records))
                assert refused.value.fields["records"] == [message]
                assert refused.value.fields["records_row"] == place
    assert await stored(call, resource) == before


async def test_every_function_has_its_cases() -> None:
    assert {case.function for case in CASES} == set(library.library())


@pytest.mark.parametrize("place", [0, 12_345, 19_999])
@pytest.mark.parametrize("method", ["insert", "upsert", "update"])
async def test_a_big_load_names_its_record(call: CallAction, resource: str, method: str, place: int) -> None:
    await call("datastore_trigger_install", name="check_range")
    old = [{"k": number, "v": 1} for number in range(20_000)] if method == "update" else []
    fields = [{"id": "k", "type": "int"}, {"id": "v", "type": "int"}]
    triggers = [{"function": "check_range", "arguments": ["v", 0]}]
    await call("datastore_create", resource_id=resource, fields=fields, primary_key="k", records=old)
    await call("datastore_create", resource_id=resource, triggers=triggers)
    records = [{"k": number, "v": 0} for number in range(20_000)]
    records[place]["v"] = -1
    with pytest.raises(ValidationError) as refused:
        await call("datastore_upsert", resource_id=resource, method=method, records=records)
    assert refused.value.fields == {"records": ["v: -1 is not 0 or more"], "records_row": place}


# --- properties -------------------------------------------------------------------------------------------------------

SPACES = " \t\n\u00a0\u2003\u3000\ufeff"
TEXT = st.text(
    st.one_of(
        st.sampled_from(SPACES + "e\u0301a\u030a\u00e9\u1e9b\u0323"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=12,
)


@given(texts=st.lists(TEXT, min_size=1, max_size=30))
@settings(max_examples=15)
async def test_normalised_texts(call: CallAction, resource: str, texts: list[str]) -> None:
    """NFC as Python has it, for letters that both know; and what is normalised stays so."""
    await table(call, resource, Case("normalise_text", ["a"], TEXTS, []))
    await call("datastore_records_delete", resource_id=resource, filters={})
    await write(call, resource, "insert", numbered([{"a": text} for text in texts]))
    once = [row["a"] for row in await stored(call, resource)]
    for before, after in zip(texts, once, strict=True):
        assert after == after.strip(SPACES)
        assert "  " not in after
        if all(ord(character) < 0x3000 for character in before):
            assert after.replace(" ", "") == _without_spaces(unicodedata.normalize("NFC", before))
    await call("datastore_run_triggers", resource_id=resource)
    assert [row["a"] for row in await stored(call, resource)] == once


def _without_spaces(text: str) -> str:
    return "".join(character for character in text if not (character.isspace() and character not in "\x1c\x1d\x1e\x1f"))


@pytest.mark.parametrize(
    ("format", "pattern"),
    [
        ("dmy", "{0.day}.{0.month}.{0:%Y}"),
        ("mdy", "{0:%m/%d/%Y}"),
        ("ymd", "{0:%Y} {0.month}-{0.day}"),
        ("DD Mon YYYY", "{0:%d %b %Y}"),
        ("FMDD Month YYYY", "{0.day} {0:%B} {0:%Y}"),
        ("YYYY-DDD", "{0:%Y-%j}"),
    ],
)
@given(dates=st.lists(st.dates(min_value=date(1000, 1, 1)), min_size=1, max_size=30))
@settings(max_examples=8)
async def test_dates_round_trip(call: CallAction, resource: str, format: str, pattern: str, dates: list[date]) -> None:
    await table(call, resource, Case("parse_date", ["a", format, "d"], {"a": "text", "d": "date"}, []))
    await call("datastore_records_delete", resource_id=resource, filters={})
    await write(call, resource, "insert", numbered([{"a": pattern.format(day)} for day in dates]))
    assert [row["d"] for row in await stored(call, resource)] == [day.isoformat() for day in dates]


# --- stamp_updated ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3, COPIED])
async def test_the_stamp_of_a_change(call: CallAction, resource: str, rows: int) -> None:
    columns = {"v": "int", "at": "timestamptz", "by": "text"}
    await table(call, resource, Case("stamp_updated", ["at", "by"], columns, []))
    forged = {"at": "2001-01-01T00:00:00", "by": "somebody"}
    await write(call, resource, "insert", numbered([{"v": 1, **forged}] * rows))
    first = await stored(call, resource)
    assert {row["by"] for row in first} == {"admin"}
    assert len({row["at"] for row in first}) == 1
    assert datetime.fromisoformat(first[0]["at"]).year > 2020

    await write(call, resource, "upsert", numbered([{"v": 1, **forged}] * rows))
    assert await stored(call, resource) == first
    await write(call, resource, "update", numbered([{"v": 1 if number else 2} for number in range(rows)]))
    changed = await stored(call, resource)
    assert changed[1:] == first[1:]
    assert changed[0]["at"] > first[0]["at"]


# --- the library itself -----------------------------------------------------------------------------------------------


async def test_the_list(call: CallAction) -> None:
    await call("datastore_trigger_install", name="check_codes")
    listed = {entry["name"]: entry for entry in await call("datastore_trigger_library")}
    assert set(listed) == set(library.library())
    codes = listed["check_codes"]
    assert codes["summary"] == "Refuses a value that is not in a list of codes."
    assert codes["arguments"] == [
        {"name": "column", "description": "the column"},
        {"name": "code …", "description": "the codes"},
    ]
    assert codes["example"] == {"function": "check_codes", "arguments": ["state", "CA", "NY"]}
    assert codes["notes"].startswith("NULL is accepted;")
    assert codes["state"] == "installed"
    assert "definition" not in codes
    [whole] = await call("datastore_trigger_library", name="check_codes")
    assert "RAISE EXCEPTION" in whole["definition"]
    assert {key: value for key, value in whole.items() if key != "definition"} == codes
    with pytest.raises(ValidationError) as refused:
        await call("datastore_trigger_library", name="no_such")
    assert refused.value.fields["name"][0].startswith('the library has no function "no_such"; it has check_codes, ')


@pytest.mark.parametrize("name", list(library.library()))
def test_heads_are_complete(name: str) -> None:
    function = library.library()[name]
    described = json.loads(function.example)
    if name != "record_history":
        assert described["function"] == name
        named = [argument for argument, _ in function.arguments]
        required = [argument for argument in named if not argument.startswith("[")]
        assert len(described.get("arguments", [])) >= len(required)
    assert all(meaning for _, meaning in function.arguments)


async def test_installing_again_brings_up_to_date(call: CallAction, resource: str) -> None:
    """And never replaces what is not from the library."""
    name = "check_required"

    async def state() -> str:
        [entry] = await call("datastore_trigger_library", name=name)
        return str(entry["state"])

    async def replace(definition: str) -> None:
        await call("datastore_function_create", name=name, rettype="trigger", definition=definition, or_replace=True)

    try:
        await replace(f"-- {name}: An old version.\nBEGIN RETURN NULL; END")
        assert await state() == "outdated"
        triggers = [{"function": name, "arguments": ["a"]}]
        fields = [{"id": "a", "type": "text"}]
        await call("datastore_create", resource_id=resource, fields=fields, triggers=triggers, records=[{"a": "x"}])
        for _ in range(2):
            assert await call("datastore_trigger_install", name=name) is None
            assert await state() == "installed"
        await call("datastore_upsert", resource_id=resource, method="insert", records=[{"a": "x"}])
        assert (await call("datastore_search", resource_id=resource))["total"] == 1

        await replace("BEGIN RETURN NEW; END")
        assert await state() == "other"
        with pytest.raises(ValidationError) as refused:
            await call("datastore_trigger_install", name=name)
        assert refused.value.fields == {"name": [f"function {name}() is not from the library: delete it first"]}
    finally:
        await replace(library.find(name).definition)


async def test_arguments_that_cannot_be(call: CallAction, resource: str) -> None:
    name = f"f_{uuid.uuid4().hex[:12]}"
    await call("datastore_function_create", name=name, rettype="trigger", definition="BEGIN RETURN NEW; END")
    for arguments, message in (
        ("a", {"triggers": [{"arguments": ["Must be a list of texts"]}]}),
        ([["a"]], {"triggers": [{"arguments": ["Must be a list of texts"]}]}),
        (["a\0"], {"triggers": [f"arguments of function {name}(): invalid characters"]}),
        (["\ud800"], {"triggers": [f"arguments of function {name}(): invalid characters"]}),
        (["a"] * 10_001, {"triggers": [f"function {name}() can have at most 10000 arguments"]}),
    ):
        with pytest.raises(ValidationError) as refused:
            await call("datastore_create", resource_id=resource, triggers=[{"function": name, "arguments": arguments}])
        assert refused.value.fields == message
    odd = ["it's", 'a"b', "back\\slash", "$body$", "'); DROP TABLE x; --", "", "🙂", "%"]
    show = "BEGIN RAISE EXCEPTION '%', array_to_json(TG_ARGV); END"
    await call("datastore_function_create", name=name, rettype="trigger", definition=show, or_replace=True)
    await call("datastore_create", resource_id=resource, triggers=[{"function": name, "arguments": odd}])
    with pytest.raises(ValidationError) as refused:
        await call("datastore_upsert", resource_id=resource, method="insert", records=[{}])
    assert json.loads(refused.value.fields["records"][0]) == odd
