"""Who may call what: a rule for each action, from which the table in docs/permissions.md is written.

The rules say in one place what the actions decide where they have the facts; tests/permissions/ walks every action as
everybody and compares. Every action stands in :data:`ACCESS`, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from datastore.accounts.actor import Actor
from datastore.actions import registry
from datastore.actions.access_rules import (
    ACTORS,
    ANYBODY,
    CHANGES,
    CHANGES_GROUP,
    CHANGES_ORGANIZATION,
    COLLABORATORS,
    CREATES,
    CREATES_GROUP,
    CREATES_ORGANIZATION,
    CREATES_USER,
    DELETES_GROUP,
    DELETES_ORGANIZATION,
    FINDS,
    FINDS_PUBLIC,
    FOLLOWS,
    FOLLOWS_DATASET,
    LOGGED_IN,
    OWN,
    PUTS_INTO_GROUP,
    READS,
    READS_GROUP,
    SYSADMIN,
    USERS,
    Rule,
)
from datastore.actions.scopes import check_scope
from datastore.errors import NotAuthorized
from datastore.settings import Settings

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
