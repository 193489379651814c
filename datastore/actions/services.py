"""What every action of a worker works with: made once at start-up, closed at shutdown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from datastore.accounts.tokens import Tokens
from datastore.catalog import licenses
from datastore.catalog.search.index import keep_licenses
from datastore.catalog.search.run import Memory
from datastore.catalog.site.options import Options
from datastore.jobs.runner import Jobs
from datastore.postgres.database import Database
from datastore.settings import Settings
from datastore.sqlgate.run import Sql
from datastore.tables.analysis.statistics import Statistics
from datastore.tables.reading.repeated import Answers
from datastore.tables.schema import Schemas
from datastore.tables.upkeep.maintenance import Maintenance


@dataclass(frozen=True, slots=True)
class Services:
    """The database, the caches and the background work of one worker."""

    settings: Settings
    database: Database
    schemas: Schemas
    tokens: Tokens
    jobs: Jobs
    maintenance: Maintenance
    statistics: Statistics
    sql: Sql
    options: Options
    search_memory: Memory
    answers: Answers

    @classmethod
    async def open(cls, dsn: str, settings: Settings) -> Services:
        """Connect to the database (``dsn`` is the owner's address). Raises what asyncpg raises if it cannot, and
        :class:`LicensesError`."""
        if settings.licenses_group_url:
            licenses.use(await asyncio.to_thread(licenses.load, settings.licenses_group_url))
        database = await Database.connect(dsn, settings)
        jobs = Jobs(dsn, database)
        maintenance = Maintenance(database, jobs)
        schemas = Schemas(database)
        sql = Sql(database, schemas)
        await keep_licenses(database)
        return cls(
            settings,
            database,
            schemas,
            Tokens(database),
            jobs,
            maintenance,
            Statistics(database),
            sql,
            Options(database),
            Memory(),
            Answers(),
        )

    async def close(self) -> None:
        """Stop the background work, then close every connection after the statements in flight."""
        await self.maintenance.close()
        await self.jobs.close()
        await self.tokens.close()
        await self.sql.close()
        await self.database.close()
