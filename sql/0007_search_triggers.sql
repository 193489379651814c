-- Dataset search: when rows are written. Triggers note the datasets that a transaction touches; at its COMMIT they are
-- indexed once, all together. So no write path can forget it, and whoever reads after a write finds it.

-- Note what a change of a row touches.
CREATE FUNCTION datastore.search_touch() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    changed jsonb := to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END);
    touched text[];
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'datasets' THEN
            touched := CASE TG_NARGS
                WHEN 0 THEN ARRAY[changed ->> 'id']
                ELSE ARRAY(
                    SELECT object_id FROM datastore.relationships WHERE subject_id = changed ->> 'id'
                    UNION
                    SELECT subject_id FROM datastore.relationships WHERE object_id = changed ->> 'id')
            END;
        WHEN 'relationships' THEN touched := ARRAY[changed ->> 'subject_id', changed ->> 'object_id'];
        WHEN 'resources', 'dataset_tags', 'tables' THEN touched := ARRAY[changed ->> 'dataset_id'];
        WHEN 'members' THEN
            touched := CASE changed ->> 'table_name' WHEN 'package' THEN ARRAY[changed ->> 'table_id'] END;
        WHEN 'tags' THEN
            touched := ARRAY(SELECT dataset_id FROM datastore.dataset_tags WHERE tag_id = changed ->> 'id');
        WHEN 'vocabularies' THEN
            touched := ARRAY(
                SELECT link.dataset_id
                FROM datastore.tags AS tag JOIN datastore.dataset_tags AS link ON link.tag_id = tag.id
                WHERE tag.vocabulary_id = changed ->> 'id');
        WHEN 'groups' THEN
            touched := ARRAY(
                SELECT id FROM datastore.datasets WHERE owner_org = changed ->> 'id'
                UNION
                SELECT table_id FROM datastore.members
                WHERE group_id = changed ->> 'id' AND table_name = 'package');
        WHEN 'search_licenses' THEN
            touched := ARRAY(SELECT id FROM datastore.datasets WHERE license_id = changed ->> 'id');
    END CASE;
    INSERT INTO datastore.search_pending (transaction, dataset_id)
    SELECT DISTINCT pg_current_xact_id(), dataset_id FROM unnest(touched) AS dataset_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- At COMMIT: the first of the noted rows stands for all.
CREATE FUNCTION datastore.search_index_pending() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    touched text[];
BEGIN
    WITH noted AS (
        DELETE FROM datastore.search_pending WHERE transaction = pg_current_xact_id() RETURNING dataset_id
    )
    SELECT array_agg(dataset_id ORDER BY dataset_id) INTO touched FROM noted;
    IF touched IS NOT NULL THEN
        PERFORM datastore.index_datasets(touched);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER index_at_commit AFTER INSERT ON datastore.search_pending
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION datastore.search_index_pending();

CREATE TRIGGER search AFTER INSERT OR UPDATE ON datastore.datasets
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search_related AFTER UPDATE OF name, state, private ON datastore.datasets
    FOR EACH ROW WHEN ((OLD.name, OLD.state, OLD.private) IS DISTINCT FROM (NEW.name, NEW.state, NEW.private))
    EXECUTE FUNCTION datastore.search_touch('those that are related to it');
CREATE TRIGGER search AFTER INSERT OR DELETE OR UPDATE OF type ON datastore.relationships
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER INSERT OR UPDATE OF dataset_id, name, description, url, format, resource_type, state
    OR DELETE ON datastore.resources
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER INSERT OR DELETE ON datastore.dataset_tags
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER UPDATE OF name, vocabulary_id ON datastore.tags
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER UPDATE OF name ON datastore.vocabularies
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER INSERT OR UPDATE OR DELETE ON datastore.members
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER UPDATE OF name, title, state ON datastore.groups
    FOR EACH ROW WHEN ((OLD.name, OLD.title, OLD.state) IS DISTINCT FROM (NEW.name, NEW.title, NEW.state))
    EXECUTE FUNCTION datastore.search_touch();
-- A change of the columns always writes the data dictionary, too; see datastore/tables/definition/define.py.
CREATE TRIGGER search AFTER INSERT OR UPDATE OF info OR DELETE ON datastore.tables
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();
CREATE TRIGGER search AFTER INSERT OR UPDATE OR DELETE ON datastore.search_licenses
    FOR EACH ROW EXECUTE FUNCTION datastore.search_touch();

-- Counts are remembered until what is searched changes: each transaction that does leaves its number.
CREATE FUNCTION datastore.search_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO datastore.search_changes (transaction) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
    IF FOUND AND (SELECT count(*) FROM datastore.search_changes) > 50 THEN
        DELETE FROM datastore.search_changes
        WHERE transaction IN (
            SELECT transaction FROM datastore.search_changes
            WHERE transaction <> pg_current_xact_id()
            FOR UPDATE SKIP LOCKED); -- nobody waits here for another's COMMIT
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON datastore.dataset_search
    FOR EACH STATEMENT EXECUTE FUNCTION datastore.search_changed();

SELECT datastore.index_datasets(array_agg(id)) FROM datastore.datasets HAVING count(*) > 0;
