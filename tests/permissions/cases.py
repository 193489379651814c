"""How each action is called in a world. A new action needs a case here, and a rule in datastore/actions/access.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.catalog.samples import unique
from tests.permissions.world import EVERY_STATE, World

Parameters = dict[str, Any]
MakesParameters = Callable[[World, str], Parameters]


@dataclass(frozen=True)
class Case:
    """A call that works for who may call it. Unless it has to, it tells nothing of what is secret in the world."""

    parameters: MakesParameters
    """Of the world, and the id of the account that it is about, if it is about one."""
    before: Callable[[World], Awaitable[Any]] | None = None
    """What a sysadmin does first."""
    shows: frozenset[str] = frozenset({"public", "private", "draft", "deleted"})
    """For actions that read: the kinds of datasets whose mark is in the answer, for those who may see them."""
    known: frozenset[int] = frozenset({200})
    """The statuses for those who may call it."""
    refused: frozenset[int] = frozenset({403})
    """The statuses for others; some actions answer them as if the thing were not there."""


NOTHING: frozenset[str] = frozenset()
PUBLIC = frozenset({"public"})
ACTIVE = frozenset({"public", "private"})

_FUNCTION = "BEGIN RETURN NEW; END;"


def _dataset(world: World, _: str) -> Parameters:
    return {"id": world.dataset}


def _organization(world: World, _: str) -> Parameters:
    return {"id": world.organization}


def _group(world: World, _: str) -> Parameters:
    return {"id": world.group}


def _table(world: World, _: str) -> Parameters:
    return {"resource_id": world.table}


def _none(world: World, _: str) -> Parameters:
    return {}


def _vocabulary(world: World, _: str) -> Parameters:
    return {"id": world.vocabulary}


def _relationship(world: World, _: str) -> Parameters:
    return {"subject": world.dataset, "object": world.friend, "type": "depends_on"}


def _member(field: str) -> MakesParameters:
    return lambda world, _: {"id": getattr(world, field), "username": world.guest}


def _new_member(field: str) -> MakesParameters:
    return lambda world, _: {"id": getattr(world, field), "username": world.guest, "role": "admin"}


def _many(world: World, _: str) -> Parameters:
    return {"datasets": [world.dataset], "org_id": world.organization}


def _listed(field: str) -> MakesParameters:
    return lambda world, _: {
        "all_fields": True,
        "include_users": True,
        "limit": 25,
        field: [getattr(world, field[:-1])],
    }


def _task(world: World, _: str) -> Parameters:
    return {"entity_id": world.table, "entity_type": "resource", "task_type": "t", "key": "k", "state": "done"}


def _tags(world: World, _: str) -> Parameters:
    return {"query": world.part}


def _search(world: World, _: str) -> Parameters:
    return {
        "q": f"title:{world.part}*",
        "facet.field": ["tags", "license_id", "res_format", "organization", "groups"],
        **EVERY_STATE,
    }


async def _function(world: World) -> None:
    await world.site.do(
        "datastore_function_create", name=world.mark, rettype="trigger", definition=_FUNCTION, or_replace=True
    )


async def _sequence(world: World) -> None:
    await world.site.do("datastore_sequence_create", name=world.mark, if_not_exists=True)


async def _history(world: World) -> None:
    await world.site.do("datastore_history_create", resource_id=world.table)


async def _empty_organization(world: World) -> None:
    for dataset in (world.dataset, world.friend):
        await world.site.do("package_delete", id=dataset)


def _user(world: World, user: str) -> Parameters:
    return {"id": user}


def _guest(world: World, _: str) -> Parameters:
    return {"id": world.guest}


HIDDEN = frozenset({403, 404, 409})
_FOLLOWED = {
    f"{verb}_{kind}": Case(make, shows=NOTHING, refused=HIDDEN)
    for verb in ("follow", "unfollow", "am_following")
    for kind, make in (("dataset", _dataset), ("group", _group), ("user", _guest))
}
_FOLLOWERS = {
    f"{kind}_follower_{what}": Case(make, shows=NOTHING, refused=HIDDEN)
    for what in ("count", "list")
    for kind, make in (("dataset", _dataset), ("group", _group), ("organization", _organization), ("user", _guest))
}
_FOLLOWEES = {
    f"{kind}followee_{what}": Case(make, shows=NOTHING)
    for what, make in (("count", _guest), ("list", _user))
    for kind in ("", "dataset_", "group_", "organization_", "user_")
}

CASES: dict[str, Case] = {
    **_FOLLOWED,
    **_FOLLOWERS,
    **_FOLLOWEES,
    "activity_create": Case(
        lambda world, _: {
            "user_id": world.guest,
            "object_id": world.dataset,
            "activity_type": "changed package",
            "data": {"package": {"id": world.dataset}},
        }
    ),
    "activity_data_show": Case(lambda world, _: {"id": world.activity}),
    "activity_diff": Case(lambda world, _: {"id": world.activity, "object_type": "package"}),
    "activity_delete": Case(lambda world, _: {"id": world.activity}),
    "activity_show": Case(lambda world, _: {"id": world.activity}),
    "dashboard_activity_list": Case(_none, shows=NOTHING),
    "dashboard_mark_activities_old": Case(_none),
    "dashboard_new_activities_count": Case(_none, shows=NOTHING),
    "group_activity_list": Case(_group, shows=ACTIVE),
    "organization_activity_list": Case(_organization, shows=ACTIVE),
    "package_activity_list": Case(_dataset),
    "recently_changed_packages_activity_list": Case(lambda world, _: {"limit": 100}, shows=NOTHING),
    "user_activity_list": Case(lambda world, _: {"id": "admin", "limit": 100}, shows=NOTHING),
    "api_token_create": Case(lambda world, user: {"user": user, "name": "new"}),
    "api_token_list": Case(lambda world, user: {"user_id": user}, shows=NOTHING),
    "api_token_revoke": Case(lambda world, user: {"jti": world.guest_token}),
    "bulk_update_delete": Case(_many),
    "bulk_update_private": Case(_many),
    "bulk_update_public": Case(_many),
    "config_option_list": Case(_none, shows=NOTHING),
    "config_option_show": Case(lambda world, _: {"key": "ckan.site_title"}, shows=NOTHING),
    "config_option_update": Case(lambda world, _: {"ckan.site_title": "DataStore"}),
    "current_package_list_with_resources": Case(lambda world, _: {"limit": 1000}, shows=PUBLIC),
    "dataset_purge": Case(_dataset),
    "datastore_aggregate": Case(lambda world, _: {"resource_id": world.table, "group_by": [world.mark]}),
    "datastore_create": Case(lambda world, _: {"resource_id": world.table, "records": [{"n": 2}]}),
    "datastore_delete": Case(_table),
    "datastore_function_create": Case(
        lambda world, _: {"name": world.mark, "rettype": "trigger", "definition": _FUNCTION, "or_replace": True}
    ),
    "datastore_function_delete": Case(lambda world, _: {"name": world.mark}, before=_function),
    "datastore_history_create": Case(_table),
    "datastore_history_delete": Case(_table, before=_history),
    "datastore_info": Case(_table),
    "datastore_make_private": Case(_table),
    "datastore_make_public": Case(_table),
    "datastore_records_delete": Case(lambda world, _: {"resource_id": world.table, "filters": {"n": 1}}),
    "datastore_run_triggers": Case(_table),
    "datastore_search": Case(_table),
    "datastore_search_sql": Case(lambda world, _: {"sql": f'SELECT * FROM "{world.table}"'}),
    "datastore_sequence_create": Case(lambda world, _: {"name": world.mark, "if_not_exists": True}),
    "datastore_sequence_delete": Case(lambda world, _: {"name": world.mark}, before=_sequence),
    "datastore_sequence_next": Case(lambda world, _: {"name": world.mark}, before=_sequence),
    "datastore_stats": Case(_table),
    "datastore_trigger_install": Case(lambda world, _: {"name": "trim_text"}),
    "datastore_trigger_library": Case(_none, shows=NOTHING),
    "datastore_upsert": Case(lambda world, _: {"resource_id": world.table, "records": [{"n": 2}], "method": "insert"}),
    "format_autocomplete": Case(lambda world, _: {"q": world.part, "limit": 100}, shows=PUBLIC),
    "get_site_user": Case(_none, shows=NOTHING),
    "group_autocomplete": Case(_none, shows=NOTHING),
    "group_create": Case(lambda world, _: {"name": unique("group")}),
    "group_delete": Case(_group),
    "group_list": Case(_listed("groups"), shows=NOTHING),
    "group_list_authz": Case(_none, shows=NOTHING),
    "group_member_create": Case(_new_member("group")),
    "group_member_delete": Case(_member("group")),
    "group_package_show": Case(_group, shows=ACTIVE),
    "group_patch": Case(lambda world, _: {"id": world.group, "title": "New"}),
    "group_purge": Case(_group),
    "group_show": Case(lambda world, _: {"id": world.group, "include_datasets": True}, shows=ACTIVE),
    "group_update": Case(lambda world, _: {"id": world.group, "title": "New"}),
    "help_show": Case(lambda world, _: {"name": "package_show"}, shows=NOTHING),
    "job_cancel": Case(lambda world, _: {"id": world.job}),
    "job_clear": Case(lambda world, _: {"queues": [world.queue]}),
    "job_list": Case(lambda world, _: {"queues": [world.queue]}, shows=NOTHING),
    "job_show": Case(lambda world, _: {"id": world.job}, shows=NOTHING),
    "license_list": Case(_none, shows=NOTHING),
    "member_create": Case(
        lambda world, _: {
            "id": world.organization,
            "object": world.guest,
            "object_type": "user",
            "capacity": "editor",
        }
    ),
    "member_delete": Case(lambda world, _: {"id": world.organization, "object": world.guest, "object_type": "user"}),
    "member_list": Case(_group, shows=NOTHING),
    "member_roles_list": Case(_none, shows=NOTHING),
    "organization_autocomplete": Case(_none, shows=NOTHING),
    "organization_create": Case(lambda world, _: {"name": unique("org")}),
    "organization_delete": Case(_organization, before=_empty_organization),
    "organization_list": Case(_listed("organizations"), shows=NOTHING),
    "organization_list_for_user": Case(
        lambda world, user: {"id": user, "permission": "read", "include_dataset_count": True}, shows=NOTHING
    ),
    "organization_member_create": Case(_new_member("organization")),
    "organization_member_delete": Case(_member("organization")),
    "organization_patch": Case(lambda world, _: {"id": world.organization, "title": "New"}),
    "organization_purge": Case(_organization, before=_empty_organization),
    "organization_show": Case(lambda world, _: {"id": world.organization, "include_datasets": True}, shows=ACTIVE),
    "organization_update": Case(lambda world, _: {"id": world.organization, "title": "New"}),
    "package_autocomplete": Case(lambda world, _: {"q": world.part}, shows=ACTIVE),
    "package_collaborator_create": Case(
        lambda world, _: {"id": world.dataset, "user_id": world.guest, "capacity": "editor"}
    ),
    "package_collaborator_delete": Case(lambda world, _: {"id": world.dataset, "user_id": world.guest}),
    "package_collaborator_list": Case(_dataset, shows=NOTHING),
    "package_collaborator_list_for_user": Case(lambda world, user: {"id": user}, shows=NOTHING),
    "package_create": Case(lambda world, _: {"name": unique(), "owner_org": world.organization, "private": True}),
    "package_create_default_resource_views": Case(lambda world, _: {"package": {"id": world.dataset}}),
    "package_delete": Case(_dataset),
    "package_list": Case(lambda world, _: EVERY_STATE),
    "package_owner_org_update": Case(lambda world, _: {"id": world.dataset, "organization_id": world.organization}),
    "package_patch": Case(lambda world, _: {"id": world.dataset, "notes": "New"}),
    "package_relationship_create": Case(_relationship),
    "package_relationship_delete": Case(_relationship),
    "package_relationship_update": Case(_relationship),
    "package_relationships_list": Case(_dataset),
    "package_resource_reorder": Case(lambda world, _: {"id": world.dataset, "order": [world.link]}),
    "package_revise": Case(lambda world, _: {"match": {"id": world.dataset}, "update": {"notes": "New"}}),
    "package_search": Case(_search),
    "package_show": Case(_dataset),
    "package_update": Case(lambda world, _: {"id": world.dataset, "notes": "New"}),
    "resource_create": Case(lambda world, _: {"package_id": world.dataset, "url": "http://example.org"}),
    "resource_create_default_resource_views": Case(lambda world, _: {"resource": {"id": world.link}}),
    "resource_delete": Case(lambda world, _: {"id": world.link}),
    "resource_patch": Case(lambda world, _: {"id": world.link, "description": "New"}),
    "resource_search": Case(lambda world, _: {"query": f"name:{world.part}"}, shows=PUBLIC),
    "resource_show": Case(lambda world, _: {"id": world.table}),
    "resource_status_show": Case(lambda world, _: {"id": world.table}),
    "resource_update": Case(lambda world, _: {"id": world.link, "description": "New"}),
    "resource_view_clear": Case(lambda world, _: {"view_types": ["audio_view"]}),
    "resource_view_create": Case(
        lambda world, _: {"resource_id": world.link, "view_type": "text_view", "title": "New"}
    ),
    "resource_view_delete": Case(lambda world, _: {"id": world.view}),
    "resource_view_list": Case(lambda world, _: {"id": world.table}),
    "resource_view_reorder": Case(lambda world, _: {"id": world.table, "order": [world.view]}),
    "resource_view_show": Case(lambda world, _: {"id": world.view}),
    "resource_view_update": Case(lambda world, _: {"id": world.view, "title": "New"}),
    "site_read": Case(_none, shows=NOTHING),
    "status_show": Case(_none, shows=NOTHING),
    "tag_autocomplete": Case(_tags, shows=ACTIVE),
    "tag_create": Case(lambda world, _: {"name": unique("tag"), "vocabulary_id": world.vocabulary}),
    "tag_delete": Case(lambda world, _: {"id": "jazz", "vocabulary_id": world.vocabulary}),
    "tag_list": Case(lambda world, _: {"query": world.part, "all_fields": True}, shows=ACTIVE),
    "tag_search": Case(_tags, shows=ACTIVE),
    "tag_show": Case(lambda world, _: {"id": "a tag of all", "include_datasets": True}, shows=PUBLIC),
    "task_status_delete": Case(lambda world, _: {"id": world.task}),
    "task_status_show": Case(lambda world, _: {"id": world.task}),
    "task_status_update": Case(_task),
    "task_status_update_many": Case(lambda world, user: {"data": [_task(world, user)]}),
    "term_translation_show": Case(lambda world, _: {"terms": ["a term"]}, shows=NOTHING),
    "term_translation_update": Case(
        lambda world, _: {"term": "a term", "term_translation": "ein Wort", "lang_code": "de"}
    ),
    "term_translation_update_many": Case(
        lambda world, _: {"data": [{"term": "a term", "term_translation": "ein Wort", "lang_code": "de"}]}
    ),
    "user_autocomplete": Case(lambda world, _: {"q": "user-"}, shows=NOTHING),
    "user_create": Case(
        lambda world, _: {"name": unique("u"), "email": f"{unique('u')}@example.org", "password": "correct horse"}
    ),
    "user_delete": Case(lambda world, _: {"id": world.guest}),
    "user_generate_apikey": Case(lambda world, user: {"id": user}),
    "user_invite": Case(
        lambda world, _: {
            "email": f"{unique('u')}@example.org",
            "group_id": world.organization,
            "role": "member",
        },
        known=frozenset({200, 409}),  # this site sends no mail, so only sysadmins can
    ),
    "user_list": Case(_none, shows=NOTHING),
    "user_patch": Case(lambda world, user: {"id": user, "about": "New"}),
    "user_show": Case(lambda world, _: {"id": world.guest, "include_datasets": True}, shows=NOTHING),
    "user_update": Case(lambda world, user: {"id": user, "email": f"{unique('u')}@example.org"}),
    "vocabulary_create": Case(lambda world, _: {"name": unique("V")}),
    "vocabulary_delete": Case(_vocabulary),
    "vocabulary_list": Case(_none, shows=NOTHING),
    "vocabulary_show": Case(_vocabulary, shows=NOTHING),
    "vocabulary_update": Case(lambda world, _: {"id": world.vocabulary, "tags": [{"name": "blues"}]}),
}
