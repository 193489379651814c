-- Dataset search: what is searched of a dataset, and its row in datastore.dataset_search.

-- The box around a GeoJSON geometry, or null for anything else.
CREATE FUNCTION datastore.search_bounds(geojson text) RETURNS float8[]
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
DECLARE
    bounds float8[];
BEGIN
    SELECT ARRAY[min(point.x), min(point.y), max(point.x), max(point.y)] INTO bounds
    FROM (
        SELECT (position -> 0)::float8 AS x, (position -> 1)::float8 AS y
        FROM jsonb_path_query(
            left(geojson, 1000000)::jsonb,
            'strict $.**.coordinates.** ? (@.type() == "array" && @[0].type() == "number" && @[1].type() == "number")',
            silent => true) AS position
    ) AS point;
    RETURN CASE WHEN bounds[1] IS NOT NULL THEN bounds END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;

-- The moment (in UTC) at which an ISO 8601 date begins, or null for anything else.
CREATE FUNCTION datastore.search_date(value text) RETURNS timestamp
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$
BEGIN
    IF value ~ '^\d{4}(-\d\d)?$' THEN
        RETURN (value || right('-01-01', 10 - length(value)))::timestamp;
    ELSIF value ~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$' THEN
        RETURN value::timestamp;
    ELSIF value ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$' THEN
        RETURN value::timestamptz AT TIME ZONE 'UTC';
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- One value of a field. "all_text": a search without a field finds it; "analysed": it is found by words, not as a whole.
CREATE TYPE datastore.search_entry AS (
    dataset_id text, field text, value text, place bigint, analysed boolean, all_text boolean
);

-- What is searched of datasets.
CREATE FUNCTION datastore.search_entries(ids text[]) RETURNS SETOF datastore.search_entry
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan -- this plan takes longer to make than to run
    AS $$
