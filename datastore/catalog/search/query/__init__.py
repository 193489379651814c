"""What a query says: text (``lucene``, ``simple``) → tree. Pure."""
