"""The gate: text and caller → a statement that may run. ``run.py`` then asks PostgreSQL, and runs it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from datastore.accounts.actor import Actor
from datastore.postgres.database import Database
from datastore.sqlgate import catalogue, names, structure, tokens, tree
from datastore.sqlgate.catalogue import Catalogue
from datastore.sqlgate.refusal import refused
from datastore.sqlgate.rewrite import Text, rewrite
from datastore.sqlgate.structure import Structure
from datastore.sqlgate.tokens import Token
from datastore.tables.schema import CACHE_KIND, Schemas, TableSchema

LONG = 2_000
"""Characters from which on a statement is read in a thread."""
CACHE_SIZE = 2_000

Key = tuple[str, str | None, bool, tuple[str, ...]]
"""A statement, and what decides about what one may read: the user, whether they are a sysadmin, the organizations where
they have a role and the datasets that they collaborate on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the two readings of a statement agreed on."""

    tokens: list[Token]
    structure: Structure
    tree: exp.Expr
    tables: list[exp.Table]
    """Every place in the tree where a table, or a common table expression, is named."""


@dataclass(frozen=True)
class Decision:
    """A statement that the caller may run."""

    text: Text
    parameters: int
    tables: tuple[TableSchema, ...]
    keys: frozenset[str]
    """Keys of the change messages that make the decision out of date."""
    lasting: bool
    """It may be remembered: everything that it depends on is told of by such a message."""

    @cached_property
    def private(self) -> frozenset[str]:
        """The ids of those datasets that not everybody may read."""
        return frozenset(table.dataset_id for table in self.tables if not table.public)

    @cached_property
    def relations(self) -> frozenset[tuple[str, str]]:
        """Schema and name of every table."""
        return frozenset((table.dataset_id, table.resource_id) for table in self.tables)


def read(sql: str, known: Catalogue) -> Reading:
    """Both readings of a statement, by a pure function: nothing about the caller or their tables is looked at.

    Raises :class:`ValidationError` ``query``, :class:`NotAuthorized`, :class:`Doubtful`.
    """
    own = tokens.tokenise(sql, known)
    found = structure.read(own, known)
    parsed = tree.parse(own, tokens.foreign_tokens(sql, own), found, sql)
    return Reading(own, found, parsed, tree.check(parsed, own, found))


class Gate:
    """Decides about statements, and remembers what it and PostgreSQL made of them."""

    def __init__(self, database: Database, schemas: Schemas) -> None:
        self._database = database
        self._schemas = schemas
        self._catalogue: Catalogue | None = None

    async def catalogue(self) -> Catalogue:
        """What the server knows by name; asked for once."""
        if self._catalogue is None:
            self._catalogue = await catalogue.load(self._database.owner)
        return self._catalogue

    async def decide(self, sql: str, actor: Actor) -> Decision:
        """Whether the actor may run the statement, and the text that runs.

        Raises :class:`ValidationError` ``query``, :class:`NotAuthorized`, :class:`Doubtful`.
        """
        longest = self._database.settings.sql_max_length
        if len(sql) > longest:
            raise refused(f"Query is too long: it may have {longest} characters.")
        known = await self.catalogue()
        reading = await asyncio.to_thread(read, sql, known) if len(sql) > LONG else read(sql, known)
        resolved, keys, lasting = await self._resolve(reading, actor, known)
        text = rewrite(reading.tokens, reading.structure, reading.tree, resolved)
        tables = {schema.resource_id: schema for _, schema in resolved.values()}
        return Decision(text, reading.structure.parameters, tuple(tables.values()), frozenset(keys), lasting)

    async def _resolve(
        self, reading: Reading, actor: Actor, known: Catalogue
    ) -> tuple[dict[int, tuple[exp.Table, TableSchema]], set[str], bool]:
        """The tables by the start of the token that names them."""
        resolved: dict[int, tuple[exp.Table, TableSchema]] = {}
        schemas: dict[tuple[str, ...], TableSchema] = {}
        keys: set[str] = set()
        lasting = True
        by_start = {reading.tokens[chain.parts[-1]].start: chain for chain in reading.structure.relations}
        for node in reading.tables:
            start = node.this.meta["start"]
            if tree.is_cte(node):
                continue
            parts = tuple(reading.tokens[at].text for at in by_start[start].parts)
            if parts not in schemas:
                schemas[parts] = await names.resolve(parts, actor, self._database, self._schemas, known)
            schema = schemas[parts]
            resolved[start] = (node, schema)
            keys |= {schema.resource_id, schema.dataset_id, parts[-1]}
            # No message tells that a dataset or resource got another name.
            lasting = lasting and len(parts) == 1
        return resolved, keys, lasting


def key(sql: str, actor: Actor) -> Key:
    """What a decision depends on besides the tables."""
    actor_id, sysadmin, groups = actor.who
    return sql, actor_id, sysadmin, tuple(groups)


class Memory:
    """Statements that were checked, by :data:`Key`, dropped when a table of theirs changes. Least recently used first.

    One whose check overlapped a change is not kept, and nothing is while messages may be missed.
    """

    def __init__(self, database: Database) -> None:
        self._notifications = database.notifications
        self._values: OrderedDict[Key, tuple[frozenset[str], object]] = OrderedDict()
        self.generation = 0
        database.notifications.subscribe(CACHE_KIND, self._drop)

    def get(self, at: Key) -> object | None:
        """What was kept."""
        found = self._values.get(at)
        if found is None:
            return None
        self._values.move_to_end(at)
        return found[1]

    def keep(self, at: Key, keys: frozenset[str], value: object, generation: int) -> None:
        """Keep ``value``, which was made from what was known at ``generation``."""
        if generation != self.generation or not self._notifications.listening:
            return
        self._values[at] = (keys, value)
        if len(self._values) > CACHE_SIZE:
            self._values.popitem(last=False)

    def forget(self, at: Key) -> None:
        """Drop one."""
        self._values.pop(at, None)

    def _drop(self, changed: str | None) -> None:
        self.generation += 1
        if changed is None:
            self._values.clear()
            return
        for at in [at for at, (keys, _) in self._values.items() if changed in keys]:
            del self._values[at]
