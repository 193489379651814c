-- check_coordinates: Refuses a latitude and longitude that are no place on Earth, so that maps can rely on them.
--
-- Arguments:
--   latitude   the column of latitudes, in degrees
--   longitude  the column of longitudes, in degrees
--
-- Example:
--   {"function": "check_coordinates", "arguments": ["lat", "lon"]}
--
-- Both are given or none. Latitudes are from -90 to 90, longitudes from -180 to 180. The place 0, 0, a point in the
-- ocean, is refused: programs write it for a place they do not know. The columns may be numbers, or text with numbers.
DECLARE
    number CONSTANT text := '^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$';
    record_json CONSTANT jsonb := to_jsonb(NEW);
    latitude_text CONSTANT text := record_json ->> TG_ARGV[0];
    longitude_text CONSTANT text := record_json ->> TG_ARGV[1];
    latitude numeric;
    longitude numeric;
BEGIN
    IF TG_NARGS <> 2 THEN
        RAISE EXCEPTION 'check_coordinates: its arguments are the columns of latitudes and of longitudes';
    ELSIF NOT record_json ?& ARRAY[TG_ARGV[0], TG_ARGV[1]] THEN
        RAISE EXCEPTION 'check_coordinates: there is no column "%"',
            CASE WHEN record_json ? TG_ARGV[0] THEN TG_ARGV[1] ELSE TG_ARGV[0] END;
    ELSIF latitude_text IS NULL AND longitude_text IS NULL THEN
        RETURN NEW;
    ELSIF latitude_text IS NULL OR longitude_text IS NULL THEN
        RAISE EXCEPTION '% and %: one is given without the other', TG_ARGV[0], TG_ARGV[1];
    ELSIF latitude_text !~* number THEN
        RAISE EXCEPTION '%: "%" is not a number', TG_ARGV[0], left(latitude_text, 100);
    ELSIF longitude_text !~* number THEN
        RAISE EXCEPTION '%: "%" is not a number', TG_ARGV[1], left(longitude_text, 100);
    END IF;
    latitude := latitude_text;
    longitude := longitude_text;
    IF abs(latitude) > 90 AND abs(latitude) <= 180 AND abs(longitude) <= 90 THEN
        RAISE EXCEPTION '%: % is not between -90 and 90; are latitude and longitude the wrong way round?',
            TG_ARGV[0], latitude_text;
    ELSIF abs(latitude) > 90 THEN
        RAISE EXCEPTION '%: % is not between -90 and 90', TG_ARGV[0], latitude_text;
    ELSIF abs(longitude) > 180 THEN
        RAISE EXCEPTION '%: % is not between -180 and 180', TG_ARGV[1], longitude_text;
    ELSIF latitude = 0 AND longitude = 0 THEN
        RAISE EXCEPTION '% and %: 0, 0 is in the ocean; leave both empty for a place that is not known',
            TG_ARGV[0], TG_ARGV[1];
    END IF;
    RETURN NEW;
END
