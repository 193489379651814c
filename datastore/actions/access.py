"""Who may call what: a rule for each action, from which the table in docs/permissions.md is written.

The rules say in one place what the actions decide where they have the facts; tests/permissions/ walks every action as
everybody and compares. Every action stands in :data:`ACCESS`, once.
"""

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
from datastore.actions import registry
from datastore.actions.scopes import check_scope
from datastore.errors import NotAuthorized
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

_BY_RULE: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (
        ANYBODY,
        (
            "datastore_trigger_library",
            "group_follower_count",
            "help_show",
            "license_list",
            "organization_follower_count",
            "member_roles_list",
            "site_read",
            "status_show",
            "term_translation_show",
            "vocabulary_list",
            "vocabulary_show",
        ),
    ),
    (
        FINDS,
        (
            "group_activity_list",
            "organization_activity_list",
            "package_autocomplete",
            "package_list",
            "package_search",
            "recently_changed_packages_activity_list",
            "tag_autocomplete",
            "tag_list",
            "tag_search",
            "tag_show",
            "user_activity_list",
        ),
    ),
    (FINDS_PUBLIC, ("current_package_list_with_resources", "format_autocomplete", "resource_search")),
    (
        READS,
        (
            "activity_show",
            "dataset_follower_count",
            "datastore_aggregate",
            "datastore_info",
            "datastore_search",
            "datastore_search_sql",
            "datastore_stats",
            "package_activity_list",
            "package_relationships_list",
            "package_show",
            "resource_show",
            "resource_status_show",
            "resource_view_list",
            "resource_view_show",
            "task_status_show",
        ),
    ),
    (
        CHANGES,
        (
            "activity_data_show",
            "activity_diff",
            "datastore_create",
            "datastore_delete",
            "datastore_make_private",
            "datastore_make_public",
            "datastore_records_delete",
            "datastore_upsert",
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
        ),
    ),
    (CREATES, ("package_create",)),
    (
        COLLABORATORS,
        ("package_collaborator_create", "package_collaborator_delete", "package_collaborator_list"),
    ),
    (
        READS_GROUP,
        (
            "group_autocomplete",
            "group_list",
            "group_package_show",
            "group_show",
            "member_list",
            "organization_autocomplete",
            "organization_list",
            "organization_list_for_user",
            "organization_show",
        ),
    ),
    (
        CHANGES_ORGANIZATION,
        (
            "bulk_update_delete",
            "bulk_update_private",
            "bulk_update_public",
            "organization_member_create",
            "organization_member_delete",
            "organization_patch",
            "organization_update",
            "user_invite",
        ),
    ),
    (CHANGES_GROUP, ("group_member_create", "group_member_delete", "group_patch", "group_update")),
    (PUTS_INTO_GROUP, ("member_create", "member_delete")),
    (DELETES_GROUP, ("group_delete",)),
    (DELETES_ORGANIZATION, ("organization_delete",)),
    (CREATES_GROUP, ("group_create",)),
    (CREATES_ORGANIZATION, ("organization_create",)),
    (LOGGED_IN, ("group_list_authz",)),
    (
        FOLLOWS,
        (
            "am_following_group",
            "am_following_user",
            "dashboard_activity_list",
            "dashboard_mark_activities_old",
            "dashboard_new_activities_count",
            "follow_group",
            "follow_user",
            "unfollow_group",
            "unfollow_user",
        ),
    ),
    (FOLLOWS_DATASET, ("am_following_dataset", "follow_dataset", "unfollow_dataset")),
    (
        USERS,
        (
            "dataset_followee_count",
            "followee_count",
            "group_followee_count",
            "organization_followee_count",
            "user_autocomplete",
            "user_followee_count",
            "user_follower_count",
            "user_list",
            "user_show",
        ),
    ),
    (CREATES_USER, ("user_create",)),
    (
        OWN,
        (
            "api_token_create",
            "api_token_list",
            "api_token_revoke",
            "dataset_followee_list",
            "followee_list",
            "group_followee_list",
            "organization_followee_list",
            "package_collaborator_list_for_user",
            "user_followee_list",
            "user_generate_apikey",
            "user_patch",
            "user_update",
        ),
    ),
    (
        SYSADMIN,
        (
            "activity_create",
            "activity_delete",
            "config_option_list",
            "config_option_show",
            "config_option_update",
            "dataset_purge",
            "dataset_follower_list",
            "datastore_function_create",
            "datastore_function_delete",
            "datastore_history_create",
            "datastore_history_delete",
            "datastore_run_triggers",
            "datastore_sequence_create",
            "datastore_sequence_delete",
            "datastore_sequence_next",
            "datastore_trigger_install",
            "get_site_user",
            "group_follower_list",
            "group_purge",
            "organization_follower_list",
            "organization_purge",
            "package_owner_org_update",
            "resource_view_clear",
            "tag_create",
            "job_cancel",
            "job_clear",
            "job_list",
            "job_show",
            "tag_delete",
            "task_status_delete",
            "task_status_update",
            "task_status_update_many",
            "term_translation_update",
            "term_translation_update_many",
            "user_delete",
            "user_follower_list",
            "vocabulary_create",
            "vocabulary_delete",
            "vocabulary_update",
        ),
    ),
)

ACCESS: Mapping[str, Rule] = MappingProxyType({name: rule for rule, names in _BY_RULE for name in names})
"""The rule of each action."""


def may_call(name: str, actor: Actor, kind: str, settings: Settings) -> bool:
    """Whether one of :data:`ACTORS` may call the action on a thing of this kind, by its rule and their token."""
    action = registry.find(name)
    if action is None:
        raise KeyError(name)
    try:
        check_scope(actor, name, writes=not action.get)
    except NotAuthorized:
        return False
    return ACCESS[name].allows(actor, kind, settings)


def table(settings: Settings) -> str:
    """Who may call what with these settings, as a table in Markdown: “yes”, or the kind of thing on which one may."""
    lines = [
        f"| action | {' | '.join(ACTORS)} | who may call it |",
        f"| --- {'| --- ' * len(ACTORS)}| --- |",
    ]
    for name in registry.names():
        rule = ACCESS[name]
        cells = (_cell(name, rule, actor, settings) for actor in ACTORS.values())
        lines.append(f"| `{name}` | {' | '.join(cells)} | {rule.words} |")
    return "\n".join(lines)


def _cell(name: str, rule: Rule, actor: Actor, settings: Settings) -> str:
    kinds = [kind for kind in rule.kinds if may_call(name, actor, kind, settings)]
    return "yes" if len(kinds) == len(rule.kinds) else " and ".join(kinds)
