"""Large lists of records are not looked through before they are written: which must make no difference."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import BadRequest, ValidationError
from datastore.http import decode
from datastore.http.json_body import decode_object
from datastore.tables.writing import sources
from datastore.tables.writing.sources import JsonList
from tests.http.sending import SETTINGS, WRITE, send

READS_ALL = replace(WRITE, reads_all=True)
SMALL = 7
"""Bytes of a piece of records, so that even short lists have many."""

_texts = st.sampled_from(["records", "},{", '"records":[', "]", "x", "\\", "ü", ""])
_values = st.recursive(
    st.none() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_lists = st.lists(st.dictionaries(_texts, _values, max_size=3), max_size=5)
_documents = st.lists(
    st.tuples(_texts, _values) | st.tuples(st.just("records"), _lists | _values), max_size=4
)  # names may come twice
_damage = st.tuples(
    st.floats(0, 1), st.integers(0, 2), st.text("{}[],:\"' \n\\ntx0-é", max_size=2).map(str.encode) | st.just(b"\xff")
)


def text_of(members: list[tuple[str, Any]]) -> bytes:
    return ("{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members) + "}").encode()


def outcome(body: bytes) -> dict[str, Any] | None:
    """The parameters by the way that looks at everything; None for a body that is refused."""
    try:
        return plain(decode_object(body, ("records",), SETTINGS.max_json_depth))
    except BadRequest:
        return None


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """With the records decoded."""
    raw = found.get("records")
    return {**found, "records": json.loads(bytes(raw))} if isinstance(raw, msgspec.Raw) else found


def objects(records: JsonList) -> list[dict[str, Any]]:
    """As those read them who write them."""
    found: list[dict[str, Any]] = []
    for piece in records.pieces():
        found += [{name: json.loads(bytes(value)) for name, value in row.items()} for row in piece.rows(len(found))]
    return found


def check(body: bytes) -> bool:
    """Both ways come to the same; True if the records were left unread at first."""
    expected = outcome(body)
    try:
        decoded = asyncio.run(send(body, action=READS_ALL))
    except BadRequest:
        assert expected is None
        return False
    found = decoded.parameters
    if not isinstance(found.get("records"), JsonList):
        assert found.keys() == (expected or {}).keys()
        return False
    try:
        rows = objects(found["records"])
    except ValidationError:
        if expected is None:
            with pytest.raises(BadRequest):
                decoded.whole()
        elif (whole := decoded.whole()) is None:  # sound JSON, but no list of objects
            assert not all(isinstance(record, dict) for record in expected["records"])
        else:  # the list ends elsewhere, or another one is meant
            assert plain(whole) == expected
    else:
        assert {**found, "records": rows} == expected
        assert decoded.whole() is None
    return True


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_LARGE", 1)
    monkeypatch.setattr(sources, "PIECE", SMALL)


@given(_documents)
def test_any_document(members: list[tuple[str, Any]]) -> None:
    check(text_of(members))


@given(_documents, _lists, _damage)
def test_any_damage(members: list[tuple[str, Any]], records: list[Any], damage: tuple[float, int, bytes]) -> None:
    body = text_of([*members, ("records", records), ("method", "insert")])
    share, cut, inserted = damage
    place = round(share * len(body))
    check(body[:place] + inserted + body[place + cut :])


@pytest.mark.parametrize(
    "body",
    [
        b'{"records": [{"a": 1},]}',
        b'{"records": [{"a": 1}, ]}',
        b'{"records": [{"a": 1},,{"a": 2}]}',
        b'{"records": [{"a": 1} {"a": 2}]}',
        b'{"records": [{"a": 1}], "records": ]}',
        b'{"records": [{"a": "\xff"}]}',
        b'{"records": [{"a": 01}]}',
        b'{"records": [{"a": NaN}]}',
        b'{"records": [{"a": 1}]',
        b'{"x": {"records": [{"a": 1}]}, "records": [{"a": 2}]',
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    assert outcome(body) is None
    check(body)


def test_records_are_left_unread() -> None:
    for around in (
        b'{"records": [%b]}',
        b' {"id": "x", "records":[%b], "method": "insert"}\n',
        b'{"records" :\n[ %b ]}',
    ):
        assert check(around % b'{"a": "]"}, {"b": {"records": []}}')
    assert not check(b'{"x": {"records": [{}]}}')
    assert not check(b'{"records": [{"a": 1}], "records": null}')


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (lambda body: body[:-21] + b"," + body[-21:], None),
        (lambda body: body.replace(b"true", b"tru"), None),
        (lambda body: body.replace(b'"k":2999', b'"k":"x"'), {"records_row": 2999}),
    ],
)
async def test_over_http(
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., Awaitable[Any]],
    client: Any,
    admin_headers: dict[str, str],
    resource: str,
    change: Callable[[bytes], bytes],
    fields: dict[str, Any] | None,
) -> None:
    """A request that is no JSON is refused as such, whatever was found in its records before; nothing is written."""
    monkeypatch.setattr(sources, "PIECE", 2**12)
    await call(
        "datastore_create", resource_id=resource, fields=[{"id": "k", "type": "int"}, {"id": "b", "type": "bool"}]
    )
    records = b",".join(b'{"k":%d,"b":true}' % number for number in range(3000))
    body = b'{"resource_id": "%b", "method": "insert", "records": [%b]}' % (resource.encode(), records)
    headers = {**admin_headers, "Content-Type": "application/json"}
    answer = await client.post("/api/3/action/datastore_upsert", content=change(body), headers=headers)
    if fields is None:
        assert answer.status_code == 400
        assert "JSON Error" in answer.text
    else:
        assert answer.status_code == 409
        assert answer.json()["error"].items() >= fields.items()
    assert (await call("datastore_search", resource_id=resource))["total"] == 0
    answer = await client.post("/api/3/action/datastore_upsert", content=body, headers=headers)
    assert answer.status_code == 200
    assert (await call("datastore_search", resource_id=resource))["total"] == 3000
