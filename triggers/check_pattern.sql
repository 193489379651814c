-- check_pattern: Refuses a value that does not match a regular expression as a whole.
--
-- Arguments:
--   column     the column
--   pattern    the regular expression, of PostgreSQL's kind
--   [message]  what to say instead of naming the expression, such as "five digits"
--
-- Example:
--   {"function": "check_pattern", "arguments": ["zip", "[0-9]{5}", "five digits"]}
--
-- NULL is accepted; check_required refuses it.
DECLARE
    record_json CONSTANT jsonb := to_jsonb(NEW);
    value CONSTANT text := record_json ->> TG_ARGV[0];
BEGIN
    IF TG_NARGS NOT IN (2, 3) THEN
        RAISE EXCEPTION 'check_pattern: its arguments are a column, a regular expression and perhaps a message';
    ELSIF NOT record_json ? TG_ARGV[0] THEN
        RAISE EXCEPTION 'check_pattern: there is no column "%"', TG_ARGV[0];
    ELSIF value !~ ('^(?:' || TG_ARGV[1] || ')$') THEN
        RAISE EXCEPTION '%: "%" is not %', TG_ARGV[0], left(value, 100), coalesce(TG_ARGV[2], 'like ' || TG_ARGV[1]);
    END IF;
    RETURN NEW;
END
