"""Snippets: where the words of a query stand in the text columns of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier, literal
from datastore.tables.names import printable
from datastore.tables.reading import fulltext
from datastore.tables.reading.matching import Matched
from datastore.tables.schema import Column, TableSchema
from datastore.tables.types import TEXT

COLUMN = Column("_highlight", "json", "json")
"""The column of the result: an object, snippet by column, of those columns in which something was found."""

START, STOP = "<mark>", "</mark>"
_MARKS = f"StartSel={START}, StopSel={STOP}"
_WHOLE = f"{_MARKS}, HighlightAll=true"
_FRAGMENTS = f'{_MARKS}, MaxFragments=2, MinWords=10, MaxWords=30, FragmentDelimiter=" … "'

SHORT = 200
"""Texts up to this many characters are shown whole."""


@dataclass(frozen=True, slots=True)
class Snippets:
    """How to make them: from ``sources``, expressions over the table ``t`` that the page must give, by name."""

    sources: dict[str, str]
    sql: str


def plan(highlight: bool | Sequence[str], schema: TableSchema, matched: Matched) -> Snippets | None:
    """Snippets of all text columns (True) or of the named ones; None if there is nothing to highlight.

    Raises :class:`ValidationError` ``highlight`` for an unknown column.
    """
    if highlight is False or not matched.queries:
        return None
    names = [column.name for column in schema.columns if column.type in TEXT] if highlight is True else highlight
    sources, parts = {}, []
    for number, name in enumerate(names):
        column = schema.by_name.get(name)
        if column is None:
            raise ValidationError({"highlight": [f'invalid value "{printable(name)}"']})
        query = matched.queries.get(name) or matched.queries.get("")
        if query is None:
            continue
        source = f"__text{number}"
        sources[source] = f"left({fulltext.column_text(column, 't')}, {fulltext.MAX_CHARACTERS})"
        parts.append(f"({literal(name)}, {_headline(f'page.{identifier(source)}', query, schema.language)})")
    if not parts:
        return None
    return Snippets(
        sources,
        "(SELECT coalesce(json_object_agg(name, snippet), '{}')"
        f" FROM (VALUES {', '.join(parts)}) AS found (name, snippet) WHERE strpos(snippet, {literal(START)}) > 0)",
    )


def _headline(text: str, query: str, language: str) -> str:
    """A snippet that is safe as HTML: the text is escaped, the marks are ours."""
    escaped = f"replace(replace(replace({text}, '&', '&amp;'), '<', '&lt;'), '>', '&gt;')"
    options = f"CASE WHEN length({text}) <= {SHORT} THEN {literal(_WHOLE)} ELSE {literal(_FRAGMENTS)} END"
    return f"ts_headline({fulltext.configuration(language)}, {escaped}, {query}, {options})"
