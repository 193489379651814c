"""The rules of who may call an action, each with its words, and the actors on whom docs/permissions.md shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.permissions import (
    ADMIN,
    EDITOR,
    MEMBER,
    DatasetAccess,
    has_permission,
    may_act_for_user,
    may_create_dataset,
    may_create_group,
    may_create_user,
    may_delete_group,
    may_manage_collaborators,
    may_read_dataset,
    may_read_group,
    may_see_users,
    may_update_dataset,
)
from datastore.settings import Settings

_ORGANIZATION, _GROUP, _SOMEBODY_ELSE = "organization", "group", "somebody else"
_ANY = "any"
_PUBLIC, _PRIVATE = "public", "private"
_OWN, _OTHERS = "own", "others'"
_DATASETS = {
    kind: DatasetAccess("dataset", "dataset", _ORGANIZATION, kind == _PRIVATE, "active", _SOMEBODY_ELSE)
    for kind in (_PUBLIC, _PRIVATE)
}

ACTORS: Mapping[str, Actor] = MappingProxyType(
    {
        "anonymous": ANONYMOUS,
        "stranger": Actor(id="stranger", name="stranger"),
        **{
            role: Actor(id=role, name=role, roles={_ORGANIZATION: role, _GROUP: MEMBER if role == EDITOR else role})
            for role in (MEMBER, EDITOR, ADMIN)
        },
        "sysadmin": Actor(id="sysadmin", name="sysadmin", sysadmin=True),
        "read-only": Actor(id="sysadmin", name="sysadmin", sysadmin=True, read_only=True),
        "limited": Actor(id="admin", name="admin", roles={_ORGANIZATION: ADMIN}, limited=True),
    }
)
"""The columns of the table: people by their role in the organization or group that an action is about, and two tokens.
Groups have no editors: who is one is a member there. ``read-only`` is a sysadmin's token, ``limited`` one of an admin
for this organization alone."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of permission."""

    words: str
    """Who may, as a sentence goes on after “who may call it:”."""
    allows: Callable[[Actor, str, Settings], bool]
    """Whether the actor may call the action on a thing of this kind."""
    kinds: tuple[str, ...] = (_ANY,)
    """Kinds of things that make a difference, such as public and private datasets."""
    filters: bool = False
    """Who may not see a thing is not refused, but answered without it."""


def _reads(actor: Actor, kind: str, settings: Settings) -> bool:
    return may_read_dataset(actor, _DATASETS[kind])


def _changes(actor: Actor, kind: str, settings: Settings) -> bool:
    return may_update_dataset(actor, _DATASETS[kind], settings)


_BOTH = (_PUBLIC, _PRIVATE)

ANYBODY = Rule("everybody", lambda actor, kind, settings: True)
FINDS = Rule("everybody, who finds and counts what they may see", _reads, _BOTH, filters=True)
FINDS_PUBLIC = Rule(
    "everybody, and whoever asks finds public datasets only", lambda actor, kind, settings: kind == _PUBLIC, _BOTH, True
)
READS = Rule("who may see the dataset", _reads, _BOTH)
CHANGES = Rule("who may change the dataset", _changes, _BOTH)
CREATES = Rule(
    "who may create datasets in the organization",
    lambda actor, kind, settings: may_create_dataset(actor, _ORGANIZATION, settings),
)
COLLABORATORS = Rule(
    "admins of the dataset's organization, where the site has collaborators",
    lambda actor, kind, settings: may_manage_collaborators(actor, _DATASETS[_PUBLIC], settings),
)
READS_GROUP = Rule(
    "everybody; of its datasets one finds and counts those that one may see",
    lambda actor, kind, settings: may_read_group(actor, "active") and _reads(actor, kind, settings),
    _BOTH,
    filters=True,
)
CHANGES_ORGANIZATION = Rule(
    "admins of the organization", lambda actor, kind, settings: has_permission(actor, _ORGANIZATION, "update")
)
CHANGES_GROUP = Rule("admins of the group", lambda actor, kind, settings: has_permission(actor, _GROUP, "update"))
PUTS_INTO_GROUP = Rule(
    "admins of the organization or group; every member of a group may put datasets into it",
    lambda actor, kind, settings: has_permission(actor, _ORGANIZATION, "membership"),
)
DELETES_GROUP = Rule(
    "admins of the group, where the site lets them",
    lambda actor, kind, settings: may_delete_group(actor, _GROUP, False, settings),
)
DELETES_ORGANIZATION = Rule(
    "admins of the organization, where the site lets them",
    lambda actor, kind, settings: may_delete_group(actor, _ORGANIZATION, True, settings),
)
CREATES_GROUP = Rule(
    "every user, where the site lets them", lambda actor, kind, settings: may_create_group(actor, False, settings)
)
CREATES_ORGANIZATION = Rule(
    "sysadmins, or every user where the site lets them",
    lambda actor, kind, settings: may_create_group(actor, True, settings),
)
LOGGED_IN = Rule("every user, about themselves", lambda actor, kind, settings: not actor.anonymous)
FOLLOWS = Rule("every user, for themselves", lambda actor, kind, settings: may_act_for_user(actor, actor.id or ""))
FOLLOWS_DATASET = Rule(
    "every user who may see the dataset, for themselves",
    lambda actor, kind, settings: may_act_for_user(actor, actor.id or "") and _reads(actor, kind, settings),
    _BOTH,
)
USERS = Rule("everybody, where users are public", lambda actor, kind, settings: may_see_users(actor, settings))
CREATES_USER = Rule(
    "sysadmins, or everybody where the site lets them", lambda actor, kind, settings: may_create_user(actor, settings)
)
OWN = Rule(
    "the users themselves",
    lambda actor, kind, settings: may_act_for_user(actor, (actor.id or "") if kind == _OWN else _SOMEBODY_ELSE),
    (_OWN, _OTHERS),
)
SYSADMIN = Rule("sysadmins", lambda actor, kind, settings: actor.sysadmin)
