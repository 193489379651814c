-- trim_text: Takes white space off both ends of texts, and brings them to Unicode's normal form NFC.
--
-- Arguments:
--   [column …]   the columns; all columns of text if none is named
--
-- Example:
--   {"function": "trim_text", "arguments": ["name", "city"]}
--
-- White space is what Unicode calls so, such as the no-break space and the byte order mark. NFC writes a letter and its
-- accent as one character where there is one, so that texts that look the same are the same.
DECLARE
    -- \s, and what it does not mean in every locale
    blanks CONSTANT text := E' \t\n\x0B\f\r\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF';
    record_json CONSTANT jsonb := to_jsonb(NEW);
    changes jsonb := '{}';
    name text;
    value text;
    cleaned text;
BEGIN
    FOREACH name IN ARRAY CASE TG_NARGS WHEN 0 THEN ARRAY(SELECT jsonb_object_keys(record_json)) ELSE TG_ARGV END LOOP
        IF jsonb_typeof(record_json -> name) = 'string' THEN
            value := record_json ->> name;
            cleaned := btrim(normalize(value, NFC), blanks);
            IF cleaned <> value COLLATE "C" THEN
                changes := changes || jsonb_build_object(name, cleaned);
            END IF;
        ELSIF NOT record_json ? name THEN
            RAISE EXCEPTION 'trim_text: there is no column "%"', name;
        END IF;
    END LOOP;
    IF changes <> '{}' THEN
        NEW := jsonb_populate_record(NEW, changes);
    END IF;
    RETURN NEW;
END
