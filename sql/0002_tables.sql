-- The registry of the table engine: one row a table, its aliases, and the functions that full text is computed with.
-- ":reader" and ":public" stand for the two read-only roles.

CREATE TABLE datastore.tables (
    resource_id text PRIMARY KEY REFERENCES datastore.resources (id),
    dataset_id text NOT NULL REFERENCES datastore.datasets (id),
    -- Exact, and changed by every writing transaction as its last statement, so that the row lock is held for a moment.
    record_count bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    -- The columns of the unique key.
    key text[] NOT NULL DEFAULT '{}',
    -- The data dictionary: {column: info}.
    info jsonb NOT NULL DEFAULT '{}',
    -- 'none' (no index: a scan answers q), 'ready' (the expression index answers).
    fulltext text NOT NULL DEFAULT 'none' CHECK (fulltext IN ('none', 'ready')),
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON datastore.tables (dataset_id);

-- Aliases are pointers: they never freeze columns.
CREATE TABLE datastore.aliases (
    name text PRIMARY KEY,
    resource_id text NOT NULL REFERENCES datastore.tables (resource_id) ON DELETE CASCADE,
    ordinal bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX ON datastore.aliases (resource_id);

GRANT USAGE ON SCHEMA datastore TO :reader, :public;

-- A read takes count and version from the registry within its one statement; each role sees the rows of those datasets
-- whose schema it may use.
ALTER TABLE datastore.tables ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON datastore.tables FOR SELECT
    USING (has_schema_privilege(to_regnamespace(quote_ident(dataset_id)), 'USAGE'));
GRANT SELECT (resource_id, record_count, version) ON datastore.tables TO :reader, :public;

-- Text of a value whose own cast PostgreSQL calls STABLE, because it depends on settings of the session. Ours are the
-- same in every session, so the result never changes, and an index may be built on it.
CREATE FUNCTION datastore.stable_text(value anyelement) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS 'BEGIN RETURN value::text; END';
