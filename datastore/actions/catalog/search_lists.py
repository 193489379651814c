"""Actions that find tags, resources and formats (catalog-api.md §C1)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Text, Typed, invalid
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.resource_rows import show_resource
from datastore.catalog.datasets.rows import show_dataset
from datastore.catalog.search.autocomplete import complete_formats
from datastore.catalog.search.resources import find_resources, parse_criterion
from datastore.catalog.search.tags import datasets_with, find_tag, list_tags, show_tag, vocabulary_id
from datastore.errors import ValidationError
from datastore.validation import MISSING, is_storable

MAX_DATASETS = 1000


def _parts(value: Any) -> list[str]:
    """A text, or a list of texts; blank ones do not count."""
    found = value if isinstance(value, list) else [value]
    if not all(part is None or isinstance(part, str) for part in found):
        raise invalid("Must be a string or a list of strings")
    parts = [part.strip() for part in found if part is not None and part.strip()]
    if not all(map(is_storable, parts)):
        raise invalid("Text must not contain NUL characters or lone surrogates")
    return parts


class OfTags(Parameters):
    """Which tags."""

    query: Annotated[list[str], BeforeValidator(_parts)] = Field(
        [], description="Parts of the name, a text or a list of texts, all required; `q` means the same."
    )
    vocabulary_id: Text = Field(None, description="Id or name of a vocabulary; without it, free tags.")

    @model_validator(mode="before")
    @classmethod
    def _q_is_query(cls, data: Any) -> Any:
        return {**data, "query": data["q"]} if "q" in data and "query" not in data else data


class TagList(OfTags):
    """Which tags, and how much of each."""

    all_fields: Boolean = Field(False, description="Whole tags instead of names.")


class TagSearch(OfTags):
    """Which tags, and which part of them."""

    limit: Natural = Field(None, description="How many tags at most.")
    offset: Natural = Field(None, description="How many tags to leave out first.")


class TagShow(Parameters):
    """Which tag."""

    id: RequiredText = Field(description="Id or name of the tag.")
    vocabulary_id: Text = Field(None, description="Id or name of its vocabulary; without it, a free tag.")
    include_datasets: Boolean = Field(False, description="Also the public datasets that have it, at most 1000.")


@action(TagList, get=True)
async def tag_list(call: Call, parameters: TagList) -> list[str] | list[dict[str, Any]]:
    """The tags of datasets, sorted: the free ones, or those of a vocabulary."""
    pool = call.services.database.owner
    vocabulary = await vocabulary_id(pool, parameters.vocabulary_id)
    _, tags = await list_tags(pool, call.actor, vocabulary, parameters.query, None, 0)
    return [show_tag(tag) for tag in tags] if parameters.all_fields else [tag.name for tag in tags]


@action(TagSearch, get=True)
async def tag_search(call: Call, parameters: TagSearch) -> dict[str, Any]:
    """Tags by parts of their names. Without a part none is found."""
    pool = call.services.database.owner
    vocabulary = await vocabulary_id(pool, parameters.vocabulary_id)
    if not parameters.query:
        return {"count": 0, "results": []}
    count, tags = await list_tags(
        pool, call.actor, vocabulary, parameters.query, parameters.limit, parameters.offset or 0
    )
    return {"count": count, "results": [show_tag(tag) for tag in tags]}


@action(TagSearch, get=True)
async def tag_autocomplete(call: Call, parameters: TagSearch) -> list[str]:
    """The names of tags by parts of them."""
    found = await tag_search(call, parameters)
    return [tag["name"] for tag in found["results"]]


@action(TagShow, get=True)
async def tag_show(call: Call, parameters: TagShow) -> dict[str, Any]:
    """A tag and, if wanted, the public datasets that have it."""
    pool = call.services.database.owner
    vocabulary = await vocabulary_id(pool, parameters.vocabulary_id)
    tag = await find_tag(pool, call.actor, vocabulary, parameters.id)
    shown = show_tag(tag)
    if parameters.include_datasets:
        datasets = await datasets_with(pool, tag, MAX_DATASETS)
        shown["packages"] = [show_dataset(dataset, call.site_url) for dataset in datasets]
    return shown


class ResourceSearch(Parameters):
    """Which resources."""

    query: Annotated[list[str], BeforeValidator(_parts)] = Field(
        [], description="`field:text`, or a list of them, all required: the field has the text in it."
    )
    order_by: Text = Field(None, description="Field by which resources are sorted.")
    offset: Natural = Field(None, description="How many resources to leave out first.")
    limit: Natural = Field(None, description="How many resources at most.")


@action(ResourceSearch, get=True)
async def resource_search(call: Call, parameters: ResourceSearch) -> dict[str, Any]:
    """Resources of public datasets by parts of their fields; a `hash` by its beginning."""
    if not parameters.query:
        raise ValidationError({"query": [MISSING]})
    criteria = [parse_criterion(text) for text in parameters.query]
    count, resources = await find_resources(
        call.services.database.owner, criteria, parameters.order_by, parameters.offset or 0, parameters.limit
    )
    return {"count": count, "results": [show_resource(resource, call.site_url) for resource in resources]}


class FormatAutocomplete(Parameters):
    """What has been typed so far."""

    q: Typed = Field(description="Part of a format; no format has a blank one.")
    limit: Natural = Field(5, description="How many formats at most.")


@action(FormatAutocomplete, get=True)
async def format_autocomplete(call: Call, parameters: FormatAutocomplete) -> list[str]:
    """Formats of public resources that have the text in them, in lower case, the most frequent first."""
    limit = 5 if parameters.limit is None else parameters.limit
    if not parameters.q:
        return []
    return await complete_formats(call.services.database.owner, parameters.q, limit)
