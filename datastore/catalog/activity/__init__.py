"""What happened in the catalog: recorded with the change, read as streams, compared version by version."""
