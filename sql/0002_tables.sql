-- The registry of the table engine: one row a table, its aliases, and the functions that full text is computed with.
-- ":reader" and ":public" stand for the two read-only roles.

CREATE TABLE datastore.tables (
    resource_id text PRIMARY KEY REFERENCES datastore.resources (id),
    dataset_id text NOT NULL REFERENCES datastore.datasets (id),
    -- Exact, and changed by every writing transaction as its last statement, so that the row lock is held for a moment.
    record_count bigint NOT NULL DEFAULT 0,
    -- Grows with every change of this row, and so of the table. A time in microseconds as a rule, so that no version comes
    -- a second time: not when the table is dropped and made again, nor when the database is restored from a backup.
    version bigint NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000000,
    -- The columns of the unique key.
    key text[] NOT NULL DEFAULT '{}',
    -- The data dictionary: {column: info}.
    info jsonb NOT NULL DEFAULT '{}',
    -- The text-search configuration of the full text, one of those below.
    language text NOT NULL DEFAULT 'english',
    -- 'none' (no index: a scan answers q), 'ready' (the expression index answers).
    fulltext text NOT NULL DEFAULT 'none' CHECK (fulltext IN ('none', 'ready')),
    -- When the data changed last, until the resource's last_modified says so; null from then on.
    written timestamptz DEFAULT clock_timestamp(),
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON datastore.tables (dataset_id);

CREATE FUNCTION datastore.next_version() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.version := greatest(OLD.version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN NEW;
END $$;
-- That last_modified has been set is no change of the table.
CREATE TRIGGER next_version BEFORE UPDATE ON datastore.tables
    FOR EACH ROW WHEN (OLD.written IS NULL OR NEW.written IS NOT NULL) EXECUTE FUNCTION datastore.next_version();

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

-- Fuzzy search and folding of accents, where the server has the extensions (both are trusted: no superuser needed).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA datastore;
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'unaccent') THEN
        CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA datastore;
    END IF;
END $$;

-- A text-search configuration of our own for each language of the server: the same, but accents are folded first.
DO $$
DECLARE
    source record;
BEGIN
    FOR source IN SELECT cfgname FROM pg_ts_config WHERE cfgnamespace = 'pg_catalog'::regnamespace LOOP
        EXECUTE format('CREATE TEXT SEARCH CONFIGURATION datastore.%I (COPY = pg_catalog.%I)',
                       source.cfgname, source.cfgname);
        IF EXISTS (SELECT FROM pg_ts_dict WHERE dictname = 'unaccent' AND dictnamespace = 'datastore'::regnamespace) THEN
            EXECUTE (
                SELECT format('ALTER TEXT SEARCH CONFIGURATION datastore.%I ALTER MAPPING FOR hword, hword_part, word WITH datastore.unaccent, %s',
                              source.cfgname, string_agg(map.mapdict::regdictionary::text, ', ' ORDER BY map.mapseqno))
                FROM pg_ts_config_map AS map
                JOIN pg_ts_config AS config ON config.oid = map.mapcfg AND config.cfgname = source.cfgname
                     AND config.cfgnamespace = 'pg_catalog'::regnamespace
                WHERE map.maptokentype = (SELECT tokid FROM ts_token_type('default') WHERE alias = 'word')
            );
        END IF;
    END LOOP;
END $$;

-- Whether a text can be read as a type, for the explanation of a change of a column's type that failed. (From version
-- 16 on PostgreSQL has pg_input_is_valid; this serves 15 as well.)
CREATE FUNCTION datastore.is_readable(value text, type text) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    AS $$
BEGIN
    EXECUTE 'SELECT $1::' || type USING value;
    RETURN true;
EXCEPTION WHEN data_exception OR invalid_text_representation OR numeric_value_out_of_range THEN
    RETURN false;
END $$;
REVOKE EXECUTE ON FUNCTION datastore.is_readable FROM PUBLIC;
