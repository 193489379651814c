"""Resource views: how a resource is shown, as a table, an image, a map."""
