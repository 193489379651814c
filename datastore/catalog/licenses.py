"""The licences that datasets may name (catalog-api.md §B6)."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True, slots=True)
class License:
    """A licence. The domain flags and ``is_generic`` are the words ``True`` and ``False``, as clients expect them."""

    id: str
    title: str
    url: str = ""
    domain_content: str = "False"
    domain_data: str = "False"
    domain_software: str = "False"
    od_conformance: str = "not reviewed"
    osd_conformance: str = "not reviewed"
    family: str = ""
    maintainer: str = ""
    is_generic: str = "False"
    status: str = "active"

    @property
    def is_open(self) -> bool:
        """Conforms to the Open Definition or the Open Source Definition."""
        return "approved" in (self.od_conformance, self.osd_conformance)


_DEFINED = "http://www.opendefinition.org/licenses/"
_BOTH = {"domain_content": "True", "domain_data": "True"}
_OPEN = {"od_conformance": "approved"}
_GENERIC = {"is_generic": "True"}

_ALL = (
    License("notspecified", "License not specified", **_GENERIC),
    License(
        "odc-pddl",
        "Open Data Commons Public Domain Dedication and License (PDDL)",
        _DEFINED + "odc-pddl",
        domain_data="True",
        **_OPEN,
    ),
    License(
        "odc-odbl", "Open Data Commons Open Database License (ODbL)", _DEFINED + "odc-odbl", domain_data="True", **_OPEN
    ),
    License("odc-by", "Open Data Commons Attribution License", _DEFINED + "odc-by", domain_data="True", **_OPEN),
    License("cc-zero", "Creative Commons CCZero", _DEFINED + "cc-zero", **_BOTH, **_OPEN),
    License("cc-by", "Creative Commons Attribution", _DEFINED + "cc-by", **_BOTH, **_OPEN),
    License("cc-by-sa", "Creative Commons Attribution Share-Alike", _DEFINED + "cc-by-sa", **_BOTH, **_OPEN),
    License("gfdl", "GNU Free Documentation License", _DEFINED + "gfdl", domain_content="True", **_OPEN),
    License("other-open", "Other (Open)", **_BOTH, **_OPEN, **_GENERIC),
    License("other-pd", "Other (Public Domain)", **_BOTH, **_OPEN, **_GENERIC),
    License("other-at", "Other (Attribution)", **_BOTH, **_OPEN, **_GENERIC),
    License(
        "uk-ogl",
        "UK Open Government Licence (OGL)",
        "http://reference.data.gov.uk/id/open-government-licence",
        **_BOTH,
        **_OPEN,
    ),
    License("cc-nc", "Creative Commons Non-Commercial (Any)", "http://creativecommons.org/licenses/by-nc/2.0/"),
    License("other-nc", "Other (Non-Commercial)", **_GENERIC),
    License("other-closed", "Other (Not Open)", **_GENERIC),
)
LICENSES = {license.id: license for license in _ALL}
"""The licences of this process, by id; replaced by :func:`use`, once, at the start."""

_TIMEOUT = 20.0
_MAX_SIZE = 4 * 2**20


class LicensesError(ValueError):
    """The list of licences of the settings cannot be used; the text says why."""


def load(address: str) -> list[License]:
    """The licences of a JSON file, by its path or its http(s) address: a list of them, or an object with one for each
    id (catalog-api.md §B6). Blocks. Raises :class:`LicensesError`.
    """
    try:
        if urlsplit(address).scheme in ("http", "https"):
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as response:  # noqa: S310 -- http(s), from the operator
                content = response.read(_MAX_SIZE)
        else:
            content = Path(address.removeprefix("file://")).read_bytes()
        found = orjson.loads(content)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LicensesError(f"cannot be read: {error}") from None
    if isinstance(found, dict):
        found = [{"id": key, **item} if isinstance(item, dict) else item for key, item in found.items()]
    if not isinstance(found, list) or not all(isinstance(item, dict) and item.get("id") for item in found):
        raise LicensesError("must be a list of licences, each with an id")
    return [_license(item) for item in found]


def _license(item: dict[str, Any]) -> License:
    """Flags may be booleans; older lists say ``is_okd_compliant`` for the open ones."""
    values = {field.name: str(item[field.name] or "") for field in fields(License) if item.get(field.name) is not None}
    for flag in ("domain_content", "domain_data", "domain_software", "is_generic"):
        if flag in item:
            values[flag] = str(str(item[flag]).lower() == "true")
    for old, new in (("is_okd_compliant", "od_conformance"), ("is_osi_compliant", "osd_conformance")):
        if item.get(old) is True:
            values.setdefault(new, "approved")
    return License(**{"title": str(item["id"]), **values})


def use(found: Iterable[License]) -> None:
    """Let these be the licences."""
    replacement = {license.id: license for license in found}
    LICENSES.clear()
    LICENSES.update(replacement)


def find(license_id: str | None) -> License | None:
    """The licence of that id, or None."""
    return LICENSES.get(license_id or "")


def license_list() -> list[dict[str, Any]]:
    """All licences as the API shows them."""
    return [asdict(license) for license in LICENSES.values()]
