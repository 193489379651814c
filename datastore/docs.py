"""Writes the generated pages of docs/: ``python -m datastore.docs``; ``--check`` fails if one is out of date."""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from datastore.settings import Settings

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


def main(arguments: list[str]) -> int:
    """Write the pages of the checkout, or compare them; the exit status."""
    page = Path(__file__).resolve().parents[1] / "docs/configuration.md"
    text = configuration()
    if "--check" not in arguments:
        page.parent.mkdir(exist_ok=True)
        page.write_text(text)
        print(f"Wrote {page}")
        return 0
    if page.exists() and page.read_text() == text:
        return 0
    print(f"{page} is out of date: run `make docs`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
