"""Actions on the site as a whole: what it is, its options, licences, translations, tasks of its services, its jobs.

Importing this package registers all of them.
"""

from datastore.actions.site import (  # noqa: F401
    config_options,
    jobs,
    licenses,
    status,
    task_statuses,
    translations,
)
