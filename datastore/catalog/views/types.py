"""The types of resource views: what each knows, and which resources get it by default (catalog-api.md §B6). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from datastore.validation import Invalid, Problems, json_value, text

Rule = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ViewType:
    """A type of view: the title that a default view gets, and a rule for each key of its configuration."""

    name: str
    title: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    filterable: bool = False
    needs_table: bool = False
    """Shows the resource's table: it is a default of resources that have one."""
    formats: frozenset[str] = frozenset()
    """The canonical formats of which it is a default."""

    def suits(self, format: str, datastore_active: bool) -> bool:
        """Whether it is a default view of such a resource."""
        return datastore_active if self.needs_table else format in self.formats


def _natural(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, (int, str)) else -1
    except ValueError:
        raise Invalid("Invalid integer") from None
    if not 0 <= number < 2**63:
        raise Invalid("Must be a natural number")
    return number


def _flag(value: Any) -> bool:
    return value.strip().lower() in ("true", "yes", "t", "y", "1", "on") if isinstance(value, str) else bool(value)


def _address(value: Any) -> str:
    """A web address, since browsers open it; blank is none."""
    found = (text(value) or "").strip()
    try:
        scheme = urlsplit(found).scheme.lower()
    except ValueError:
        scheme = ""
    if found and scheme not in ("http", "https"):
        raise Invalid("Please provide a valid URL")
    return found


def _names(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in given):
        raise Invalid("Must be a list of column names")
    return [text(item) or "" for item in given]


def _choice(*choices: str) -> Rule:
    def check(value: Any) -> str | None:
        if value is None or value == "":
            return None
        if value not in choices:
            raise Invalid(f"Value must be one of {list(choices)}")
        return str(value)

    return check


_RANGE: dict[str, Rule] = {"offset": _natural, "limit": _natural}
_GRAPH: dict[str, Rule] = {
    "graph_type": _choice("lines-and-points", "lines", "points", "bars", "columns", "pie"),
    "group": text,
    "series": _names,
}
_MAP: dict[str, Rule] = {
    "map_field_type": _choice("lat_long", "geojson"),
    "latitude_field": text,
    "longitude_field": text,
    "geojson_field": text,
    "auto_zoom": _flag,
    "cluster_markers": _flag,
}
_TABLE: dict[str, Rule] = {
    "show_fields": _names,
    "responsive": _flag,
    "ellipsis_length": _natural,
    "date_format": text,
    "state_saving": _flag,
    "filterable": _flag,
    "data_dictionary_labels": _flag,
    "columns_order": json_value,
    "sort": json_value,
    **_RANGE,
}

_ALL = (
    ViewType("datatables_view", "Table", _TABLE, filterable=True, needs_table=True),
    ViewType("recline_view", "Data Explorer", {**_RANGE, **_GRAPH, **_MAP}, filterable=True, needs_table=True),
    ViewType("recline_grid_view", "Grid", _RANGE, filterable=True, needs_table=True),
    ViewType("recline_graph_view", "Graph", {**_RANGE, **_GRAPH}, filterable=True, needs_table=True),
    ViewType("recline_map_view", "Map", {**_RANGE, **_MAP}, filterable=True, needs_table=True),
    ViewType("image_view", "Image", {"image_url": _address}, formats=frozenset({"PNG", "JPEG", "GIF", "SVG", "WebP"})),
    ViewType("text_view", "Text", formats=frozenset({"TXT", "MD", "JSON", "JSON-LD", "XML"})),
    ViewType("pdf_view", "PDF", {"pdf_url": _address}, formats=frozenset({"PDF"})),
    ViewType("webpage_view", "Website", {"page_url": _address}, formats=frozenset({"HTML"})),
    ViewType(
        "video_view",
        "Video",
        {"video_url": _address, "video_poster": _address},
        formats=frozenset({"MP4", "WebM", "OGV"}),
    ),
    ViewType("audio_view", "Audio", {"audio_url": _address}, formats=frozenset({"MP3", "WAV", "OGG"})),
    ViewType("geojson_view", "Map", formats=frozenset({"GeoJSON"})),
    ViewType("geo_view", "Map", formats=frozenset({"KML", "GML", "GPX", "WMS", "WFS"})),
)
VIEW_TYPES = {type.name: type for type in _ALL}


def check_config(problems: Problems, type: ViewType, data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of ``data`` that the type of view knows, checked; others are refused.

    ``filter_fields`` and ``filter_values``, two lists of one length, become ``filters``: ``{field: [values]}``.
    """
    config = {}
    for key, value in data.items():
        if key in type.rules:
            config[key] = problems.check(key, type.rules[key], value, None)
        elif not (type.filterable and key in ("filters", "filter_fields", "filter_values")):
            problems.add(key, f"The input field {key} was not expected.")
    nothing: dict[str, list[Any]] = {}
    filters = problems.check("filters", _filters, data.get("filters"), nothing)
    try:
        filters = filters or _paired(data.get("filter_fields"), data.get("filter_values"))
    except Invalid as problem:
        problems.add("filter_fields", str(problem))
    return {**config, "filters": filters} if type.filterable and filters else config


def _filters(value: Any) -> dict[str, list[Any]]:
    if value is None or value == "":
        return {}
    found = json_value(value)
    if not isinstance(found, dict) or not all(isinstance(values, list) for values in found.values()):
        raise Invalid("Must be an object with a list of values for each column")
    return found


def _paired(fields: Any, values: Any) -> dict[str, list[str]]:
    names, texts = _names(fields), _names(values)
    if len(names) != len(texts):
        raise Invalid("There must be as many filter_fields as filter_values")
    filters: dict[str, list[str]] = {}
    for name, value in zip(names, texts, strict=True):
        filters.setdefault(name, []).append(value)
    return filters
