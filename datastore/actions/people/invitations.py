"""Inviting people who have no account yet."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import Field

from datastore.accounts import mail
from datastore.accounts.members import capacity, set_user_role
from datastore.accounts.permissions import require_login, require_permission
from datastore.accounts.user_changes import invited_user, new_reset_key
from datastore.accounts.users import User, find_user, show_user
from datastore.actions.parameters import Parameters, RequiredText
from datastore.actions.registry import Call, action
from datastore.catalog.groups.rows import lock_group
from datastore.errors import NotFound, ValidationError
from datastore.postgres.database import Transaction
from datastore.validation import Problems, email

_MAIL = """\
Hello,

{inviter} invites you to {site} as {role} of {group}.

Choose a password here; the link is valid once, for {hours} hours:

{link}
"""


class UserInvite(Parameters):
    """Whom to invite, and into what."""

    email: RequiredText = Field(description="Their e-mail address.")
    group_id: RequiredText = Field(description="Id or name of the organization or group.")
    role: RequiredText = Field(description="`admin`, `editor` or `member`.")


@action(UserInvite)
async def user_invite(call: Call, parameters: UserInvite) -> dict[str, Any]:
    """Invite somebody into an organization or group; its admins may. They become a pending user with that role.

    A link by which they choose a password is mailed to them. Where the site sends no mail, a sysadmin gets it as
    `reset_link`, to hand it on, and others cannot invite. Who is invited again gets a new link.
    """
    require_login(call.actor, "user_invite")
    problems = Problems()
    address = problems.check("email", email, parameters.email, None) or ""
    role = problems.check("role", capacity, parameters.role, "")
    mails = bool(call.settings.smtp_server)
    title = ""

    async def work(tx: Transaction) -> tuple[User | None, str]:
        nonlocal title
        group = await lock_group(tx, parameters.group_id, None)
        require_permission(call.actor, group.id, "membership", "user_invite")
        problems.raise_if_any()
        if not mails and not call.actor.sysadmin:
            raise ValidationError({"message": "This site sends no mail, so only sysadmins can invite"})
        user_id = await invited_user(tx, address)
        await set_user_role(tx, group.id, user_id, role)
        title = group.title or group.name
        return await find_user(tx.connection, user_id), await new_reset_key(tx, user_id)

    user, key = await call.write(work)
    if user is None:
        raise NotFound("User")
    # Never by the address of a request that anybody made up: the link goes to somebody else.
    site_url = call.settings.site_url if mails else call.site_url
    link = f"{site_url}/user/reset/{user.id}?key={quote(key)}"
    shown = show_user(user, call.site_url, private_details=True)
    if not mails:
        return {**shown, "reset_link": link}
    site = call.settings.site_title
    hours = f"{call.settings.reset_key_lifetime / 3600:g}"
    text = _MAIL.format(inviter=call.actor.name or site, site=site, role=role, group=title, hours=hours, link=link)
    try:
        await mail.send(call.settings, address, f"Invitation to {site}", text)
    except mail.MailError:
        raise ValidationError({"message": "The invitation could not be mailed. Invite again to have it sent"}) from None
    return shown
