-- The catalog: who there is, and which datasets and resources. Only the owner reads and writes these tables; nothing is
-- granted to the read-only roles. Identifiers are UUID4 as text; every timestamp is UTC without a zone.

CREATE TABLE datastore.users (
    id text PRIMARY KEY,
    name text NOT NULL CONSTRAINT users_name_key UNIQUE,
    fullname text,
    email text,
    about text,
    image_url text,
    -- Argon2, in its own self-describing format. Null: nobody logs in with a password.
    password_hash text,
    sysadmin boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'pending', 'deleted')),
    activity_streams_email_notifications boolean NOT NULL DEFAULT false,
    plugin_extras jsonb,
    created timestamp NOT NULL,
    last_active timestamp
);
-- Two active users never share an address.
CREATE UNIQUE INDEX users_email_key ON datastore.users (lower(email)) WHERE state = 'active';

CREATE TABLE datastore.api_tokens (
    id text PRIMARY KEY,
    -- SHA-256 of the secret, in hexadecimal; the secret itself is shown once and kept nowhere.
    hash text NOT NULL CONSTRAINT api_tokens_hash_key UNIQUE,
    name text NOT NULL,
    user_id text NOT NULL REFERENCES datastore.users (id),
    created_at timestamp NOT NULL,
    -- Written at most once a minute.
    last_access timestamp,
    expires_at timestamp,
    -- Came from DATASTORE_SYSADMIN_TOKEN, and goes when that changes.
    from_environment boolean NOT NULL DEFAULT false
);
CREATE INDEX ON datastore.api_tokens (user_id, created_at);

-- Organizations own datasets; other groups collect them. Their names share one space.
CREATE TABLE datastore.groups (
    id text PRIMARY KEY,
    name text NOT NULL CONSTRAINT groups_name_key UNIQUE,
    title text,
    description text,
    image_url text,
    type text NOT NULL,
    is_organization boolean NOT NULL,
    approval_status text NOT NULL DEFAULT 'approved',
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleted')),
    -- {key: value}
    extras jsonb NOT NULL DEFAULT '{}',
    created timestamp NOT NULL
);

-- Who and what is in a group: a user (capacity admin, editor or member) or a dataset (capacity public).
CREATE TABLE datastore.members (
    id text PRIMARY KEY,
    group_id text NOT NULL REFERENCES datastore.groups (id),
    table_name text NOT NULL CHECK (table_name IN ('user', 'package', 'group')),
    table_id text NOT NULL,
    capacity text NOT NULL,
    CONSTRAINT members_key UNIQUE (group_id, table_name, table_id)
);
CREATE INDEX ON datastore.members (table_name, table_id);

CREATE TABLE datastore.datasets (
    id text PRIMARY KEY,
    -- Also unique among deleted datasets: one that is in the way is renamed to its id.
    name text NOT NULL CONSTRAINT datasets_name_key UNIQUE,
    title text,
    notes text,
    url text,
    version text,
    author text,
    author_email text,
    maintainer text,
    maintainer_email text,
    license_id text,
    type text NOT NULL DEFAULT 'dataset',
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'draft', 'deleted')),
    private boolean NOT NULL DEFAULT false,
    owner_org text REFERENCES datastore.groups (id),
    creator_user_id text REFERENCES datastore.users (id),
    -- {key: value}
    extras jsonb NOT NULL DEFAULT '{}',
    -- For integrations; only sysadmins see it.
    plugin_data jsonb,
    metadata_created timestamp NOT NULL,
    metadata_modified timestamp NOT NULL,
    -- What is private is private to an organization.
    CHECK (owner_org IS NOT NULL OR NOT private)
);
CREATE INDEX ON datastore.datasets (owner_org);
CREATE INDEX ON datastore.datasets (creator_user_id);
CREATE INDEX ON datastore.datasets (metadata_modified DESC);

CREATE TABLE datastore.resources (
    id text PRIMARY KEY,
    dataset_id text NOT NULL REFERENCES datastore.datasets (id),
    position integer NOT NULL,
    -- A link; or the bare file name (url_type 'upload'); or empty (url_type 'datastore').
    url text NOT NULL DEFAULT '',
    name text,
    description text,
    format text NOT NULL DEFAULT '',
    hash text NOT NULL DEFAULT '',
    resource_type text,
    mimetype text,
    mimetype_inner text,
    size bigint,
    cache_url text,
    cache_last_updated timestamp,
    url_type text,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'deleted')),
    -- There is a table for it.
    datastore_active boolean NOT NULL DEFAULT false,
    -- Every other key that a client gave, shown at the top level of the resource.
    extras jsonb NOT NULL DEFAULT '{}',
    created timestamp NOT NULL,
    last_modified timestamp,
    metadata_modified timestamp NOT NULL
);
CREATE INDEX ON datastore.resources (dataset_id, position);

-- A controlled list of tags.
CREATE TABLE datastore.vocabularies (
    id text PRIMARY KEY,
    name text NOT NULL CONSTRAINT vocabularies_name_key UNIQUE
);

CREATE TABLE datastore.tags (
    id text PRIMARY KEY,
    name text NOT NULL,
    -- Null: a free tag.
    vocabulary_id text REFERENCES datastore.vocabularies (id) ON DELETE CASCADE,
    CONSTRAINT tags_name_key UNIQUE NULLS NOT DISTINCT (name, vocabulary_id)
);

CREATE TABLE datastore.dataset_tags (
    dataset_id text NOT NULL REFERENCES datastore.datasets (id),
    tag_id text NOT NULL REFERENCES datastore.tags (id),
    PRIMARY KEY (dataset_id, tag_id)
);
CREATE INDEX ON datastore.dataset_tags (tag_id);

-- Who may see a dataset, for lists: the same rule as may_read_dataset() in datastore/accounts/permissions.py.
CREATE FUNCTION datastore.may_read(
    dataset datastore.datasets, actor_id text, sysadmin boolean, actor_groups text[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (dataset.state = 'active' AND NOT dataset.private)
        OR sysadmin
        OR CASE
            WHEN dataset.owner_org IS NULL THEN coalesce(dataset.creator_user_id = actor_id, false)
            ELSE dataset.owner_org = ANY (actor_groups)
        END;
