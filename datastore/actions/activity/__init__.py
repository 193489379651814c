"""Actions on what happened and who follows it. Importing this package registers all of them."""

from datastore.actions.activity import dashboard, details, followees, followers, streams  # noqa: F401
