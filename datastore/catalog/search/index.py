"""Keeping the search up to date.

Triggers do it, in the transaction of every write: see sql/0007_search_triggers.sql. Here is what is done by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datastore.catalog import licenses
from datastore.postgres.database import Database, Transaction

_BATCH = 200

_NEXT = "SELECT id FROM datastore.datasets WHERE id > $1 ORDER BY id LIMIT $2"

_KEEP_LICENSES = """
    MERGE INTO datastore.search_licenses AS stored
    USING unnest($1::text[], $2::text[], $3::text[], $4::boolean[]) AS license (id, title, url, is_open)
    ON stored.id = license.id
    WHEN MATCHED AND (stored.title, stored.url, stored.is_open) IS DISTINCT FROM
                     (license.title, license.url, license.is_open)
        THEN UPDATE SET title = license.title, url = license.url, is_open = license.is_open
    WHEN NOT MATCHED THEN INSERT VALUES (license.id, license.title, license.url, license.is_open)
"""

# MERGE itself can do this from PostgreSQL 17 on.
_FORGET_LICENSES = "DELETE FROM datastore.search_licenses WHERE id <> ALL ($1::text[])"


async def index_datasets(tx: Transaction, ids: Sequence[str]) -> None:
    """Rewrite what is searched of these datasets. Whoever changes them need not call this: triggers do."""
    await tx.connection.execute("SELECT datastore.index_datasets($1)", list(ids))


async def reindex(database: Database, report: Callable[[int], None] = lambda _done: None) -> int:
    """Index every dataset anew, in small transactions, while the service runs; gives how many.

    ``report`` is told after each transaction how many are done.
    """
    done, last = 0, ""
    while True:

        async def work(tx: Transaction, after: str = last) -> list[str]:
            ids = [row["id"] for row in await tx.connection.fetch(_NEXT, after, _BATCH)]
            await index_datasets(tx, ids)
            return ids

        ids = await database.write(work)
        if not ids:
            return done
        done, last = done + len(ids), ids[-1]
        report(done)


async def keep_licenses(database: Database) -> None:
    """Bring the titles of the licences to where the search finds them; datasets are indexed anew if one has changed, or
    is a licence no longer."""
    known = licenses.LICENSES.values()

    async def work(tx: Transaction) -> None:
        await tx.connection.execute("SELECT pg_advisory_xact_lock(hashtext('datastore search licenses'))")
        await tx.connection.execute(_FORGET_LICENSES, [license.id for license in known])
        await tx.connection.execute(
            _KEEP_LICENSES,
            [license.id for license in known],
            [license.title for license in known],
            [license.url for license in known],
            [license.is_open for license in known],
        )

    await database.write(work)
