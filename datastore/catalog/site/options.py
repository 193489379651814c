"""Options of the site that sysadmins change while it runs (catalog-api.md §C4).

They are kept in the database and go before the settings; every worker drops its copy when one changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from datastore.errors import ValidationError
from datastore.postgres.cache import Cache
from datastore.postgres.database import Database, Transaction
from datastore.settings import Settings
from datastore.validation import Problems, text

CACHE_KIND = "option"
_ALL = "all"

OPTIONS: dict[str, Callable[[Settings], str]] = {
    "ckan.site_title": lambda settings: settings.site_title,
    "ckan.site_logo": lambda _: "",
    "ckan.site_description": lambda settings: settings.site_description,
    "ckan.site_about": lambda _: "",
    "ckan.site_intro_text": lambda _: "",
    "ckan.site_custom_css": lambda _: "",
    "ckan.theme": lambda _: "",
}
"""The options that can be changed, each with its value while nobody has."""

_SAVE = """
    INSERT INTO datastore.config_options (key, value)
    SELECT * FROM unnest($1::text[], $2::text[]) AS wanted (key, value) ORDER BY wanted.key
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


class Options:
    """The options as they are now, remembered until one changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache = Cache(database.notifications, CACHE_KIND, self._load)

    async def all(self) -> Mapping[str, str]:
        """Every option with its value."""
        return await self._cache.get(_ALL) or await self._load(_ALL)

    async def _load(self, _key: str) -> dict[str, str]:
        rows = await self._database.owner.fetch("SELECT key, value FROM datastore.config_options")
        changed = {row["key"]: row["value"] for row in rows if row["key"] in OPTIONS}
        return {key: default(self._database.settings) for key, default in OPTIONS.items()} | changed


async def update_options(tx: Transaction, data: Mapping[str, Any]) -> dict[str, str]:
    """Change the given options, all or none, and give them. Raises :class:`ValidationError`."""
    problems = Problems()
    values = {}
    for key, value in data.items():
        if key not in OPTIONS:
            problems.add(key, f"Configuration option '{key}' can not be updated")
        else:
            values[key] = problems.check(key, text, value, None) or ""
    problems.raise_if_any()
    await tx.connection.execute(_SAVE, list(values), list(values.values()))
    tx.changed(CACHE_KIND, _ALL)
    return values


def check_option(key: str) -> None:
    """Raise :class:`ValidationError` unless there is an option of that name."""
    if key not in OPTIONS:
        raise ValidationError({"key": [f"Configuration option '{key}' can not be shown"]})
