"""Dataset search: text → tree (``lucene``, ``simple``) → condition (``plan``) → datasets, counts and suggestions."""
