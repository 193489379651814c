"""What changed between two versions of an object, line by line, in the three forms of ``difflib``.

Pure, and bounded: comparing takes time that grows with the square of what differs.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from datastore.errors import ValidationError

FORMS = ("unified", "context", "html")
MAX_LINES = 50_000
"""Longest version that is compared, in lines."""
MAX_HTML_LINES, MAX_HTML_TEXT = 300, 20_000
"""Most lines and characters that may differ for the table of ``html``, which also compares within lines."""


def diff(before: Mapping[str, Any], after: Mapping[str, Any], form: str) -> str:
    """The differences of two objects, written as JSON with sorted keys, in one of the :data:`FORMS`.

    Raises :class:`ValidationError` ``diff_type`` if they are too large for it.
    """
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > MAX_LINES:
        raise _too_large(form)
    if form == "unified":
        return "\n".join(difflib.unified_diff(old, new, lineterm=""))
    if form == "context":
        return "\n".join(difflib.context_diff(old, new, lineterm=""))
    changed = _changed(old, new)
    if len(changed) > MAX_HTML_LINES or sum(map(len, changed)) > MAX_HTML_TEXT:
        raise _too_large(form)
    return difflib.HtmlDiff(wrapcolumn=60).make_table(old, new, context=True, numlines=3)


def _lines(shown: Mapping[str, Any]) -> list[str]:
    return json.dumps(shown, indent=2, sort_keys=True, ensure_ascii=False).split("\n")


def _changed(old: list[str], new: list[str]) -> list[str]:
    """The lines of either version that the other has not."""
    return [line[1:] for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[0] in "+-"]


def _too_large(form: str) -> ValidationError:
    return ValidationError({"diff_type": [f"The two versions differ too much to be compared as {form}"]})
