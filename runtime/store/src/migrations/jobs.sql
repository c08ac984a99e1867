-- Jobs, what they tell and keep, schedules, and the history of calls.
--
-- States are numbers, in the order of `JobState::ALL`:
-- 0 available, 1 scheduled, 2 running, 3 input_required, 4 retryable,
-- 5 completed, 6 failed, 7 cancelled, 8 interrupted, 9 discarded.
--
-- Each verb must cost the same with a million jobs waiting as with a thousand. So whatever is looked for has an index of
-- its own that holds only what can be found by it, and whatever is counted is counted as it changes, by the triggers below.

CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    owner TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 9),
    -- Grows with each claim; only the last one counts.
    token INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    is_repeatable INTEGER NOT NULL,
    is_cancelled INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    -- Of its owner's available jobs, the one with the least goes first.
    rank INTEGER NOT NULL,
    -- Since when it is available, or when it will be.
    since_ms INTEGER NOT NULL,
    run_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    started_at_ms INTEGER,
    finished_at_ms INTEGER,
    updated_at_ms INTEGER NOT NULL,
    node INTEGER,
    lease_until_ms INTEGER,
    -- What its owner was charged for the last attempt: a guess while it runs, then what it really was.
    charged_us INTEGER NOT NULL,
    version INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    module TEXT NOT NULL,
    function TEXT NOT NULL,
    digest TEXT NOT NULL,
    lowered TEXT,
    tags TEXT,
    schedule TEXT,
    idempotency_key TEXT,
    fingerprint BLOB,
    progress TEXT,
    fuel_units INTEGER,
    memory_bytes INTEGER,
    duration_us INTEGER,
    outcome TEXT,
    result_bytes INTEGER,
    checkpoint_bytes INTEGER,
    input_bytes INTEGER NOT NULL,
    -- Absent when it stands apart.
    input BLOB
) STRICT;

CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE UNIQUE INDEX jobs_idempotency ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (owner, rank) WHERE state = 0;
CREATE INDEX jobs_waiting ON jobs (state, since_ms) WHERE state IN (0, 1, 4);
CREATE INDEX jobs_expiring ON jobs (expires_at_ms)
    WHERE expires_at_ms IS NOT NULL AND attempt = 0 AND state IN (0, 1);
CREATE INDEX jobs_held ON jobs (lease_until_ms) WHERE state = 2;
CREATE INDEX jobs_ended ON jobs (finished_at_ms) WHERE finished_at_ms IS NOT NULL;
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_owner ON jobs (owner);
CREATE INDEX jobs_schedule ON jobs (schedule) WHERE schedule IS NOT NULL;

-- What is too large for the row of its job, under 4 * seq + 0 for arguments, 1 for a result, 2 for a checkpoint.
CREATE TABLE job_bodies (
    body INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE job_events (
    job INTEGER NOT NULL,
    version INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    -- 0: a line of a log, of this level; 1: output, to this stream.
    kind INTEGER NOT NULL,
    label TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_counts (
    state INTEGER PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;
INSERT INTO job_counts VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0);

-- What each key has and uses. The one that has used the least goes first.
CREATE TABLE job_shares (
    owner TEXT PRIMARY KEY NOT NULL,
    waiting INTEGER NOT NULL,
    available INTEGER NOT NULL,
    running INTEGER NOT NULL,
    -- Time that its jobs held places, of all of its life.
    used_us INTEGER NOT NULL,
    -- How long its next job will probably hold one: a mean in which the last ones weigh most.
    guess_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_shares_ready ON job_shares (used_us) WHERE available > 0;

-- One row: what the key had used that was served last, and the last version of a schedule.
CREATE TABLE job_clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    used_us INTEGER NOT NULL,
    schedule_version INTEGER NOT NULL
) STRICT;
INSERT INTO job_clock VALUES (1, 0, 0);

-- A key that was idle joins at the least that an active one has used: having been idle is no credit.

CREATE TRIGGER jobs_inserted AFTER INSERT ON jobs BEGIN
    UPDATE job_counts SET count = count + 1 WHERE state = NEW.state;
    INSERT INTO job_shares (owner, waiting, available, running, used_us, guess_us) VALUES (
        NEW.owner, NEW.state IN (0, 1, 4), NEW.state = 0, NEW.state = 2,
        CASE WHEN NEW.state = 0 THEN coalesce(
            (SELECT used_us FROM job_shares WHERE available > 0 ORDER BY used_us LIMIT 1),
            (SELECT used_us FROM job_clock)
        ) ELSE 0 END,
        10000
    ) ON CONFLICT (owner) DO UPDATE SET
        used_us = CASE WHEN available = 0 AND running = 0 THEN max(used_us, excluded.used_us) ELSE used_us END,
        waiting = waiting + excluded.waiting,
        available = available + excluded.available,
        running = running + excluded.running;
END;

CREATE TRIGGER jobs_moved AFTER UPDATE OF state ON jobs WHEN NEW.state <> OLD.state BEGIN
    UPDATE job_counts SET count = count - 1 WHERE state = OLD.state;
    UPDATE job_counts SET count = count + 1 WHERE state = NEW.state;
    UPDATE job_shares SET
        used_us = CASE
            WHEN NEW.state = 2 THEN used_us + NEW.charged_us
            WHEN OLD.state = 2 THEN used_us + NEW.charged_us - OLD.charged_us
            WHEN NEW.state = 0 AND available = 0 AND running = 0 THEN max(used_us, coalesce(
                (SELECT used_us FROM job_shares WHERE available > 0 ORDER BY used_us LIMIT 1),
                (SELECT used_us FROM job_clock)
            ))
            ELSE used_us END,
        guess_us = CASE
            WHEN OLD.state = 2 AND NEW.state <> 0 THEN max(1, (7 * guess_us + NEW.charged_us) / 8)
            ELSE guess_us END,
        waiting = waiting + (NEW.state IN (0, 1, 4)) - (OLD.state IN (0, 1, 4)),
        available = available + (NEW.state = 0) - (OLD.state = 0),
        running = running + (NEW.state = 2) - (OLD.state = 2)
    WHERE owner = NEW.owner;
END;

CREATE TRIGGER jobs_deleted AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET count = count - 1 WHERE state = OLD.state;
    UPDATE job_shares SET
        waiting = waiting - (OLD.state IN (0, 1, 4)),
        available = available - (OLD.state = 0),
        running = running - (OLD.state = 2)
    WHERE owner = OLD.owner;
    DELETE FROM job_bodies WHERE body BETWEEN 4 * OLD.seq AND 4 * OLD.seq + 3;
    DELETE FROM job_events WHERE job = OLD.seq;
END;

CREATE TABLE schedules (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    is_paused INTEGER NOT NULL,
    next_at_ms INTEGER,
    last_at_ms INTEGER,
    last_job BLOB,
    created_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT;
CREATE INDEX schedules_due ON schedules (next_at_ms) WHERE next_at_ms IS NOT NULL AND is_paused = 0;

CREATE TABLE calls (
    -- Never used again, so that a place in the history means one call.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    tool TEXT NOT NULL,
    digest TEXT NOT NULL,
    key TEXT NOT NULL,
    via TEXT NOT NULL,
    code TEXT,
    fuel_units INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    job BLOB
) STRICT;
CREATE INDEX calls_at ON calls (at_ms);
CREATE INDEX calls_tool ON calls (tool);
CREATE INDEX calls_key ON calls (key);
CREATE INDEX calls_failed ON calls (code) WHERE code IS NOT NULL;
