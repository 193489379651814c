"""Actions on datasets and what belongs to them: resources, tags, views, relationships; and the search.

Importing this package registers all of them.
"""

from datastore.actions.catalog import (  # noqa: F401
    datasets,
    many_datasets,
    relationships,
    resource_views,
    resources,
    revise,
    search,
    search_lists,
    vocabularies,
)
