"""The operations by their public names. Importing this package registers all of them."""

from datastore.actions import datasets, licenses, organizations, resources, site, tables_read, tables_write, users  # noqa: F401
