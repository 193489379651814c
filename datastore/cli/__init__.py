"""The command line: ``datastore serve`` and what an operator needs beside it.

Every command works on a running service as well as without one: the embedded PostgreSQL is started for the time of the
command if it does not run.
"""

from datastore.cli.program import main

__all__ = ["main"]
