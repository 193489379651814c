-- check_range: Refuses a number, date or time that is too low or too high.
--
-- Arguments:
--   column     the column
--   lowest     the lowest value that is accepted; "" for none
--   [highest]  the highest value that is accepted; "" for none
--
-- Example:
--   {"function": "check_range", "arguments": ["depth", "0", "11000"]}
--
-- Values are compared as numbers if the limits are numbers, else as dates and times, so that ["born", "1900-01-01"]
-- works too. A date as the highest value of a column of times means its first moment. NULL is accepted; check_required
-- refuses it. NaN is never within limits.
DECLARE
    number CONSTANT text := '^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$';
    record_json CONSTANT jsonb := to_jsonb(NEW);
    value CONSTANT text := record_json ->> TG_ARGV[0];
    lowest CONSTANT text := nullif(TG_ARGV[1], '');
    highest CONSTANT text := nullif(TG_ARGV[2], '');
    too_low boolean;
    too_high boolean;
BEGIN
    IF TG_NARGS NOT IN (2, 3) OR coalesce(lowest, highest) IS NULL THEN
        RAISE EXCEPTION 'check_range: its arguments are a column, the lowest and perhaps the highest value';
    ELSIF NOT record_json ? TG_ARGV[0] THEN
        RAISE EXCEPTION 'check_range: there is no column "%"', TG_ARGV[0];
    ELSIF value IS NULL THEN
        RETURN NEW;
    END IF;
    IF coalesce(lowest, highest) !~* number THEN
        too_low := value::timestamptz < lowest::timestamptz;
        too_high := value::timestamptz > highest::timestamptz;
    ELSIF value ~* number OR value IN ('NaN', 'Infinity', '-Infinity') THEN
        too_low := value::numeric < lowest::numeric OR value = 'NaN';
        too_high := value::numeric > highest::numeric;
    ELSE
        RAISE EXCEPTION '%: "%" is not a number', TG_ARGV[0], left(value, 100);
    END IF;
    IF too_low OR too_high THEN
        RAISE EXCEPTION '%: % is not %', TG_ARGV[0], value, CASE
            WHEN highest IS NULL THEN lowest || ' or more'
            WHEN lowest IS NULL THEN highest || ' or less'
            ELSE 'between ' || lowest || ' and ' || highest END;
    END IF;
    RETURN NEW;
END
