"""package_search: the search of datasets, and what else lists datasets by it (catalog-api.md §C7)."""

from __future__ import annotations

import re
from contextlib import suppress
from math import isfinite
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator, Field, model_validator

from datastore.actions.parameters import (
    Boolean,
    Integer,
    Natural,
    Parameters,
    Text,
    Typed,
    invalid,
    split_list,
)
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import show_dataset
from datastore.catalog.search.autocomplete import complete_datasets
from datastore.catalog.search.facets import Wanted
from datastore.catalog.search.plan import DEFAULT_WEIGHTS, Weights
from datastore.catalog.search.query.simple import MIN_MATCH
from datastore.catalog.search.run import Search, search
from datastore.catalog.search.visible import Scope
from datastore.errors import SearchError, SearchQueryError
from datastore.validation import is_storable

_LOCAL = re.compile(r"\s*\{!")
_WEIGHT = re.compile(r"([A-Za-z0-9_-]+)(?:\^(\d+(?:\.\d+)?))?")
_MIN_MATCH = re.compile(r"\s*-?\d+%?\s*|(?:\s*\d+\s*<\s*-?\d+%?)+\s*")


def _texts(value: Any) -> list[str]:
    """A list of texts, or a text that is one."""
    if value is None or value == "":
        return []
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in found):
        raise invalid("Not a list of strings")
    if not all(map(is_storable, found)):
        raise invalid("Text must not contain NUL characters or lone surrogates")
    return [text for text in found if text.strip()]


def _names(value: Any) -> list[str]:
    """Names of fields: a list, its JSON, or a text with commas between them."""
    if isinstance(value, str):
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            decoded = split_list(value)
        value = decoded
    found = _texts(value)
    return list(dict.fromkeys(found))


def _field_list(value: Any) -> list[str] | None:
    if value in (None, "", []):
        return None
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = value.replace(",", " ").split()
    return _names(value)


class PackageSearch(Parameters):
    """What is searched, and what of it is told. docs/search.md teaches the language of `q` and `fq`."""

    q: Text = Field(None, description="The query: words, or conditions such as `title:water AND tags:rivers`.")
    fq: Annotated[list[str], BeforeValidator(_texts)] = Field(
        [], description="Conditions that narrow the search and do not matter to the order."
    )
    fq_list: Annotated[list[str], BeforeValidator(_texts)] = Field([], description="Further conditions, all required.")
    rows: Natural = Field(
        None, description="How many datasets to show, 10 by default, at most 1000 if the site does not say otherwise."
    )
    start: Natural = Field(None, description="How many datasets to leave out first.")
    sort: Text = Field(None, description="Such as `metadata_modified desc`; by relevance if not given.")
    facet: Boolean = Field(True, description="Whether values are counted.")
    facet_field: Annotated[list[str], BeforeValidator(_names)] = Field(
        [], alias="facet.field", description='Fields whose values are counted, such as `["tags", "organization"]`.'
    )
    facet_limit: Integer = Field(
        50, alias="facet.limit", description="How many values of each field, the most frequent; negative for all."
    )
    facet_mincount: Integer = Field(1, alias="facet.mincount", description="How often a value must be there.")
    include_private: Boolean = Field(False, description="Also private datasets that the caller may see.")
    include_drafts: Boolean = Field(False, description="Also drafts that the caller may see.")
    include_deleted: Boolean = Field(False, description="Also deleted datasets that the caller may see.")
    fl: Annotated[list[str] | None, BeforeValidator(_field_list)] = Field(
        None, description="Only these fields of each dataset, as the search knows them; `score` is its relevance."
    )
    qf: Text = Field(None, description="Where words are searched and how much they count: `title^4 tags^2 text`.")
    mm: Text = Field(None, description="How many of the words must be found: `2`, `75%`, `2<-1 5<80%`.")
    ext_bbox: Any = Field(
        None, description="`west,south,east,north`: only datasets whose extra `spatial` overlaps this box."
    )
    use_default_schema: Any = Field(None, description="Accepted; there is one schema.")
    extras: Any = Field(None, description="Further parameters as an object, of which `ext_bbox` has a meaning.")
    bf: Any = Field(None, description="Accepted, without effect.")
    boost: Any = Field(None, description="Accepted, without effect.")
    tie: Any = Field(None, description="Accepted, without effect.")
    defType: Any = Field(None, description="Accepted, without effect.")
    wt: Any = Field(None, description="Accepted, without effect.")
    df: Any = Field(None, description="Accepted, without effect.")

    @model_validator(mode="before")
    @classmethod
    def _check(cls, data: Any) -> Any:
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [name for name in data if name not in known and not name.startswith("ext_")]
        if unknown:
            raise SearchQueryError(f"Search Query is invalid: {f'Invalid search parameters: {unknown}'!r}")
        for name, value in data.items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and _LOCAL.match(text):
                    raise SearchError(f"Search error: {f'Local parameters are not supported in param {name!r}.'!r}")
        return data


