"""The operations by their public names. Importing this package registers all of them."""

from datastore.actions import (  # noqa: F401
    datasets,
    licenses,
    organizations,
    resources,
    search,
    search_lists,
    site,
    tables_analysis,
    tables_functions,
    tables_read,
    tables_sql,
    tables_triggers,
    tables_write,
    users,
)
