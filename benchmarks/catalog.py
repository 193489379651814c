"""Searching datasets with five facets, as the catalog grows to 50,000: what a page of a portal asks for.

There is no floor to compare with: the goal is a limit for the 95th percentile. Other work on the machine is in it, so
the processor time of a search is told beside it: what the clock would show on a quiet machine, nearly.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import random
import statistics
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson
import psutil

from benchmarks.harness import Measurement, Spread, at_most
from benchmarks.run import Run
from benchmarks.service import HOST, Service

SIZES = (1_000, 10_000, 50_000)
SEARCHES = 120
GOAL_MS = 100.0
FACETS = '["organization", "groups", "tags", "res_format", "license_id"]'
_ORGANIZATIONS, _GROUPS, _TAGS, _WORDS = 60, 20, 2_000, 8_000
_FORMATS = ("CSV", "XLSX", "PDF", "GeoJSON", "JSON", "HTML", "ZIP", "WMS", "SHP", "XML")
_LICENSES = ("cc-by", "cc-zero", "odc-odbl", "uk-ogl", "notspecified", "cc-by-sa")
_START = datetime(2015, 1, 1)

_NOT_INDEXED = """
    SELECT id FROM datastore.datasets
    WHERE NOT EXISTS (SELECT FROM datastore.dataset_search AS entry WHERE entry.dataset_id = datasets.id)
