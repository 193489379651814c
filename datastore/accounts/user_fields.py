"""What clients send for a user, checked and laid over what is stored (catalog-api.md §B4). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from datastore.accounts.passwords import acceptable, is_hash
from datastore.accounts.users import NAME_TAKEN, NewUser, User
from datastore.validation import MISSING, Invalid, Problems, email, json_value, name, text, uuid4

STATES = ("active", "pending", "deleted")


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes a user: a sysadmin (with an id, if a person), or the user, perhaps by the key of a mail."""

    sysadmin: bool
    id: str | None
    by_reset_key: bool = False


def check_new_user(data: Mapping[str, Any], by_sysadmin: bool, reserved: str = "") -> tuple[NewUser, str | None]:
    """The user that the fields describe, and the password to hash. Raises :class:`ValidationError`.

    ``id``, ``sysadmin``, ``state`` and ``password_hash`` count only when a sysadmin sets them; with a hash there need
    be no password. Nobody gets the ``reserved`` name.
    """
    problems = Problems()
    given_hash = _given_hash(problems, data) if by_sysadmin else None
    user = NewUser(
        id=problems.check("id", uuid4, data["id"], None) if by_sysadmin and data.get("id") else None,
        name=problems.check("name", lambda value: _new_name(value, reserved), data.get("name"), ""),
        email=problems.check("email", _required_email, data.get("email"), None),
        fullname=problems.check("fullname", text, data.get("fullname"), None),
        about=problems.check("about", _about, data.get("about"), None),
        image_url=problems.check("image_url", text, picture(data, None), None),
        sysadmin=by_sysadmin and bool(data.get("sysadmin")),
        state=problems.check("state", _state, data.get("state"), "active") if by_sysadmin else "active",
        password_hash=given_hash,
    )
    password = None
    if given_hash is None or data.get("password"):
        password = problems.check("password", acceptable, data.get("password"), "")
    problems.raise_if_any()
    return user, password


def check_changes(
    stored: User, data: Mapping[str, Any], editor: Editor, *, merge: bool, reserved: str = ""
) -> tuple[User, str | None]:
    """``stored`` with what was sent, and a new password to hash, if there is one. Raises :class:`ValidationError`.

    What was not sent stays, but an update that is no ``merge`` must name the e-mail address.
    """
    problems = Problems()
    values: dict[str, Any] = {}
    # Who has no address (a sysadmin made by the program) needs none in order to be loaded from a dump, for example.
    has_none = stored.email is None and data.get("email") in (None, "")
    if not has_none and ("email" in data or not (merge or editor.by_reset_key)):
        values["email"] = problems.check("email", _required_email, data.get("email"), None)
    for field, rule in (("fullname", text), ("about", _about)):
        if field in data:
            values[field] = problems.check(field, rule, data[field], None)
    values["image_url"] = problems.check("image_url", text, picture(data, stored.image_url), None)
    if data.get("activity_streams_email_notifications") is not None:
        values["activity_streams_email_notifications"] = bool(data["activity_streams_email_notifications"])
    new_name = data.get("name")
    if new_name not in (None, "", stored.name, stored.id):
        if not (editor.sysadmin or stored.state == "pending"):
            problems.add("name", "That login name can not be modified.")
        else:
            values["name"] = problems.check("name", lambda value: _new_name(value, reserved), new_name, "")
    if editor.sysadmin:
        values |= _by_sysadmin(problems, stored, data, editor)
    elif editor.by_reset_key and stored.state == "pending":
        values["state"] = "active"
    password = None
    if data.get("password") not in (None, "") or (editor.by_reset_key and stored.password_hash is None):
        password = problems.check("password", acceptable, data.get("password"), None)
    problems.raise_if_any()
    return msgspec.structs.replace(stored, **values), password


def _by_sysadmin(problems: Problems, stored: User, data: Mapping[str, Any], editor: Editor) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if data.get("sysadmin") is not None:
        values["sysadmin"] = bool(data["sysadmin"])
        if stored.id == editor.id and not values["sysadmin"]:
            problems.add("sysadmin", "Nobody can take this right from themselves.")
    if data.get("state") not in (None, ""):
        values["state"] = problems.check("state", _state, data["state"], stored.state)
    if "plugin_extras" in data:
        values["plugin_extras"] = problems.check("plugin_extras", _object, data["plugin_extras"], None)
    given_hash = _given_hash(problems, data)
    if given_hash is not None:
        values["password_hash"] = given_hash
    return values


def picture(data: Mapping[str, Any], stored: str | None) -> Any:
    """The address of a picture: ``image_upload`` may hold it as text; ``clear_upload`` takes the stored one away."""
    upload = data.get("image_upload")
    if isinstance(upload, str) and upload:
        return upload
    if data.get("clear_upload") and data.get("image_url") in (None, stored):
        return ""
    return data.get("image_url", stored)


def _new_name(value: Any, reserved: str) -> str:
    found = name(value)
    if found == reserved:
        raise Invalid(NAME_TAKEN)
    return found


def _required_email(value: Any) -> str | None:
    found = email(value)
    if not found:
        raise Invalid(MISSING)
    return found


def _about(value: Any) -> str | None:
    found = text(value)
    if found is not None and ("http://" in found or "https://" in found):
        raise Invalid("Edit not permitted since it looks like spam. Please avoid links in your description.")
    return found


def _state(value: Any) -> str:
    if value is None or value == "":
        return "active"
    if value not in STATES:
        raise Invalid("Value must be one of ['active', 'pending', 'deleted']")
    return str(value)


def _object(value: Any) -> dict[str, Any] | None:
    found = json_value(value)
    if found is not None and not isinstance(found, dict):
        raise Invalid("Must be an object")
    return found


def _given_hash(problems: Problems, data: Mapping[str, Any]) -> str | None:
    if not data.get("password_hash"):
        return None
    return problems.check("password_hash", is_hash, data["password_hash"], None)
