from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import ValidationError
from datastore.tables.names import check_alias_names, check_column_names, valid_column_name
from tests.tables.strategies import column_names


@pytest.mark.parametrize("name", ["a", "Größe", "99", "a b", "100%", "it's", "a:b", "$x", "名前", "a\\b"])
def test_valid(name: str) -> None:
    assert valid_column_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "_a", 'a"b', "a\nb", "a\u200bb", "\ufeffa", "a\x7f", "\0"])
def test_invalid(name: str) -> None:
    assert not valid_column_name(name)


def fields_error(names: list[str | None]) -> object:
    with pytest.raises(ValidationError) as caught:
        check_column_names(names)
    return caught.value.fields


def test_errors_are_parallel_to_the_input() -> None:
    assert fields_error(["ok", "_bad", None]) == {
        "fields": [{}, {"id": ['"_bad" is not a valid field name']}, {"id": ["Missing value"]}]
    }


def test_length_is_counted_in_bytes() -> None:
    check_column_names(["x" * 63])
    name = "ü" * 32
    assert fields_error([name]) == {"fields": [f'Column heading "{name}" exceeds limit of 63 characters.']}


def test_duplicates() -> None:
    check_column_names(["a", "A"])
    assert fields_error(["a", "b", "a"]) == {"field": ["Duplicate column names are not supported"]}


def test_alias_without_percent() -> None:
    check_alias_names(["flights", "Züge 2026"])
    for bad in ("a%b", "_x", "", "x" * 64):
        with pytest.raises(ValidationError, match="is not a valid alias name"):
            check_alias_names([bad])


@given(st.lists(column_names, unique=True, max_size=5))
def test_any_distinct_valid_names_pass(names: list[str]) -> None:
    check_column_names(names)
