"""Who may read a dataset's tables, as grants: the part of a permission that PostgreSQL itself enforces."""

from __future__ import annotations

from collections.abc import Sequence

from datastore.postgres.database import Transaction
from datastore.postgres.quoting import identifier
from datastore.tables.schema import CACHE_KIND


async def create_dataset_schema(tx: Transaction, dataset_id: str, public: bool) -> None:
    """The PostgreSQL schema of a dataset, made when its first table is; the dataset's row must be locked."""
    if await _exists(tx, dataset_id):
        return
    await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", dataset_id)
    if await _exists(tx, dataset_id):
        return
    schema = identifier(dataset_id)
    await tx.connection.execute(f"CREATE SCHEMA {schema}")
    roles = f"{identifier(tx.settings.reader_role)}, {identifier(tx.settings.triggers_role)}"
    await tx.connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {roles}")
    await set_public(tx, [dataset_id], public)


async def set_public(tx: Transaction, dataset_ids: Sequence[str], public: bool) -> None:
    """Let everybody read the tables of the datasets, or nobody but those whom a permission check lets through."""
    rows = await tx.connection.fetch(
        "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY ($1::name[])", dataset_ids
    )
    if rows:
        schemas = ", ".join(identifier(row[0]) for row in rows)
        verb, preposition = ("GRANT", "TO") if public else ("REVOKE", "FROM")
        role = identifier(tx.settings.public_role)
        await tx.connection.execute(f"{verb} USAGE ON SCHEMA {schemas} {preposition} {role}")
    for dataset_id in dataset_ids:
        tx.changed(CACHE_KIND, dataset_id)


async def drop_dataset_schema(tx: Transaction, dataset_id: str) -> None:
    """Drop the PostgreSQL schema of a dataset, once its tables are gone."""
    await tx.connection.execute(f"DROP SCHEMA IF EXISTS {identifier(dataset_id)}")
    tx.changed(CACHE_KIND, dataset_id)


async def _exists(tx: Transaction, dataset_id: str) -> bool:
    return bool(await tx.connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = $1", dataset_id))
