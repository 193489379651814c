"""geojson: features with a place from a JSON column or from coordinates."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.exports.conftest import Fetch, MakeTable

LINE = {"type": "LineString", "coordinates": [[7.1, 50.7], [8, 51]]}
SEVERAL = {"type": "GeometryCollection", "geometries": [LINE]}


async def test_coordinates(make_table: MakeTable, fetch: Fetch) -> None:
    records = [
        {"Lat": 50.73, "lon": 7.1, "name": 'Bonn "am Rhein"'},
        {"Lat": None, "lon": 7, "name": None},
        {"Lat": 91, "lon": 0, "name": "nowhere"},
        {"Lat": "NaN", "lon": 0, "name": "nowhere"},
    ]
    resource = await make_table({"Lat": "float8", "lon": "numeric", "name": "text"}, records)
    text = await fetch(resource, format="geojson")
    collection: dict[str, Any] = json.loads(text)

    assert collection["type"] == "FeatureCollection"
    assert collection["features"][0] == {
        "type": "Feature",
        "id": 1,
        "geometry": {"type": "Point", "coordinates": [7.1, 50.73]},
        "properties": {"name": 'Bonn "am Rhein"'},
    }
    assert [feature["geometry"] for feature in collection["features"][1:]] == [None] * 3
    assert len(text.splitlines()) == 6
    assert json.loads(await fetch(resource, format="geojson", limit=0)) == {"type": "FeatureCollection", "features": []}


async def test_geometries(make_table: MakeTable, fetch: Fetch) -> None:
    for type in ("json", "jsonb"):
        values = [LINE, SEVERAL, None]
        records = [{"shape": json.dumps(value) if type == "jsonb" and value else value} for value in values]
        resource = await make_table({"more": "json", "shape": type, "lat": "int", "lon": "int"}, records)
        features = json.loads(await fetch(resource, format="geojson"))["features"]
        assert [feature["geometry"] for feature in features] == values
        assert features[0]["properties"] == {"more": None, "lat": None, "lon": None}
        chosen = json.loads(await fetch(resource, format="geojson", fields="shape"))["features"]
        assert chosen[0] == {"type": "Feature", "geometry": LINE, "properties": {}}


async def test_no_place(make_table: MakeTable, client: httpx.AsyncClient) -> None:
    resource = await make_table({"lat": "text", "lon": "float8", "j": "json"}, [{"j": {"type": "Point"}}])
    refused = await client.get(f"/datastore/dump/{resource}?format=geojson")
    assert refused.status_code == 409
    assert refused.text.startswith("format: geojson needs")
