"""From the tree of a query to SQL: a condition on ``datastore.dataset_search AS entry``, and its order by relevance.

Pure. Whatever the index can answer becomes one ``tsquery``; the rest stands beside it. Everything that a client sent
goes in as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from datastore.catalog.search import fields, lexemes
from datastore.catalog.search.analysis import Analysis, is_prefix, like, literal
from datastore.catalog.search.lexemes import ALWAYS, NEVER, Vector, all_of, any_of, none_of
from datastore.catalog.search.query import datemath
from datastore.catalog.search.query.simple import required
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
)

Condition = Vector | str
"""A condition on the search vector, or one in SQL."""

_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
_NUMBER_SQL = r"'^-?[0-9]{1,30}(\.[0-9]{1,30})?$'"


@dataclass(slots=True)
class Arguments:
    """The arguments of a statement, in the order of ``$1``, ``$2``, …"""

    values: list[Any] = field(default_factory=list)

    def add(self, value: Any) -> str:
        """The placeholder of one more."""
        self.values.append(value)
        return f"${len(self.values)}"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much a word counts in each field; a field that is absent is not searched, unless ``text`` is there."""

    by_field: Mapping[str, float]

    @property
    def narrow(self) -> bool:
        """Only the fields that are named are searched."""
        return fields.ALL_TEXT not in self.by_field

    def ranks(self) -> list[float]:
        """The four weights of ``ts_rank``: of the text (twice), of tags and groups, of name and title."""
        text = self.by_field.get(fields.ALL_TEXT, 0.0)
        tags = max(self.by_field.get(name, text) for name in ("tags", "groups"))
        title = max(self.by_field.get(name, text) for name in ("name", "title"))
        most = max(text, tags, title) or 1.0
        return [text / most, text / most, tags / most, title / most]


DEFAULT_WEIGHTS = Weights({"name": 4, "title": 4, "tags": 2, "groups": 2, "text": 1})


