"""Who may do what: the one place of permission checks (catalog-api.md §B5, datastore-api.md §15).

Pure functions on values, no I/O: the caller has loaded what they look at, inside its transaction where it writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from datastore.accounts.actor import Actor
from datastore.errors import NotAuthorized
from datastore.settings import Settings

ADMIN, EDITOR, MEMBER = "admin", "editor", "member"
CAPACITIES = (ADMIN, EDITOR, MEMBER)
# Of an admin's there is no list: they may do everything there is, `admin` (as clients ask for it) included.
_PERMISSIONS = {
    EDITOR: frozenset({"read", "create_dataset", "update_dataset", "delete_dataset", "manage_group"}),
    MEMBER: frozenset({"read", "manage_group"}),
}
PUBLIC_LABEL = "public"


@dataclass(frozen=True, slots=True)
class DatasetAccess:
    """What decides who may see and change a dataset."""

    id: str
    name: str
    owner_org: str | None
    private: bool
    state: str
    creator_user_id: str | None

    @property
    def public(self) -> bool:
        """Everybody may see it."""
        return self.state == "active" and not self.private


def has_permission(actor: Actor, group_id: str, permission: str) -> bool:
    """The actor's role in the organization or group includes ``permission``. Admins and sysadmins have every one."""
    role = actor.roles.get(group_id, "")
    return actor.sysadmin or role == ADMIN or permission in _PERMISSIONS.get(role, ())


def may_read_dataset(actor: Actor, access: DatasetAccess) -> bool:
    """Active public datasets: everybody. Others: any role in the owner; without owner, the creator; collaborators."""
    if access.public or actor.sysadmin or access.id in actor.collaborations:
        return True
    if access.owner_org is not None:
        return has_permission(actor, access.owner_org, "read")
    return not actor.limited and actor.id is not None and actor.id == access.creator_user_id


def dataset_labels(access: DatasetAccess) -> list[str]:
    """Who may see a dataset, as labels that can be kept: whoever has one of them in :func:`actor_labels`."""
    if access.public:
        return [PUBLIC_LABEL]
    if access.owner_org is not None:
        return [f"member-{access.owner_org}", f"collaborator-{access.id}"]
    creator = [f"creator-{access.creator_user_id}"] if access.creator_user_id is not None else []
    return [*creator, f"collaborator-{access.id}"]


def group_labels(group_id: str, state: str) -> list[str]:
    """Who may see an organization or group, as labels."""
    return [PUBLIC_LABEL] if state == "active" else [f"member-{group_id}"]


def own_labels(user_id: str) -> list[str]:
    """The labels of what is a user's own business."""
    return [f"creator-{user_id}"]


def actor_labels(actor: Actor) -> list[str]:
    """The labels of all that the actor may see. Sysadmins see everything, whatever its labels."""
    own = own_labels(actor.id) if actor.id is not None and not actor.limited else []
    members = [f"member-{group_id}" for group_id in actor.roles if has_permission(actor, group_id, "read")]
    return [PUBLIC_LABEL, *own, *members, *(f"collaborator-{dataset_id}" for dataset_id in actor.collaborations)]


def may_update_dataset(actor: Actor, access: DatasetAccess, settings: Settings) -> bool:
    """Admins and editors of the owner, and collaborators who are; without owner, any logged-in user who may see it, if
    the site allows those."""
    if actor.sysadmin or actor.collaborations.get(access.id) in (ADMIN, EDITOR):
        return True
    if access.owner_org is not None:
        return has_permission(actor, access.owner_org, "update_dataset")
    return (
        not actor.anonymous
        and not actor.limited
        and settings.create_unowned_dataset
        and may_read_dataset(actor, access)
    )


def may_move_dataset(actor: Actor, access: DatasetAccess, settings: Settings) -> bool:
    """Take a dataset out of the organization that owns it: a right of its editors and admins, not of collaborators."""
    if access.owner_org is None:
        return may_update_dataset(actor, access, settings)
    return has_permission(actor, access.owner_org, "update_dataset")


