"""No value of any parameter of any action is a reason for an Internal Server Error."""

from __future__ import annotations

import uuid

import httpx
import pytest

from datastore.actions import registry
from tests.catalog.samples import ActionCall, unique

ODD = [
    b"0.1234567890123456789012345",
    b"1e400",
    b"123456789012345678901234567890",
    b"-9223372036854775809",
    b'"\\ud83d\\ude00"',
    b'"' + b"x" * 5000 + b'"',
    b"[]",
    b"{}",
    b"[null, [], {}, true, 1e400, 123456789012345678901234567890]",
    b'{"a": {"b": [1e400, {"c": 0.1234567890123456789012345}]}, "": 123456789012345678901234567890}',
    b'[{"id": "a", "name": 1e400, "info": 0.1234567890123456789012345, "type": {}}]',
    b'"[{\\"a\\": 1e400}]"',
    b'"2020-01-01T00:00:00+25:00"',
    b"false",
    b"NULL",
    b'[{"a": "\\u0000"}]',
    *(b'[{"a": ' + b"[" * depth + b"]" * depth + b"}]" for depth in (60, 300, 800, 960, 5000)),
]


async def subject(call: ActionCall, name: str, dataset: str, resource: str) -> str:
    """The id of something that the action is about."""
    for kind in ("organization", "group", "vocabulary", "user"):
        if name.startswith(f"{kind}_"):
            person = {"email": f"{unique()}@example.org", "password": "12345678"} if kind == "user" else {}
            made = await call(f"{kind}_create", name=unique(), **person)
            return str(made["id"])
    return resource if "resource" in name or "datastore" in name else dataset


@pytest.mark.parametrize("name", registry.names())
async def test_odd_values(
    call: ActionCall, client: httpx.AsyncClient, admin_headers: dict[str, str], dataset: str, resource: str, name: str
) -> None:
    action = registry.find(name)
    assert action is not None
    id = await subject(call, name, dataset, resource)
    for field in action.model.model_fields:
        for value in ODD:
            known = {
                b"name": b'"odd-%b"' % uuid.uuid4().hex.encode(),
                b"resource_id": b'"%b"' % resource.encode(),
                b"package_id": b'"%b"' % dataset.encode(),
                b"id": b'"%b"' % id.encode(),
                b"force": b"true",
                field.encode(): value,
            }
            body = b"{" + b",".join(b'"%b": %b' % pair for pair in known.items()) + b"}"
            response = await client.post(f"/api/3/action/{name}", content=body, headers=admin_headers)
            assert response.status_code < 500, (field, value, response.text)
            assert response.json()


@pytest.mark.parametrize("name", registry.names())
async def test_files_and_lists_in_place_of_values(
    client: httpx.AsyncClient, admin_headers: dict[str, str], resource: str, name: str
) -> None:
    action = registry.find(name)
    assert action is not None
    for field in action.model.model_fields:
        fields = {"id": resource, "resource_id": resource, "name": f"odd-{uuid.uuid4().hex}", "force": "true"}
        fields.pop(field, None)
        address = f"/api/3/action/{name}"
        for files in ([(field, ("f.csv", b"x"))], [(field, ("f.csv", b"x")), (field, ("g.csv", b"y"))]):
            response = await client.post(address, data=fields, files=files, headers=admin_headers)
            assert response.status_code < 500, (field, response.text)
        response = await client.post(address, data={**fields, field: ["a", "1", ""]}, headers=admin_headers)
        assert response.status_code < 500, (field, response.text)
        response = await client.get(address, params={**fields, field: ["a", "1", "\u00e9"]})
        assert response.status_code < 500, (field, response.text)
