"""Invitations, and the keys by which users set a password: with a mail server that takes what we send."""

from __future__ import annotations

import asyncio
import email
import re
from collections.abc import AsyncIterator
from email import policy
from urllib.parse import parse_qs, urlsplit

import pytest

from datastore.accounts.actor import ANONYMOUS
from datastore.accounts.passwords import verify_password
from datastore.accounts.user_changes import new_reset_key
from datastore.accounts.users import find_user
from datastore.actions.services import Services
from datastore.errors import NotAuthorized, NotFound
from tests.accounts.people import caller, person, site_with
from tests.catalog.samples import ActionCall, errors_of, unique


class MailServer:
    """As much of SMTP as takes a mail."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.refuse = False
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(text.decode().removesuffix(".\r\n"))
            refused = self.refuse and verb == b"RCPT"
            writer.write(b"550 no\r\n" if refused else b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    taken = MailServer()
    server = await asyncio.start_server(taken.serve, "127.0.0.1", 0)
    taken.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield taken
    server.close()
    await server.wait_closed()


def _link(text: str) -> tuple[str, str]:
    """The user's id and the key."""
    found = re.search(r"http://\w+/user/reset/\S+", text)
    assert found is not None
    parts = urlsplit(found[0])
    return parts.path.rpartition("/")[2], parse_qs(parts.query)["key"][0]


async def test_who_is_invited_by_mail_chooses_a_password(
    call: ActionCall, services: Services, organization: str, mail_server: MailServer
) -> None:
    site = site_with(
        services, site_url="http://portal", smtp_server=mail_server.address, smtp_mail_from="portal@example.org"
    )
    admin = await person(services, {organization: "admin"})
    address = f"{unique('New.Person')}@example.org"
    invited = await caller(site, admin)("user_invite", email=address, group_id=organization, role="editor")
    assert invited["state"] == "pending"
    assert "reset_link" not in invited
    parsed = email.message_from_string(mail_server.mails[0], policy=policy.default)
    assert (parsed["To"], parsed["From"]) == (address, "portal@example.org")
    body = parsed.get_content()
    assert admin.name in body
    user_id, key = _link(body)
    assert user_id == invited["id"]
    assert "http://portal/user/reset/" in body
    assert [user_id, "user", "Editor"] in await call("member_list", id=organization)

    visitor = caller(services, ANONYMOUS)
    with pytest.raises(NotAuthorized):
        await visitor("user_update", id=user_id, password="my new password", reset_key="wrong")
    errors = await errors_of(visitor("user_update", id=user_id, reset_key=key))
    assert errors == {"password": ["Missing value"]}
    name = unique("chosen")
    done = await visitor("user_update", id=user_id, password="my new password", reset_key=key, name=name)
    assert (done["state"], done["name"], done["email"]) == ("active", name, address)
    user = await find_user(services.database.owner, user_id)
    assert user is not None
    assert await verify_password("my new password", user.password_hash)
    with pytest.raises(NotAuthorized):
        await visitor("user_update", id=user_id, password="another password", reset_key=key)
    errors = await errors_of(
        caller(site, admin)("user_invite", email=address.upper(), group_id=organization, role="member")
    )
    assert list(errors) == ["email"]


async def test_a_second_invitation_is_a_new_link_for_the_same_user(
    call: ActionCall, services: Services, organization: str, mail_server: MailServer
) -> None:
    site = caller(
        site_with(services, site_url="http://portal", smtp_server=mail_server.address),
        await person(services, {organization: "admin"}),
    )
    address = f"{unique('twice')}@example.org"
    mail_server.refuse = True
    errors = await errors_of(site("user_invite", email=address, group_id=organization, role="member"))
    assert list(errors) == ["message"]
    mail_server.refuse = False
    results = await asyncio.gather(
        *(site("user_invite", email=address, group_id=organization, role="editor") for _ in range(3))
    )
    assert len({result["id"] for result in results}) == 1
    keys = {
        _link(email.message_from_string(text, policy=policy.default).get_content())[1] for text in mail_server.mails
    }
    assert len(keys) == 3
    valid = 0
    for key in keys:
        try:
            await call("user_update", actor=ANONYMOUS, id=results[0]["id"], reset_key=key, password="long enough")
            valid += 1
        except NotAuthorized:
            continue
    assert valid == 1


async def test_without_mail_sysadmins_get_the_link(call: ActionCall, services: Services, organization: str) -> None:
    address = f"{unique('link')}@example.org"
    admin = await person(services, {organization: "admin"})
    errors = await errors_of(call("user_invite", actor=admin, email=address, group_id=organization, role="member"))
    assert list(errors) == ["message"]
    invited = await call("user_invite", email=address, group_id=organization, role="member")
    user_id, key = _link(invited["reset_link"])
    done = await call("user_patch", actor=ANONYMOUS, id=user_id, reset_key=key, password="long enough")
    assert done["state"] == "active"


async def test_who_may_invite_and_what_is_refused(call: ActionCall, services: Services, organization: str) -> None:
    wanted = {"email": "x@example.org", "group_id": organization, "role": "member"}
    for actor in (ANONYMOUS, await person(services), await person(services, {organization: "editor"})):
        with pytest.raises(NotAuthorized):
            await call("user_invite", actor=actor, **wanted)
    with pytest.raises(NotFound):
        await call("user_invite", **{**wanted, "group_id": "nowhere"})
    for field, value, message in (
        ("email", "nonsense", "Email nonsense is not a valid format"),
        ("email", "", "Missing value"),
        ("role", "king", "role does not exist."),
    ):
        assert await errors_of(call("user_invite", **{**wanted, field: value})) == {field: [message]}


async def test_keys_end(call: ActionCall, services: Services) -> None:
    ann = await person(services)
    key = await services.database.write(lambda tx: new_reset_key(tx, ann.id or ""))
    await services.database.owner.execute(
        "UPDATE datastore.users SET reset_key_expires = now() AT TIME ZONE 'UTC' - interval '1 s' WHERE id = $1", ann.id
    )
    with pytest.raises(NotAuthorized):
        await call("user_patch", actor=ANONYMOUS, id=ann.id, reset_key=key, password="long enough")
    key = await services.database.write(lambda tx: new_reset_key(tx, ann.id or ""))
    await call("user_patch", actor=ANONYMOUS, id=ann.id, reset_key=key, password="long enough")
    key = await services.database.write(lambda tx: new_reset_key(tx, ann.id or ""))
    await call("user_delete", id=ann.id)
    with pytest.raises(NotAuthorized):
        await call("user_patch", actor=ANONYMOUS, id=ann.id, reset_key=key, password="long enough")
