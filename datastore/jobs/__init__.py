"""Work in the background: a queue in PostgreSQL, and who works it off. What there is to do, upper floors say."""
