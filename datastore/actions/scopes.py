"""What a token may call: the one place where its scope is enforced, before any action runs.

A read-only token calls no action that writes. A token that is limited to an organization or a dataset calls, of those
that write, only the ones named here: whatever they do is decided by the actor's rights on a dataset, organization or
group, and of these a limited actor has no others (``accounts/actors.py``). Every other write is refused, also one that
is added later and not thought of here.
"""

from __future__ import annotations

from datastore.accounts.actor import Actor
from datastore.errors import NotAuthorized

LIMITED_WRITES = frozenset(
    {
        "bulk_update_delete",
        "bulk_update_private",
        "bulk_update_public",
        "datastore_create",
        "datastore_delete",
        "datastore_records_delete",
        "datastore_run_triggers",
        "datastore_upsert",
        "group_member_create",
        "group_member_delete",
        "group_patch",
        "group_update",
        "member_create",
        "member_delete",
        "organization_member_create",
        "organization_member_delete",
        "organization_patch",
        "organization_update",
        "package_create",
        "package_create_default_resource_views",
        "package_delete",
        "package_patch",
        "package_relationship_create",
        "package_relationship_delete",
        "package_relationship_update",
        "package_resource_reorder",
        "package_revise",
        "package_update",
        "resource_create",
        "resource_create_default_resource_views",
        "resource_delete",
        "resource_patch",
        "resource_update",
        "resource_view_create",
        "resource_view_delete",
        "resource_view_reorder",
        "resource_view_update",
    }
)
"""Writes that a limited token may call."""


def check_scope(actor: Actor, action_name: str, writes: bool) -> None:
    """Raise :class:`NotAuthorized` if the actor's token is not for such actions."""
    if not writes:
        return
    if actor.read_only:
        raise NotAuthorized(f"This token may only read, not call {action_name}")
    if actor.limited and action_name not in LIMITED_WRITES:
        raise NotAuthorized(f"This token acts in one organization or dataset only, so it may not call {action_name}")
