-- Work in the background: one row a job. Who works for a job holds an advisory lock on it, as a session: when the process
-- or its connection dies, the lock goes with it, and another takes the job up.

CREATE TABLE datastore.jobs (
    id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    number bigint GENERATED ALWAYS AS IDENTITY,
    -- By what lists group them; any name.
    queue text NOT NULL,
    -- Which function does it.
    kind text NOT NULL,
    -- What it is about, such as a resource's id. Of one kind and key one job waits at most, and one runs at most.
    key text NOT NULL,
    title text NOT NULL,
    parameters jsonb NOT NULL,
    -- Higher ones come first.
    priority integer NOT NULL,
    created timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'UTC'),
    -- Not before then.
    due timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    -- How often it was begun, and how often that may be.
    attempts integer NOT NULL DEFAULT 0,
    most_attempts integer NOT NULL,
    -- Why the last attempt failed.
    error text,
    -- One that is over is kept until then.
    expires timestamptz,
    -- What the advisory lock is on.
    lock bigint NOT NULL GENERATED ALWAYS AS (hashtextextended(kind || ' ' || key, 0)) STORED
);
CREATE UNIQUE INDEX jobs_waiting_key ON datastore.jobs (kind, key) WHERE state = 'waiting';
CREATE INDEX ON datastore.jobs (priority DESC, due, number) WHERE state IN ('waiting', 'running');
CREATE INDEX ON datastore.jobs (created, number);
CREATE INDEX ON datastore.jobs (expires) WHERE expires IS NOT NULL;

-- What a job says of itself.
CREATE TABLE datastore.job_logs (
    job_id text NOT NULL REFERENCES datastore.jobs (id) ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    timestamp timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    level text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (job_id, number)
);

-- The jobs that can begin now: those that are due, and those whose process has died; but none of whose kind and key
-- another one runs.
CREATE VIEW datastore.ready_jobs AS
    SELECT job.*
    FROM datastore.jobs AS job
    WHERE job.state IN ('waiting', 'running') AND job.due <= now()
          AND NOT EXISTS (
              SELECT FROM pg_locks AS held
              WHERE held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted
                    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND (held.classid::bigint << 32) | held.objid::bigint = job.lock);

-- Begin the next job of these kinds, which is this session's then, as long as the session lives or until it asks for
-- another one: asking says that the last one is over.
CREATE FUNCTION datastore.begin_job(kinds text[]) RETURNS SETOF datastore.jobs
    LANGUAGE plpgsql
    AS $$
DECLARE
    candidate record;
BEGIN
    PERFORM pg_advisory_unlock_all();
    FOR candidate IN
        SELECT job.id, job.lock FROM datastore.ready_jobs AS job
        WHERE job.kind = ANY (kinds)
        ORDER BY job.priority DESC, job.due, job.number
    LOOP
        IF pg_try_advisory_lock(candidate.lock) THEN
            -- Only who holds the lock changes the state, so it is certain now. A row that is locked is just being
            -- changed by who enqueues; there is a message when that is done.
            PERFORM FROM datastore.jobs AS job
            WHERE job.id = candidate.id AND job.state IN ('waiting', 'running') AND job.due <= now()
            FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                RETURN QUERY
                UPDATE datastore.jobs AS job SET state = 'running', attempts = job.attempts + 1
                WHERE job.id = candidate.id
                RETURNING job.*;
                RETURN;
            END IF;
            PERFORM pg_advisory_unlock(candidate.lock);
        END IF;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION datastore.begin_job FROM PUBLIC;
