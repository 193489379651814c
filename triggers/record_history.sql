-- record_history: Keeps each old record in a table of history, with the time, the user and what was done.
--
-- Arguments:
--   history  the id of the resource whose table is the history, in the same dataset
--
-- Example:
--   {"resource_id": "b6f7c2de-9a51-4a6e-8d0b-1c2f4e7a9b30"}
--
-- It is not for the list of triggers: datastore_history_create makes the table of history and lets this function see
-- updates, deletions and TRUNCATE. The example is what it takes. No trigger fires on inserts.
DECLARE
    actor CONSTANT text := nullif(current_setting('datastore.actor', true), '');
    history CONSTANT text := format(
        'INSERT INTO %I.%I (changed_at, changed_by, operation, record_id, record)', TG_TABLE_SCHEMA, TG_ARGV[0]);
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format('%s SELECT now(), $1, ''delete'', _id, to_jsonb(source) - ''_id'' FROM %I.%I AS source ORDER BY _id',
                       history, TG_TABLE_SCHEMA, TG_TABLE_NAME) USING actor;
    ELSIF TG_WHEN = 'AFTER' THEN
        EXECUTE history || ' VALUES (now(), $1, $2, $3, $4)'
            USING actor, lower(TG_OP), OLD._id, to_jsonb(OLD) - '_id';
    ELSE
        RAISE EXCEPTION 'record_history: datastore_history_create puts it in place, not the list of triggers';
    END IF;
    RETURN NULL;
END
