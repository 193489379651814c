"""Bringing a list into another order by naming those that come first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from datastore.errors import ValidationError


def reordered(before: Sequence[str], first: Sequence[str], kind: str) -> list[str]:
    """The ids ``before`` with those of ``first`` put first.

    Raises :class:`ValidationError` ``order`` for an id that is not among them, or is given twice.
    """
    known, chosen = set(before), set(first)
    for id in first:
        if id not in known:
            raise ValidationError({"order": [f"There is no {kind} {id} here"]})
    if len(chosen) < len(first):
        raise ValidationError({"order": ["Duplicate ids"]})
    return [*first, *(id for id in before if id not in chosen)]
