"""Read-only SQL for everybody: a statement is checked, rewritten to canonical tokens, and run by the least role."""
