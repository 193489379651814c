"""Counts of values over all that a search finds.

The common fields are kept as codes of four bytes. PostgreSQL strings together those of all datasets found, and one pass
of pyarrow counts them: for 50,000 datasets that takes a tenth of what grouping their values in SQL does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from datastore.catalog import licenses
from datastore.catalog.search import fields

_FIELD_BITS = 27
_MOST_REMEMBERED = 200_000

_VALUES = "SELECT code, value FROM datastore.search_facets WHERE code = ANY ($1::integer[])"

_COUNT = """
    SELECT value, count(DISTINCT entry.dataset_id) AS count
    FROM datastore.dataset_search AS entry, jsonb_array_elements_text(entry.fields -> {field}::text) AS value
    WHERE {where}
    GROUP BY value
    HAVING count(DISTINCT entry.dataset_id) >= {least}::bigint
    ORDER BY count DESC, value COLLATE "C"
    LIMIT {limit}::bigint
"""

_TITLES = "SELECT name, title FROM datastore.groups WHERE name = ANY ($1::text[]) AND title <> ''"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which fields are counted, and how many values of each are told: the most frequent, with at least ``least``."""

    fields: Sequence[str] = ()
    limit: int | None = 50
    least: int = 1

    @property
    def by_code(self) -> list[str]:
        """The fields whose values are kept as codes."""
        return [name for name in self.fields if name in fields.FACETS]


NOTHING = Wanted()
Counts = dict[str, dict[str, int]]


@dataclass(slots=True)
class FacetValues:
    """The values of the codes that were seen, remembered: they never change."""

    _known: dict[int, str] = field(default_factory=dict)

    async def load(self, connection: asyncpg.Connection, codes: Sequence[int]) -> Mapping[int, str]:
        """The values of these codes, at least."""
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        missing = [code for code in codes if code not in self._known]
        if missing:
            self._known.update({row["code"]: row["value"] for row in await connection.fetch(_VALUES, missing)})
        return self._known


async def count_codes(
    connection: asyncpg.Connection, remembered: FacetValues, codes: bytes, wanted: Wanted
) -> dict[str, dict[str, int]]:
    """Counts of the fields in :attr:`Wanted.by_code`, from all codes of the datasets found, strung together."""
    numbers = {fields.FACETS.index(name) + 1: name for name in wanted.by_code}
    by_field: dict[int, list[tuple[int, int]]] = {number: [] for number in numbers}
    for code, count in _counted(codes):
        number = code >> _FIELD_BITS
        if number in by_field and count >= wanted.least:
            by_field[number].append((code, count))
    most = {number: _most_frequent(found, wanted.limit) for number, found in by_field.items()}
    values = await remembered.load(connection, [code for found in most.values() for code, _ in found])
    result = {}
    for number, found in most.items():
        ordered = sorted((-count, values[code]) for code, count in found)
        result[numbers[number]] = {value: -count for count, value in ordered[: wanted.limit]}
    return result


def _counted(codes: bytes) -> list[tuple[int, int]]:
    """Each code with how often it is there. The codes are big-endian; counting need not know."""
    if not codes:
        return []
    import pyarrow  # a second of start-up, for who counts
    from pyarrow import compute

    found = pyarrow.Array.from_buffers(pyarrow.int32(), len(codes) // 4, [None, pyarrow.py_buffer(codes)])
    counted = compute.value_counts(found)
    values, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    # Only now, for the few that are different, the bytes are put in the order of this machine.
    return [
        (int.from_bytes(value.to_bytes(4, sys.byteorder, signed=True), "big"), count)
        for value, count in zip(values, counts, strict=True)
    ]


def _most_frequent(found: list[tuple[int, int]], limit: int | None) -> list[tuple[int, int]]:
    """Those that may be among the first ``limit``, ties included."""
    if limit is None or limit >= len(found):
        return found
    if limit == 0:
        return []
    least = sorted((count for _, count in found), reverse=True)[limit - 1]
    return [(code, count) for code, count in found if count >= least]


async def count_values(
    connection: asyncpg.Connection, name: str, where: str, arguments: Sequence[object], wanted: Wanted
) -> dict[str, int]:
    """Counts of any other field; ``where`` is the condition of the search with its arguments."""
    if not fields.may_exist(name) or name in (fields.ALL_TEXT, *fields.PARTS):
        return {}
    count = len(arguments)
    statement = _COUNT.format(where=where, field=f"${count + 1}", least=f"${count + 2}", limit=f"${count + 3}")
    rows = await connection.fetch(statement, *arguments, name, wanted.least, wanted.limit)
    return {row["value"]: row["count"] for row in rows}


async def described(connection: asyncpg.Connection, counts: Counts) -> dict[str, dict[str, object]]:
    """The counts as ``search_facets``: with the titles of groups and licences, ordered by them from Z to A."""
    names = [name for field in ("organization", "groups") for name in counts.get(field, ())]
    titles: dict[str, str] = {}
    if names:
        titles = {row["name"]: row["title"] for row in await connection.fetch(_TITLES, names)}
    result: dict[str, dict[str, object]] = {}
    for field_name, values in counts.items():
        items = [
            {"name": value, "display_name": _title(field_name, value, titles), "count": count}
            for value, count in values.items()
        ]
        items.sort(key=lambda item: (str(item["display_name"]), str(item["name"])), reverse=True)
        result[field_name] = {"title": field_name, "items": items}
    return result


def _title(field_name: str, value: str, titles: Mapping[str, str]) -> str:
    if field_name in ("organization", "groups"):
        return titles.get(value, value)
    license = licenses.find(value) if field_name == "license_id" else None
    return license.title if license else value
