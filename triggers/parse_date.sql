-- parse_date: Reads dates, or dates with times, that are written in a given format.
--
-- Arguments:
--   column    the column of text to read
--   format    dmy, mdy or ymd, for numbers between any marks; or a template of PostgreSQL such as "DD Mon YYYY HH24:MI"
--   [target]  the column to write to; without it, the text itself becomes a date as ISO 8601 writes it
--
-- Example:
--   {"function": "parse_date", "arguments": ["born_text", "dmy", "born"]}
--
-- The column is of text, since a column of dates would refuse such writing before any trigger sees it; the target may be
-- of any type of dates. An empty text or NULL gives NULL. Without a target a text that is a date of ISO 8601 already
-- stays as it is, so that a record may be written again. With dmy, mdy and ymd a year has four digits. A date that does not exist is refused.
DECLARE
    iso CONSTANT text := '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$';
    record_json CONSTANT jsonb := to_jsonb(NEW);
    value CONSTANT text := nullif(btrim(record_json ->> TG_ARGV[0]), '');
    format CONSTANT text := TG_ARGV[1];
    target CONSTANT text := coalesce(TG_ARGV[2], TG_ARGV[0]);
    moment timestamp;
    parts text[];
    written text;
BEGIN
    IF TG_NARGS NOT IN (2, 3) THEN
        RAISE EXCEPTION 'parse_date: its arguments are a column, a format and perhaps a target';
    ELSIF NOT record_json ?& ARRAY[TG_ARGV[0], target] THEN
        RAISE EXCEPTION 'parse_date: there is no column "%"',
            CASE WHEN record_json ? TG_ARGV[0] THEN target ELSE TG_ARGV[0] END;
    END IF;
    IF value IS NULL THEN
        written := NULL;
    ELSE
        BEGIN
            IF target = TG_ARGV[0] AND value ~ iso THEN
                written := value;
                moment := value;  -- that it exists
            ELSIF format IN ('dmy', 'mdy', 'ymd') THEN
                parts := regexp_match(value, CASE format
                    WHEN 'ymd' THEN '^(\d{4})\s*[-./ ]\s*(\d\d?)\s*[-./ ]\s*(\d\d?)$'
                    ELSE '^(\d\d?)\s*[-./ ]\s*(\d\d?)\s*[-./ ]\s*(\d{4})$' END);
                written := CASE format
                    WHEN 'ymd' THEN make_date(parts[1]::int, parts[2]::int, parts[3]::int)
                    WHEN 'dmy' THEN make_date(parts[3]::int, parts[2]::int, parts[1]::int)
                    ELSE make_date(parts[3]::int, parts[1]::int, parts[2]::int) END;
            ELSE
                moment := to_timestamp(value, format)::timestamp;
                -- to_timestamp reads generously: what it has read must be what is written there.
                IF regexp_replace(lower(to_char(moment, format)), '\m0+(?=\d)|\s', '', 'g')
                   <> regexp_replace(lower(value), '\m0+(?=\d)|\s', '', 'g') THEN
                    RAISE data_exception;
                END IF;
                written := to_char(moment, CASE WHEN format ~* 'HH|MI|SS'
                    THEN 'YYYY-MM-DD"T"HH24:MI:SS' ELSE 'YYYY-MM-DD' END);
            END IF;
        EXCEPTION WHEN data_exception THEN
            written := NULL;
        END;
        IF written IS NULL THEN
            RAISE EXCEPTION '%: "%" is not a date of the format %', TG_ARGV[0], left(value, 100), format;
        END IF;
    END IF;
    IF written IS DISTINCT FROM record_json ->> target THEN
        NEW := jsonb_populate_record(NEW, jsonb_build_object(target, written));
    END IF;
    RETURN NEW;
END
