"""The rules for single values."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import StructureError, ValidationError
from datastore.validation import (
    MAX_TEXT,
    Invalid,
    Problems,
    byte_size,
    email,
    is_storable,
    json_value,
    name,
    objects,
    text,
    uuid4,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)


@given(st.text() | st.text(alphabet="abc-_01 A.é", max_size=110))
def test_names_are_accepted_by_one_rule(value: str) -> None:
    fits = 2 <= len(value) <= 100 and re.fullmatch("[a-z0-9_-]*", value) and value not in ("new", "edit", "search")
    if fits:
        assert name(value) == value
    else:
        with pytest.raises(Invalid):
            name(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Missing value"),
        ("", "Missing value"),
        (["ab"], "Names must be strings"),
        ("a", "Must be at least 2 characters long"),
        ("a" * 101, "Name must be a maximum of 100 characters long"),
        ("edit", "That name cannot be used"),
        ("a b", "Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"),
        ("ab\n", "Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"),
        ("日本", "Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"),
    ],
)
def test_messages_about_names(value: Any, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        name(value)
    assert str(caught.value) == message


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_stored_text_is_what_utf8_and_postgresql_can_hold(value: str) -> None:
    holds = "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    assert is_storable(value) is holds
    if holds:
        assert text(value) == value


def test_text_is_limited() -> None:
    assert text("x" * MAX_TEXT)
    with pytest.raises(Invalid):
        text("x" * (MAX_TEXT + 1))


@pytest.mark.parametrize(("value", "stored"), [(True, "true"), (7, "7"), (1.5, "1.5"), (None, None), ("", "")])
def test_scalars_become_text(value: Any, stored: str | None) -> None:
    assert text(value) == stored


@pytest.mark.parametrize("value", [[], {}, ["a"], b"bytes", 2**80])
def test_other_things_are_no_text(value: Any) -> None:
    with pytest.raises(Invalid):
        text(value)


@pytest.mark.parametrize("address", ["a@b.org", " a.b+c@example.co.uk ", "x@localhost"])
def test_email_addresses(address: str) -> None:
    assert email(address) == address.strip()


@pytest.mark.parametrize("address", ["a", "a@", "@b", "a b@c", "a@b..c", "a@-b", "a@b\n.c", "x" * 300 + "@b.org"])
def test_no_email_addresses(address: str) -> None:
    with pytest.raises(Invalid, match=r"^Email .* is not a valid format$|^Email "):
        email(address)


@given(st.uuids())
def test_only_random_uuids_in_usual_spelling(value: uuid.UUID) -> None:
    if value.version == 4:
        assert uuid4(str(value)) == str(value)
    for spelling in (value.hex, f"{{{value}}}", str(value) + "\n", str(value).upper() + "A"):
        with pytest.raises(Invalid):
            uuid4(spelling)


@pytest.mark.parametrize(("value", "size"), [("12", 12), (3.0, 3), (None, None), (" ", None), (0, 0)])
def test_sizes(value: Any, size: int | None) -> None:
    assert byte_size(value) == size


@pytest.mark.parametrize("value", ["x", 1.5, -1, 2**63, "1e3", [1], {}, True, float("inf"), "9" * 5000])
def test_no_sizes(value: Any) -> None:
    with pytest.raises(Invalid):
        byte_size(value)


@given(json_values)
def test_json_values_are_returned_as_json_gives_them_back(value: Any) -> None:
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        with pytest.raises(Invalid):
            json_value(value)
    else:
        assert json_value(value) == json.loads(json.dumps(value))


@pytest.mark.parametrize("value", [2**70, "\ud800", {"a\0": 1}, ["\0"], object(), "x" * 17_000_000])
def test_what_json_cannot_carry(value: Any) -> None:
    with pytest.raises(Invalid):
        json_value(value)


def test_deep_json_is_refused_not_crashed_on() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(Invalid):
        json_value(value)


@pytest.mark.parametrize("value", ["text", {"a": 1}, ["a"], [1], [None], 5, True])
def test_lists_of_objects_only(value: Any) -> None:
    with pytest.raises(StructureError, match="tags must be a list of objects"):
        objects("tags", value)


def test_lists_of_objects_may_be_json_text() -> None:
    assert objects("tags", '[{"name": "a"}, {}]') == [{"name": "a"}, {}]
    assert objects("tags", "") == objects("tags", None) == objects("tags", "[]") == []
    for other in ('{"name": "a"}', '["a"]', "[", "null", "[" * 100_000):
        with pytest.raises(StructureError, match="tags must be a list of objects"):
            objects("tags", other)


def test_problems_are_collected() -> None:
    problems = Problems()
    problems.raise_if_any()
    assert problems.check("name", name, "ok-name", "") == "ok-name"
    assert problems.check("name", name, "A", "fallback") == "fallback"
    problems.add("name", "and more")
    inner, fine = Problems(), Problems()
    inner.add("url", "bad")
    problems.nested("resources", [fine, inner])
    problems.nested("tags", [fine])
    with pytest.raises(ValidationError) as caught:
        problems.raise_if_any()
    assert caught.value.fields == {
        "name": ["Must be at least 2 characters long", "and more"],
        "resources": [{}, {"url": ["bad"]}],
    }
