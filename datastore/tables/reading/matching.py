"""Which rows a request is about: filters and full text → one WHERE clause, with the ranks that it makes available.

Shared by everything that looks at a selection of rows: search, dumps, aggregates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datastore.errors import ValidationError
from datastore.postgres.quoting import identifier
from datastore.tables.names import printable
from datastore.tables.reading import filters as filtering
from datastore.tables.reading import fulltext
from datastore.tables.reading.filters import Arguments
from datastore.tables.schema import ID_COLUMN, Column, TableSchema

NORMALIZATION = 32
"""ts_rank's option that scales a rank to 0..1: rank / (rank + 1)."""

_FUNCTIONS = {"plain": "plainto_tsquery", "query": "to_tsquery", "web": "websearch_to_tsquery"}
_LANGUAGE = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Match:
    """What rows must be like. An empty one fits every row."""

    filters: Any = None
    """datastore-api.md §7: an object, or a list of objects."""
    q: str | Mapping[str, Any] | None = None
    """Full text of whole rows, or by column."""
    full_text: str | None = None
    """Full text of whole rows; together with ``q`` both must fit."""
    similar: Mapping[str, Any] | None = None
    """Texts by column that some part of its text must resemble; the column needs a trigram index."""
    syntax: str = "plain"
    """How the texts are read: ``plain`` words, ``query`` language of PostgreSQL, or ``web`` search syntax."""
    language: str | None = None
    """Text-search configuration of the texts; the table's own if None."""


@dataclass(slots=True)
class Matched:
    """The planned selection."""

    where: str = ""
    """A condition over the table's columns, which stand under the name ``t``; empty if every row fits."""
    ranks: dict[str, str] = field(default_factory=dict)
    """Rank expressions (0..1, real) by the name of their output column: ``rank``, ``rank <column>``,
    ``similarity <column>``."""
    queries: dict[str, str] = field(default_factory=dict)
    """The tsquery expression by column name; under ``""`` the one for whole rows."""


def plan(match: Match, schema: TableSchema, arguments: Arguments) -> Matched:
    """Write the condition. Raises :class:`ValidationError` naming ``filters``, ``q`` or ``full_text``, or ``query``
    for a language that cannot be one."""
    conditions = [] if match.filters is None else [filtering.plan(match.filters, schema, arguments)]
    matched = Matched()
    _full_text(match, schema, arguments, conditions, matched)
    _similar(match, schema, arguments, conditions, matched)
    matched.where = " AND ".join(condition for condition in conditions if condition)
    return matched


def _full_text(
    match: Match, schema: TableSchema, arguments: Arguments, conditions: list[str | None], matched: Matched
) -> None:
    language = match.language or schema.language
    if not _LANGUAGE.fullmatch(language):
        reason = f'text search configuration "{printable(language)}" does not exist'
        raise ValidationError({"query": ["Invalid query"], "info": {"orig": [reason]}})
    config = fulltext.configuration(language)

    def query(parameter: str, text: str) -> str:
        if "\0" in text or printable(text) != text:
            raise ValidationError({parameter: ["invalid characters"]})
        return f"{_FUNCTIONS[match.syntax]}({config}, {arguments.add(text)}::text)"

    rows = {"q": match.q if isinstance(match.q, str) else None, "full_text": match.full_text}
    whole = [query(parameter, text) for parameter, text in rows.items() if text]
    if whole:
        vector = fulltext.vector(schema.columns, schema.language)
        conditions.extend(f"{vector} @@ {text}" for text in whole)
        matched.queries[""] = f"({' && '.join(whole)})"
        matched.ranks["rank"] = _rank(vector, matched.queries[""])
    for name, text in match.q.items() if isinstance(match.q, Mapping) else ():
        column = schema.by_name.get(name)
        if column is None or column is ID_COLUMN or not isinstance(text, str):
            raise ValidationError({"q": [f'invalid value "{printable(name)}"']})
        if not text:
            continue
        matched.queries[name] = query("q", text)
        vector = column_vector(column, config)
        if match.syntax == "plain" and language == schema.language:
            # What a column contains its row contains, and that has an index.
            conditions.append(f"{fulltext.vector(schema.columns, language)} @@ {matched.queries[name]}")
        conditions.append(f"{vector} @@ {matched.queries[name]}")
        matched.ranks[f"rank {name}"] = _rank(vector, matched.queries[name])


def _similar(
    match: Match, schema: TableSchema, arguments: Arguments, conditions: list[str | None], matched: Matched
) -> None:
    """Trigram similarity of a text with the most similar part of a column's text (pg_trgm: at least 0.6)."""
    for name, text in (match.similar or {}).items():
        column = schema.by_name.get(name)
        if column is None or not isinstance(text, str) or "\0" in text or printable(text) != text:
            raise ValidationError({"similar": [f'invalid value "{printable(name)}"']})
        if name not in schema.trigram:
            raise ValidationError({"similar": [f'"{printable(name)}" has no index of type trigram']})
        wanted, found = f"{arguments.add(text)}::text", f"t.{identifier(name)}"
        conditions.append(f"{wanted} OPERATOR(datastore.<%) {found}")
        matched.ranks[f"similarity {name}"] = f"datastore.word_similarity({wanted}, {found})"


def column_vector(column: Column, configuration: str) -> str:
    """The search vector of one column."""
    text = f"left(coalesce({fulltext.column_text(column)}, ''), {fulltext.MAX_CHARACTERS})"
    return f"to_tsvector({configuration}, {text})"


def _rank(vector: str, query: str) -> str:
    return f"ts_rank({vector}, {query}, {NORMALIZATION})"
