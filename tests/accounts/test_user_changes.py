"""Changing, deleting and listing users, through their actions."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from datastore.accounts.actor import ANONYMOUS, Actor
from datastore.accounts.passwords import verify_password
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound, ValidationError
from datastore.settings import Settings
from datastore.validation import MAX_TEXT
from tests.accounts.people import caller, person, person_with_token, site_with, token_for
from tests.catalog.samples import TOO_LONG, ActionCall, errors_of, unique

# "long enough", hashed by passlib's pbkdf2_sha512 with 25,000 rounds.
OLD_HASH = (
    "$pbkdf2-sha512$25000$c2FsdHNhbHRzYWx0c2FsdA$"
    "rET4uoUsjBQOVGdOCpV4ryN02Ht3L2pl4qkC36uTnY/VTjYBTLzg62oOaErIbIwCBbIcbuxodTprGzcfWLONww"
)


async def _password_hash(services: Services, user_id: str | None) -> str | None:
    found: str | None = await services.database.owner.fetchval(
        "SELECT password_hash FROM datastore.users WHERE id = $1", user_id
    )
    return found


async def test_users_change_themselves(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    mine = await call("user_show", actor=ann)
    changed = await call("user_update", actor=ann, id=ann.name, email=" New-" + mine["email"], fullname="Ann")
    assert (changed["display_name"], changed["email"]) == ("Ann", "New-" + mine["email"])
    again = await call("user_update", actor=ann, **changed)
    assert {**again, "last_active": None} == {**changed, "last_active": None}
    assert await errors_of(call("user_update", actor=ann, id=ann.id)) == {"email": ["Missing value"]}
    patched = await call("user_patch", actor=ann, id=ann.id, about="hello", activity_streams_email_notifications="true")
    assert (patched["about"], patched["fullname"], patched["email"]) == ("hello", "Ann", changed["email"])
    assert patched["activity_streams_email_notifications"] is True
    assert await _password_hash(services, ann.id) is None
    await call("user_patch", actor=ann, id=ann.id, password="a new password")
    assert await verify_password("a new password", await _password_hash(services, ann.id))
    await call("user_patch", actor=ann, id=ann.id, password="", image_upload="http://example.org/me.png")
    assert await verify_password("a new password", await _password_hash(services, ann.id))
    assert (await call("user_show", actor=ann))["image_display_url"] == "http://example.org/me.png"
    assert (await call("user_patch", actor=ann, id=ann.id, clear_upload="true"))["image_url"] == ""


async def test_nobody_else_does(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    for actor in (ANONYMOUS, await person(services)):
        for name in ("user_update", "user_patch"):
            for key in (ann.id, ann.name, "nobody-of-that-name"):
                with pytest.raises(NotAuthorized):
                    await call(name, actor=actor, id=key, email="x@example.org", reset_key="guess")
        with pytest.raises(NotAuthorized):
            await call("user_delete", actor=actor, id=ann.id)
    with pytest.raises(NotAuthorized):
        await call("user_delete", actor=ann, id=ann.id)
    with pytest.raises(NotFound):
        await call("user_patch", id="nobody-of-that-name", fullname="x")
    with pytest.raises(NotFound):
        await call("user_delete", id="nobody-of-that-name")


async def test_what_only_sysadmins_change(call: ActionCall, services: Services, sysadmin: Actor) -> None:
    ann_id, token = await person_with_token(services)
    ann = await services.tokens.actor(token)
    refused = await errors_of(call("user_patch", actor=ann, id=ann.id, name=unique("u")))
    assert refused == {"name": ["That login name can not be modified."]}
    kept = await call(
        "user_patch",
        actor=ann,
        id=ann.id,
        sysadmin=True,
        state="deleted",
        password_hash=OLD_HASH,
        plugin_extras={"a": 1},
    )
    assert (kept["sysadmin"], kept["state"]) == (False, "active")
    assert await _password_hash(services, ann.id) is None
    name = unique("u")
    changed = await call("user_patch", id=ann_id, name=name, sysadmin="true", plugin_extras={"a": [1]})
    assert (changed["name"], changed["sysadmin"]) == (name, True)
    assert (await services.tokens.actor(token)).sysadmin
    assert (await call("user_show", id=ann_id, include_plugin_extras=True))["plugin_extras"] == {"a": [1]}
    own = await errors_of(call("user_patch", id=sysadmin.id, sysadmin=False))
    assert own == {"sysadmin": ["Nobody can take this right from themselves."]}
    assert not (await call("user_patch", id=ann_id, sysadmin=False))["sysadmin"]
    assert not (await services.tokens.actor(token)).sysadmin
    assert (await call("user_patch", id=ann_id, state="deleted"))["state"] == "deleted"
    assert await services.tokens.actor(token) == ANONYMOUS
    with pytest.raises(NotAuthorized):
        await call("user_patch", actor=ANONYMOUS, id=ann_id, fullname="x")


async def test_passwords_of_another_portal_are_brought_along(call: ActionCall, services: Services) -> None:
    name, given = unique("u"), str(uuid.uuid4())
    made = await call(
        "user_create", id=given, name=name, email=f"{name}@example.org", password_hash=OLD_HASH, state="active"
    )
    assert made["id"] == given
    stored = await _password_hash(services, given)
    assert await verify_password("long enough", stored)
    assert not await verify_password("long enougH", stored)
    shown = await call("user_show", id=name, include_password_hash=True)
    assert shown["password_hash"] == OLD_HASH
    for bad in ("$1$abc", "plain text", "$pbkdf2-sha512$99999999$c2Fs$x", ["x"]):
        errors = await errors_of(
            call("user_create", name=unique("u"), email=f"{unique()}@example.org", password_hash=bad)
        )
        assert list(errors) == ["password_hash"] or list(errors) == ["password_hash", "password"]
    taken = await errors_of(
        call("user_create", id=given, name=unique("u"), email=f"{unique()}@example.org", password="long enough")
    )
    assert taken == {"id": ["User id already exists"]}


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"email": "nonsense"}, {"email": ["Email nonsense is not a valid format"]}),
        ({"password": "short"}, {"password": ["Your password must be 8 characters or longer"]}),
        ({"fullname": "x" * (MAX_TEXT + 1)}, {"fullname": [TOO_LONG]}),
        ({"about": "a\0"}, {"about": ["Text must not contain NUL characters or lone surrogates"]}),
        ({"name": "A B"}, {"name": ["Must be purely lowercase alphanumeric (ascii) characters and these symbols: -_"]}),
        ({"state": "asleep"}, {"state": ["Value must be one of ['active', 'pending', 'deleted']"]}),
        ({"plugin_extras": [1]}, {"plugin_extras": ["Must be an object"]}),
    ],
)
async def test_bad_fields_change_nothing(
    call: ActionCall, services: Services, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    ann = await person(services)
    before = await call("user_show", id=ann.id)
    assert await errors_of(call("user_patch", id=ann.id, **{"image_url": "x", **fields})) == errors
    after = await call("user_show", id=ann.id)
    assert {**after, "last_active": None} == {**before, "last_active": None}


async def test_of_two_users_who_want_one_name_or_address_one_gets_it(call: ActionCall, services: Services) -> None:
    people = [await person(services) for _ in range(4)]
    for field, wanted in (("name", unique("u")), ("email", f"{unique()}@example.org")):
        results = await asyncio.gather(
            *(call("user_patch", id=each.id, **{field: wanted}) for each in people), return_exceptions=True
        )
        assert sum(isinstance(result, dict) for result in results) == 1
        for result in results:
            if not isinstance(result, dict):
                assert isinstance(result, ValidationError)
                assert list(result.fields) == [field]


async def test_deleted_users_leave_everything(call: ActionCall, services: Services, organization: str) -> None:
    user_id, token = await person_with_token(services, {organization: "editor"})
    ann = await services.tokens.actor(token)
    dataset = await call("package_create", actor=ann, name=unique(), owner_org=organization)
    assert await call("user_delete", id=ann.name) is None
    assert await services.tokens.actor(token) == ANONYMOUS
    assert (await call("user_show", id=user_id))["state"] == "deleted"
    with pytest.raises(NotFound):
        await call("user_show", actor=ANONYMOUS, id=user_id)
    assert (await call("package_show", id=dataset["id"]))["creator_user_id"] == user_id
    back = await call("user_patch", id=user_id, state="active")
    assert back["state"] == "active"
    assert await services.tokens.actor(token) == ANONYMOUS
    assert (await services.tokens.actor(await token_for(services, user_id))).roles == {}


async def test_users_are_listed(call: ActionCall, services: Services, organization: str) -> None:
    prefix = unique("list")
    names = [f"{prefix}-{letter}" for letter in "abc"]
    for name, fullname in zip(names, ("Zoe", "anna", "Mia 100%"), strict=True):
        await call(
            "user_create", name=name, fullname=fullname, email=f"{name}@Example.org", password="long enough",
        )  # fmt: skip
    listed = await call("user_list", q=prefix)
    assert [user["fullname"] for user in listed] == ["anna", "Mia 100%", "Zoe"]
    assert listed[0]["email"] == f"{names[1]}@Example.org"
    anonymous = await call("user_list", actor=ANONYMOUS, q=prefix)
    assert [set(user) & {"email", "apikey", "password_hash"} for user in anonymous] == [set()] * 3
    assert await call("user_list", q=prefix, all_fields="false", order_by="name") == names
    assert await call("user_list", q=prefix, all_fields=False, order_by="name", limit=1, offset="1") == names[1:2]
    assert await call("user_list", q="a 100%", order_by="fullname", all_fields=False) == names[2:]
    author = await call("user_show", id=names[2], include_datasets=True, include_num_followers=True)
    assert (author["datasets"], author["num_followers"]) == ([], 0)
    ann = Actor(id=author["id"], name=names[2], roles={organization: "editor"})
    dataset = await call("package_create", actor=ann, name=unique(), owner_org=organization)
    ordered = await call("user_list", q=prefix, order_by="number_created_packages")
    assert (ordered[0]["name"], ordered[0]["number_created_packages"]) == (names[2], 1)
    shown = await call("user_show", id=names[2], include_datasets=True)
    assert [each["id"] for each in shown["datasets"]] == [dataset["id"]]
    assert await call("user_list", email=f"{names[0]}@example.ORG", all_fields=False) == names[:1]
    with pytest.raises(NotAuthorized):
        await call("user_list", actor=ANONYMOUS, email=f"{names[0]}@example.org")
    assert await call("user_list", actor=ANONYMOUS, q=f"{names[0]}@example.org") == []
    assert list(await errors_of(call("user_list", order_by="password"))) == ["order_by"]
    assert [user["name"] for user in await call("user_autocomplete", q=prefix, limit=2)] == names[:2]
    found = await call("user_autocomplete", actor=ann, q=names[2], ignore_self=True)
    assert found == []
    assert await call("user_autocomplete", q=names[2]) == [
        {"id": author["id"], "name": names[2], "fullname": "Mia 100%"}
    ]
    await call("user_delete", id=names[0])
    assert await call("user_list", q=prefix, all_fields=False, order_by="name") == names[1:]
    assert names[0] not in [user["name"] for user in await call("user_autocomplete", q=prefix)]
    shy = caller(site_with(services, public_user_details=False), ANONYMOUS)
    for name, parameters in (("user_list", {}), ("user_autocomplete", {"q": "x"})):
        with pytest.raises(NotAuthorized):
            await shy(name, **parameters)


async def test_the_site_user_is_hidden(call: ActionCall, services: Services) -> None:
    results = await asyncio.gather(*(call("get_site_user") for _ in range(3)))
    assert len({result["id"] for result in results}) == 1
    name = results[0]["name"]
    assert name == services.settings.site_id
    assert name not in await call("user_list", all_fields=False)
    assert name not in [user["name"] for user in await call("user_autocomplete", q=name)]
    for actor in (ANONYMOUS, await person(services)):
        with pytest.raises(NotAuthorized):
            await call("get_site_user", actor=actor)
    errors = await errors_of(call("user_create", name=name, email=f"{unique()}@example.org", password="long enough"))
    assert errors == {"name": ["That login name is not available."]}
    ann = await person(services)
    assert await errors_of(call("user_patch", id=ann.id, name=name)) == errors


async def test_keys_of_old(call: ActionCall, services: Services, settings: Settings, database_url: str) -> None:
    ann = await person(services)
    assert list(await errors_of(call("user_generate_apikey", actor=ann, id=ann.id))) == ["message"]
    with pytest.raises(NotAuthorized):
        await call("user_generate_apikey", actor=await person(services), id=ann.id)
    site = await Services.open(database_url, settings.model_copy(update={"legacy_api_keys": True, "pool_size": 1}))
    try:
        act = caller(site, ann)
        first = (await act("user_generate_apikey", id=ann.id))["apikey"]
        assert uuid.UUID(first).version == 4
        assert (await site.tokens.actor(first)).id == ann.id
        assert await services.tokens.actor(first) == ANONYMOUS
        second = (await act("user_generate_apikey", id=ann.name))["apikey"]
        assert (await site.tokens.actor(second)).id == ann.id
        assert await site.tokens.actor(first) == ANONYMOUS
        assert (await act("user_show", id=ann.id))["apikey"] is None
        name = unique("u")
        sysadmin = Actor(name="default", sysadmin=True)
        made = await caller(site, sysadmin)(
            "user_create", name=name, email=f"{name}@example.org", password="long enough"
        )
        assert (await site.tokens.actor(made["apikey"])).id == made["id"]
    finally:
        await site.close()
