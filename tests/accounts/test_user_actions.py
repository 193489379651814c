"""The actions on users and their tokens."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.accounts.passwords import verify_password
from datastore.actions.registry import Call, run
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from tests.accounts.people import person
from tests.catalog.samples import errors_of

ActionCall = Callable[..., Awaitable[Any]]


def new_user(**fields: Any) -> dict[str, Any]:
    name = f"u-{uuid.uuid4().hex[:10]}"
    return {"name": name, "email": f"{name}@Example.org", "password": "long enough", **fields}


async def test_user_create_shows_the_user(call: ActionCall, services: Services) -> None:
    data = new_user(fullname="Ann Example", about="Likes data", with_apitoken="true")
    user = await call("user_create", **data)
    assert user["display_name"] == "Ann Example"
    assert user["email"] == data["email"]
    assert user["state"] == "active"
    assert user["sysadmin"] is False
    assert user["number_created_packages"] == 0
    assert user["email_hash"] == hashlib.md5(data["email"].lower().encode(), usedforsecurity=False).hexdigest()
    assert "password" not in user
    assert "password_hash" not in user
    assert (await services.tokens.actor(user["token"])).id == user["id"]
    hashed = (await call("user_show", id=data["name"], include_password_hash=True))["password_hash"]
    assert await verify_password("long enough", hashed)


async def test_who_sees_what_of_a_user(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    for actor, private in ((ANONYMOUS, False), (await person(services), False), (ann, True)):
        shown = await call("user_show", actor=actor, id=ann.name, include_password_hash=True)
        assert ("email" in shown) is private
        assert "password_hash" not in shown
    assert (await call("user_show", actor=ann))["id"] == ann.id
    with pytest.raises(NotFound):
        await call("user_show", actor=ANONYMOUS)
    with pytest.raises(NotFound):
        await call("user_show", id="nobody-of-that-name")


async def test_users_by_what_was_typed(call: ActionCall, services: Services) -> None:
    found = await person(services)
    assert [user["name"] for user in await call("user_autocomplete", q=found.name)] == [found.name]
    assert await call("user_autocomplete", q="") == []
    assert await errors_of(call("user_autocomplete")) == {"q": ["Missing value"]}
    assert await call("user_list", q=found.name, all_fields=False) == [found.name]
    for nothing in (None, "", " "):
        assert (await call("user_list", q=found.name, all_fields=nothing))[0]["name"] == found.name
    blank, named = [await call("user_create", **new_user(fullname=name)) for name in ("", "Zz")]
    order = await call("user_list", order_by="fullname", all_fields=False)
    assert order.index(named["name"]) < order.index(blank["name"])


async def test_deleted_users_are_gone_except_for_sysadmins(call: ActionCall) -> None:
    user = await call("user_create", **new_user(state="deleted"))
    assert (await call("user_show", id=user["id"]))["state"] == "deleted"
    with pytest.raises(NotFound):
        await call("user_show", actor=ANONYMOUS, id=user["id"])


async def test_user_create_needs_a_sysadmin_or_the_setting(call: ActionCall, services: Services) -> None:
    with pytest.raises(NotAuthorized, match="Action user_create requires an authenticated user"):
        await call("user_create", actor=ANONYMOUS, **new_user())
    with pytest.raises(NotAuthorized):
        await call("user_create", actor=await person(services), **new_user())
    open_site = replace(services, settings=services.settings.model_copy(update={"create_user_via_api": True}))
    data = new_user(sysadmin=True, state="deleted")
    user = await run("user_create", Call(open_site, ANONYMOUS, "http://test"), data)
    assert user["sysadmin"] is False
    assert user["state"] == "active"


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": None}, {"name": ["Missing value"]}),
        ({"name": "A"}, {"name": ["Must be at least 2 characters long"]}),
        ({"name": "Ann"}, {"name": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}),
        ({"name": 12345}, {"name": ["Names must be strings"]}),
        ({"email": ""}, {"email": ["Missing value"]}),
        ({"email": "nonsense"}, {"email": ["Email nonsense is not a valid format"]}),
        ({"password": "short"}, {"password": ["Your password must be 8 characters or longer"]}),
        ({"state": "sleeping"}, {"state": ["Value must be one of ['active', 'pending', 'deleted']"]}),
        ({"fullname": "a\0b"}, {"fullname": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"about": {"a": 1}}, {"about": ["Must be a text value"]}),
    ],
)
async def test_bad_fields(call: ActionCall, fields: dict[str, Any], errors: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        await call("user_create", **new_user(**fields))
    assert caught.value.fields == errors


async def test_about_takes_no_links(call: ActionCall) -> None:
    with pytest.raises(ValidationError) as caught:
        await call("user_create", **new_user(about="buy at http://example.org"))
    assert list(caught.value.fields) == ["about"]


async def test_names_and_addresses_are_unique(call: ActionCall) -> None:
    first = new_user()
    await call("user_create", **first)
    with pytest.raises(ValidationError) as name:
        await call("user_create", **new_user(name=first["name"]))
    assert name.value.fields == {"name": ["That login name is not available."]}
    other_case = first["email"].upper()
    with pytest.raises(ValidationError) as email:
        await call("user_create", **new_user(email=other_case))
    assert email.value.fields == {"email": [f"The email address '{other_case}' belongs to a registered user."]}
    await call("user_create", **new_user(email=other_case, state="deleted"))


async def test_of_two_writers_of_one_name_one_succeeds(call: ActionCall) -> None:
    data = new_user()
    results = await asyncio.gather(
        *(call("user_create", **{**data, "email": f"{n}{data['email']}"}) for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(result, dict) for result in results) == 1
    for result in results:
        if not isinstance(result, dict):
            assert isinstance(result, ValidationError)
            assert result.fields == {"name": ["That login name is not available."]}


async def test_tokens_are_created_listed_and_revoked(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    created = await call("api_token_create", actor=ann, user=ann.name, name="script")
    assert set(created) == {"token", "id"}
    listed = await call("api_token_list", actor=ann, user_id=ann.id)
    assert [token["name"] for token in listed] == ["test", "script"]
    assert set(listed[1]) == {
        "id", "name", "user_id", "created_at", "last_access", "expires_at",
        "read_only", "organization_id", "dataset_id",
    }  # fmt: skip
    assert (await services.tokens.actor(created["token"])).id == ann.id
    assert await call("api_token_revoke", actor=ann, token=created["token"]) is None
    assert await services.tokens.actor(created["token"]) == ANONYMOUS
    assert await call("api_token_revoke", actor=ann, jti=listed[0]["id"]) is None
    assert await call("api_token_list", user=ann.name) == []


async def test_tokens_are_ones_own(call: ActionCall, services: Services) -> None:
    ann, bob = await person(services), await person(services)
    for name, parameters in (
        ("api_token_create", {"user": ann.name, "name": "x"}),
        ("api_token_list", {"user_id": ann.id}),
        ("api_token_revoke", {"jti": ann.token_id}),
        ("api_token_revoke", {"token": "unknown"}),
        ("api_token_create", {"user": "unknown-user", "name": "x"}),
    ):
        for actor in (bob, ANONYMOUS):
            with pytest.raises(NotAuthorized):
                await call(name, actor=actor, **parameters)
    with pytest.raises(NotFound):
        await call("api_token_create", user="unknown-user", name="x")


async def test_expiring_tokens(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    created = await call("api_token_create", actor=ann, user=ann.id, name="day", expires_in="1", unit="86400")
    assert created["expire_api_token"]["exp"]
    with pytest.raises(ValidationError) as caught:
        await call("api_token_create", actor=ann, user=ann.id, name="aeon", expires_in=10**30)
    assert list(caught.value.fields) == ["expires_in"]
    with pytest.raises(ValidationError):
        await call("api_token_create", actor=ann, user=ann.id, name="")
