"""A process that works on one job without end, for the test to kill. Arguments: address, kind of job, secret."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from datastore.jobs.runner import Jobs, Kind, Work
from datastore.postgres.database import Database
from datastore.settings import Settings


async def work_without_end(work: Work) -> None:
    """Says that it has begun, then waits for PostgreSQL, as for an index that is being built."""
    print("begun", flush=True)
    await work.connection.execute("SELECT pg_sleep(86400)")


async def main(dsn: str, kind: str, secret: str) -> None:
    """Work until killed."""
    settings = Settings(data_dir=Path(tempfile.gettempdir()), secret_key=secret)
    jobs = Jobs(dsn, await Database.connect(dsn, settings))
    jobs.register(Kind(kind, work_without_end))
    jobs.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
