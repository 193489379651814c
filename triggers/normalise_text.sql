-- normalise_text: Makes each run of white space in texts one space, none at the ends, and brings them to Unicode's NFC.
--
-- Arguments:
--   [column …]   the columns; all columns of text if none is named
--
-- Example:
--   {"function": "normalise_text", "arguments": ["name", "city"]}
--
-- For names, addresses and other texts of one line: line breaks become spaces too. For texts whose lines matter, take
-- trim_text.
DECLARE
    blanks CONSTANT text := '[\s\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF]+';
    record_json CONSTANT jsonb := to_jsonb(NEW);
    changes jsonb := '{}';
    name text;
    value text;
    cleaned text;
BEGIN
    FOREACH name IN ARRAY CASE TG_NARGS WHEN 0 THEN ARRAY(SELECT jsonb_object_keys(record_json)) ELSE TG_ARGV END LOOP
        IF jsonb_typeof(record_json -> name) = 'string' THEN
            value := record_json ->> name;
            cleaned := btrim(regexp_replace(normalize(value, NFC), blanks, ' ', 'g'));
            IF cleaned <> value COLLATE "C" THEN
                changes := changes || jsonb_build_object(name, cleaned);
            END IF;
        ELSIF NOT record_json ? name THEN
            RAISE EXCEPTION 'normalise_text: there is no column "%"', name;
        END IF;
    END LOOP;
    IF changes <> '{}' THEN
        NEW := jsonb_populate_record(NEW, changes);
    END IF;
    RETURN NEW;
END
