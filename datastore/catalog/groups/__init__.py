"""Organizations, which own datasets, and other groups, which collect them: one thing with two kinds."""