"""
_BATCH = 500


class Vocabulary:
    """Made-up words, used as often as words are: the n-th word 1/n as often as the first."""

    def __init__(self, random: random.Random, size: int) -> None:
        syllables = [first + second for first in "bcdfglmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er")]
        words: dict[str, None] = {}
        while len(words) < size:
            words["".join(random.choices(syllables, k=random.choice((2, 3, 3, 4))))] = None
        self.words = list(words)
        self._sums = list(itertools.accumulate(1 / (rank + 2) for rank in range(size)))
        self._random = random

    def some(self, count: int) -> list[str]:
        """So many words."""
        return self._random.choices(self.words, cum_weights=self._sums, k=count)


class Catalog:
    """Datasets as portals have them, always the same ones; it grows from size to size."""

    def __init__(self) -> None:
        self.random = random.Random(2024)
        self.words = Vocabulary(self.random, _WORDS)
        self.tags = Vocabulary(self.random, _TAGS)
        self._organizations = [self._uuid() for _ in range(_ORGANIZATIONS)]
        self._groups = [self._uuid() for _ in range(_GROUPS)]
        self._tag_ids = {name: self._uuid() for name in self.tags.words}
        self.size = 0

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    async def grow(self, dsn: str, size: int) -> None:
        """Add datasets past the API, without indexing them."""
        connection = await asyncpg.connect(dsn, server_settings={"timezone": "UTC"})
        try:
            async with connection.transaction():
                tables = ("datasets", "resources", "dataset_tags", "members")
                for table in tables:
                    await connection.execute(f"ALTER TABLE datastore.{table} DISABLE TRIGGER search")
                if self.size == 0:
                    await self._copy(connection, "groups", self._group_rows())
                    tags = [{"id": id, "name": name} for name, id in self._tag_ids.items()]
                    await self._copy(connection, "tags", tags)
                rows: dict[str, list[dict[str, Any]]] = {table: [] for table in tables}
                for number in range(self.size, size):
                    self._dataset(number, rows)
                for table, records in rows.items():
                    await self._copy(connection, table, records)
                for table in tables:
                    await connection.execute(f"ALTER TABLE datastore.{table} ENABLE TRIGGER search")
            await connection.execute("ANALYZE")
        finally:
            await connection.close()
        self.size = size

    @staticmethod
    async def _copy(connection: asyncpg.Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
        columns = list(rows[0])
        await connection.copy_records_to_table(
            table, schema_name="datastore", columns=columns, records=[tuple(row.values()) for row in rows]
        )

    def _group_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "id": id,
                "name": f"group-{number}",
                "title": " ".join(self.words.some(3)).title(),
                "type": "organization" if number < _ORGANIZATIONS else "group",
                "is_organization": number < _ORGANIZATIONS,
                "created": _START,
            }
            for number, id in enumerate([*self._organizations, *self._groups])
        ]

    def _dataset(self, number: int, rows: dict[str, list[dict[str, Any]]]) -> None:
        random, words = self.random, self.words
        id, created = self._uuid(), _START + timedelta(minutes=random.randrange(5_000_000))
        title = words.some(random.randint(3, 9))
        extras = {"update_frequency": random.choice(("daily", "monthly", "yearly")), "theme": words.some(1)[0]}
        rows["datasets"].append(
            {
                "id": id,
                "name": f"{'-'.join(title[:3])}-{number}",
                "title": " ".join(title).capitalize(),
                "notes": " ".join(words.some(random.randint(20, 120))),
                "author": " ".join(words.some(2)).title(),
                "license_id": random.choice(_LICENSES),
                "private": random.random() < 0.15,
                "owner_org": self._organizations[int(random.triangular(0, _ORGANIZATIONS, 0))],
                "extras": orjson.dumps(extras).decode(),
                "metadata_created": created,
                "metadata_modified": created + timedelta(minutes=random.randrange(500_000)),
            }
        )
        for position in range(random.choice((1, 1, 2, 2, 3, 5, 8))):
            rows["resources"].append(
                {
                    "id": self._uuid(),
                    "dataset_id": id,
                    "position": position,
                    "url": f"https://data.example.org/{number}/{position}/{words.some(1)[0]}.csv",
                    "name": " ".join(words.some(3)),
                    "description": " ".join(words.some(random.randint(0, 20))),
                    "format": random.choice(_FORMATS),
                    "created": created,
                    "metadata_modified": created,
                }
            )
        for name in set(self.tags.some(random.randint(1, 8))):
            rows["dataset_tags"].append({"dataset_id": id, "tag_id": self._tag_ids[name]})
        for group in random.sample(self._groups, random.choice((0, 1, 1, 2))):
            rows["members"].append(
                {
                    "id": self._uuid(),
                    "group_id": group,
                    "table_name": "package",
                    "table_id": id,
                    "capacity": "public",
                }
            )

    def searches(self) -> Iterator[dict[str, str]]:
        """Parameters as a portal sends them: half of them words, the others browsing."""
        while True:
            yield {}
            yield {"q": " ".join(self.words.some(1))}
            yield {"q": " ".join(self.words.some(2))}
            yield {"q": " ".join(self.words.some(4))}
            yield {"fq": f"tags:{self.tags.some(1)[0]}"}
            yield {"q": self.words.some(1)[0], "fq": f'organization:"group-{self.random.randrange(_ORGANIZATIONS)}"'}
            yield {"q": f"title:{self.words.some(1)[0]}", "sort": "metadata_modified desc"}
            yield {"fq": "res_format:CSV AND metadata_modified:[2018-01-01T00:00:00Z TO *]", "sort": "name asc"}
            yield {"sort": "title_string asc", "start": str(self.random.randrange(0, 200, 20))}
            yield {"q": f"{self.words.some(1)[0][:4]}* AND -tags:{self.tags.some(1)[0]}"}


def measure(run: Run) -> list[Measurement]:
    """Latency and processor time of a search with five facets, one client, at each size; and the speed of indexing."""
    catalog = Catalog()
    found = []
    for size in dict.fromkeys(run.size(size) for size in SIZES):
        added = size - catalog.size
        asyncio.run(catalog.grow(run.service.dsn, size))
        started = perf_counter()
        asyncio.run(_index(run.service.dsn))
        speed = added / (perf_counter() - started)
        run.service.psql("VACUUM (ANALYZE) datastore.dataset_search")
        rounds = [_round(run.service, catalog, max(10, round(SEARCHES * run.scale))) for _ in range(run.pairs + 1)][1:]
        name = f"search of {size:,} datasets, 5 facets"
        found += [
            at_most(f"{name}: p95", "ms", [_quantile(times.clock, 95) for times in rounds], GOAL_MS),
            Measurement(f"{name}: p50", "ms", Spread.of([_quantile(times.clock, 50) for times in rounds])),
            at_most(f"{name}: processor, p95", "ms", [_quantile(times.processor, 95) for times in rounds], GOAL_MS),
            Measurement(
                f"{name}: processor, p50", "ms", Spread.of([_quantile(times.processor, 50) for times in rounds])
            ),
        ]
        found.append(Measurement(f"indexing, up to {size:,} datasets", "datasets/s", Spread.of([speed])))
    return found


@dataclass(frozen=True, slots=True)
class _Times:
    """What each search of a round took, in seconds: by the clock, and of the service's and PostgreSQL's processors."""

    clock: Sequence[float]
    processor: Sequence[float]


def _quantile(seconds: Sequence[float], percent: int) -> float:
    """The milliseconds that so many percent of the searches did not exceed."""
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _round(service: Service, catalog: Catalog, count: int) -> _Times:
    connection = http.client.HTTPConnection(HOST, service.server.port, timeout=60)
    try:
        seconds, spent = [], []
        for parameters in itertools.islice(catalog.searches(), count):
            query = urlencode({**parameters, "facet.field": FACETS, "rows": "20"})
            before = processor(service)
            started = perf_counter()
            connection.request("GET", f"/api/3/action/package_search?{query}")
            response = connection.getresponse()
            body = response.read()
            seconds.append(perf_counter() - started)
            spent.append(processor(service) - before)
            if response.status != 200:
                raise RuntimeError(f"package_search: {response.status} {body[:500].decode(errors='replace')}")
        return _Times(seconds, spent)
    finally:
        connection.close()


def processor(service: Service) -> float:
    """Seconds of processor time that the service and PostgreSQL have used, to the microsecond."""
    postgres = psutil.Process(int((service.folder / "postgres/data/postmaster.pid").read_text().split()[0]))
    total = 0
    for process in (*service.server.processes(), *postgres.children(recursive=True)):
        for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(thread.read_text().split()[0])
    return total / 1e9


async def _index(dsn: str) -> None:
    """Index the datasets that are not, as ``datastore reindex`` does it with all, on two connections at once."""
    connection = await asyncpg.connect(dsn)
    try:
        ids = [row["id"] for row in await connection.fetch(_NOT_INDEXED)]
    finally:
        await connection.close()
    batches = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]

    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            while batches:
                await connection.execute("SELECT datastore.index_datasets($1)", batches.pop())
        finally:
            await connection.close()

    await asyncio.gather(work(), work())
