"""The PostgreSQL that comes with the program."""

from datastore.postgres.embedded.binaries import EmbeddedError
from datastore.postgres.embedded.connection_file import connection_dsn
from datastore.postgres.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedError", "EmbeddedPostgres", "connection_dsn"]
