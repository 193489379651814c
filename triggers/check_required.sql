-- check_required: Refuses a record without a value in one of the columns.
--
-- Arguments:
--   column …   the columns
--
-- Example:
--   {"function": "check_required", "arguments": ["name", "country"]}
--
-- NULL is no value, nor is a text of nothing but blanks.
DECLARE
    record_json CONSTANT jsonb := to_jsonb(NEW);
    name text;
BEGIN
    IF TG_NARGS = 0 THEN
        RAISE EXCEPTION 'check_required: its arguments are columns';
    END IF;
    FOREACH name IN ARRAY TG_ARGV LOOP
        IF NOT record_json ? name THEN
            RAISE EXCEPTION 'check_required: there is no column "%"', name;
        ELSIF coalesce(record_json ->> name, '') !~ '\S' THEN
            RAISE EXCEPTION '% is required', name;
        END IF;
    END LOOP;
    RETURN NEW;
END
