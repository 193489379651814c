"""Actions on tables and their records. Importing this package registers all of them."""

from datastore.actions.tables import (  # noqa: F401
    analysis,
    create,
    delete,
    functions,
    info,
    search,
    sql,
    triggers,
    write,
)
