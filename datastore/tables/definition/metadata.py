"""``_table_metadata``: the tables and aliases that an actor may see, as a table to search (datastore-api.md §12)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datastore.accounts.actor import Actor
from datastore.accounts.permissions import DatasetAccess
from datastore.postgres.quoting import literal
from datastore.tables.names import ID
from datastore.tables.schema import Column, TableSchema

NAME = "_table_metadata"

# A hash of the name: it has no number of its own.
_ID = Column(ID, "text", "text", not_null=True)
_COLUMNS = (
    Column("name", "name", "name", not_null=True),
    Column("oid", "oid", "oid", not_null=True),
    Column("alias_of", "name", "name"),
)
# Not public: it is read by the role that may ask for any actor's list.
_ACCESS = DatasetAccess(id=NAME, name=NAME, owner_org=None, private=True, state="active", creator_user_id=None)


@dataclass(frozen=True)
class MetadataSchema(TableSchema):
    """The shape of a table whose rows are computed for one actor. It can be searched, and nothing else."""

    source: str = ""
    """What stands in FROM."""

    @cached_property
    def sql_name(self) -> str:
        return self.source

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in (_ID, *self.columns)}

    @property
    def counted(self) -> bool:
        return False


def visible_to(actor: Actor) -> MetadataSchema:
    """``_table_metadata`` as the actor sees it: the tables of datasets that they may see, with their aliases."""
    actor_id, sysadmin, groups = actor.who
    user = "NULL" if actor_id is None else literal(actor_id)
    listed = ", ".join(map(literal, groups))
    arguments = f"{user}::text, {'true' if sysadmin else 'false'}, ARRAY[{listed}]::text[]"
    return MetadataSchema(
        resource_id=NAME,
        access=_ACCESS,
        url_type=None,
        oid=0,
        columns=_COLUMNS,
        source=f"datastore.table_metadata({arguments})",
    )