class Planner:
    """Makes the conditions of one search."""

    def __init__(
        self, analysis: Analysis, arguments: Arguments, now: datetime, weights: Weights = DEFAULT_WEIGHTS
    ) -> None:
        self._analysis = analysis
        self._arguments = arguments
        self._now = now
        self._weights = weights

    def where(self, nodes: Sequence[Node]) -> list[str]:
        """The conditions that must all be true, in SQL. Raises :class:`QuerySyntaxError` for a date that is none."""
        whole = self._all([self._condition(node) for node in nodes])
        if isinstance(whole, Vector):
            return [] if whole.always else [self._sql(whole)]
        return [whole]

    def score(self, node: Node) -> str | None:
        """The relevance of a dataset to a query, in SQL; None if all are the same."""
        words: dict[float, list[Vector]] = {}
        self._collect(node, 1.0, words)
        weights = self._arguments.add(self._weights.ranks()) if words else ""
        parts = []
        for factor, vectors in words.items():
            either = any_of(vectors)
            if either.text is not None:
                query = self._arguments.add(either.text)
                parts.append(
                    f"{self._arguments.add(factor)}::float8 * "
                    f"ts_rank({weights}::float4[], entry.head, {query}::tsquery)"
                )
        return " + ".join(parts) or None

    def _collect(self, node: Node, factor: float, words: dict[float, list[Vector]]) -> None:
        match node:
            case Boost(child, by):
                self._collect(child, factor * by, words)
            case And(children) | Or(children) | AtLeast(_, children):
                for child in children:
                    self._collect(child, factor, words)
            case Word(text, name) | Phrase(text, name) if name is None or fields.is_text(name):
                texts = [text, *self._analysis.words.get(node, ())]
                found = [lexemes.word(None, stem) for each in texts for stem, _ in self._analysis.lexemes[each]]
                words.setdefault(factor, []).extend(found)
            case _:
                pass

    def _condition(self, node: Node) -> Condition:
        match node:
            case Everything():
                return ALWAYS
            case Not(child):
                return self._not(self._condition(child))
            case And(children):
                found = [self._condition(child) for child in children if not self._says_nothing(child)]
                return self._all(found) if found else NEVER
            case Or(children):
                return self._any([self._condition(child) for child in children])
            case AtLeast(rule, children):
                found = [self._condition(child) for child in children if not self._says_nothing(child)]
                return self._some(found, required(rule, len(found)))
            case Boost(child, _):
                return self._condition(child)
            case Exists(name):
                return self._exists(name)
            case Word(text, name):
                return self._word(node, text, name)
            case Phrase(text, name, slop):
                return self._phrase(text, name, slop)
            case Pattern(glob, name):
                return self._pattern(node, glob, name)
            case Range():
                return self._range(node)

    def _says_nothing(self, node: Node) -> bool:
        """Nothing is left of a word such as "the", so that it decides nothing among others."""
        match node:
            case Boost(child, _) | Not(child):
                return self._says_nothing(child)
            case And(children) | Or(children) | AtLeast(_, children):
                return all(map(self._says_nothing, children))
            case Word(text, name) | Phrase(text, name) if name is None or fields.is_text(name):
                return not self._analysis.lexemes[text]
            case _:
                return False

    def _exists(self, name: str) -> Condition:
        if name == fields.ALL_TEXT or name in fields.DATES or name in fields.PARTS:
            return ALWAYS
        return lexemes.has_value(name) if fields.may_exist(name) else NEVER

    def _word(self, node: Node, text: str, name: str | None) -> Condition:
        if name is None or fields.is_text(name):
            texts = self._analysis.words.get(node, [text])
            return any_of([self._text(each, name) for each in texts])
        return self._value(text, name)

    def _phrase(self, text: str, name: str | None, slop: int) -> Condition:
        if name is None or fields.is_text(name):
            return self._text(text, name, slop)
        return self._value(text, name)

    def _text(self, text: str, name: str | None, slop: int = 0) -> Vector:
        """The words of the text, one after the other."""
        found = self._analysis.lexemes[text]
        if not found:
            return NEVER
        if name is not None or not self._weights.narrow:
            return _phrase(None if name == fields.ALL_TEXT else name, found, slop)
        return any_of(
            [
                _phrase(each, found, slop) if fields.is_text(each) else lexemes.value(each, text)
                for each in self._weights.by_field
            ]
        )

    def _value(self, text: str, name: str) -> Condition:
        if name in fields.DATES:
            first, after = datemath.parse(text, self._now)
            return self._between(name, first, after)
        if name in fields.PARTS:
            pattern = re.sub(r"([\\%_])", r"\\\1", text)
            return f"entry.{fields.PARTS[name]} ILIKE {self._arguments.add(f'%{pattern}%')}"
        if not fields.may_exist(name):
            return NEVER
        exact = lexemes.value(name, text)
        if fields.is_date(name):
            try:
                return self._any([exact, self._within(name, *datemath.parse(text, self._now))])
            except QuerySyntaxError:
                pass  # text, like that of any other extra
        return exact

    def _pattern(self, node: Node, glob: str, name: str | None) -> Condition:
        if name is None or fields.is_text(name):
            inner = None if name == fields.ALL_TEXT else name
            if not is_prefix(glob):
                words = self._analysis.words[node]
                return any_of([self._text(word, inner) for word in words])
            text = literal(glob)
            folded = self._analysis.folded[text]
            if not folded:
                return NEVER
            stems = [lexemes.word(inner, stem) for stem, _ in self._analysis.lexemes[text]]
            *before, last = folded
            # A stem may be shorter than what was typed: "historic" is found as "histor", also by "histori*".
            others = [self._text(word, inner) for word in self._analysis.words[node]]
            whole = [*stems[len(before) :], *others]
            return all_of([*stems[: len(before)], any_of([lexemes.word(inner, last, prefix=True), *whole])])
        if name in fields.PARTS:
            return f"entry.{fields.PARTS[name]} ILIKE {self._arguments.add(like(glob))}"
        if not fields.may_exist(name):
            return NEVER
        start = lexemes.value_prefix(name, literal(glob)) if literal(glob) else lexemes.has_value(name)
        if is_prefix(glob) and len(literal(glob)) <= 200:
            return start
        return self._all([start, self._any_value(name, f"value LIKE {self._arguments.add(like(glob))}")])

    def _any_value(self, name: str, condition: str) -> str:
        values = f"jsonb_array_elements_text(entry.fields -> {self._arguments.add(name)}::text)"
        return f"EXISTS (SELECT FROM {values} AS value WHERE {condition})"

    def _between(self, name: str, first: datetime | None, after: datetime | None) -> Condition:
        parts = []
        if first is not None:
            parts.append(f"entry.{name} >= {self._arguments.add(first)}::timestamp")
        if after is not None:
            parts.append(f"entry.{name} < {self._arguments.add(after)}::timestamp")
        return f"({' AND '.join(parts)})" if parts else ALWAYS

    def _within(self, name: str, first: datetime | None, after: datetime | None) -> Condition:
        """An extra is a date from ``first`` on and before ``after``, of which one may be None."""
        parts = []
        for moment, operator in ((first, ">="), (after, "<")):
            if moment is not None:
                parts.append(f"datastore.search_date(value) {operator} {self._arguments.add(moment)}::timestamp")
        return self._all([lexemes.has_value(name), self._any_value(name, " AND ".join(parts))])

    def _ends(self, node: Range) -> tuple[datetime | None, datetime | None]:
        """The first moment of a range and the first one after it. Raises :class:`QuerySyntaxError`."""
        low = None if node.low is None else datemath.parse(node.low, self._now)
        high = None if node.high is None else datemath.parse(node.high, self._now)
        return (
            None if low is None else low[not node.includes_low],
            None if high is None else high[node.includes_high],
        )

    def _range(self, node: Range) -> Condition:
        name = node.field or fields.ALL_TEXT
        if name in fields.DATES:
            return self._between(name, *self._ends(node))
        if not fields.may_exist(name) or name == fields.ALL_TEXT:
            return NEVER
        ends = [end for end in (node.low, node.high) if end is not None]
        if ends and fields.is_date(name):
            try:
                return self._within(name, *self._ends(node))
            except QuerySyntaxError:
                pass  # compared as text, like any other extra
        numeric = all(_NUMBER.fullmatch(end) for end in ends)
        parts = []
        for end, operator in (
            (node.low, ">=" if node.includes_low else ">"),
            (node.high, "<=" if node.includes_high else "<"),
        ):
            if end is None:
                continue
            if numeric:
                parts.append(
                    f"CASE WHEN value ~ {_NUMBER_SQL} THEN value::numeric {operator} "
                    f"{self._arguments.add(end)}::text::numeric ELSE false END"
                )
            else:
                parts.append(f'value COLLATE "C" {operator} {self._arguments.add(self._comparable(end))}')
        return self._all([lexemes.has_value(name), self._any_value(name, " AND ".join(parts))])

    def _comparable(self, end: str) -> str:
        """Dates in extras are compared as text, as ISO 8601 can be."""
        if end.startswith("NOW") or (datemath.looks_like_date(end) and "/" in end):
            return datemath.parse(end, self._now)[0].isoformat(timespec="seconds")
        return end.removesuffix("Z") if datemath.looks_like_date(end) else end

    # Conditions together. Those on the vector stay one as long as they can.

    def _sql(self, condition: Condition) -> str:
        if isinstance(condition, str):
            return condition
        if condition.text is None:
            return "true" if condition.blank else "false"
        return f"entry.document @@ {self._arguments.add(lexemes.indexed(condition))}::tsquery"

    def _joined(
        self, conditions: Sequence[Condition], join: Callable[[Sequence[Vector]], Vector], operator: str
    ) -> Condition:
        vector = join([condition for condition in conditions if isinstance(condition, Vector)])
        others = [condition for condition in conditions if isinstance(condition, str)]
        if not others:
            return vector
        ends_it = vector.never if operator == "AND" else vector.always
        if ends_it:
            return vector
        parts = others if vector.text is None else [self._sql(vector), *others]
        return parts[0] if len(parts) == 1 else f"({f' {operator} '.join(parts)})"

    def _all(self, conditions: Sequence[Condition]) -> Condition:
        return self._joined(conditions, all_of, "AND")

    def _any(self, conditions: Sequence[Condition]) -> Condition:
        return self._joined(conditions, any_of, "OR")

    def _not(self, condition: Condition) -> Condition:
        return none_of(condition) if isinstance(condition, Vector) else f"NOT ({condition})"

    def _some(self, conditions: Sequence[Condition], count: int) -> Condition:
        """At least ``count`` of them. Where that is too much for one condition, they are counted, but only in datasets
        that have all of one part: of ``n`` words in ``m + 1`` parts, ``m`` missing ones leave one part whole."""
        if not conditions:
            return NEVER
        vectors = [condition for condition in conditions if isinstance(condition, Vector)]
        if len(vectors) < len(conditions):
            truths = " + ".join(f"({self._sql(condition)})::int" for condition in conditions)
            return f"({truths} >= {self._arguments.add(count)})"
        whole = lexemes.some_of(vectors, count)
        if whole is not None:
            return whole
        missing = len(vectors) - count
        parts = any_of([all_of(vectors[start :: missing + 1]) for start in range(missing + 1)])
        each = self._arguments.add([lexemes.indexed(vector) for vector in vectors if vector.text is not None])
        counted = f"(SELECT count(*) FROM unnest({each}::text[]::tsquery[]) AS one WHERE entry.document @@ one)"
        return f"({self._sql(parts)} AND {counted} >= {self._arguments.add(count)})"


def _phrase(name: str | None, words: Sequence[tuple[str, int]], slop: int) -> Vector:
    return lexemes.near(name, words, slop) if slop and len(words) > 1 else lexemes.phrase(name, words)
