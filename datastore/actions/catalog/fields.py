"""Parameters of the catalog's objects. They are checked where the rules are, in ``catalog/``; here they are described.

An update tells what was sent from what was not, so these models hand over exactly what the client sent.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, WithJsonSchema

from datastore.actions.parameters import Flag, Parameters

AnyText = Annotated[Any, WithJsonSchema({"type": ["string", "null"]})]
AnyNumber = Annotated[Any, WithJsonSchema({"type": ["integer", "null"]})]
AnyDate = Annotated[Any, WithJsonSchema({"type": ["string", "null"], "format": "date-time"})]
Objects = Annotated[Any, WithJsonSchema({"type": "array", "items": {"type": "object"}})]
Object = Annotated[Any, WithJsonSchema({"type": ["object", "null"]})]


class Sent(Parameters):
    """A model that remembers which parameters were sent."""

    def sent(self) -> dict[str, Any]:
        """What the client sent, by name."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        return {**fields, **(self.model_extra or {})}


class DatasetFields(Sent):
    """The fields of a dataset that clients set."""

    name: AnyText = Field(
        None, description="Name in addresses: 2 to 100 lower-case ASCII letters, digits, `-` and `_`; unique."
    )
    title: AnyText = Field(None, description="Title; the name if none is given.")
    notes: AnyText = Field(None, description="Description, in Markdown.")
    url: AnyText = Field(None, description="Address of the dataset's source or home page.")
    version: AnyText = Field(None, description="Version, at most 100 characters.")
    author: AnyText = Field(None, description="Name of the author.")
    author_email: AnyText = Field(None, description="E-mail address of the author.")
    maintainer: AnyText = Field(None, description="Name of the maintainer.")
    maintainer_email: AnyText = Field(None, description="E-mail address of the maintainer.")
    license_id: AnyText = Field(None, description="Id of a licence; see license_list.")
    type: AnyText = Field(None, description="Kind of dataset, `dataset` by default; never changes.")
    state: AnyText = Field(None, description="`active`, `draft` or `deleted`.")
    private: Flag = Field(None, description="Only members of the owning organization see it.")
    owner_org: AnyText = Field(None, description="Id or name of the organization that owns it.")
    tags: Objects = Field(None, description="List of `{name}`, and `vocabulary_id` for a tag of a vocabulary.")
    tag_string: AnyText = Field(None, description="Tags as one comma-separated text, besides `tags`.")
    extras: Objects = Field(None, description="List of `{key, value}`: further metadata. Keys are unique.")
    groups: Objects = Field(None, description="List of `{id}` or `{name}`: the groups that collect it.")
    resources: Objects = Field(None, description="List of resources; see resource_create for their fields.")
    relationships_as_subject: Objects = Field(
        None, description="At creation: relationships that a dump shows; those that exist stay as they are."
    )
    relationships_as_object: Objects = Field(None, description="The same, seen from the other side.")
    plugin_data: Object = Field(None, description="Data of integrations; sysadmins only.")
    metadata_modified: AnyDate = Field(None, description="Time of the last change; sysadmins only, else now.")


class ResourceFields(Sent):
    """The fields of a resource that clients set. Every other key is kept as further metadata of the resource."""

    model_config = ConfigDict(extra="allow")

    url: AnyText = Field(None, description="Address of the data; `http://` is put before one without a scheme.")
    name: AnyText = Field(None, description="Title of the resource.")
    description: AnyText = Field(None, description="Description, in Markdown.")
    format: AnyText = Field(None, description="Format, such as `CSV`; guessed from the address at creation.")
    hash: AnyText = Field(None, description="Checksum of the data.")
    resource_type: AnyText = Field(None, description="Kind of resource, such as `file` or `api`.")
    mimetype: AnyText = Field(None, description="MIME type; guessed from the address at creation.")
    mimetype_inner: AnyText = Field(None, description="MIME type of what is inside a container.")
    size: AnyNumber = Field(None, description="Size in bytes.")
    created: AnyDate = Field(None, description="Time of creation, ISO 8601 in UTC; now by default.")
    last_modified: AnyDate = Field(None, description="Time when the data last changed.")
    cache_url: AnyText = Field(None, description="Address of a cached copy.")
    cache_last_updated: AnyDate = Field(None, description="Time when that copy was made.")
    url_type: AnyText = Field(
        None,
        description="Empty for a link, `upload` for a file kept here, `datastore` for a table without a source file.",
    )
    resource_views: Objects = Field(
        None, description="At creation: the views that a dump shows, instead of the default ones; later without effect."
    )
