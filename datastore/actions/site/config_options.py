"""Actions on the options of the site."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from datastore.accounts.permissions import require_sysadmin
from datastore.actions.catalog.fields import Sent
from datastore.actions.parameters import Parameters, RequiredText
from datastore.actions.registry import Call, action
from datastore.catalog.site.options import OPTIONS, check_option, update_options
from datastore.postgres.database import Transaction


class ConfigOptionShow(Parameters):
    """Which option."""

    key: RequiredText = Field(description="Name of the option, such as `ckan.site_title`.")


class ConfigOptionList(Parameters):
    """No parameters."""


class ConfigOptionUpdate(Sent):
    """Options by their names, such as `ckan.site_title`, with their new values; see config_option_list."""

    model_config = ConfigDict(extra="allow")


@action(ConfigOptionShow, get=True)
async def config_option_show(call: Call, parameters: ConfigOptionShow) -> str:
    """The value of an option. Sysadmins only."""
    require_sysadmin(call.actor, "config_option_show")
    check_option(parameters.key)
    return (await call.services.options.all())[parameters.key]


@action(ConfigOptionList, get=True)
async def config_option_list(call: Call, _parameters: ConfigOptionList) -> list[str]:
    """The names of the options that can be changed while the site runs. Sysadmins only."""
    require_sysadmin(call.actor, "config_option_list")
    return list(OPTIONS)


@action(ConfigOptionUpdate)
async def config_option_update(call: Call, parameters: ConfigOptionUpdate) -> dict[str, str]:
    """Change options of the site, for all workers at once. Sysadmins only."""
    require_sysadmin(call.actor, "config_option_update")

    async def work(tx: Transaction) -> dict[str, str]:
        return await update_options(tx, parameters.sent())

    return await call.write(work)
