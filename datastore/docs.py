"""Writes the generated pages of docs/: ``python -m datastore.docs``; ``--check`` fails if one is out of date."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from datastore.actions.access import table
from datastore.settings import Settings
from datastore.tables.functions.library import library

_HEAD = """\
# Configuration

<!-- Written by `make docs` from datastore/settings.py: change it there. -->

Settings are environment variables, read once at the start. All of them have a default that works: `datastore serve`
needs none. Sizes are in bytes, durations in seconds; a yes or no is `true` or `false`. The options of
`datastore serve` (`--host`, `--port`, `--workers`, `--data-dir`, `--demo`) win over the variables of these names.

A value that cannot be used stops the start with a message that names the variable; an empty one counts as not set."""
_SPECIAL_DEFAULTS = {
    "data_dir": "`/var/lib/datastore` for root, else `~/.local/share/datastore`",
    "workers": "the number of cores",
}
_GROUP = re.compile(r"^    # (.+)$|^    (\w+): ", re.MULTILINE)


def configuration() -> str:
    """The text of docs/configuration.md. A comment in the settings class is the heading of the fields below it."""
    lines = [_HEAD]
    for line in _GROUP.finditer(inspect.getsource(Settings)):
        heading, name = line.groups()
        if heading:
            lines.append(f"\n## {heading}\n\n| Variable | Type | Default | Meaning |\n| --- | --- | --- | --- |")
        elif name in Settings.model_fields:
            lines.append(_row(name, Settings.model_fields[name]))
    return "\n".join(lines) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{Settings.variable(name)}` | {_type(field)} | {_default(name, field)} | {meaning} |"


def _type(field: FieldInfo) -> str:
    names = {int: "integer", float: "number", bool: "yes or no", str: "text", Path: "folder"}
    kind: Any = field.annotation
    if isinstance(kind, types.UnionType):
        kind = next(member for member in typing.get_args(kind) if member is not type(None))
    return names[kind] + _range(field)


def _default(name: str, field: FieldInfo) -> str:
    if name in _SPECIAL_DEFAULTS:
        return _SPECIAL_DEFAULTS[name]
    value = field.default
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def _range(field: FieldInfo) -> str:
    """The limits that the field declares, in words."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "min_length": "length at least"}
    found = [
        f"{word} {getattr(rule, name)}"
        for rule in field.metadata
        for name, word in words.items()
        if getattr(rule, name, None) is not None
    ]
    return "".join(f", {limit}" for limit in found)


_LIBRARY = """\
# The library of trigger functions

<!-- Written by `make docs` from triggers/*.sql: change it there. -->

Functions that check or mend records as they are written. [triggers.md](triggers.md) tells how to install and use them.
An argument in brackets may be left out; … stands for more of the same. The last line of each section is a member of
`triggers` of [datastore_create](api.md#datastore_create), unless it says otherwise."""


def trigger_library() -> str:
    """The text of docs/trigger-library.md, from the heads of the functions."""
    parts = [_LIBRARY]
    for function in library().values():
        parts.append(f"## {function.name}\n\n{function.summary}")
        rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in function.arguments)
        parts.append(f"| argument | |\n| --- | --- |\n{rows}")
        if function.notes:
            parts.append("\n\n".join(textwrap.fill(part, 118) for part in function.notes.split("\n\n")))
        parts.append(f"```json\n{function.example}\n```")
    return "\n\n".join(parts) + "\n"


_FOLDER = Path(__file__).resolve().parents[1] / "docs"
_BEGIN, _END = "<!-- Written by `make docs` from datastore/actions/access.py: change it there. -->", "<!-- End. -->"


def permissions() -> str:
    """The text of docs/permissions.md: what people wrote there, with the table between its marks written anew."""
    before, _, rest = (_FOLDER / "permissions.md").read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table(Settings.model_construct())}\n\n{_END}{after}"


PAGES = {"configuration.md": configuration, "trigger-library.md": trigger_library, "permissions.md": permissions}
"""The generated pages and what writes them."""


def main(arguments: list[str]) -> int:
    """Write the pages of the checkout, or compare them; the exit status."""
    status = 0
    for name, text in PAGES.items():
        page = _FOLDER / name
        if "--check" not in arguments:
            page.write_text(text())
            print(f"Wrote {page}")
        elif not page.exists() or page.read_text() != text():
            print(f"{page} is out of date: run `make docs`.", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
