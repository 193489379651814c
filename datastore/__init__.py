"""DataStore: turns tables into a fast, safe, queryable API, and is a complete open data portal."""

__version__ = "0.1.0"
