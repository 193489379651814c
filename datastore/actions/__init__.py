"""The operations by their public names. Importing this package registers all of them."""

from datastore.actions import (  # noqa: F401
    config_options,
    datasets,
    datasets_many,
    datasets_revise,
    licenses,
    people,
    relationships,
    resource_views,
    resources,
    site,
    tables_analysis,
    tables_functions,
    tables_read,
    tables_sql,
    tables_triggers,
    tables_write,
    task_statuses,
    translations,
    vocabularies,
)
