"""Dataset search: text → tree (``query``) → condition (``plan``) → datasets, counts and suggestions."""
