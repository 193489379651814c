-- What happened, who follows what, and up to when each user has seen the news.

-- One row for each change of an object, written with the change. The columns up to data are what the API shows.
CREATE TABLE datastore.activities (
    id text PRIMARY KEY,
    timestamp timestamp NOT NULL,
    -- Who did it; null: nobody who was logged in.
    user_id text,
    -- What it was done to: a dataset, a group or organization, a user, a resource view.
    object_id text NOT NULL,
    activity_type text NOT NULL,
    -- The object as the public would have been shown it right after, and the name of who did it.
    data json NOT NULL,
    -- Who could see the object then. One who may not see it now either sees nothing of this.
    permission_labels text[] NOT NULL,
    -- The dataset that the object is or belongs to; null for other objects, and once it is purged.
    dataset_id text,
    -- The group that the object is, or the organization that owned the dataset at the time.
    group_id text,
    -- The work of the site user, who is no person: lists leave it out.
    hidden boolean NOT NULL
);
-- One index for each kind of stream.
CREATE INDEX ON datastore.activities (object_id, timestamp DESC, id DESC);
CREATE INDEX ON datastore.activities (user_id, timestamp DESC, id DESC);
CREATE INDEX ON datastore.activities (dataset_id, timestamp DESC, id DESC) WHERE dataset_id IS NOT NULL;
CREATE INDEX ON datastore.activities (group_id, timestamp DESC, id DESC) WHERE group_id IS NOT NULL;
CREATE INDEX ON datastore.activities (timestamp DESC, id DESC);

CREATE TABLE datastore.followers (
    follower_id text NOT NULL REFERENCES datastore.users (id) ON DELETE CASCADE,
    -- Organizations are groups here.
    object_type text NOT NULL CHECK (object_type IN ('dataset', 'user', 'group')),
    object_id text NOT NULL,
    datetime timestamp NOT NULL,
    PRIMARY KEY (follower_id, object_id)
);
CREATE INDEX ON datastore.followers (object_id);

CREATE TABLE datastore.dashboards (
    user_id text PRIMARY KEY REFERENCES datastore.users (id) ON DELETE CASCADE,
    -- What happened since then is new.
    last_viewed timestamp NOT NULL
);
