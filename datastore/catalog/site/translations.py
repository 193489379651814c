"""Translations of terms: of titles, tags, descriptions, whatever people wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Problems, required_text, short_text

# The hash finds the term, of any length, by the index.
_FIND = """
    SELECT translation.term, translation.lang_code, translation.term_translation
    FROM datastore.term_translations AS translation
    WHERE translation.term_hash = ANY (SELECT md5(wanted.term) FROM unnest($1::text[]) AS wanted (term))
          AND translation.term = ANY ($1::text[])
          AND ($2::text[] IS NULL OR translation.lang_code = ANY ($2::text[]))
    ORDER BY translation.term COLLATE "C", translation.lang_code COLLATE "C"
"""

_SAVE = """
    INSERT INTO datastore.term_translations (term, lang_code, term_translation)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (term, lang_code, term_translation)
    ORDER BY wanted.term, wanted.lang_code
    ON CONFLICT (term_hash, lang_code) DO UPDATE
    SET term = excluded.term, term_translation = excluded.term_translation
"""


async def find_translations(
    pool: asyncpg.Pool, terms: Sequence[str], languages: Sequence[str] | None
) -> list[dict[str, str]]:
    """The translations of these terms into these languages, or into all."""
    return [dict(row) for row in await pool.fetch(_FIND, terms, languages)]


async def save_translations(tx: Transaction, items: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Write ``{term, term_translation, lang_code}``, all or none, and give them. Of several for one term and language
    the last one holds.

    Raises :class:`ValidationError` with a list of problems, one entry an item, as ``data``.
    """
    problems = [Problems() for _ in items]
    saved = [_checked(problem, item) for problem, item in zip(problems, items, strict=True)]
    if any(problem.fields for problem in problems):
        raise ValidationError({"data": [problem.fields for problem in problems]})
    distinct = {(item["term"], item["lang_code"]): item["term_translation"] for item in saved}
    await tx.connection.execute(
        _SAVE, [term for term, _ in distinct], [code for _, code in distinct], list(distinct.values())
    )
    return saved


def _checked(problems: Problems, data: Mapping[str, Any]) -> dict[str, str]:
    checked = {
        field: problems.check(field, required_text, data.get(field), "")
        for field in ("term", "term_translation", "lang_code")
    }
    problems.check("lang_code", short_text, checked["lang_code"], None)
    return checked
