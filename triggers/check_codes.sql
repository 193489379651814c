-- check_codes: Refuses a value that is not in a list of codes.
--
-- Arguments:
--   column   the column
--   code …   the codes
--
-- Example:
--   {"function": "check_codes", "arguments": ["state", "CA", "NY"]}
--
-- NULL is accepted; check_required refuses it. Codes are compared letter by letter, "ca" is not "CA".
DECLARE
    record_json CONSTANT jsonb := to_jsonb(NEW);
    value CONSTANT text := record_json ->> TG_ARGV[0];
BEGIN
    IF value COLLATE "C" = ANY (TG_ARGV[1:]) THEN
        RETURN NEW;
    ELSIF TG_NARGS < 2 THEN
        RAISE EXCEPTION 'check_codes: its arguments are a column and the codes';
    ELSIF NOT record_json ? TG_ARGV[0] THEN
        RAISE EXCEPTION 'check_codes: there is no column "%"', TG_ARGV[0];
    ELSIF value IS NULL THEN
        RETURN NEW;
    ELSIF TG_NARGS > 21 THEN
        RAISE EXCEPTION '%: "%" is not one of the % codes', TG_ARGV[0], left(value, 100), TG_NARGS - 1;
    END IF;
    RAISE EXCEPTION '%: "%" is not one of %', TG_ARGV[0], left(value, 100), array_to_string(TG_ARGV[1:], ', ');
END
