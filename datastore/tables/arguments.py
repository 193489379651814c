"""How values get into a statement: as arguments, each the text that the input function of its type reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from datastore.postgres.quoting import literal


@dataclass
class Arguments:
    """The arguments of a statement, collected while its text is written: ``$n``, or constants for COPY."""

    inline: bool = False
    values: list[str | list[str]] = field(default_factory=list)

    def add(self, value: str | list[str]) -> str:
        """Append a text or a list of texts; gives what stands for it in the statement."""
        if self.inline:
            return literal(value) if isinstance(value, str) else f"ARRAY[{', '.join(map(literal, value))}]"
        self.values.append(value)
        return f"${len(self.values)}"


def array_literal(members: Sequence[Any]) -> str:
    """A JSON list as a PostgreSQL array literal: every element quoted, nested lists nested, null as NULL."""
    parts = []
    for member in members:
        if member is None:
            parts.append("NULL")
        elif isinstance(member, list):
            parts.append(array_literal(member))
        else:
            text = member if isinstance(member, str) else json_literal(member)
            parts.append('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(parts) + "}"


def json_literal(value: Any) -> str:
    """A value as JSON text in the layout that json columns keep (``, ``, ``: ``, ASCII); Decimals keep their digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {json_literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_literal, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)