BEGIN
    RETURN QUERY
    WITH dataset AS (
        SELECT dataset.*, license.title AS license_title, license.url AS license_url,
               coalesce(license.is_open, false) AS isopen,
               organization.name AS organization_name, organization.title AS organization_title,
               (
                   SELECT count(*) FROM datastore.resources AS resource
                   WHERE resource.dataset_id = dataset.id AND resource.state = 'active'
               ) AS num_resources,
               (
                   SELECT count(*) FROM datastore.dataset_tags AS link WHERE link.dataset_id = dataset.id
               ) AS num_tags
        FROM datastore.datasets AS dataset
        LEFT JOIN datastore.search_licenses AS license ON license.id = dataset.license_id
        LEFT JOIN datastore.groups AS organization
            ON organization.id = dataset.owner_org AND organization.state = 'active'
        WHERE dataset.id = ANY (ids)
    ),
    resource AS (
        SELECT resource.* FROM datastore.resources AS resource
        WHERE resource.dataset_id = ANY (ids) AND resource.state = 'active'
    ),
    extra AS (
        -- Cut, since a lexeme has room for 2046 bytes.
        SELECT dataset.id AS dataset_id, left(regexp_replace(pair.key, '[^A-Za-z0-9_-]', '', 'g'), 500) AS key,
               pair.value
        FROM dataset, jsonb_each_text(dataset.extras) AS pair
        WHERE pair.value <> ''
    ),
    entry AS (
        SELECT dataset.id AS dataset_id, pair.field, pair.value, 0 AS place, pair.analysed, pair.all_text
        FROM dataset
        CROSS JOIN LATERAL (
            VALUES ('id', dataset.id, false, false),
                   ('name', dataset.name, false, true),
                   ('title', dataset.title, true, true),
                   ('title_string', dataset.title, false, false),
                   ('notes', dataset.notes, true, true),
                   ('url', dataset.url, false, true),
                   ('urls', dataset.url, true, false),
                   ('version', dataset.version, false, false),
                   ('author', dataset.author, true, true),
                   ('author_email', dataset.author_email, false, false),
                   ('maintainer', dataset.maintainer, true, true),
                   ('maintainer_email', dataset.maintainer_email, false, false),
                   ('license_id', dataset.license_id, false, true),
                   ('license', coalesce(dataset.license_title, dataset.license_id), false, true),
                   ('license_title', coalesce(dataset.license_title, dataset.license_id), false, false),
                   ('license_url', dataset.license_url, false, false),
                   ('isopen', dataset.isopen::text, false, false),
                   ('type', dataset.type, false, false),
                   ('dataset_type', dataset.type, false, false),
                   ('state', dataset.state, false, false),
                   ('private', dataset.private::text, false, false),
                   ('capacity', CASE WHEN dataset.private THEN 'private' ELSE 'public' END, false, false),
                   ('owner_org', dataset.owner_org, false, false),
                   ('organization', dataset.organization_name, false, true),
                   ('organization_title', dataset.organization_title, false, true),
                   ('creator_user_id', dataset.creator_user_id, false, false),
                   ('views_total', '0', false, false),
                   ('views_recent', '0', false, false),
                   ('num_resources', dataset.num_resources::text, false, false),
                   ('num_tags', dataset.num_tags::text, false, false),
                   ('metadata_created', to_char(dataset.metadata_created, 'YYYY-MM-DD"T"HH24:MI:SS.US'), false, false),
                   ('metadata_modified', to_char(dataset.metadata_modified, 'YYYY-MM-DD"T"HH24:MI:SS.US'), false, false)
        ) AS pair (field, value, analysed, all_text)
        UNION ALL
        SELECT link.dataset_id,
               CASE WHEN vocabulary.id IS NULL THEN 'tags'
                    ELSE 'vocab_' || regexp_replace(vocabulary.name, '[^A-Za-z0-9_-]', '', 'g') END,
               tag.name, row_number() OVER (ORDER BY tag.name COLLATE "C"), false, true
        FROM datastore.dataset_tags AS link
        JOIN datastore.tags AS tag ON tag.id = link.tag_id
        LEFT JOIN datastore.vocabularies AS vocabulary ON vocabulary.id = tag.vocabulary_id
        WHERE link.dataset_id = ANY (ids)
        UNION ALL
        SELECT member.table_id, pair.field, pair.value, row_number() OVER (ORDER BY grp.name COLLATE "C"), false, true
        FROM datastore.members AS member
        JOIN datastore.groups AS grp ON grp.id = member.group_id AND grp.state = 'active' AND NOT grp.is_organization
        CROSS JOIN LATERAL (VALUES ('groups', grp.name), ('groups_title', grp.title)) AS pair (field, value)
        WHERE member.table_name = 'package' AND member.table_id = ANY (ids)
        UNION ALL
        SELECT resource.dataset_id, pair.field, pair.value, resource.position, pair.analysed, pair.all_text
        FROM resource
        CROSS JOIN LATERAL (
            VALUES ('res_name', resource.name, true, true),
                   ('res_description', resource.description, true, true),
                   ('res_url', resource.url, false, true),
                   ('urls', resource.url, true, false),
                   ('res_format', resource.format, false, false),
                   ('res_type', resource.resource_type, false, false)
        ) AS pair (field, value, analysed, all_text)
        UNION ALL
        -- The columns of the tables, with their titles in the data dictionary.
        SELECT resource.dataset_id, 'columns',
               concat_ws(' ', attribute.attname,
                         registry.info -> attribute.attname::text ->> 'label',
                         registry.info -> attribute.attname::text ->> 'title'),
               resource.position * 2000 + attribute.attnum, true, true
        FROM resource
        JOIN datastore.tables AS registry ON registry.resource_id = resource.id
        JOIN pg_catalog.pg_namespace AS namespace ON namespace.nspname = registry.dataset_id
        JOIN pg_catalog.pg_class AS class
            ON class.relnamespace = namespace.oid AND class.relname = registry.resource_id
        JOIN pg_catalog.pg_attribute AS attribute
            ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
               AND attribute.attname <> '_id'
        UNION ALL
        -- What the dataset is to others, by their names: public ones, since whoever finds it here learns the name.
        SELECT side.dataset_id, side.type, other.name, row_number() OVER (ORDER BY other.name COLLATE "C"), true, false
        FROM (
            SELECT relationship.subject_id, relationship.type, relationship.object_id
            FROM datastore.relationships AS relationship WHERE relationship.subject_id = ANY (ids)
            UNION ALL
            SELECT relationship.object_id,
                   CASE relationship.type
                       WHEN 'depends_on' THEN 'dependency_of'
                       WHEN 'derives_from' THEN 'has_derivation'
                       WHEN 'links_to' THEN 'linked_from'
                       WHEN 'child_of' THEN 'parent_of'
                   END,
                   relationship.subject_id
            FROM datastore.relationships AS relationship WHERE relationship.object_id = ANY (ids)
        ) AS side (dataset_id, type, other_id)
        JOIN datastore.datasets AS other
            ON other.id = side.other_id AND other.state = 'active' AND NOT other.private
        UNION ALL
        SELECT extra.dataset_id, 'extras_' || extra.key, extra.value, 1, true, true FROM extra WHERE extra.key <> ''
    )
    SELECT entry.dataset_id, entry.field, entry.value, entry.place, entry.analysed, entry.all_text
    FROM entry WHERE entry.value <> ''
    UNION ALL
    -- An extra is also a field of its own, unless there is one of that name.
    SELECT extra.dataset_id, extra.key, extra.value, 1, false, false
    FROM extra
    WHERE extra.key <> '' AND NOT starts_with(extra.key, 'extras_') AND NOT starts_with(extra.key, 'vocab_')
          AND extra.key <> ALL ('{
              id,name,title,title_string,title_ngram,name_ngram,notes,url,urls,version,author,author_email,maintainer,
              maintainer_email,license_id,license,license_title,license_url,isopen,type,dataset_type,state,private,
              capacity,owner_org,organization,organization_title,creator_user_id,views_total,views_recent,
              num_resources,num_tags,metadata_created,metadata_modified,tags,groups,groups_title,res_name,
              res_description,res_url,res_format,res_type,columns,text,score,depends_on,dependency_of,derives_from,
              has_derivation,links_to,linked_from,child_of,parent_of}'::text[]);
