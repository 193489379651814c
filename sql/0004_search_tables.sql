-- Dataset search: what is kept for it. One row a dataset, rewritten in the transaction of whatever changes what is
-- searched: 0005 has the words of a text, 0006 what is searched of a dataset, 0007 when it is written.

-- Titles of licences: the program knows them, and brings them here at its start.
CREATE TABLE datastore.search_licenses (
    id text PRIMARY KEY,
    title text NOT NULL,
    url text NOT NULL,
    is_open boolean NOT NULL
);

-- The values of the fields that are most often counted, by number: a dataset keeps the numbers, four bytes each, and
-- counting them needs no text. The field is in the number's upper bits. Values are never changed or removed.
CREATE TABLE datastore.search_facets (
    number integer GENERATED ALWAYS AS IDENTITY,
    field smallint NOT NULL,
    value text NOT NULL,
    code integer NOT NULL GENERATED ALWAYS AS (field * 134217728 + number) STORED PRIMARY KEY,
    CONSTRAINT search_facets_key UNIQUE (field, value)
);

-- Words of all datasets, public or not, to which what was misspelled is compared. What comes of that is shown only
-- after it was found in a dataset that the asker may see.
CREATE TABLE datastore.search_words (word text PRIMARY KEY);
CREATE INDEX search_words_length ON datastore.search_words (length(word), word);

-- What is searched of a dataset. The long columns are kept out of the row, so that reading many rows is quick.
CREATE TABLE datastore.dataset_search (
    dataset_id text PRIMARY KEY REFERENCES datastore.datasets (id) ON DELETE CASCADE,
    state text NOT NULL,
    private boolean NOT NULL,
    metadata_created timestamp NOT NULL,
    metadata_modified timestamp NOT NULL,
    -- The box around the GeoJSON in the extra "spatial": west, south, east, north.
    bounds float8[],
    name text COLLATE "C" NOT NULL,
    title text NOT NULL,
    -- Codes of datastore.search_facets, four bytes each.
    facets bytea NOT NULL,
    -- For the order by relevance: name and title (A), tags and groups (B), the beginning of the description (D).
    head tsvector NOT NULL,
    -- Everything that is found through the index. Lexemes: "water" of all the text; "title:water" of one field's text;
    -- "tags=Water quality" a field's exact value; "notes?" the field has a value; "*" is in all.
    document tsvector NOT NULL,
    -- {field: [value, …]}, for what the index does not answer: ranges, wildcards, sorting, counts of other fields.
    fields jsonb NOT NULL,
    -- The words of the text as they are written, in lower case and without accents, each between two blanks.
    words text NOT NULL
) WITH (toast_tuple_target = 512);
ALTER TABLE datastore.dataset_search
    ALTER COLUMN name SET STORAGE MAIN,
    ALTER COLUMN title SET STORAGE MAIN,
    ALTER COLUMN facets SET STORAGE MAIN,
    ALTER COLUMN head SET STORAGE MAIN,
    ALTER COLUMN document SET STORAGE EXTERNAL;
-- New rows wait in a list that every search reads, too: a short one.
CREATE INDEX dataset_search_document ON datastore.dataset_search USING gin (document)
    WITH (fastupdate = on, gin_pending_list_limit = 256);
CREATE INDEX dataset_search_modified ON datastore.dataset_search (metadata_modified DESC, dataset_id);
CREATE INDEX dataset_search_created ON datastore.dataset_search (metadata_created DESC, dataset_id);
CREATE INDEX dataset_search_name ON datastore.dataset_search (name, dataset_id);
CREATE INDEX dataset_search_title ON datastore.dataset_search (lower(left(title, 500)), dataset_id);

-- The datasets that running transactions have touched. Rows live until COMMIT, and no longer.
CREATE UNLOGGED TABLE datastore.search_pending (
    transaction xid8 NOT NULL,
    dataset_id text NOT NULL,
    PRIMARY KEY (transaction, dataset_id)
);

-- The transactions that changed what is searched, of late: those that a snapshot sees name its state, so that counts can be
-- remembered; see datastore/catalog/search/remembered.py. Old ones are removed by one that comes in their place: so no two
-- states have the same name.
CREATE TABLE datastore.search_changes (transaction xid8 PRIMARY KEY);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_opclass WHERE opcname = 'gin_trgm_ops' AND opcnamespace = 'datastore'::regnamespace) THEN
        CREATE INDEX search_words_trigrams ON datastore.search_words USING gin (word datastore.gin_trgm_ops);
        CREATE INDEX dataset_search_names ON datastore.dataset_search
            USING gin (name datastore.gin_trgm_ops, title datastore.gin_trgm_ops);
    END IF;
END $$;
