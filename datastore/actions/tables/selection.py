"""Which rows of a table: the parameters that searches, dumps and statistics share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field

from datastore.actions.parameters import Boolean, Json, OfResource, RequiredText, Text, invalid
from datastore.tables.reading.matching import Match


def _query(value: Any) -> Any:
    """An object as it is; text that is a JSON object becomes it; anything else is text."""
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
        return decoded if isinstance(decoded, dict) else value
    if value is None or isinstance(value, dict):
        return value
    return json.dumps(value) if isinstance(value, list) else str(value)


def _similar(value: Any) -> Any:
    decoded = _query(value)
    if decoded is not None and not isinstance(decoded, dict):
        raise invalid("Must be an object of column: text")
    return decoded


Query = Annotated[Any, BeforeValidator(_query)]


class Selection(OfResource):
    """Which rows of a table."""

    resource_id: RequiredText = Field(description="Id or alias of the table; `id` means the same.")
    filters: Json = Field(
        None, description='Conditions: an object of column: value, list or operators (`{"gte": 1}`), or a list of such.'
    )
    q: Query = Field(None, description="Full text: words to find anywhere in a row, or an object of column: words.")
    full_text: Text = Field(None, description="Words to find anywhere in a row, beside `q` by column.")
    plain: Boolean = Field(True, description="False: `q` is in PostgreSQL's query language (`&`, `|`, `!`, `word:*`).")
    websearch: Boolean = Field(
        False, description='`q` as in a web search engine: `"a phrase"`, `or`, `-without`; instead of `plain`.'
    )
    language: Text = Field(None, description="Text-search configuration of `q`; the table's own if not given.")
    similar: Annotated[dict[str, Any] | None, BeforeValidator(_similar)] = Field(
        None, description="Fuzzy search: an object of column: text. The column needs an index of type trigram."
    )

    def match(self) -> Match:
        """The selection as the engine takes it."""
        syntax = "web" if self.websearch else "plain" if self.plain else "query"
        return Match(self.filters, self.q, self.full_text or None, self.similar, syntax, self.language or None)
