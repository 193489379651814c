"""Did you mean …? A query in words, with those that nothing has replaced by similar words that something has.

"Something" is a dataset that the asker may see: the words come from all datasets, and none is told before such a
dataset was found that has it, letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from datastore.accounts.actor import Actor
from datastore.catalog.search.analysis import analyse, similar_words
from datastore.catalog.search.lexemes import phrase
from datastore.catalog.search.plan import Arguments
from datastore.catalog.search.query import simple
from datastore.catalog.search.query.tree import Node, Word
from datastore.catalog.search.visible import Scope, visible

_WORD = re.compile(r'[^\s"+*-][^\s"*]{2,39}')
_MOST_WORDS = 8
_MOST_CANDIDATES = 10


async def better(
    connection: asyncpg.Connection,
    actor: Actor,
    scope: Scope,
    text: str,
    min_match: str,
    count: int,
    finds: Callable[[Node], Awaitable[bool]],
) -> str | None:
    """The text with similar words, if that finds anything; None if no word is wrong, or none is similar.

    ``count`` is what the text as it is has found; ``finds`` tells whether another query, with the same filters, would.
    """
    words = list(dict.fromkeys(_WORD.findall(text)))[:_MOST_WORDS]
    analysis = await analyse(connection, [Word(word) for word in words])
    words = [word for word in words if analysis.lexemes[word]]
    if count and simple.required(min_match, len(words)) >= len(words):
        return None  # every word was found
    changed = text
    for word in words:
        if await _anywhere(connection, actor, scope, phrase(None, analysis.lexemes[word]).text, None):
            continue
        other = await _similar(connection, actor, scope, analysis.folded[word])
        if other is not None:
            changed = re.sub(rf"(?<![^\s\"+*-]){re.escape(word)}(?![^\s\"*])", other, changed)
    if changed == text or not await finds(simple.parse(changed)):
        return None
    return changed


async def _similar(connection: asyncpg.Connection, actor: Actor, scope: Scope, folded: Sequence[str]) -> str | None:
    """The nearest word that a dataset has which the actor may see."""
    if len(folded) != 1:
        return None
    near = await similar_words(connection, folded[0], 1 if len(folded[0]) <= 4 else 2)
    candidates = [other for other in near if other != folded[0]][:_MOST_CANDIDATES]
    for other in candidates:
        stems = (await analyse(connection, [Word(other)])).lexemes[other]
        if stems and await _anywhere(connection, actor, scope, phrase(None, stems).text, other):
            return other
    return None


async def _anywhere(
    connection: asyncpg.Connection, actor: Actor, scope: Scope, query: str | None, word: str | None
) -> bool:
    """Any visible dataset matches the vector condition and has the word as it is written."""
    if query is None:
        return False
    arguments = Arguments()
    conditions = [*visible(actor, scope, arguments), f"entry.document @@ {arguments.add(query)}::tsquery"]
    if word is not None:
        conditions.append(f"strpos(entry.words, {arguments.add(f' {word} ')}) > 0")
    statement = f"SELECT EXISTS (SELECT FROM datastore.dataset_search AS entry WHERE {' AND '.join(conditions)})"
    return bool(await connection.fetchval(statement, *arguments.values))
