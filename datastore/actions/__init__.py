"""The operations by their public names. Importing this package registers all of them."""

from datastore.actions import activity, catalog, people, site, tables  # noqa: F401