END $$;

-- Write the rows of these datasets: of each at most so many values, and so many characters of a field.
CREATE FUNCTION datastore.search_write(ids text[], most_values integer, most_characters integer) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode = force_generic_plan -- these plans take longer to make than to run
    SET enable_nestloop = off -- nor do they know whether there is one dataset or hundreds
    AS $$
DECLARE
    -- No phrase reaches from one value into the next: words that are never searched keep them apart.
    gap constant text := ' . the the the the the the ';
    facet_fields constant text[] := '{organization,groups,tags,res_format,license_id}';
    entries datastore.search_entry[];
BEGIN
    SELECT array_agg(entry::datastore.search_entry) INTO entries
    FROM (
        SELECT entry.dataset_id, entry.field, entry.value, entry.place, entry.analysed, entry.all_text
        FROM (
            SELECT entry.*, row_number() OVER (PARTITION BY entry.dataset_id ORDER BY entry.place) AS number
            FROM datastore.search_entries(ids) AS entry
        ) AS entry
        WHERE entry.number <= most_values
    ) AS entry;

    INSERT INTO datastore.search_facets (field, value)
    SELECT wanted.field, wanted.value
    FROM (
        SELECT DISTINCT array_position(facet_fields, entry.field) AS field, left(entry.value, 200) AS value
        FROM unnest(entries) AS entry
        WHERE entry.field = ANY (facet_fields)
    ) AS wanted
    WHERE NOT EXISTS (
        SELECT FROM datastore.search_facets AS known WHERE known.field = wanted.field AND known.value = wanted.value)
    ORDER BY wanted.field, wanted.value
    ON CONFLICT DO NOTHING;

    INSERT INTO datastore.dataset_search AS stored (
        dataset_id, state, private, metadata_created, metadata_modified, bounds, name, title, facets, head, document,
        fields, words)
    WITH entry AS MATERIALIZED (SELECT * FROM unnest(entries)),
    field AS MATERIALIZED (
        SELECT entry.dataset_id, entry.field, bool_or(entry.analysed) AS analysed,
               jsonb_agg(entry.value ORDER BY entry.place) AS list,
               left(string_agg(entry.value, gap ORDER BY entry.place), most_characters) AS text
        FROM entry
        GROUP BY entry.dataset_id, entry.field
    ),
    whole AS MATERIALIZED (
        SELECT entry.dataset_id,
               left(string_agg(entry.value, gap ORDER BY entry.place), 2 * most_characters) AS text
        FROM entry
        WHERE entry.all_text
        GROUP BY entry.dataset_id
    ),
    lexeme AS (
        SELECT field.dataset_id, field.field || '?' AS lexeme FROM field
        UNION ALL
        SELECT entry.dataset_id, datastore.search_term(entry.field, entry.value) FROM entry WHERE NOT entry.analysed
    ),
    exact AS (
        SELECT lexeme.dataset_id, array_to_tsvector(array_agg(DISTINCT lexeme.lexeme) || '{*}'::text[]) AS vector
        FROM lexeme
        GROUP BY lexeme.dataset_id
    ),
    prefixed AS (
        SELECT field.dataset_id,
               string_agg(
                   datastore.search_prefixed(field.field, datastore.search_analyse(field.text))::text, ' ')::tsvector
                   AS vector
        FROM field
        WHERE field.analysed
        GROUP BY field.dataset_id
    ),
    facet AS (
        SELECT entry.dataset_id, string_agg(DISTINCT int4send(known.code), ''::bytea) AS codes
        FROM entry
        JOIN datastore.search_facets AS known
            ON known.field = array_position(facet_fields, entry.field) AND known.value = left(entry.value, 200)
        WHERE entry.field = ANY (facet_fields)
        GROUP BY entry.dataset_id
    ),
    collected AS (
        SELECT entry.dataset_id, string_agg(left(entry.value, 100), gap) AS text
        FROM entry
        WHERE entry.field IN ('tags', 'groups', 'groups_title') OR starts_with(entry.field, 'vocab_')
        GROUP BY entry.dataset_id
    ),
    shown AS (
        SELECT field.dataset_id, jsonb_object_agg(field.field, field.list) AS fields
        FROM field
        GROUP BY field.dataset_id
    )
    SELECT dataset.id, dataset.state, dataset.private, dataset.metadata_created, dataset.metadata_modified,
           datastore.search_bounds(dataset.extras ->> 'spatial'),
           dataset.name, coalesce(dataset.title, dataset.name), coalesce(facet.codes, ''),
           setweight(datastore.search_analyse(concat_ws(' ', dataset.name, left(dataset.title, 500))), 'A')
               || setweight(datastore.search_analyse(coalesce(left(collected.text, 500), '')), 'B')
               || setweight(datastore.search_analyse(coalesce(left(dataset.notes, 200), '')), 'D'),
           exact.vector || coalesce(datastore.search_analyse(whole.text), '') || coalesce(prefixed.vector, ''),
           shown.fields,
           coalesce((
               SELECT ' ' || string_agg(word, ' ') || ' '
               FROM unnest(tsvector_to_array(
                   to_tsvector('datastore.simple', datastore.search_split(whole.text)))) AS word
               WHERE length(word) BETWEEN 2 AND 50
           ), '')
    FROM datastore.datasets AS dataset
    JOIN exact ON exact.dataset_id = dataset.id
    JOIN shown ON shown.dataset_id = dataset.id
    LEFT JOIN whole ON whole.dataset_id = dataset.id
    LEFT JOIN prefixed ON prefixed.dataset_id = dataset.id
    LEFT JOIN facet ON facet.dataset_id = dataset.id
    LEFT JOIN collected ON collected.dataset_id = dataset.id
    WHERE dataset.id = ANY (ids)
    ON CONFLICT (dataset_id) DO UPDATE
    SET state = excluded.state, private = excluded.private, metadata_created = excluded.metadata_created,
        metadata_modified = excluded.metadata_modified, bounds = excluded.bounds, name = excluded.name,
        title = excluded.title, facets = excluded.facets, head = excluded.head, document = excluded.document,
        fields = excluded.fields, words = excluded.words;

    INSERT INTO datastore.search_words (word)
    SELECT found.word
    FROM (
        SELECT DISTINCT word
        FROM datastore.dataset_search AS stored, string_to_table(trim(stored.words), ' ') AS word
        WHERE stored.dataset_id = ANY (ids)
    ) AS found
    WHERE length(found.word) > 2 AND found.word !~ '^[0-9]+$'
          AND NOT EXISTS (SELECT FROM datastore.search_words AS known WHERE known.word = found.word)
    ORDER BY found.word
    ON CONFLICT DO NOTHING;
