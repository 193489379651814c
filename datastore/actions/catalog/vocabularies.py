"""Actions on vocabularies, and on the tags in them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from datastore.accounts.permissions import require_sysadmin
from datastore.actions.catalog.fields import AnyText, Objects, Sent
from datastore.actions.parameters import Parameters, RequiredText, Text
from datastore.actions.registry import Call, action
from datastore.catalog.datasets.rows import Tag
from datastore.catalog.editing.vocabularies import (
    Vocabulary,
    create_tag,
    create_vocabulary,
    delete_tag,
    delete_vocabulary,
    find_vocabulary,
    show_tag,
    show_vocabulary,
    update_vocabulary,
)
from datastore.catalog.editing.vocabularies import (
    vocabulary_list as all_vocabularies,
)
from datastore.postgres.database import Transaction


class _VocabularyFields(Sent):
    """What a vocabulary has."""

    name: AnyText = Field(None, description="Its name: 2 to 100 characters, unique.")
    tags: Objects = Field(None, description="Its tags, a list of `{name}`.")


class VocabularyCreate(_VocabularyFields):
    """A new vocabulary."""

    id: AnyText = Field(None, description="Id to give it, a UUID4, so that dumps of another site fit; else a new one.")


class VocabularyUpdate(_VocabularyFields):
    """What changes in a vocabulary."""

    id: RequiredText = Field(description="Id or name of the vocabulary.")


class VocabularyKey(Parameters):
    """Which vocabulary."""

    id: RequiredText = Field(description="Id or name of the vocabulary.")


class VocabularyList(Parameters):
    """No parameters."""


class TagCreate(Sent):
    """A new tag of a vocabulary."""

    name: AnyText = Field(None, description="Name of the tag.")
    vocabulary_id: AnyText = Field(None, description="Id or name of the vocabulary.")


class TagDelete(Parameters):
    """Which tag."""

    id: RequiredText = Field(description="Id or name of the tag.")
    vocabulary_id: Text = Field(None, description="Id or name of its vocabulary; none for a free tag.")


@action(VocabularyList, get=True)
async def vocabulary_list(call: Call, _parameters: VocabularyList) -> list[dict[str, Any]]:
    """All vocabularies with their tags, by name."""
    return [show_vocabulary(found) for found in await all_vocabularies(call.services.database.owner)]


@action(VocabularyKey, get=True)
async def vocabulary_show(call: Call, parameters: VocabularyKey) -> dict[str, Any]:
    """A vocabulary with its tags."""
    return show_vocabulary(await find_vocabulary(call.services.database.owner, parameters.id))


@action(VocabularyCreate)
async def vocabulary_create(call: Call, parameters: VocabularyCreate) -> dict[str, Any]:
    """Create a vocabulary: a list of tags from which datasets choose. Sysadmins only."""
    require_sysadmin(call.actor, "vocabulary_create")

    async def work(tx: Transaction) -> Vocabulary:
        return await create_vocabulary(tx, parameters.sent())

    return show_vocabulary(await call.write(work))


@action(VocabularyUpdate)
async def vocabulary_update(call: Call, parameters: VocabularyUpdate) -> dict[str, Any]:
    """Rename a vocabulary, or replace its tags; datasets lose those that are gone. Sysadmins only."""
    require_sysadmin(call.actor, "vocabulary_update")

    async def work(tx: Transaction) -> Vocabulary:
        return await update_vocabulary(tx, parameters.id, parameters.sent())

    return show_vocabulary(await call.write(work))


@action(VocabularyKey)
async def vocabulary_delete(call: Call, parameters: VocabularyKey) -> None:
    """Delete a vocabulary with its tags; datasets lose them. Sysadmins only."""
    require_sysadmin(call.actor, "vocabulary_delete")

    async def work(tx: Transaction) -> None:
        await delete_vocabulary(tx, parameters.id)

    await call.write(work)


@action(TagCreate)
async def tag_create(call: Call, parameters: TagCreate) -> dict[str, Any]:
    """Add a tag to a vocabulary. Free tags come with the datasets that have them. Sysadmins only."""
    require_sysadmin(call.actor, "tag_create")

    async def work(tx: Transaction) -> Tag:
        return await create_tag(tx, parameters.name, parameters.vocabulary_id)

    return show_tag(await call.write(work))


@action(TagDelete)
async def tag_delete(call: Call, parameters: TagDelete) -> None:
    """Delete a tag; datasets lose it. Sysadmins only."""
    require_sysadmin(call.actor, "tag_delete")

    async def work(tx: Transaction) -> None:
        await delete_tag(tx, parameters.id, parameters.vocabulary_id)

    await call.write(work)
