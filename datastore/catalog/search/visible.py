"""Which rows of ``datastore.dataset_search AS entry`` an actor may see: part of every search, beside what is asked."""

from __future__ import annotations

from dataclasses import dataclass

from datastore.accounts.actor import Actor
from datastore.catalog.search.plan import Arguments

PUBLIC = "entry.state = 'active' AND NOT entry.private"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is searched beside the active public datasets, as far as the actor may see it."""

    private: bool = False
    drafts: bool = False
    deleted: bool = False
    any_state: bool = False
    """The query itself says which states."""

    @property
    def beyond_public(self) -> bool:
        """Anything that not everybody sees."""
        return self.private or self.drafts or self.deleted or self.any_state


PUBLIC_ONLY = Scope()


def visible(actor: Actor, scope: Scope, arguments: Arguments) -> list[str]:
    """The conditions, in SQL."""
    if not scope.beyond_public:
        return [PUBLIC]
    conditions = []
    if not scope.any_state:
        states = ["active", *(["draft"] if scope.drafts else []), *(["deleted"] if scope.deleted else [])]
        conditions.append(f"entry.state = ANY ({arguments.add(states)}::text[])")
    if not scope.private:
        conditions.append("NOT entry.private")
    if not actor.sysadmin:
        types = ("text", "boolean", "text[]")
        who = ", ".join(f"{arguments.add(value)}::{type}" for value, type in zip(actor.who, types, strict=True))
        conditions.append(
            f"""({PUBLIC} OR EXISTS (
                SELECT FROM datastore.datasets AS dataset
                WHERE dataset.id = entry.dataset_id AND datastore.may_read(dataset, {who})))"""
        )
    return conditions