@action(PackageSearch, get=True)
async def package_search(call: Call, parameters: PackageSearch) -> dict[str, Any]:
    """Search datasets by words and conditions, and count the values of their fields.

    Only datasets that the caller may see are found and counted. `did_you_mean` is there when a word is misspelled.
    """
    rows = min(10 if parameters.rows is None else parameters.rows, call.settings.package_search_rows_max)
    filters = [*parameters.fq, *parameters.fq_list]
    limit = 50 if parameters.facet_limit is None else parameters.facet_limit
    asked = Search(
        query=parameters.q or "",
        filters=filters,
        start=parameters.start or 0,
        rows=rows,
        sort=parameters.sort,
        scope=Scope(
            private=parameters.include_private,
            drafts=parameters.include_drafts,
            deleted=parameters.include_deleted,
            any_state=any("+state:" in text for text in filters),
        ),
        facets=Wanted(
            parameters.facet_field if parameters.facet else (),
            None if limit < 0 else limit,
            max(1, parameters.facet_mincount or 1),
        ),
        fields=parameters.fl,
        weights=_weights(parameters.qf),
        min_match=parameters.mm if parameters.mm and _MIN_MATCH.fullmatch(parameters.mm) else MIN_MATCH,
        box=_box(parameters),
    )
    services = call.services
    found = await search(services.database.owner, call.actor, asked, services.search_memory, call.settings.read_timeout)
    datasets = [show_dataset(dataset, call.site_url, actor=call.actor) for dataset in found.datasets]
    result: dict[str, Any] = {
        "count": found.count,
        "sort": found.sort,
        "results": datasets if parameters.fl is None else found.partial,
        "facets": found.facets,
        "search_facets": found.described,
    }
    if found.suggestion is not None:
        result["did_you_mean"] = found.suggestion
    return result


def _weights(text: str | None) -> Weights:
    """``title^4 text`` as weights; what is written otherwise is ignored."""
    found = {}
    for part in (text or "").split():
        match = _WEIGHT.fullmatch(part)
        if match is not None:
            found[match[1]] = min(float(match[2] or 1), 1e6)
    return Weights(found) if found else DEFAULT_WEIGHTS


def _box(parameters: PackageSearch) -> tuple[float, float, float, float] | None:
    given = parameters.ext_bbox
    extras = parameters.extras
    if isinstance(extras, str):
        with suppress(msgspec.DecodeError, RecursionError):
            extras = msgspec.json.decode(extras)
    if given is None and isinstance(extras, dict):
        given = extras.get("ext_bbox")
    if given in (None, ""):
        return None
    parts = given.split(",") if isinstance(given, str) else given
    try:
        west, south, east, north = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise _bad_box() from None
    if not all(map(isfinite, (west, south, east, north))):
        raise _bad_box()
    return west, south, east, north


def _bad_box() -> SearchQueryError:
    return SearchQueryError("Search Query is invalid: 'ext_bbox is west,south,east,north'")


class PackageAutocomplete(Parameters):
    """What has been typed so far."""

    q: Typed = Field(description="Part of a name or title; nothing begins with nothing.")
    limit: Natural = Field(10, description="How many datasets, at most 100.")


@action(PackageAutocomplete, get=True)
async def package_autocomplete(call: Call, parameters: PackageAutocomplete) -> list[dict[str, Any]]:
    """Datasets whose name or title has the text in it, among those that the caller may see."""
    limit = 10 if parameters.limit is None else min(parameters.limit, 100)
    if not parameters.q:
        return []
    return await complete_datasets(call.services.database.owner, call.actor, parameters.q, limit)
