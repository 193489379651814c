"""Actions on organizations, groups, users, and what they may do. Importing this package registers all of them."""

from datastore.actions.people import (  # noqa: F401
    collaborators,
    groups,
    invitations,
    members,
    organizations,
    tokens,
    users,
)
