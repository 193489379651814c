"""The rules about who may do what, as pure functions."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.permissions import (
    CAPACITIES,
    DatasetAccess,
    may_act_for_user,
    may_create_dataset,
    may_create_group,
    may_create_user,
    may_manage_collaborators,
    may_move_dataset,
    may_read_dataset,
    may_read_group,
    may_see_users,
    may_update_dataset,
    require_login,
    require_read,
    require_update,
)
from datastore.errors import NotAuthorized
from datastore.settings import Settings

SITE = Settings(create_unowned_dataset=False)
OPEN_SITE = Settings(create_unowned_dataset=True)
ROOT = Actor(id="root", name="root", sysadmin=True)

groups = st.sampled_from(["org-a", "org-b"])
accesses = st.builds(
    DatasetAccess,
    id=st.just("d"),
    name=st.just("name"),
    owner_org=st.none() | groups,
    private=st.booleans(),
    state=st.sampled_from(["active", "draft", "deleted"]),
    creator_user_id=st.sampled_from([None, "u", "other"]),
)
actors = st.just(ANONYMOUS) | st.builds(
    Actor,
    id=st.just("u"),
    name=st.just("u"),
    sysadmin=st.booleans(),
    roles=st.dictionaries(groups, st.sampled_from(CAPACITIES)),
    collaborations=st.dictionaries(st.sampled_from(["d", "elsewhere"]), st.sampled_from(CAPACITIES)),
    limited=st.booleans(),
)


def owned(private: bool = False, state: str = "active") -> DatasetAccess:
    return DatasetAccess("d", "name", "org-a", private, state, "other")


def with_role(role: str) -> Actor:
    return Actor(id="u", name="ann", roles={"org-a": role})


@given(actors, accesses)
def test_who_may_change_a_dataset_may_see_it(actor: Actor, access: DatasetAccess) -> None:
    if may_update_dataset(actor, access, OPEN_SITE) or may_update_dataset(actor, access, SITE):
        assert may_read_dataset(actor, access)


@given(accesses)
def test_the_anonymous_visitor_sees_public_datasets_only_and_changes_none(access: DatasetAccess) -> None:
    assert may_read_dataset(ANONYMOUS, access) == (access.state == "active" and not access.private)
    assert not may_update_dataset(ANONYMOUS, access, OPEN_SITE)


@given(accesses)
def test_sysadmins_may_do_everything(access: DatasetAccess) -> None:
    assert may_read_dataset(ROOT, access)
    assert may_update_dataset(ROOT, access, SITE)


@given(accesses, st.sampled_from(CAPACITIES))
def test_roles_elsewhere_give_nothing(access: DatasetAccess, role: str) -> None:
    stranger = Actor(id="s", name="s", roles={"org-elsewhere": role})
    if access.owner_org is not None:
        assert may_read_dataset(stranger, access) == access.public
        assert not may_update_dataset(stranger, access, OPEN_SITE)


@pytest.mark.parametrize(("role", "writes"), [("admin", True), ("editor", True), ("member", False)])
@pytest.mark.parametrize("access", [owned(), owned(private=True), owned(state="draft"), owned(state="deleted")])
def test_roles_in_the_owner(role: str, writes: bool, access: DatasetAccess) -> None:
    assert may_read_dataset(with_role(role), access)
    assert may_update_dataset(with_role(role), access, SITE) is writes
    assert may_create_dataset(with_role(role), "org-a", SITE) is writes
    assert not may_create_dataset(with_role(role), "org-b", SITE)


@pytest.mark.parametrize(("role", "writes"), [("admin", True), ("editor", True), ("member", False)])
@pytest.mark.parametrize("access", [owned(), owned(private=True), owned(state="draft"), owned(state="deleted")])
def test_collaborators(role: str, writes: bool, access: DatasetAccess) -> None:
    collaborator = Actor(id="u", name="ann", collaborations={"d": role})
    assert may_read_dataset(collaborator, access)
    assert may_update_dataset(collaborator, access, SITE) is writes
    assert not may_create_dataset(collaborator, "org-a", SITE)
    assert not may_move_dataset(collaborator, access, SITE)
    assert not may_manage_collaborators(collaborator, access, SITE)
    allowed = Settings(allow_admin_collaborators=True)
    assert may_manage_collaborators(collaborator, access, allowed) is (role == "admin")


@given(actors, accesses)
def test_being_the_user_gives_a_limited_token_nothing(actor: Actor, access: DatasetAccess) -> None:
    nobody = replace(actor, sysadmin=False, roles={}, collaborations={}, limited=True)
    assert may_read_dataset(nobody, access) == access.public
    assert not may_update_dataset(nobody, access, OPEN_SITE)
    assert not may_create_dataset(nobody, access.owner_org, OPEN_SITE)
    assert not may_act_for_user(nobody, "u")
    for is_organization in (True, False):
        assert not may_create_group(nobody, is_organization, Settings(user_create_organizations=True))


def test_the_creator_of_an_owned_dataset_has_no_special_right() -> None:
    access = DatasetAccess("d", "name", "org-a", True, "active", "u")
    assert not may_read_dataset(Actor(id="u", name="u"), access)


def test_unowned_drafts_belong_to_their_creator() -> None:
    draft = DatasetAccess("d", "name", None, False, "draft", "u")
    assert may_read_dataset(Actor(id="u", name="u"), draft)
    assert may_update_dataset(Actor(id="u", name="u"), draft, OPEN_SITE)
    assert not may_update_dataset(Actor(id="u", name="u"), draft, SITE)
    assert not may_update_dataset(Actor(id="v", name="v"), draft, OPEN_SITE)


def test_unowned_datasets_are_created_where_the_site_allows_it() -> None:
    ann = Actor(id="u", name="ann")
    assert not may_create_dataset(ann, None, SITE)
    assert may_create_dataset(ann, None, OPEN_SITE)
    assert not may_create_dataset(ANONYMOUS, None, OPEN_SITE)
    assert may_create_dataset(ANONYMOUS, None, Settings(create_unowned_dataset=True, anon_create_dataset=True))
    members_only = Settings(create_unowned_dataset=True, create_dataset_if_not_in_organization=False)
    assert not may_create_dataset(ann, None, members_only)
    assert not may_create_dataset(with_role("member"), None, members_only)
    assert may_create_dataset(with_role("editor"), None, members_only)


def test_organizations_and_users() -> None:
    ann = Actor(id="u", name="ann")
    assert not may_create_group(ann, True, SITE)
    assert may_create_group(ann, True, Settings(user_create_organizations=True))
    assert not may_create_group(ANONYMOUS, True, Settings(user_create_organizations=True))
    assert may_read_group(ANONYMOUS, "active")
    assert not may_read_group(ann, "deleted")
    assert may_read_group(ROOT, "deleted")
    assert not may_create_user(ann, SITE)
    assert may_create_user(ANONYMOUS, Settings(create_user_via_api=True))
    assert not may_see_users(ANONYMOUS, Settings(public_user_details=False))
    assert may_see_users(ann, Settings(public_user_details=False))


def test_refusals_say_who_may_not_do_what() -> None:
    resource = str(uuid.uuid4())
    with pytest.raises(NotAuthorized) as read:
        require_read(Actor(id="u", name="ann"), owned(private=True), "resource_show", f"resource {resource}")
    assert str(read.value) == f"Access denied: User ann not authorized to perform resource_show on resource {resource}"
    with pytest.raises(NotAuthorized) as update:
        require_update(with_role("member"), owned(), SITE, "resource_update", f"resource {resource}")
    assert str(update.value).endswith(f"User ann not authorized to perform resource_update on resource {resource}")
    with pytest.raises(NotAuthorized) as login:
        require_login(ANONYMOUS, "datastore_create")
    assert str(login.value) == "Access denied: Action datastore_create requires an authenticated user"
    require_read(ANONYMOUS, owned())
    require_update(with_role("editor"), owned(private=True), SITE)
    require_login(Actor(id="u", name="ann"), "datastore_create")