def may_create_dataset(actor: Actor, owner_org: str | None, settings: Settings) -> bool:
    """Create a dataset in the organization (an id), or one that no organization owns."""
    if actor.sysadmin:
        return True
    if owner_org is not None:
        return has_permission(actor, owner_org, "create_dataset")
    if not settings.create_unowned_dataset or actor.limited:
        return False
    if actor.anonymous:
        return settings.anon_create_dataset
    return settings.create_dataset_if_not_in_organization or any(
        has_permission(actor, group_id, "create_dataset") for group_id in actor.roles
    )


def may_create_group(actor: Actor, is_organization: bool, settings: Settings) -> bool:
    """Sysadmins, or every user if the site allows it."""
    allowed = settings.user_create_organizations if is_organization else settings.user_create_groups
    return actor.sysadmin or (allowed and not actor.anonymous and not actor.limited)


def may_delete_group(actor: Actor, group_id: str, is_organization: bool, settings: Settings) -> bool:
    """Sysadmins, and the admins if the site allows it."""
    allowed = settings.user_delete_organizations if is_organization else settings.user_delete_groups
    return actor.sysadmin or (allowed and has_permission(actor, group_id, "delete"))


def may_manage_collaborators(actor: Actor, access: DatasetAccess, settings: Settings) -> bool:
    """Admins of the owner; collaborators who are admins, where the site allows such."""
    if access.owner_org is not None and has_permission(actor, access.owner_org, "membership"):
        return True
    admin = settings.allow_admin_collaborators and actor.collaborations.get(access.id) == ADMIN
    return actor.sysadmin or (admin and not actor.limited)


def may_read_group(actor: Actor, state: str) -> bool:
    """Active organizations and groups: everybody. Deleted ones: sysadmins only."""
    return state == "active" or actor.sysadmin


def may_act_for_user(actor: Actor, user_id: str) -> bool:
    """One's own account, or any for a sysadmin."""
    return actor.sysadmin or (not actor.limited and actor.id is not None and actor.id == user_id)


def may_create_user(actor: Actor, settings: Settings) -> bool:
    """Sysadmins, or anybody if the site allows it."""
    return actor.sysadmin or settings.create_user_via_api


def may_see_users(actor: Actor, settings: Settings) -> bool:
    """Who the users are is public, unless the site says otherwise."""
    return settings.public_user_details or actor.sysadmin or not actor.anonymous


def require_sysadmin(actor: Actor, action_name: str) -> None:
    """Raise :class:`NotAuthorized` for everybody but sysadmins."""
    require_login(actor, action_name)
    if not actor.sysadmin:
        raise NotAuthorized(f"User {actor.name} not authorized to perform {action_name}")


def require_login(actor: Actor, action_name: str) -> None:
    """Raise :class:`NotAuthorized` for the anonymous visitor. The internal sysadmin, who has no id, may pass."""
    if actor.anonymous and not actor.sysadmin:
        raise NotAuthorized(f"Action {action_name} requires an authenticated user")


def require_permission(actor: Actor, group_id: str, permission: str, operation: str) -> None:
    """Raise :class:`NotAuthorized` unless the actor's role in the group or organization includes ``permission``."""
    require_login(actor, operation)
    if not has_permission(actor, group_id, permission):
        raise refusal(actor, operation, f"group {group_id}")


def require_read(
    actor: Actor, access: DatasetAccess, operation: str = "resource_show", subject: str | None = None
) -> None:
    """Raise :class:`NotAuthorized` unless the actor may see the dataset.

    ``subject`` is what was asked for, as it was named: a refusal must not tell the id of what was called by its name.
    """
    if not may_read_dataset(actor, access):
        raise refusal(actor, operation, subject or "this dataset")


def require_update(
    actor: Actor,
    access: DatasetAccess,
    settings: Settings,
    operation: str = "resource_update",
    subject: str | None = None,
) -> None:
    """Raise :class:`NotAuthorized` unless the actor may change the dataset."""
    if not may_update_dataset(actor, access, settings):
        raise refusal(actor, operation, subject or "this dataset")


def refusal(actor: Actor, operation: str, subject: str) -> NotAuthorized:
    """The exception that says who may not do what."""
    return NotAuthorized(f"User {actor.name or 'anonymous'} not authorized to perform {operation} on {subject}")
