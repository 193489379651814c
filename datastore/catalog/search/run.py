"""One search: what is asked, and what is found, counted and suggested, all from one snapshot of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

from datastore.accounts.actor import Actor
from datastore.catalog import dates
from datastore.catalog.datasets.rows import Dataset, load_datasets
from datastore.catalog.search import facets, fields, sorting, suggest
from datastore.catalog.search.analysis import Analysis, analyse
from datastore.catalog.search.facets import NOTHING, Counts, FacetValues, Wanted
from datastore.catalog.search.plan import DEFAULT_WEIGHTS, Arguments, Planner, Weights
from datastore.catalog.search.query import lucene, simple
from datastore.catalog.search.query.tree import Everything, Node, QuerySyntaxError
from datastore.catalog.search.remembered import Counted, Remembered, key_of, state_of
from datastore.catalog.search.visible import PUBLIC_ONLY, Scope, visible
from datastore.errors import SearchError
from datastore.postgres.translate import about_input

_FEW = 100
"""So many times as many as a page shows are few enough to be found first, and put in order then."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked. ``box`` is west, south, east, north."""

    query: str = ""
    filters: Sequence[str] = ()
    start: int = 0
    rows: int = 10
    sort: str | None = None
    scope: Scope = PUBLIC_ONLY
    facets: Wanted = NOTHING
    fields: Sequence[str] | None = None
    weights: Weights = DEFAULT_WEIGHTS
    min_match: str = simple.MIN_MATCH
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a worker remembers from search to search."""

    values: FacetValues = field(default_factory=FacetValues)
    counts: Remembered = field(default_factory=Remembered)


@dataclass(slots=True)
class Found:
    """What is found: datasets, or ``partial`` ones if the search names fields."""

    count: int
    sort: str
    datasets: list[Dataset] = field(default_factory=list)
    partial: list[dict[str, object]] = field(default_factory=list)
    facets: Counts = field(default_factory=dict)
    described: dict[str, dict[str, object]] = field(default_factory=dict)
    suggestion: str | None = None


async def search(pool: asyncpg.Pool, actor: Actor, asked: Search, memory: Memory, limit: float) -> Found:
    """Search the datasets that the actor may see, no statement longer than ``limit`` seconds.

    Raises :class:`SearchError` for a query that cannot be understood, :class:`SearchQueryError` for an order.
    """
    terms = sorting.parse(asked.sort)
    try:
        query, in_words = parse_query(asked.query, asked.min_match)
        filters = [lucene.parse(text) for text in asked.filters]
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {int(limit * 1000)}")
            running = _Running(connection, actor, asked, filters)
            return await running.run(query, in_words, terms, memory)
    except QuerySyntaxError as error:
        raise SearchError(f"Search error: {str(error)!r}") from None
    except asyncpg.QueryCanceledError:
        raise SearchError("Search error: 'The search took too long'") from None
    except asyncpg.PostgresError as error:
        if not about_input(error):
            raise
        raise SearchError("Search error: 'The query is too complex'") from None


def parse_query(text: str, min_match: str = simple.MIN_MATCH) -> tuple[Node, bool]:
    """The tree of a ``q``, and whether it is one in plain words. Raises :class:`QuerySyntaxError`."""
    if text.strip() in ("", '""', "''", "*"):
        return Everything(), False
    if ":" in text:
        return lucene.parse(text), False
    return simple.parse(text, min_match), True


class _Running:
    """A search within its transaction."""

    def __init__(self, connection: asyncpg.Connection, actor: Actor, asked: Search, filters: Sequence[Node]) -> None:
        self._connection = connection
        self._actor = actor
        self._asked = asked
        self._filters = filters
        self._now = dates.now()

    async def run(self, query: Node, in_words: bool, terms: list[tuple[str, str]], memory: Memory) -> Found:
        asked = self._asked
        analysis = await analyse(self._connection, [query, *self._filters])
        arguments = Arguments()
        where = self._where(query, analysis, arguments)
        if "entry.document @@" in where:
            # The planner does not count what it costs to read the long column of every row; the index need not.
            await self._connection.execute("SET LOCAL enable_seqscan = off")
        found = Found(0, sorting.shown(terms))
        counted = await self._counted(where, arguments, memory)
        found.count, found.facets = counted.count, counted.facets
        found.described = await facets.described(self._connection, found.facets)
        if found.count > asked.start and asked.rows:
            score = Planner(analysis, arguments, self._now, asked.weights).score(query)
            await self._page(where, score, arguments, terms, found)
        if in_words:
            found.suggestion = await self._suggestion(analysis, found.count)
        return found

    def _where(self, query: Node, analysis: Analysis, arguments: Arguments) -> str:
        """What may be seen, and matches the query and all filters."""
        conditions = visible(self._actor, self._asked.scope, arguments)
        conditions += Planner(analysis, arguments, self._now, self._asked.weights).where([query, *self._filters])
        if self._asked.box is not None:
            west, south, east, north = (f"{arguments.add(number)}::float8" for number in self._asked.box)
            conditions.append(
                f"entry.bounds[1] <= {east} AND entry.bounds[3] >= {west}"
                f" AND entry.bounds[2] <= {north} AND entry.bounds[4] >= {south}"
            )
        return " AND ".join(conditions) or "true"

    async def _counted(self, where: str, arguments: Arguments, memory: Memory) -> Counted:
        """The counts, remembered or not. What depends on who asks is always counted."""
        if self._asked.scope.beyond_public:
            return await self._count(where, arguments, memory.values)
        key = key_of(where, arguments.values, self._asked.facets)
        state = await state_of(self._connection)
        known = memory.counts.get(key, state)
        if known is None:
            known = await self._count(where, arguments, memory.values)
            memory.counts.put(key, state, known)
        return known

    async def _count(self, where: str, arguments: Arguments, remembered: FacetValues) -> Counted:
        wanted = self._asked.facets
        codes = "string_agg(entry.facets, ''::bytea)" if wanted.by_code else "NULL::bytea"
        statement = f"SELECT count(*), {codes} FROM datastore.dataset_search AS entry WHERE {where}"
        count, strung = await self._connection.fetchrow(statement, *arguments.values)
        found: Counts = {}
        by_code = await facets.count_codes(self._connection, remembered, strung or b"", wanted)
        for name in wanted.fields:
            if name in by_code:
                found[name] = by_code[name]
            elif count:
                found[name] = await facets.count_values(self._connection, name, where, arguments.values, wanted)
            else:
                found[name] = {}
        return Counted(count, found)

    async def _page(
        self, where: str, score: str | None, arguments: Arguments, terms: list[tuple[str, str]], found: Found
    ) -> None:
        order = sorting.order_by(terms, "score" if score else None, arguments)
        matching = f"datastore.dataset_search AS entry WHERE {where}"
        if found.count < _FEW * (self._asked.start + self._asked.rows):
            # The planner knows less well how many there are. It must not look for them along the index of the order.
            matching = f"(SELECT * FROM {matching} OFFSET 0) AS entry"
        statement = f"""
            SELECT page.dataset_id, page.score, found.fields
            FROM (
                SELECT entry.*, row_number() OVER () AS place
                FROM (
                    SELECT entry.dataset_id, {score or "1::float8"} AS score
                    FROM {matching}
                    ORDER BY {order}
                    LIMIT {arguments.add(self._asked.rows)}::bigint OFFSET {arguments.add(self._asked.start)}::bigint
                ) AS entry
            ) AS page
            LEFT JOIN datastore.dataset_search AS found
                ON {arguments.add(self._asked.fields is not None)}::boolean AND found.dataset_id = page.dataset_id
            ORDER BY page.place
        """
        rows = await self._connection.fetch(statement, *arguments.values)
        if self._asked.fields is None:
            found.datasets = await load_datasets(self._connection, [row["dataset_id"] for row in rows])
        else:
            found.partial = [_partial(row, self._asked.fields) for row in rows]

    async def _suggestion(self, analysis: Analysis, count: int) -> str | None:
        async def finds(query: Node) -> bool:
            known = await analyse(self._connection, [query, *self._filters])
            arguments = Arguments()
            where = self._where(query, known, arguments)
            statement = f"SELECT EXISTS (SELECT FROM datastore.dataset_search AS entry WHERE {where})"
            return bool(await self._connection.fetchval(statement, *arguments.values))

        asked = self._asked
        return await suggest.better(
            self._connection, self._actor, asked.scope, asked.query, asked.min_match, count, finds
        )


def _partial(row: asyncpg.Record, wanted: Sequence[str]) -> dict[str, object]:
    """The fields of one dataset that ``fl`` names; ``*`` names all."""
    values: dict[str, list[str]] = orjson.loads(row["fields"])
    names = values if "*" in wanted else [name for name in wanted if name in values]
    found = {name: fields.shown(name, values[name]) for name in names}
    return {**found, "score": row["score"]} if "score" in wanted else found
