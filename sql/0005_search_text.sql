-- Dataset search: how text becomes lexemes, in dataset_search and in searches (datastore/catalog/search/lexemes.py).

-- Text cut into words as people search for them: at every sign, between small and capital letters, and between letters
-- and digits.
CREATE FUNCTION datastore.search_split(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace(
        regexp_replace(value, '[\x01-\x2f:-@\x5b-\x60\x7b-\x7f]+', ' ', 'g'),
        '(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])', ' ', 'g');

-- The lexemes of a text, and, behind all others, of each word that was cut within: "DataStore" is found as
-- "datastore", too.
CREATE FUNCTION datastore.search_analyse(value text) RETURNS tsvector
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN to_tsvector('datastore.english', datastore.search_split(value))
        || to_tsvector('datastore.english', coalesce((
            SELECT string_agg(word[1], ' ')
            FROM regexp_matches(
                value, '([A-Za-z0-9]*(?:[a-z][A-Z]|[A-Z][A-Z][a-z]|[A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9]*)', 'g') AS word
        ), ''));

-- The lexemes of a field: the field's name before each. (What a tsvector cannot hold is left out.)
CREATE FUNCTION datastore.search_prefixed(field text, vector tsvector) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT coalesce(string_agg(
            format('''%s:%s'':%s', field, replace(replace(lexeme, '\', '\\'), '''', ''''''),
                   array_to_string(positions, ',')), ' '), '')::tsvector
        FROM unnest(vector)
        WHERE octet_length(lexeme) <= 255
    );

-- The lexeme of an exact value; datastore/catalog/search/lexemes.py makes the same.
CREATE FUNCTION datastore.search_term(field text, value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN octet_length(value) <= 800 THEN field || '=' || value
                ELSE field || '=' || left(value, 200) || '#' || md5(value) END;
