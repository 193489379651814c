"""Plans of whole tables' pages are remembered: for exactly the request and the schema that they were made for."""

from __future__ import annotations

import dataclasses

import pytest

from datastore.accounts.permissions import DatasetAccess
from datastore.tables.reading.matching import Match
from datastore.tables.reading.search import Search, constant, plan
from datastore.tables.schema import Column, TableSchema

ACCESS = DatasetAccess("d", "d", None, private=False, state="active", creator_user_id=None)
SCHEMA = TableSchema("r", ACCESS, "datastore", 1, (Column("a", "text", "text", info={"label": "A"}),))


def test_same_request_same_plan() -> None:
    assert plan(Search(limit=20), dataclasses.replace(SCHEMA)) is plan(Search(limit=20), SCHEMA)


@pytest.mark.parametrize(
    ("search", "schema"),
    [
        (Search(limit=21), SCHEMA),
        (Search(limit=20, offset=1), SCHEMA),
        (Search(limit=20, records_format="lists"), SCHEMA),
        (Search(limit=20), dataclasses.replace(SCHEMA, columns=(*SCHEMA.columns, Column("b", "int4", "integer")))),
        (Search(limit=20), dataclasses.replace(SCHEMA, columns=(Column("a", "text", "text"),))),
        (Search(limit=20), dataclasses.replace(SCHEMA, access=dataclasses.replace(ACCESS, id="e"))),
    ],
)
def test_any_difference_another_plan(search: Search, schema: TableSchema) -> None:
    known, other = plan(Search(limit=20), SCHEMA), plan(search, schema)
    assert (other.statement, other.fields) != (known.statement, known.fields)


@pytest.mark.parametrize("search", [Search(Match(q="word")), Search(Match(filters={"a": "x"})), Search(sort=["a"])])
def test_values_of_clients_are_not_kept(search: Search) -> None:
    assert plan(search, SCHEMA) is not plan(search, SCHEMA)


def test_pages_further_on_differ_by_their_argument_only() -> None:
    """A statement for each power of two: the rest of the offset is its argument."""
    first, second, third, other = (plan(Search(limit=20, offset=offset), SCHEMA) for offset in (256, 300, 511, 512))
    assert first.statement == second.statement == third.statement != other.statement
    assert [found.arguments for found in (first, second, third, other)] == [("0",), ("44",), ("255",), ("0",)]
    assert third.fields is first.fields
    assert all(found.generic for found in (first, second, third, other))
    assert not plan(Search(Match(filters={"a": "x"}), offset=300), SCHEMA).generic


def test_a_constant_plan_has_its_values_in_the_statement() -> None:
    search = Search(Match(filters={"a": ["it's", "b"]}), offset=300)
    found = constant(search, SCHEMA)
    assert found.arguments == ()
    assert "ARRAY['it''s', 'b']" in (found.statement or "")
    assert "OFFSET 300" in (found.statement or "")


KEYED = dataclasses.replace(SCHEMA, columns=(*SCHEMA.columns, Column("n", "int4", "integer")), key=("a", "n"))


@pytest.mark.parametrize(
    ("filters", "generic"),
    [
        ({"_id": 7}, True),
        ({"a": "x", "n": 7}, True),
        ({"n": -(2**31), "a": "it's"}, True),
        ({"a": "x"}, False),
        ({"_id": 7, "n": 7}, False),
        ({"_id": "seven"}, False),
        ({"_id": 2**63}, False),
        ({"_id": True}, False),
        ({"_id": 7.0}, False),
        ({"_id": None}, False),
        ({"_id": [7]}, False),
        ({"_id": {"gt": 7}}, False),
        ([{"_id": 7}], False),
        ({"a": "x", "n": 2**31}, False),
        ({"a": "x", "n": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_look_up_by_the_key_has_one_plan_for_every_value(filters: object, generic: bool) -> None:
    found = plan(Search(Match(filters)), KEYED)
    assert found.generic is generic
    if generic:
        assert found.arguments == tuple(str(filters[name]) for name in filters)  # type: ignore[index, attr-defined]


@pytest.mark.parametrize(
    "search",
    [
        Search(Match({"_id": 7}, q="word")),
        Search(Match({"_id": 7}), cursor="*"),
        Search(Match({"_id": 7}, full_text="x")),
    ],
)
def test_a_look_up_with_more_than_the_key(search: Search) -> None:
    assert not plan(search, KEYED).generic
