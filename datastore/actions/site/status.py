"""Actions about the site itself: is it there, what is it, what can it do."""

from __future__ import annotations

from typing import Any

from pydantic import Field

import datastore
from datastore.actions import registry
from datastore.actions.parameters import Parameters, RequiredText
from datastore.actions.registry import Call, action
from datastore.catalog.views.types import VIEW_TYPES
from datastore.errors import NotFound

COMPATIBLE_VERSION = "2.11.0"
"""The version that ``status_show`` reports: clients choose by it what they send."""

_EXTENSIONS = {"activity", "datastore", "expire_api_token", *VIEW_TYPES}
_BY_ACTION = {"datapusher": "datapusher_submit", "xloader": "xloader_submit"}


class SiteRead(Parameters):
    """No parameters."""


class StatusShow(Parameters):
    """No parameters."""


class HelpShow(Parameters):
    """Whose help is wanted."""

    name: RequiredText = Field(description="Name of an action.")


@action(SiteRead, get=True)
async def site_read(_call: Call, _parameters: SiteRead) -> bool:
    """Whether the caller may read the site: always true. Clients use it as a ping."""
    return True


@action(StatusShow, get=True)
async def status_show(call: Call, _parameters: StatusShow) -> dict[str, Any]:
    """The site's title, description and address, and the versions of its API and of the program."""
    settings = call.settings
    options = await call.services.options.all()
    shown: dict[str, Any] = {
        "site_title": options["ckan.site_title"],
        "site_description": options["ckan.site_description"],
        "site_url": call.site_url,
        "error_emails_to": settings.error_emails_to,
        "locale_default": settings.locale_default,
        "extensions": _extensions(),
    }
    if call.actor.sysadmin or not settings.hide_version:
        shown |= {"ckan_version": COMPATIBLE_VERSION, "datastore_version": datastore.__version__}
    return shown


@action(HelpShow, get=True)
async def help_show(_call: Call, parameters: HelpShow) -> str:
    """What an action does, and what its parameters mean."""
    found = registry.find(parameters.name)
    if found is None:
        raise NotFound(f"Action name not known: {parameters.name}")
    return found.help


def _extensions() -> list[str]:
    """What clients ask for by the names of plugins: all that is built in."""
    return sorted(_EXTENSIONS | {name for name, needed in _BY_ACTION.items() if registry.find(needed)})
