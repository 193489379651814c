"""The shape of a table as PostgreSQL has it, with who may see it: loaded in one query, kept in a cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec

from datastore.accounts.permissions import DatasetAccess
from datastore.postgres.cache import Cache
from datastore.postgres.database import Database
from datastore.postgres.quoting import identifier, qualified
from datastore.tables.names import ID
from datastore.tables.types import JSON

CACHE_KIND = "schema"
"""Kind of the change messages that drop a schema; their key is a resource id, an alias or a dataset id."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    """``pg_type.typname``, as search reports it: ``int4``, ``_text``, ``timestamptz``."""
    native_type: str
    """``format_type`` with its modifier, as ``datastore_info`` reports it: ``integer``, ``numeric(10,2)``."""
    element: str | None = None
    """``typname`` of the elements if this is an array."""
    immutable_text: bool = True
    """The text form depends on the value alone, so that it may stand in an index expression."""
    not_null: bool = False
    info: Mapping[str, Any] | None = None
    """The column's entry in the data dictionary."""

    @property
    def cast(self) -> str:
        """The type as the target of a cast, without modifier."""
        return f'pg_catalog."{self.type}"'


@dataclass(frozen=True, slots=True)
class Trigger:
    """A function that sees each record before it is stored, and the arguments it gets (``TG_ARGV``)."""

    function: str
    arguments: tuple[str, ...] = ()


ID_COLUMN = Column(ID, "int8", "bigint", not_null=True)


def key_expression(column: Column, source: str = "") -> str:
    """What a key or index is made of: the column; for json types, which have no order, its text."""
    name = f"{source}.{identifier(column.name)}" if source else identifier(column.name)
    return f"(({name})::text)" if column.type in JSON else name


def same_key(keys: Iterable[Column], left: str, right: str) -> str:
    """The condition that two rows have one key; a NULL in it is like no other."""
    return " AND ".join(f"{key_expression(key, left)} = {key_expression(key, right)}" for key in keys)


@dataclass(frozen=True)
class TableSchema:
    """A table: its columns without ``_id``, its keys, and the dataset that decides who may see it."""

    resource_id: str
    access: DatasetAccess
    url_type: str | None
    oid: int
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """The columns of the unique key, empty if there is none."""
    aliases: tuple[str, ...] = ()
    """Most recently made first."""
    trigram: frozenset[str] = frozenset()
    """Columns with a trigram index, which ``similar`` needs."""
    fulltext: str = "none"
    language: str = "english"
    """Text-search configuration of the table's full text."""
    triggers: tuple[Trigger, ...] = ()
    """In the order in which they fire."""
    history: str | None = None
    """The resource in whose table old rows are recorded."""
    history_of: str | None = None
    """The resource whose old rows are recorded here."""

    def __hash__(self) -> int:
        # Quick, for what is remembered by schema; equality compares everything.
        return hash(self.resource_id)

    @property
    def fires(self) -> bool:
        """A write runs functions that others wrote."""
        return bool(self.triggers) or self.history is not None

    @property
    def counted(self) -> bool:
        """The registry knows how many rows it has."""
        return True

    @property
    def dataset_id(self) -> str:
        """The dataset, which is also the PostgreSQL schema."""
        return self.access.id

    @property
    def public(self) -> bool:
        """Everybody may read it, so ``datastore_public`` has been granted it."""
        return self.access.state == "active" and not self.access.private

    @cached_property
    def sql_name(self) -> str:
        """The qualified, quoted name of the table."""
        return qualified(self.dataset_id, self.resource_id)

    @cached_property
    def fingerprint(self) -> str:
        """Another one for another schema, and the same in every process."""
        shape = replace(self, trigram=frozenset())
        return blake2b(f"{shape!r} {sorted(self.trigram)}".encode(), digest_size=12).hexdigest()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Every column that a client may name, ``_id`` first."""
        return {column.name: column for column in (ID_COLUMN, *self.columns)}


_LOAD = "SELECT * FROM datastore.table_schema($1)"  # sql/0003_functions.sql


async def load(connection: asyncpg.Connection | asyncpg.Pool, name: str) -> TableSchema | None:
    """The table of a resource id or alias, as ``connection`` sees it now; None if there is none."""
    if "\0" in name:
        return None
    row = await connection.fetchrow(_LOAD, name)
    if row is None:
        return None
    return TableSchema(
        resource_id=row["resource_id"],
        access=DatasetAccess(
            id=row["dataset_id"],
            name=row["name"],
            owner_org=row["owner_org"],
            private=row["private"],
            state=row["state"],
            creator_user_id=row["creator_user_id"],
        ),
        url_type=row["url_type"],
        oid=row["oid"],
        columns=tuple(msgspec.json.decode(row["columns"], type=list[Column])),
        key=tuple(row["key"]),
        aliases=tuple(row["aliases"]),
        trigram=frozenset(row["trigram"]),
        fulltext=row["fulltext"],
        language=row["language"],
        triggers=tuple(msgspec.json.decode(row["triggers"], type=list[Trigger])),
        history=row["history"],
        history_of=row["history_of"],
    )


class Schemas:
    """The table schemas that a worker knows, by resource id and alias."""

    def __init__(self, database: Database) -> None:
        self._cache: Cache[TableSchema] = Cache(
            database.notifications,
            CACHE_KIND,
            lambda name: load(database.owner, name),
            keys=lambda schema: (schema.resource_id, schema.dataset_id, *schema.aliases),
        )

    async def get(self, name: str) -> TableSchema | None:
        """The table of a resource id or alias, or None."""
        return await self._cache.get(name)

    async def fresh(self, name: str) -> TableSchema | None:
        """The same, past the cache: for when a statement shows that what was cached has changed."""
        return await self._cache.fresh(name)
