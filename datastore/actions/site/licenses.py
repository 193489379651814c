"""Actions on licences."""

from __future__ import annotations

from typing import Any

from datastore.actions.parameters import Parameters
from datastore.actions.registry import Call, action
from datastore.catalog import licenses


class LicenseList(Parameters):
    """No parameters."""


@action(LicenseList, get=True)
async def license_list(_call: Call, _parameters: LicenseList) -> list[dict[str, Any]]:
    """The licences that a dataset may have, and which of them are open."""
    return licenses.license_list()
