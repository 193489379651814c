"""One statement for all staged records that name the same columns: the SQL of upsert and update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datastore.errors import ValidationError
from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier, literal
from datastore.postgres.translate import REFUSED, about_input
from datastore.tables.names import ID
from datastore.tables.schema import Column, TableSchema, key_expression, same_key
from datastore.tables.writing import staging
from datastore.tables.writing.copying import ROW, SET, Run


async def group(tx: Transaction, schema: TableSchema, runs: Sequence[Run]) -> list[Group]:
    """Groups of the staged records that, applied one after the other, do what each record by itself would do.

    All records that name the same columns are one group, unless some row would then be changed in another order.
    """
    by_set: dict[int, list[Run]] = {}
    for run in runs:
        by_set.setdefault(run.key_set, []).append(run)
    if len(by_set) < len(runs):
        groups = [
            Group(schema, of_set[0].columns, [number for run in of_set for number in run.numbers], key_set)
            for key_set, of_set in sorted(by_set.items())
        ]
        if await _independent(tx, groups):
            return groups
    return [Group(schema, run.columns, run.numbers) for run in runs]


async def _independent(tx: Transaction, groups: Sequence[Group]) -> bool:
    """The records of each row come in the order of the groups, and are found whatever the others change."""
    schema = groups[0].schema
    if any(group.by_id for group in groups):
        names = {column.name for group in groups for column in group.columns}
        if not all(group.by_id for group in groups) or names & set(schema.key):
            return False
        keys = [schema.by_name[ID]]
    else:
        keys = [schema.by_name[name] for name in schema.key]
    expressions = ", ".join(key_expression(key) for key in keys)
    known = " AND ".join(f"{identifier(key.name)} IS NOT NULL" for key in keys)
    found: bool = await tx.connection.fetchval(
        f"""
        SELECT NOT EXISTS (
            SELECT FROM (
                SELECT {SET}, lag({SET}) OVER (PARTITION BY {expressions} ORDER BY {ROW}) AS before
                FROM {staging.STAGE} WHERE {known}
            ) AS record
            WHERE before > {SET}
        )
        """
    )
    return found


@dataclass(frozen=True)
class Group:
    """Staged records that name the same columns."""

    schema: TableSchema
    columns: tuple[Column, ...]
    numbers: Sequence[int]
    """Indexes of the records in the request, ascending."""
    key_set: int | None = None
    """All records of this key set, else those from the first number to the last."""

    @property
    def by_id(self) -> bool:
        """Addressed by ``_id``, else by the unique key."""
        return any(column.name == ID for column in self.columns)

    async def apply(self, tx: Transaction, method: str, unordered: bool = False) -> int:
        """Upsert or update the records; gives the number of rows added.

        ``unordered``: try :meth:`_update_then_insert` first. The records need no :data:`staging.NEW_ID` for that.
        Raises :class:`ValidationError`: ``key`` for a record that an update does not find, ``records`` for values.
        """
        added = await self._update_then_insert(tx) if unordered else None
        if added is None and unordered:
            await staging.number(tx, self.schema)
        if added is None:
            added = await self._one_by_one(tx, method)
        if self.by_id and method == "upsert":
            await self._advance_ids(tx)
        return added

    async def _one_by_one(self, tx: Transaction, method: str) -> int:
        if method == "update":
            await self._require_matches(tx)
        if self.schema.triggers or (method == "update" and len(self.numbers) > 1):
            await self._lock(tx)  # without triggers an upsert is one INSERT, which locks in the order of its rows
        if method == "update":
            await staging.apply(tx, self._update, self.numbers)
            return 0
        return await self._insert_or_update(tx)

    async def _insert_or_update(self, tx: Transaction) -> int:
        """One statement; gives the number of rows added.

        That no two records have one key is tried first: to look for such pairs takes a sort of all records.
        """
        if not self.schema.triggers:
            try:
                async with tx.connection.transaction():
                    statement = self._count(self._insert(staging.STAGE, self._chosen("true")))
                    return int(await tx.connection.fetchval(statement))
            except REFUSED as error:
                if not about_input(error):
                    raise
        written = await staging.apply(tx, self._upsert, self.numbers)
        return int(written[0]["added"])

    async def _update_then_insert(self, tx: Transaction) -> int | None:
        """Update the rows that are there, then insert the others: a third cheaper than ``INSERT … ON CONFLICT``, which
        looks up, locks and confirms one row at a time. Gives the number of rows added.

        None, and nothing is done, if that was not right: two records have one key, another writer came between, or
        PostgreSQL refuses a record. Rows are locked in any order: overlapping writes may lock each other out.
        """
        names = [identifier(column.name) for column in self.columns]
        matches = f"EXISTS (SELECT FROM {self.schema.sql_name} AS t WHERE {self._matching('t', 's')})"
        savepoint = tx.connection.transaction()
        await savepoint.start()
        try:
            updated = await tx.connection.execute(
                f"UPDATE {self.schema.sql_name} AS t SET {self._changes('s')} FROM {staging.STAGE} AS s"
                f" WHERE {self._chosen(self._matching('t', 's'))}"
            )
            inserted = await tx.connection.execute(
                f"INSERT INTO {self.schema.sql_name} ({', '.join(names)})"
                f" SELECT {', '.join(f's.{name}' for name in names)} FROM {staging.STAGE} AS s"
                f" WHERE {self._chosen(f'NOT {matches}')} ORDER BY s.{ROW}"
            )
        except REFUSED as error:
            if not about_input(error):
                raise
        else:
            added = int(inserted.split()[-1])
            if int(updated.split()[-1]) + added == len(self.numbers):
                await savepoint.commit()
                return added
        await savepoint.rollback()
        return None

    @staticmethod
    def _count(insert: str) -> str:
        return f"WITH written AS ({insert}) SELECT count(*) FILTER (WHERE added) AS added FROM written"

    async def ids(self, tx: Transaction) -> list[tuple[int, int]]:
        """The index of each record with the ``_id`` of its row."""
        join = f"SELECT s.{ROW}, t._id FROM {self.schema.sql_name} AS t JOIN {staging.STAGE} AS s ON"
        rows = await tx.connection.fetch(
            f"""
            SELECT {ROW}, _id FROM (
                {join} {self._matching("t", "s")} WHERE {self._chosen("true")}
                UNION
                {join} t._id = s.{staging.NEW_ID} WHERE {self._chosen("true")}
            ) AS written
            """
        )
        return [(row[ROW], row["_id"]) for row in rows]

    @property
    def _keys(self) -> list[Column]:
        return [self.schema.by_name[name] for name in ((ID,) if self.by_id else self.schema.key)]

    @property
    def _changed(self) -> list[Column]:
        """The columns to set; the key itself if a record names nothing else, so that its row still counts as met."""
        keys = self._keys
        return [column for column in self.columns if column not in keys] or keys

    def _chosen(self, condition: str) -> str:
        """The condition for this group's rows of the staging table ``s``."""
        if self.key_set is not None:
            return f"s.{SET} = {self.key_set} AND {condition}"
        return f"s.{ROW} BETWEEN {self.numbers[0]} AND {self.numbers[-1]} AND {condition}"

    def _matching(self, left: str, right: str) -> str:
        return same_key(self._keys, left, right)

    def _ordered(self, source: str) -> str:
        return ", ".join(key_expression(key, source) for key in self._keys)

    def _last_of_each_key(self, condition: str) -> str:
        """Rows of the group; of several with one key the last, and each with a NULL in its key, which matches none."""
        has_null = " OR ".join(f"s.{identifier(key.name)} IS NULL" for key in self._keys)
        return f"""
            SELECT * FROM (
                SELECT s.*, ({has_null}) AS _null,
                       row_number() OVER (PARTITION BY {self._ordered("s")} ORDER BY s.{ROW} DESC) AS _nth
                FROM {staging.STAGE} AS s WHERE {self._chosen(condition)}
            ) AS s
            WHERE s._nth = 1 OR s._null
            """

    def _upsert(self, condition: str) -> str:
        """Insert or update. A trigger would see ``INSERT … ON CONFLICT`` twice, and first a row with the record's
        columns alone: so where there are triggers, rows that exist (they are locked) are updated in their own right.
        """
        if not self.schema.triggers:
            return self._count(self._insert(f"({self._last_of_each_key(condition)})", "true"))
        is_new = f"NOT EXISTS (SELECT FROM {self.schema.sql_name} AS t WHERE {self._matching('t', 's')})"
        return f"""
            WITH chosen AS MATERIALIZED ({self._last_of_each_key(condition)}),
                updated AS (
                    UPDATE {self.schema.sql_name} AS t SET {self._changes("s")} FROM chosen AS s
                    WHERE {self._matching("t", "s")}
                ),
                written AS ({self._insert("chosen", is_new)})
            SELECT count(*) FILTER (WHERE added) AS added FROM written
            """

    def _changes(self, source: str) -> str:
        names = [identifier(column.name) for column in self._changed]
        return ", ".join(f"{name} = {source}.{name}" for name in names)

    def _insert(self, source: str, condition: str) -> str:
        names = [identifier(column.name) for column in self.columns]
        inserted, selected = list(names), [f"s.{name}" for name in names]
        if not self.by_id:
            inserted.insert(0, ID)
            selected.insert(0, f"s.{staging.NEW_ID}")
        return f"""
            INSERT INTO {self.schema.sql_name} AS t ({", ".join(inserted)})
            SELECT {", ".join(selected)} FROM {source} AS s WHERE {condition}
            ORDER BY {self._ordered("s")}
            ON CONFLICT ({", ".join(key_expression(key) for key in self._keys)})
            DO UPDATE SET {self._changes("EXCLUDED")}
            RETURNING xmax = 0 AS added
            """

    def _update(self, condition: str) -> str:
        return f"""
            UPDATE {self.schema.sql_name} AS t SET {self._changes("s")}
            FROM ({self._last_of_each_key(condition)}) AS s
            WHERE {self._matching("t", "s")}
            """

    async def _lock(self, tx: Transaction) -> None:
        """Lock the rows to be changed in one order, so that two overlapping writes do not lock each other out."""
        await tx.connection.execute(
            f"""
            SELECT count(*) FROM (
                SELECT FROM {self.schema.sql_name} AS t JOIN {staging.STAGE} AS s ON {self._matching("t", "s")}
                WHERE {self._chosen("true")} ORDER BY {self._ordered("t")} FOR UPDATE OF t
            ) AS locked
            """
        )

    async def _require_matches(self, tx: Transaction) -> None:
        """Raise :class:`ValidationError` ``key`` for the first record that matches no row."""
        keys = self._keys
        row = await tx.connection.fetchrow(
            f"""
            SELECT {", ".join(f"s.{identifier(key.name)}::text" for key in keys)}
            FROM {staging.STAGE} AS s
            WHERE {self._chosen("true")}
                  AND NOT EXISTS (SELECT FROM {self.schema.sql_name} AS t WHERE {self._matching("t", "s")})
            ORDER BY s.{ROW} LIMIT 1
            """
        )
        if row is not None:
            mapping = {key.name: value for key, value in zip(keys, row.values(), strict=True)}
            raise ValidationError({"key": [f'key "{mapping}" not found']})

    async def _advance_ids(self, tx: Transaction) -> None:
        """After explicit ids beyond the counter: let it go on behind them.

        The counter may only be set while no other transaction takes numbers from it, hence the lock, which is rare.
        """
        table = self.schema.sql_name
        sequence = await tx.connection.fetchval("SELECT pg_get_serial_sequence($1, '_id')", table)
        highest = await tx.connection.fetchval(f"SELECT max(_id) FROM {staging.STAGE}")
        counter = f"SELECT last_value FROM {sequence}"
        if highest is None or highest <= await tx.connection.fetchval(counter):
            return
        await tx.connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
        if highest > await tx.connection.fetchval(counter):
            await tx.connection.execute(f"SELECT setval({literal(sequence)}::regclass, $1)", highest)
