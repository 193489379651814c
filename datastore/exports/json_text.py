"""json, ndjson and geojson: PostgreSQL writes each row as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import asyncpg

from datastore.exports.rows import Rows, reference
from datastore.exports.writer import Listed, Options, Unfit, Writer, joined, lines
from datastore.postgres.quoting import literal
from datastore.tables import render
from datastore.tables.names import ID
from datastore.tables.schema import Column
from datastore.tables.types import FLOATS, INTEGERS, JSON

NUMBERS = INTEGERS | FLOATS | {"numeric"}
_PLAIN_TEXT = frozenset({"date", "time", "timetz", "interval", "uuid"})
# Their text form may hold line breaks between the tokens.
_LOOSE = frozenset({"json", "record"})
_GEOMETRIES = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")
_LATITUDE = ("latitude", "lat", "decimallatitude", "geo_lat", "y_wgs84")
_LONGITUDE = ("longitude", "lon", "lng", "long", "decimallongitude", "geo_lon", "x_wgs84")


async def rows_as_lists(_connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """``{"fields": […], "records": [[…], …]}``, a row a line."""
    cells = joined([cell(column, options) for column in rows.columns], ",")
    query = rows.select([f"concat('    [', {cells}, '],')"])
    return Listed(lines(query), b'{\n  "fields": %b,\n  "records": [' % dumps(rows.fields), b"]}\n")


async def ndjson(_connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """An object a line."""
    return Writer(lines(rows.select([f"concat('{{', {_members(rows.columns, options)}, '}}')"])))


async def geojson(connection: asyncpg.Connection, rows: Rows, options: Options) -> Writer:
    """A FeatureCollection, a feature a line. Raises :class:`Unfit` if nothing tells a place."""
    used, geometry = await _geometry(connection, rows)
    id = next((column for column in rows.columns if column.name == ID), None)
    properties = [column for column in rows.columns if column not in used and column is not id]
    named = f""","id":',{reference(id)},'""" if id is not None else ""
    query = rows.select(
        [
            f"""concat('{{"type":"Feature"{named},"geometry":', coalesce({geometry}, 'null'),"""
            f""" ',"properties":{{', {_members(properties, options)}, '}}}},')"""
        ]
    )
    return Listed(lines(query), b'{"type":"FeatureCollection","features":[', b"]}\n")


def dumps(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict).encode()


def cell(column: Column, options: Options) -> str:
    """An expression for the value as JSON, never NULL and without line breaks: as a search shows it, but compact."""
    sql = reference(column)
    if column.type in INTEGERS:
        return f"coalesce({sql}::text, 'null')"
    if column.type in FLOATS or column.type == "numeric":  # NaN and infinities are strings
        finite = f"{sql} > '-Infinity' AND {sql} < 'Infinity'"
        return f"CASE WHEN {finite} THEN {sql}::text ELSE coalesce(to_json({sql})::text, 'null') END"
    if column.type == "bool":
        return f"CASE {sql} WHEN true THEN 'true' WHEN false THEN 'false' ELSE 'null' END"
    if column.type == "timestamp":
        return f"""coalesce('"' || {render.timestamp(sql, options.milliseconds)} || '"', 'null')"""
    if column.type in _PLAIN_TEXT:
        return f"""coalesce('"' || {sql}::text || '"', 'null')"""
    if column.type == "jsonb":
        return f"coalesce({sql}::text, 'null')"
    return f"coalesce({json_text(column)}, 'null')"


def json_text(column: Column) -> str:
    """An expression for any value as JSON without line breaks; NULL for NULL."""
    sql = reference(column)
    text = f"{sql}::text" if column.type in JSON else f"to_json({sql})::text"
    loose = (column.element or column.type.removeprefix("_")) in _LOOSE
    return rf"translate({text}, E'\n\r', '  ')" if loose else text


def plain_text(column: Column) -> str:
    """An expression for a value as a text, as JSON shows it: a cast shows some types (inet, char) in another way."""
    sql = reference(column)
    return sql if column.type in ("text", "varchar") else f"(to_json({sql}) #>> '{{}}')"


def _members(columns: Sequence[Column], options: Options) -> str:
    """An expression for ``"name":value,…``."""
    return joined([f"{_key(column)} || {cell(column, options)}" for column in columns], ",")


def _key(column: Column) -> str:
    return literal(dumps(column.name).decode() + ":")


async def _geometry(connection: asyncpg.Connection, rows: Rows) -> tuple[list[Column], str]:
    """The columns that tell the place, and the expression of the geometry that they tell."""
    for column in rows.columns:
        if column.type in JSON and await connection.fetchval(_probe(rows, column)):
            return [column], f"CASE WHEN {_is_geometry(column)} THEN {json_text(column)} END"
    by_name = {column.name.lower(): column for column in reversed(rows.columns) if column.type in NUMBERS}
    latitude = next((by_name[name] for name in _LATITUDE if name in by_name), None)
    longitude = next((by_name[name] for name in _LONGITUDE if name in by_name), None)
    if latitude is None or longitude is None:
        raise Unfit(
            "geojson needs a json column with GeoJSON geometries, or numeric columns latitude (lat) and "
            "longitude (lon, lng)"
        )
    x, y = reference(longitude), reference(latitude)
    inside = f"{y} BETWEEN -90 AND 90 AND {x} BETWEEN -180 AND 180"
    point = f"""'{{"type":"Point","coordinates":[' || {x} || ',' || {y} || ']}}'"""
    return [latitude, longitude], f"CASE WHEN {inside} THEN {point} END"


def _is_geometry(column: Column) -> str:
    sql, names = reference(column), ", ".join(f"'{name}'" for name in _GEOMETRIES)
    inside = f"coalesce({sql} -> 'coordinates', {sql} -> 'geometries')"
    function = f"{column.type}_typeof"
    return f"{function}({sql}) = 'object' AND {sql} ->> 'type' IN ({names}) AND {function}({inside}) = 'array'"


def _probe(rows: Rows, column: Column) -> str:
    """Whether the first values are geometries."""
    first = rows.select([reference(column)], f" WHERE {reference(column)} IS NOT NULL LIMIT 20")
    return f"SELECT bool_and({_is_geometry(column)}) FROM ({first}) AS page"
