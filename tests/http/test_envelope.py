"""Envelopes: exact bytes, exact numbers, and an answer to every error that tells no more than it should."""

from __future__ import annotations

import json
from decimal import Decimal
from math import inf, nan
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from datastore import errors
from datastore.actions.registry import RawJson
from datastore.http.envelope import dumps, failure, success

SITE = "https://data.example/portal"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_success() -> None:
    assert success(SITE, "site_read", True, {}) == (
        b'{"help": "https://data.example/portal/api/3/action/help_show?name=site_read", '
        b'"success": true, "result": true}'
    )
    assert json.loads(success(SITE, "x", None, {"packages": ["a"]})) == {
        "help": f"{SITE}/api/3/action/help_show?name=x",
        "success": True,
        "result": None,
        "changed_entities": {"packages": ["a"]},
    }


def test_raw_results_are_spliced_wherever_they_stand() -> None:
    raw = RawJson('{"n": 1.10, "t": "ž"}'.encode())
    assert success(SITE, "x", raw, {}).endswith(b'"result": ' + raw + b"}")
    assert dumps({"total": 1, "records": [raw]}) == b'{"total":1,"records":[' + raw + b"]}"


@given(JSON_VALUES)
def test_any_json_value_survives(value: Any) -> None:
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+400"), "1E+400"),
        (Decimal("0.12345678901234567890123"), "0.12345678901234567890123"),
        (Decimal("NaN"), '"NaN"'),
        (Decimal("-Infinity"), '"-Infinity"'),
        (2**63, "9223372036854775808"),
        (2**80, "1208925819614629174706176"),
        (-(2**80), "-1208925819614629174706176"),
        ([nan, inf, -inf, None, 1.5], '["NaN","Infinity","-Infinity",null,1.5]'),
        ({"a": (nan, {"b": 2**70})}, '{"a":["NaN",{"b":1180591620717411303424}]}'),
        ("lone \ud800", '"lone ?"'),
        ({1: frozenset({2})}, '{"1":[2]}'),
        ("ž", '"ž"'),
    ],
    ids=repr,
)
def test_values_that_json_libraries_get_wrong(value: Any, text: str) -> None:
    assert dumps(value).decode() == text
    assert json.loads(dumps([None, value, 2**70])) == [None, json.loads(text), 2**70]


def test_a_result_without_json_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="object"):
        dumps({"a": object()})


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            errors.ValidationError({"id": ["Missing value"]}),
            409,
            {"id": ["Missing value"], "__type": "Validation Error"},
        ),
        (errors.NotFound("x"), 404, {"message": "Not found: x", "__type": "Not Found Error"}),
        (errors.NotAuthorized(), 403, {"message": "Access denied", "__type": "Authorization Error"}),
        (
            errors.StructureError("m", {"a": [1]}),
            400,
            {"message": "m", "data": {"a": [1]}, "__type": "Integrity Error"},
        ),
        (errors.SearchQueryError("m"), 400, {"message": "m", "__type": "Search Query Error"}),
        (asyncpg.QueryCanceledError("x"), 409, {"query": ["Query took too long"], "__type": "Validation Error"}),
        (KeyError("secret"), 500, {"message": "Internal Server Error", "__type": "Internal Server Error"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors(error: Exception, status: int, body: dict[str, Any]) -> None:
    answer = failure(error, SITE, "x")
    assert answer.status == status
    assert json.loads(answer.body) == {
        "help": f"{SITE}/api/3/action/help_show?name=x",
        "success": False,
        "error": body,
    }


@pytest.mark.parametrize(
    "error",
    [asyncpg.CannotConnectNowError("starting"), asyncpg.ConnectionDoesNotExistError("gone"), ConnectionRefusedError()],
    ids=repr,
)
def test_a_database_that_is_away_is_a_503_to_try_again(error: Exception) -> None:
    answer = failure(error, SITE, "x")
    assert (answer.status, answer.headers) == (503, ((b"retry-after", b"2"),))
    assert json.loads(answer.body)["error"]["__type"] == "Service Unavailable"


def test_unexpected_errors_are_logged_and_not_told() -> None:
    with capture_logs() as logs:
        answer = failure(ZeroDivisionError("secret detail"), SITE, "x")
    assert b"secret" not in answer.body
    assert [(entry["log_level"], repr(entry["exc_info"])) for entry in logs] == [
        ("error", "ZeroDivisionError('secret detail')")
    ]


def test_bad_requests_are_bare_strings() -> None:
    assert failure(errors.BadRequest('a "b"')).body == b'"Bad request: a \\"b\\""'
    assert failure(errors.BadRequest("a")).status == 400
    assert failure(errors.PayloadTooLarge("a")).status == 413
