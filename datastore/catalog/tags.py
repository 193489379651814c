"""Tags of datasets: what clients send, and how it is stored."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from datastore.catalog.names import tag_name
from datastore.postgres.database import Transaction
from datastore.validation import Problems, objects, text

_CREATE = """
    INSERT INTO datastore.tags (id, name)
    SELECT * FROM unnest($1::text[], $2::text[])
    ON CONFLICT ON CONSTRAINT tags_name_key DO NOTHING
"""

_DETACH = """
    DELETE FROM datastore.dataset_tags AS link
    USING datastore.tags AS tag
    WHERE link.dataset_id = $1 AND tag.id = link.tag_id AND tag.name <> ALL ($2::text[])
"""

_ATTACH = """
    INSERT INTO datastore.dataset_tags (dataset_id, tag_id)
    SELECT $1, tag.id FROM datastore.tags AS tag WHERE tag.name = ANY ($2::text[]) AND tag.vocabulary_id IS NULL
    ON CONFLICT DO NOTHING
"""


def check_tags(problems: Problems, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the free tags in ``tags`` and the comma-separated ``tag_string``, sorted, each once."""
    found = []
    nested = []
    for tag in objects("tags", data.get("tags")):
        problem = Problems()
        found.append(problem.check("name", tag_name, tag.get("name"), ""))
        if tag.get("vocabulary_id"):
            problem.add("vocabulary_id", "Tag vocabulary was not found.")
        nested.append(problem)
    problems.nested("tags", nested)
    listed = problems.check("tag_string", text, data.get("tag_string"), None) or ""
    found.extend(problems.check("tag_string", tag_name, part, "") for part in listed.split(",") if part.strip())
    return tuple(sorted(set(found)))


async def set_tags(tx: Transaction, dataset_id: str, names: Sequence[str]) -> None:
    """Make ``names`` the tags of the dataset, creating the tags that do not exist. The dataset's row is locked."""
    await tx.connection.execute(_CREATE, [str(uuid.uuid4()) for _ in names], list(names))
    await tx.connection.execute(_DETACH, dataset_id, list(names))
    await tx.connection.execute(_ATTACH, dataset_id, list(names))
