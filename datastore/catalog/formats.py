"""The formats of resources: one spelling of each, found from a name, an extension or a MIME type."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from datastore.validation import text

# The canonical spelling, then the other names by which clients call it (without regard to case).
_FORMATS: tuple[tuple[str, ...], ...] = (
    ("CSV", "text/csv", "application/csv", "text/comma-separated-values", "comma separated values"),
    ("TSV", "text/tab-separated-values", "text/tsv", "tab", "tab separated values"),
    ("XLS", "application/vnd.ms-excel", "application/excel", "application/msexcel", "application/x-excel",
     "application/xls", "excel"),
    ("XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ODS", "application/vnd.oasis.opendocument.spreadsheet"),
    ("JSON", "application/json", "text/json"),
    ("NDJSON", "application/x-ndjson", "jsonl", "application/jsonl"),
    ("GeoJSON", "application/geo+json", "application/vnd.geo+json", "application/geojson"),
    ("JSON-LD", "application/ld+json", "jsonld"),
    ("Parquet", "application/vnd.apache.parquet", "application/parquet"),
    ("Arrow", "application/vnd.apache.arrow.file", "feather"),
    ("XML", "application/xml", "text/xml"),
    ("HTML", "text/html", "htm", "application/html"),
    ("PDF", "application/pdf", "application/x-pdf"),
    ("TXT", "text/plain", "text", "plain text"),
    ("MD", "text/markdown", "markdown"),
    ("RTF", "application/rtf", "text/rtf"),
    ("DOC", "application/msword", "word"),
    ("DOCX", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("ODT", "application/vnd.oasis.opendocument.text"),
    ("PPT", "application/vnd.ms-powerpoint", "powerpoint"),
    ("PPTX", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ODP", "application/vnd.oasis.opendocument.presentation"),
    ("MDB", "application/msaccess", "application/x-msaccess", "access"),
    ("DBF", "application/dbase", "application/x-dbf", "dbase"),
    ("SQLite", "application/vnd.sqlite3", "application/x-sqlite3", "sqlite3"),
    ("SQL", "application/sql"),
    ("SAS", "application/x-sas"),
    ("SAV", "application/x-spss-sav", "spss"),
    ("ZIP", "application/zip", "application/x-zip", "application/x-zip-compressed"),
    ("TAR", "application/x-tar"),
    ("GZIP", "application/gzip", "application/x-gzip", "gz"),
    ("TGZ", "application/x-gtar"),
    ("RAR", "application/x-rar-compressed", "application/vnd.rar"),
    ("7Z", "application/x-7z-compressed"),
    ("SHP", "application/x-shapefile", "shapefile", "esri shapefile"),
    ("KML", "application/vnd.google-earth.kml+xml"),
    ("KMZ", "application/vnd.google-earth.kmz"),
    ("GML", "application/gml+xml"),
    ("GPX", "application/gpx+xml"),
    ("GeoPackage", "application/geopackage+sqlite3", "gpkg"),
    ("GeoTIFF", "image/geotiff"),
    ("NetCDF", "application/netcdf", "application/x-netcdf"),
    ("WMS", "application/vnd.ogc.wms_xml", "ogc:wms"),
    ("WFS", "ogc:wfs"),
    ("WMTS", "ogc:wmts"),
    ("WCS", "ogc:wcs"),
    ("RDF", "application/rdf+xml", "rdf/xml"),
    ("TTL", "text/turtle", "application/x-turtle", "turtle"),
    ("N3", "text/n3", "text/rdf+n3"),
    ("N-Triples", "application/n-triples", "nt"),
    ("SPARQL", "api/sparql", "application/sparql-results+xml"),
    ("RSS", "application/rss+xml"),
    ("ATOM", "application/atom+xml"),
    ("ICS", "text/calendar", "ical"),
    ("API", "web api"),
    ("PNG", "image/png"),
    ("JPEG", "image/jpeg", "jpg", "image/jpg"),
    ("GIF", "image/gif"),
    ("TIFF", "image/tiff", "tif"),
    ("SVG", "image/svg+xml"),
    ("WebP", "image/webp"),
    ("MP3", "audio/mpeg"),
    ("WAV", "audio/x-wav", "audio/wav", "wave"),
    ("OGG", "audio/ogg"),
    ("MP4", "video/mp4"),
    ("AVI", "video/x-msvideo"),
    ("WebM", "video/webm"),
)  # fmt: skip
_CANONICAL = {name.lower(): names[0] for names in _FORMATS for name in names}
# The first one that is listed.
_MIMETYPES = {names[0]: next((name for name in names if "/" in name), None) for names in _FORMATS}
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://[^/?#]*)?(?P<path>[^?#]*)", re.IGNORECASE)


def canonical(value: Any) -> str:
    """The format in its usual spelling; unknown text as it was given, without surrounding blanks."""
    given = (text(value) or "").strip()
    return _CANONICAL.get(given.lower().removeprefix("."), given)


def guess(url: str) -> str:
    """The format that the extension of the address's file name tells, or ``""`` if it tells none."""
    match = _ADDRESS.match(url)
    path = match["path"] if match else ""
    extension = posixpath.splitext(path.strip())[1].removeprefix(".")
    return _CANONICAL.get(extension.lower(), "")


def guess_mimetype(url: str) -> str | None:
    """The MIME type that the extension of the address's file name tells, or None if it tells none."""
    return _MIMETYPES.get(guess(url))
