-- stamp_updated: Notes when a record was last changed, and by whom.
--
-- Arguments:
--   column  the column for the time
--   [by]    the column for the name of the user
--
-- Example:
--   {"function": "stamp_updated", "arguments": ["updated_at", "updated_by"]}
--
-- What a client sends for these columns does not count. A record that is written as it was keeps its stamp. Put it last
-- in the list of triggers, so that it sees what the others made of the record.
DECLARE
    stamp jsonb := jsonb_build_object(TG_ARGV[0], now());
    before jsonb;
BEGIN
    IF TG_NARGS NOT IN (1, 2) THEN
        RAISE EXCEPTION 'stamp_updated: its arguments are a column for the time and perhaps one for the user';
    ELSIF TG_NARGS = 2 THEN
        stamp := stamp || jsonb_build_object(TG_ARGV[1], nullif(current_setting('datastore.actor', true), ''));
    END IF;
    before := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    IF NOT before ?& ARRAY(SELECT jsonb_object_keys(stamp)) THEN
        RAISE EXCEPTION 'stamp_updated: there is no column "%"',
            CASE WHEN before ? TG_ARGV[0] THEN TG_ARGV[1] ELSE TG_ARGV[0] END;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW := jsonb_populate_record(NEW, CASE TG_NARGS
            WHEN 1 THEN jsonb_build_object(TG_ARGV[0], before -> TG_ARGV[0])
            ELSE jsonb_build_object(TG_ARGV[0], before -> TG_ARGV[0], TG_ARGV[1], before -> TG_ARGV[1]) END);
        IF NEW *= OLD THEN
            RETURN NEW;
        END IF;
    END IF;
    NEW := jsonb_populate_record(NEW, stamp);
    RETURN NEW;
END
