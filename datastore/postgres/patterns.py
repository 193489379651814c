"""Patterns of LIKE and ILIKE, made from text in which no character is special."""

from __future__ import annotations


def containing(text: str) -> str:
    """The pattern of everything that has ``text`` somewhere within."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
