"""The rows that are measured: ten columns of the usual types, always the same, made by PostgreSQL itself."""

from __future__ import annotations

FIELDS = [
    {"id": "station", "type": "int4"},
    {"id": "serial", "type": "int8"},
    {"id": "reading", "type": "float8"},
    {"id": "price", "type": "numeric"},
    {"id": "valid", "type": "bool"},
    {"id": "measured_at", "type": "timestamp"},
    {"id": "day", "type": "date"},
    {"id": "code", "type": "text"},
    {"id": "place", "type": "text"},
    {"id": "remark", "type": "text"},
]
"""The columns, as datastore_create takes them. ``station`` is unique: the key of upserts."""

COLUMNS = ", ".join(f'"{field["id"]}"' for field in FIELDS)


def rows(first: int, last: int) -> str:
    """A query for the rows with ``first <= station <= last``. One remark in ten is NULL."""
    return f"""
        SELECT n::int4 AS station,
               n * 4294967311 AS serial,
               (n * 7919 % 1000003)::float8 / 997 AS reading,
               round((n * 31 % 10000000)::numeric / 100, 2) AS price,
               n % 3 = 0 AS valid,
               timestamp '2020-01-01' + n * interval '61 seconds' AS measured_at,
               date '2020-01-01' + (n % 2000)::int AS day,
               'ST-' || lpad((n % 9973)::text, 6, '0') AS code,
               (ARRAY['Aarhus', 'Bologna', 'Coimbra', 'Dortmund', 'Évora', 'Ferrara', 'Göteborg'])[n % 7 + 1] AS place,
               CASE WHEN n % 10 <> 0 THEN 'reading ' || md5(n::text) || ' of the automatic network' END AS remark
        FROM generate_series({first}::bigint, {last}) AS n
        """
