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
    -- SHA-256 of the key by which a password may be set anew, or an invitation taken up; until then.
    reset_key_hash text,
    reset_key_expires timestamp,
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
    -- What it may do besides what its user may: only read; act in one organization, or on one dataset. What it is limited
    -- to may be gone: it then acts nowhere.
    read_only boolean NOT NULL DEFAULT false,
    organization_id text,
    dataset_id text,
    -- One of the keys of old, one for each user; valid where the site allows them.
    legacy boolean NOT NULL DEFAULT false,
    CHECK (organization_id IS NULL OR dataset_id IS NULL),
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

-- Who and what is in a group: a user (capacity admin, editor or member), a dataset (capacity public; those of an
-- organization name it in owner_org instead), or a parent of the group (capacity parent). Parents make no loops.
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
    -- What is private is private to an organization; one that is purged leaves deleted datasets behind.
    CHECK (owner_org IS NOT NULL OR NOT private OR state = 'deleted')
);
CREATE INDEX ON datastore.datasets (owner_org);
CREATE INDEX ON datastore.datasets (creator_user_id);
CREATE INDEX ON datastore.datasets (metadata_modified DESC);

-- Users who may read (member) or also change (editor, admin) a dataset without a role in its organization.
CREATE TABLE datastore.collaborators (
    dataset_id text NOT NULL REFERENCES datastore.datasets (id) ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES datastore.users (id) ON DELETE CASCADE,
    capacity text NOT NULL CHECK (capacity IN ('admin', 'editor', 'member')),
    modified timestamp NOT NULL,
    PRIMARY KEY (dataset_id, user_id)
);
CREATE INDEX ON datastore.collaborators (user_id);

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

-- "subject <type> object". Of each pair of types that say the same from the two sides, the forward one is stored.
CREATE TABLE datastore.relationships (
    id text PRIMARY KEY,
    subject_id text NOT NULL REFERENCES datastore.datasets (id) ON DELETE CASCADE,
    object_id text NOT NULL REFERENCES datastore.datasets (id) ON DELETE CASCADE,
    type text NOT NULL CHECK (type IN ('depends_on', 'derives_from', 'links_to', 'child_of')),
    comment text NOT NULL DEFAULT '',
    CONSTRAINT relationships_key UNIQUE (subject_id, object_id, type)
);
CREATE INDEX ON datastore.relationships (object_id);

-- How a resource is shown: as a table, an image, a map …
CREATE TABLE datastore.resource_views (
    id text PRIMARY KEY,
    resource_id text NOT NULL REFERENCES datastore.resources (id) ON DELETE CASCADE,
    position integer NOT NULL,
    view_type text NOT NULL,
    title text NOT NULL,
    description text,
    -- The keys that the type of view knows.
    config jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON datastore.resource_views (resource_id, position);

-- What a task (a loader, a harvester …) last did with an object. The value and the error are the task's own.
CREATE TABLE datastore.task_statuses (
    id text PRIMARY KEY,
    entity_id text NOT NULL,
    entity_type text NOT NULL,
    task_type text NOT NULL,
    key text NOT NULL,
    value text,
    state text,
    error text,
    last_updated timestamp,
    CONSTRAINT task_statuses_key UNIQUE (entity_id, task_type, key)
);

-- Translations of what people wrote: titles, tags, descriptions.
CREATE TABLE datastore.term_translations (
    -- A term may be longer than an index takes.
    term_hash text GENERATED ALWAYS AS (md5(term)) STORED,
    term text NOT NULL,
    lang_code text NOT NULL,
    term_translation text NOT NULL,
    PRIMARY KEY (term_hash, lang_code)
);

-- Options of the site that sysadmins changed while it runs; they go before the settings.
CREATE TABLE datastore.config_options (
    key text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE datastore.dataset_tags (
    dataset_id text NOT NULL REFERENCES datastore.datasets (id) ON DELETE CASCADE,
    tag_id text NOT NULL REFERENCES datastore.tags (id) ON DELETE CASCADE,
    PRIMARY KEY (dataset_id, tag_id)
);
CREATE INDEX ON datastore.dataset_tags (tag_id);

-- Who may see a dataset, for lists: the same rule as may_read_dataset() in datastore/accounts/permissions.py. The last
-- argument has the ids of the organizations in which the actor has a role, and of the datasets on which they collaborate.
CREATE FUNCTION datastore.may_read(
    dataset datastore.datasets, actor_id text, sysadmin boolean, actor_groups text[]
) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (dataset.state = 'active' AND NOT dataset.private)
        OR sysadmin
        OR dataset.id = ANY (actor_groups)
        OR CASE
            WHEN dataset.owner_org IS NULL THEN coalesce(dataset.creator_user_id = actor_id, false)
            ELSE dataset.owner_org = ANY (actor_groups)
        END;
