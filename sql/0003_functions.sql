-- Functions and sequences that sysadmins make, triggers of tables, and the list of tables that everybody may search.
-- ":triggers" stands for the role that functions run as: it may read and write the rows of datasets, and nothing else.

CREATE SCHEMA datastore_functions;
GRANT USAGE ON SCHEMA datastore_functions TO :triggers;

-- The table's triggers in the order in which they fire: [{"function": name, "arguments": [text]}]; and the table that its
-- old rows are recorded in.
ALTER TABLE datastore.tables
    ADD COLUMN triggers jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN history text UNIQUE REFERENCES datastore.tables (resource_id) ON DELETE SET NULL;

-- Tables that are older than the role. (New ones: see datastore/tables/definition/define.py.)
DO $$
DECLARE
    existing record;
BEGIN
    FOR existing IN
        SELECT registry.dataset_id, registry.resource_id
        FROM datastore.tables AS registry
        JOIN pg_namespace AS namespace ON namespace.nspname = registry.dataset_id
        JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = registry.resource_id
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO :triggers', existing.dataset_id);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO :triggers',
                       existing.dataset_id, existing.resource_id);
    END LOOP;
END $$;

-- Counts the rows that trigger functions add to and take from a table, per transaction, in a setting of this name and
-- the table's oid; datastore/tables/registry.py adds them up. What our own statements write is counted there.
CREATE FUNCTION datastore.count_nested() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    counter text := 'datastore.nested_' || TG_RELID;
    change bigint := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    PERFORM pg_catalog.set_config(
        counter, (coalesce(nullif(pg_catalog.current_setting(counter, true), ''), '0')::bigint + change)::text, true);
    RETURN NULL;
END $$;

-- The _id of the first row whose triggers or constraints refuse an update that changes nothing; null if none does.
-- Whatever the triggers did is undone.
CREATE FUNCTION datastore.first_refused(target regclass) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    id bigint;
BEGIN
    FOR id IN EXECUTE format('SELECT _id FROM %s ORDER BY _id', target) LOOP
        EXECUTE format('UPDATE %s SET _id = _id WHERE _id = $1', target) USING id;
    END LOOP;
    RAISE EXCEPTION USING MESSAGE = 'undo', ERRCODE = 'DS000';
EXCEPTION
    WHEN SQLSTATE 'DS000' THEN
        RETURN NULL;
    WHEN OTHERS OR assert_failure OR query_canceled THEN
        RETURN id;
END $$;
REVOKE EXECUTE ON FUNCTION datastore.first_refused FROM PUBLIC;

-- The rows of _table_metadata that an actor may see: tables, and aliases as pointers to them.
CREATE FUNCTION datastore.table_metadata(actor_id text, sysadmin boolean, actor_groups text[])
    RETURNS TABLE (_id text, name name, oid oid, alias_of name)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
    SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH visible AS (
            SELECT registry.resource_id, class.oid
            FROM datastore.tables AS registry
            JOIN datastore.datasets AS dataset ON dataset.id = registry.dataset_id
            JOIN pg_catalog.pg_namespace AS namespace ON namespace.nspname = registry.dataset_id
            JOIN pg_catalog.pg_class AS class
                ON class.relnamespace = namespace.oid AND class.relname = registry.resource_id
            WHERE datastore.may_read(dataset, actor_id, sysadmin, actor_groups)
        ),
        entry AS (
            SELECT resource_id AS name, oid, NULL AS alias_of FROM visible
            UNION ALL
            SELECT alias.name, visible.oid, visible.resource_id
            FROM visible JOIN datastore.aliases AS alias ON alias.resource_id = visible.resource_id
        )
        SELECT left(encode(sha256(convert_to(concat_ws('/', entry.alias_of, entry.name), 'UTF8')), 'hex'), 17),
               entry.name::name, entry.oid, entry.alias_of::name
        FROM entry
        WHERE NOT starts_with(entry.name, '_');
    END;
REVOKE EXECUTE ON FUNCTION datastore.table_metadata FROM PUBLIC;
GRANT EXECUTE ON FUNCTION datastore.table_metadata TO :reader;

-- The shape of a table, by its resource id or an alias, and who may see it: what datastore/tables/schema.py keeps.
CREATE FUNCTION datastore.table_schema(wanted text)
    RETURNS TABLE (
        resource_id text, fulltext text, language text, key text[], triggers jsonb, history text, history_of text,
        url_type text, dataset_id text, name text, owner_org text, private boolean, creator_user_id text, state text,
        oid bigint, aliases text[], trigram text[], columns json)
    LANGUAGE plpgsql STABLE ROWS 1
    SET plan_cache_mode = force_generic_plan -- to plan it takes five times as long as to run it
    SET enable_seqscan = off -- and a plan that was made when there were few tables stays
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT registry.resource_id, registry.fulltext, registry.language, registry.key, registry.triggers,
           registry.history,
           (SELECT source.resource_id FROM datastore.tables AS source WHERE source.history = registry.resource_id),
           resource.url_type,
           dataset.id, dataset.name, dataset.owner_org, dataset.private, dataset.creator_user_id,
           CASE WHEN resource.state = 'active' THEN dataset.state ELSE resource.state END,
           class.oid::bigint,
           ARRAY (
               SELECT alias.name FROM datastore.aliases AS alias
               WHERE alias.resource_id = registry.resource_id ORDER BY alias.ordinal DESC
           ),
           ARRAY (
               SELECT attribute.attname::text
               FROM pg_index AS index
               JOIN pg_opclass AS operators ON operators.oid = index.indclass[0]
               JOIN pg_attribute AS attribute
                    ON attribute.attrelid = index.indrelid AND attribute.attnum = index.indkey[0]
               WHERE index.indrelid = class.oid AND operators.opcname = 'gin_trgm_ops'
           ),
           (
               SELECT coalesce(json_agg(json_build_object(
                   'name', attribute.attname,
                   'type', type.typname,
                   'native_type', format_type(attribute.atttypid, attribute.atttypmod),
                   'element', element.typname,
                   'immutable_text', output.provolatile = 'i',
                   'not_null', attribute.attnotnull,
                   'info', registry.info -> attribute.attname::text
               ) ORDER BY attribute.attnum), '[]')
               FROM pg_attribute AS attribute
               JOIN pg_type AS type ON type.oid = attribute.atttypid
               JOIN pg_proc AS output ON output.oid = type.typoutput
               LEFT JOIN pg_type AS element ON element.oid = type.typelem AND type.typcategory = 'A'
               WHERE attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
                     AND attribute.attname NOT LIKE E'\\_%'
           )
    FROM datastore.tables AS registry
    JOIN datastore.resources AS resource ON resource.id = registry.resource_id
    JOIN datastore.datasets AS dataset ON dataset.id = registry.dataset_id
    JOIN pg_namespace AS namespace ON namespace.nspname = registry.dataset_id
    JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = registry.resource_id
    WHERE registry.resource_id = coalesce(
        (SELECT found.resource_id FROM datastore.tables AS found WHERE found.resource_id = wanted),
        (SELECT alias.resource_id FROM datastore.aliases AS alias WHERE alias.name = wanted));
END $$;
REVOKE EXECUTE ON FUNCTION datastore.table_schema FROM PUBLIC;
