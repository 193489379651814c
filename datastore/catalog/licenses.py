"""The licences that datasets may name (catalog-api.md §B6)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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


def find(license_id: str | None) -> License | None:
    """The licence of that id, or None."""
    return LICENSES.get(license_id or "")


def license_list() -> list[dict[str, Any]]:
    """All licences as the API shows them."""
    return [asdict(license) for license in LICENSES.values()]