END $$;

-- Index these datasets as they are now. Of concurrent transactions that touch one dataset the last to commit sees what
-- all others did: each waits here for the one before, and only then looks.
CREATE FUNCTION datastore.index_datasets(ids text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    one text;
BEGIN
    PERFORM FROM datastore.groups AS grp
    WHERE grp.id IN (
        SELECT dataset.owner_org FROM datastore.datasets AS dataset WHERE dataset.id = ANY (ids)
        UNION ALL
        SELECT member.group_id FROM datastore.members AS member
        WHERE member.table_name = 'package' AND member.table_id = ANY (ids))
    ORDER BY grp.id
    FOR SHARE;
    PERFORM FROM datastore.dataset_search AS stored
    WHERE stored.dataset_id = ANY (ids) ORDER BY stored.dataset_id FOR NO KEY UPDATE;
    PERFORM datastore.search_write(ids, 20000, 40000);
EXCEPTION WHEN program_limit_exceeded THEN
    -- A search vector holds a megabyte. What is larger is searched in part.
    FOREACH one IN ARRAY ids LOOP
        BEGIN
            PERFORM datastore.search_write(ARRAY[one], 20000, 40000);
        EXCEPTION WHEN program_limit_exceeded THEN
            PERFORM datastore.search_write(ARRAY[one], 500, 100);
        END;
    END LOOP;
END $$;
