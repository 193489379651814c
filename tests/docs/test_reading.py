"""That the examples' reader would notice: a reader that lets everything pass proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.examples import counted_filters, differences, examples, requests, shown_json, text_differences


def test_blocks_with_curl_are_examples_and_the_next_block_is_their_output(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```sh\nmake serve\n```\n\n```sh\ncurl a\n```\n\n```json\n{}\n```\n\n"
        "<!-- not run -->\n```sh\ncurl b\n```\n\n```sh\ncurl c\n```\n\nWords.\n\n```json\n[]\n```\n"
    )

    found = [(example.line, example.commands, example.shown) for example in examples(page)]

    assert found == [(7, "curl a\n", "{}\n"), (20, "curl c\n", None)]


def test_filters_in_a_table_are_found_with_their_number_of_rows(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '| `filters` | finds | rows |\n| --- | --- | --- |\n| `{"a": 1}` | `eq` | 1,234 |\n| `a` | b | 1 |\n'
    )

    assert list(counted_filters(page)) == [(3, '{"a": 1}', 1234)]


def test_a_command_is_read_as_the_shell_and_curl_read_it() -> None:
    block = (
        'TOKEN=abc\n# a comment\ncurl -G http://x/a -d b=1 \\\n  --data-urlencode \'c={"d": "$TOKEN"}\' | head -3\n'
        'curl http://x/e -H "Authorization: $TOKEN" -d \'{\n  "f": 1}\'\n'
    )

    first, second = requests(block, {"TOKEN": "abc"})

    assert (first.method, first.url) == ("GET", "http://x/a?b=1&c=%7B%22d%22%3A%20%22%24TOKEN%22%7D")
    assert first.output("1\n2\n3\n4\n") == "1\n2\n3\n"
    assert (second.method, second.data) == ("POST", ['{\n  "f": 1}'])
    assert second.headers == {"Authorization": "abc", "Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "command",
    [
        "curl 'http://x/a?filters={\"b\": 1}'",  # curl would take the braces for a pattern
        "curl -G http://x/a -d 'q=two words'",
        "curl --unknown http://x/a",
        "wget http://x/a",
        'curl http://x/a -H "Authorization: $NOBODY"',
    ],
)
def test_what_would_not_work_as_typed_is_refused(command: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        list(requests(command, {}))


@pytest.mark.parametrize(
    ("shown", "got"),
    [
        ('{"a": 1, …}', {"a": 1, "b": 2}),
        ('{"a": …}', {"a": [1, 2]}),
        ('{"a": …, "b": 2}', {"a": None, "b": 2}),
        ("[1, …]", [1, 2, 3]),
        ('{"a": [{"b": 1, …}, …]}', {"a": [{"b": 1, "c": 2}, {"b": 2}]}),
        ('{"a": "2013-…"}', {"a": "2013-01-01"}),
        ('"Bad request: …"', "Bad request: no"),
        ("{…}", {"a": 1}),
    ],
)
def test_what_is_left_out_may_be_anything(shown: str, got: Any) -> None:
    assert differences(shown_json(shown), got) == []


@pytest.mark.parametrize(
    ("shown", "got"),
    [
        ('{"a": 1}', {"a": 2}),
        ('{"a": 1}', {"b": 1}),
        ('{"a": 1}', {"a": True}),
        ('{"a": 1}', {"a": "1"}),
        ('{"a": {"b": [1, 2]}}', {"a": {"b": [1, 3]}}),
        ("[1, 2]", [1, 2, 3]),
        ("[1, 2, …]", [1]),
        ('{"a": "2013-…"}', {"a": "2014-01-01"}),
        ('{"a": null, …}', {"a": 0}),
    ],
)
def test_what_is_shown_must_be_so(shown: str, got: Any) -> None:
    assert len(differences(shown_json(shown), got)) == 1


def test_text_is_compared_with_gaps() -> None:
    assert text_differences("a,b\n1,…\n…\n", "a,b\n1,2\n3,4\n") == []
    assert text_differences("a,b\n1,2\n", "a,b\n1,2\n3,4\n")
