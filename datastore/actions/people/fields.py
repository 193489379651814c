"""Parameters that actions on groups and on organizations share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from datastore.actions.catalog.fields import AnyText, Objects, Sent
from datastore.actions.parameters import Boolean, Natural, Parameters, RequiredText, Strings, Text, json_list

Names = Annotated[Strings, BeforeValidator(json_list)]
"""A list of names: also as JSON, or with commas between them."""


class GroupFields(Sent):
    """The fields of a group or organization that clients set."""

    name: AnyText = Field(
        None, description="Name in addresses: 2 to 100 lower-case ASCII letters, digits, `-` and `_`; unique."
    )
    title: AnyText = Field(None, description="Title.")
    description: AnyText = Field(None, description="Description, in Markdown.")
    image_url: AnyText = Field(None, description="Address of a logo.")
    image_upload: AnyText = Field(None, description="The same, by another name; it wins.")
    clear_upload: Boolean = Field(False, description="Take the logo away.")
    type: AnyText = Field(None, description="Kind of group or organization; never changes.")
    extras: Objects = Field(None, description="List of `{key, value}`: further metadata. Keys are unique.")
    users: Objects = Field(None, description="List of `{name, capacity}`: members as `admin`, `editor` or `member`.")
    groups: Objects = Field(None, description="List of `{name}` or `{id}`: those right above, of the same kind.")
    packages: Objects = Field(None, description="List of `{id}` or `{name}`: datasets of a group.")


class NewGroup(GroupFields):
    """A group or organization to be."""

    id: AnyText = Field(None, description="Id to give it, a UUID4; sysadmins only.")


class ChangedGroup(GroupFields):
    """Changes of a group or organization."""

    id: RequiredText = Field(description="Its id or name.")
    state: AnyText = Field(None, description="`active` or `deleted`.")


class GroupKey(Parameters):
    """Which group or organization."""

    id: RequiredText = Field(description="Its id or name.")


class ShownGroup(GroupKey):
    """Which group or organization, and how much of it."""

    include_datasets: Boolean = Field(
        False, description="Also show its datasets, latest change first: 1000 of a group, ten of an organization."
    )
    include_dataset_count: Boolean = Field(True, description="Show the number of its datasets.")
    include_extras: Boolean = Field(True, description="Show further metadata.")
    include_users: Boolean = Field(True, description="Show its members.")
    include_groups: Boolean = Field(True, description="Show what is right above.")
    include_tags: Boolean = Field(False, description="Show its tags: an empty list, there are none.")
    include_followers: Boolean = Field(True, description="Show the number of followers.")
    include_member_count: Boolean = Field(False, description="Show the number of members.")


class ListedGroups(Parameters):
    """Which groups or organizations, and how much of each."""

    sort: Text = Field(None, description="`name`, `title` or `package_count`, then `asc` or `desc`.")
    order_by: Text = Field(None, description="Old name of `sort`.")
    q: Text = Field(None, description="Text that name, title or description contain.")
    type: Text = Field(None, description="Only of this kind.")
    limit: Natural = Field(None, description="How many at most: up to 1000 names, 25 with `all_fields`.")
    offset: Natural = Field(None, description="How many to leave out first.")
    all_fields: Boolean = Field(False, description="Objects instead of names.")
    include_dataset_count: Boolean = Field(True, description="With `all_fields`: show the number of datasets.")
    include_extras: Boolean = Field(False, description="With `all_fields`: show further metadata.")
    include_tags: Boolean = Field(False, description="With `all_fields`: show tags, which are none.")
    include_users: Boolean = Field(False, description="With `all_fields`: show the members.")
    include_groups: Boolean = Field(False, description="With `all_fields`: show what is right above.")
    include_followers: Boolean = Field(False, description="With `all_fields`: show the number of followers.")
    include_member_count: Boolean = Field(False, description="With `all_fields`: show the number of members.")


class SuggestedGroups(Parameters):
    """What was typed so far."""

    q: Text = Field(None, description="Text that name or title contain; all without it.")
    limit: Natural = Field(20, description="How many at most.")
