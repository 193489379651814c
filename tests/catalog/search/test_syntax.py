"""The two languages of queries, without a database."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.catalog.search import lexemes
from datastore.catalog.search.analysis import distance, is_prefix, like, literal
from datastore.catalog.search.query import lucene, simple
from datastore.catalog.search.query.tree import (
    And,
    AtLeast,
    Boost,
    Everything,
    Exists,
    Node,
    Not,
    Or,
    Pattern,
    Phrase,
    QuerySyntaxError,
    Range,
    Word,
    to_text,
)
from datastore.catalog.search.run import parse_query

A, B, C = Word("a"), Word("b"), Word("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        ("  ", Everything()),
        ("*:*", Everything()),
        ("*", Everything()),
        ("a", A),
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a && b", And((A, B))),
        ("a OR b", Or((A, B))),
        ("a || b", Or((A, B))),
        ("a b OR c", Or((And((A, B)), C))),
        ("a OR b AND c", Or((A, And((B, C))))),
        ("(a OR b) c", And((Or((A, B)), C))),
        ("NOT a", Not(A)),
        ("!a", Not(A)),
        ("-a", Not(A)),
        ("- a", Not(A)),
        ("NOT NOT a", A),
        ("+a -b", And((A, Not(B)))),
        ("+a b", And((A, B))),
        ("a OR +b", B),
        ("+a OR +b OR c", And((A, B))),
        ("*:* NOT a", And((Everything(), Not(A)))),
        ("title:a", Word("a", "title")),
        ("title: a", Word("a", "title")),
        ('title:"two words"', Phrase("two words", "title")),
        ("title:(a OR b)", Or((Word("a", "title"), Word("b", "title")))),
        ("title:(a notes:b)", And((Word("a", "title"), Word("b", "notes")))),
        ("name:foo*", Pattern("foo*", "name")),
        ("f?o", Pattern("f?o")),
        (r"foo\*", Word("foo*")),
        ("tags:*", Exists("tags")),
        ("-tags:*", Not(Exists("tags"))),
        ("-tags:[* TO *]", Not(Exists("tags"))),
        ("n:[1 TO 5]", Range("n", "1", "5")),
        ("n:{1 TO 5]", Range("n", "1", "5", False, True)),
        ("n:{1 TO *}", Range("n", "1", None, False, False)),
        ('n:["a b" TO c]', Range("n", "a b", "c")),
        (
            "metadata_modified:[2026-01-01T00:00:00Z TO NOW-7DAYS/DAY]",
            Range("metadata_modified", "2026-01-01T00:00:00Z", "NOW-7DAYS/DAY"),
        ),
        ("a^2", Boost(A, 2.0)),
        ("(a b)^0.5", Boost(And((A, B)), 0.5)),
        ("a~", Word("a", None, 2)),
        ("a~1", Word("a", None, 1)),
        ("a~0.8", Word("a", None, 1)),
        ('"a b"~3', Phrase("a b", None, 3)),
        ('"a b"~3^2', Boost(Phrase("a b", None, 3), 2.0)),
        (r"a\:b", Word("a:b")),
        (r'"say \"a\""', Phrase('say "a"')),
        ("url:http://example.org/a", Word("http://example.org/a", "url")),
        ("a-b+c", Word("a-b+c")),
        ("ORDER", Word("ORDER")),
        ("a&b|c", Word("a&b|c")),
        ("organization:a OR organization:b", Or((Word("a", "organization"), Word("b", "organization")))),
        ('+owner_org:"id"', Phrase("id", "owner_org")),
    ],
)
def test_lucene(text: str, tree: Node) -> None:
    assert lucene.parse(text) == tree


@pytest.mark.parametrize(
    "text",
    ["(", ")", "(a", "a)", '"a', "a AND", "AND a", "a OR", "OR", "NOT", "a &&", "title:", "[a TO b]x]", "n:[a TO",
     "n:[a b]", "a^", "a^x", "()", "a AND OR b", "n:[TO]", "^2", "~", "a ~1", ":a", "n:}", "\\"],
)  # fmt: skip
def test_what_is_no_query(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        lucene.parse(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 1000 + "a" + ")" * 1000, " ".join(["a"] * 2000), "a" * 200_000, "NOT " * 500 + "a"],
    ids=["deep", "many", "long", "negated"],
)
def test_queries_have_limits(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        lucene.parse(text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        ("a", AtLeast(simple.MIN_MATCH, (A,))),
        ('a "b c"', AtLeast(simple.MIN_MATCH, (A, Phrase("b c")))),
        ("+a -b", And((A, Not(B)))),
        ("a +b", And((AtLeast(simple.MIN_MATCH, (A,)), B))),
        ('"not closed', AtLeast(simple.MIN_MATCH, (Phrase("not closed"),))),
        ("wat*", AtLeast(simple.MIN_MATCH, (Pattern("wat*"),))),
        ("(a)", AtLeast(simple.MIN_MATCH, (Word("(a)"),))),
        ("- + *", Everything()),
        ('""', Everything()),
    ],
)
def test_simple(text: str, tree: Node) -> None:
    assert simple.parse(text) == tree


def test_a_colon_makes_the_difference() -> None:
    assert parse_query("a OR b")[1] is True
    assert parse_query("title:a OR b") == (Or((Word("a", "title"), B)), False)
    for nothing in ("", '""', "''", "*"):
        assert parse_query(nothing) == (Everything(), False)


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (simple.MIN_MATCH, {1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 10: 8}),
        ("2", {1: 1, 3: 2}),
        ("-1", {1: 0, 3: 2}),
        ("75%", {4: 3, 5: 3}),
        ("-25%", {4: 3, 5: 4}),
        ("3<90%", {3: 3, 10: 9}),
        ("nonsense", {4: 4}),
    ],
)
def test_how_many_words_must_be_found(rule: str, counts: dict[int, int]) -> None:
    assert {count: simple.required(rule, count) for count in counts} == counts


# Texts from the signs of the language are more often queries, or nearly.
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='ab:*?~^"()[]{}+-!&|\\ /.2', max_size=40),
    st.lists(
        st.sampled_from(
            ["a", "title:", "(", ")", '"', "AND", "OR", "NOT", "[1 TO 2]", "*", "~2", "^3", "+", "-", "&&"]
        ),
        max_size=20,
    ).map(" ".join),
)


@given(TEXTS)
def test_any_text_is_a_query_or_refused(text: str) -> None:
    simple.parse(text)
    try:
        tree = lucene.parse(text)
    except QuerySyntaxError:
        return
    assert lucene.parse(to_text(tree)) == tree


_FIELDS = st.none() | st.sampled_from(["title", "tags", "extras_x-y", "a b", "OR"])
_WORDS = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() == text)
_ENDS = st.none() | st.text(max_size=6)
_LEAVES = st.one_of(
    st.just(Everything()),
    st.builds(Word, _WORDS, _FIELDS, st.integers(0, 2)),
    st.builds(Phrase, st.text(max_size=12), _FIELDS, st.integers(0, lucene.MAX_SLOP)),
    st.builds(Exists, st.sampled_from(["title", "tags"])),
    st.builds(Range, st.just("n"), _ENDS, st.text(max_size=6), st.booleans(), st.booleans()),
)
_TREES: st.SearchStrategy[Node] = st.recursive(
    _LEAVES,
    lambda children: st.one_of(
        st.builds(lambda child: child.child if isinstance(child, Not) else Not(child), children),
        st.lists(children, min_size=2, max_size=4).map(lambda nodes: And(tuple(nodes))),
        st.lists(children, min_size=2, max_size=4).map(lambda nodes: Or(tuple(nodes))),
        st.builds(Boost, children, st.sampled_from([0.5, 2.0, 10.0])),
    ),
    max_leaves=12,
)


@given(_TREES)
def test_a_tree_is_its_text(tree: Node) -> None:
    assert lucene.parse(to_text(tree)) == tree


def test_words_in_words_only_have_no_text() -> None:
    with pytest.raises(ValueError, match="words"):
        to_text(simple.parse("a b"))


def test_patterns() -> None:
    assert (is_prefix("a*"), is_prefix("*"), is_prefix("a*b"), is_prefix(r"a\**"), is_prefix("a?")) == (
        True,
        False,
        False,
        True,
        False,
    )
    assert literal(r"a\*b*c") == "a*b"
    assert like(r"100%_a?b\?*") == r"100\%\_a_b?%"


@given(st.text(alphabet="abc", max_size=6), st.text(alphabet="abc", max_size=6))
def test_distance(first: str, second: str) -> None:
    away = distance(first, second, 9)
    assert away == distance(second, first, 9)
    assert (away == 0) is (first == second)
    assert abs(len(first) - len(second)) <= away <= max(len(first), len(second))
    assert min(away, 2) == min(distance(first, second, 1), 2)


def test_neighbours_that_changed_places_are_one_step() -> None:
    assert distance("water", "wtaer", 2) == 1


# Conditions on the vector, against what they say


@given(st.data())
def test_conditions_say_what_they_mean(data: st.DataObject) -> None:
    """``blank`` tells whether a vector without lexemes matches; the rest PostgreSQL decides, in the other tests."""
    names = string.ascii_lowercase[:4]
    leaf = st.sampled_from(
        [(lexemes.lexeme(name), False) for name in names] + [(lexemes.ALWAYS, True), (lexemes.NEVER, False)]
    )

    def combine(
        children: st.SearchStrategy[tuple[lexemes.Vector, bool]],
    ) -> st.SearchStrategy[tuple[lexemes.Vector, bool]]:
        several = st.lists(children, min_size=1, max_size=4)
        return st.one_of(
            children.map(lambda one: (lexemes.none_of(one[0]), not one[1])),
            several.map(lambda many: (lexemes.all_of([one[0] for one in many]), all(one[1] for one in many))),
            several.map(lambda many: (lexemes.any_of([one[0] for one in many]), any(one[1] for one in many))),
        )

    vector, expected = data.draw(st.recursive(leaf, combine, max_leaves=8))
    assert vector.blank is expected
