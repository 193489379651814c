-- empty_to_null: Stores texts that are empty, or nothing but blanks, as NULL.
--
-- Arguments:
--   [column …]   the columns; all columns of text if none is named
--
-- Example:
--   {"function": "empty_to_null", "arguments": ["comment"]}
DECLARE
    record_json CONSTANT jsonb := to_jsonb(NEW);
    changes jsonb := '{}';
    name text;
BEGIN
    FOREACH name IN ARRAY CASE TG_NARGS WHEN 0 THEN ARRAY(SELECT jsonb_object_keys(record_json)) ELSE TG_ARGV END LOOP
        IF jsonb_typeof(record_json -> name) = 'string' THEN
            IF record_json ->> name !~ '[^\s\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF]' THEN
                changes := changes || jsonb_build_object(name, NULL);
            END IF;
        ELSIF NOT record_json ? name THEN
            RAISE EXCEPTION 'empty_to_null: there is no column "%"', name;
        END IF;
    END LOOP;
    IF changes <> '{}' THEN
        NEW := jsonb_populate_record(NEW, changes);
    END IF;
    RETURN NEW;
END
