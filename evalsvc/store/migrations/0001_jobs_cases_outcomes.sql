-- Jobs, their cases in planned order, and the recorded end of every request.

CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    spec_sha256 TEXT NOT NULL,
    spec        TEXT NOT NULL,               -- the parsed job as JSON
    document    TEXT NOT NULL,               -- job file, hashes of its files, --limit: what spec_sha256 is the SHA-256 of
    state       TEXT NOT NULL CHECK (state IN ('queued','running','paused','deciding','done','failed','cancelled')),
    reason      TEXT,                        -- why it is paused or failed
    endpoints   TEXT NOT NULL,               -- alias -> URL, as at the start
    source      TEXT,                        -- job.toml as it was submitted; NULL: filed by `run`
    priority    INTEGER NOT NULL DEFAULT 0,  -- of those queued, the highest is next
    requests    INTEGER NOT NULL DEFAULT 0,  -- as many as are planned: cases * trials * arms
    idempotency_key TEXT UNIQUE,
    warnings    TEXT NOT NULL DEFAULT '[]',  -- what was found when its files were read, for the record
    resumes     INTEGER NOT NULL DEFAULT 0,
    created_at  REAL NOT NULL,
    started_at  REAL,
    finished_at REAL,
    record      TEXT,                        -- the decision record, once decided
    envelope    TEXT,                        -- its signed envelope, where a key was configured
    case_marks    BLOB,                      -- of each leaf of the record's Merkle trees the first 8 bytes:
    outcome_marks BLOB                       -- they show which row was changed afterwards
) STRICT;

CREATE INDEX jobs_by_spec ON jobs (spec_sha256, created_at);
CREATE INDEX jobs_by_state ON jobs (state, priority, created_at);
CREATE INDEX jobs_by_age ON jobs (created_at, id);

CREATE TABLE events (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    id     INTEGER NOT NULL,                 -- grows within the job
    name   TEXT NOT NULL CHECK (name IN ('state','progress','gate','decision')),
    data   TEXT NOT NULL,                    -- JSON
    at     TEXT NOT NULL,                    -- RFC 3339
    PRIMARY KEY (job_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cases (
    job_id   TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,               -- place in the job's one seeded order
    suite    TEXT NOT NULL,
    case_id  TEXT NOT NULL,
    category TEXT NOT NULL,
    payload  TEXT NOT NULL,                  -- input, expected, tools, schema, metadata as JSON
    PRIMARY KEY (job_id, position),
    UNIQUE (job_id, suite, case_id)
) STRICT;

CREATE TABLE outcomes (
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    suite         TEXT NOT NULL,
    case_id       TEXT NOT NULL,
    arm           TEXT NOT NULL CHECK (arm IN ('candidate','baseline')),
    trial         INTEGER NOT NULL CHECK (trial >= 0),
    step          TEXT NOT NULL,             -- 'answer', or a follow-up's own
    status        TEXT NOT NULL CHECK (status IN ('ok','model_error','infra_error')),
    kind          TEXT,
    detail        TEXT,
    text          TEXT,
    finish_reason TEXT,
    refusal       TEXT,
    tool_calls    TEXT,
    reasoning     TEXT,
    logprobs      TEXT,
    model         TEXT,                      -- as the server names it
    fingerprint   TEXT,
    input_tokens  INTEGER,
    output_tokens INTEGER,
    latency_s     REAL,                      -- of the last attempt: hand-over to last byte
    first_byte_s  REAL,
    first_token_s REAL,                      -- of a streamed answer
    since_scheduled_s REAL NOT NULL,         -- all waits and attempts included
    tainted       INTEGER NOT NULL,          -- the event loop lagged while it was measured
    simulated     INTEGER NOT NULL,
    repaired      TEXT,
    score         REAL CHECK (score BETWEEN 0 AND 1),   -- the primary score; NULL is missing
    scores        TEXT NOT NULL,             -- {label: {"value", "explanation"}}, the primary first
    attempts      TEXT NOT NULL,             -- [[retry_wait_s, slot_wait_s, quota_wait_s, seconds, kind, status, tainted], ...]
    finished_at   REAL NOT NULL,
    UNIQUE (job_id, position, arm, trial, step),
    CHECK ((status = 'ok') = (kind IS NULL)),
    CHECK (status <> 'infra_error' OR score IS NULL)
) STRICT;

CREATE INDEX outcomes_as_filed ON outcomes (job_id);   -- and the rowid: who follows a job reads on where it was

CREATE TRIGGER outcomes_are_final BEFORE UPDATE ON outcomes
BEGIN
    SELECT RAISE(ABORT, 'an outcome is final');
END;

CREATE TABLE judge_answers (                 -- where what a judge said stands, for when it would be asked the same again
    key      BLOB PRIMARY KEY CHECK (length(key) = 32),   -- SHA-256 over who is asked and everything that is sent
    job_id   TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    arm      TEXT NOT NULL,
    trial    INTEGER NOT NULL,
    step     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX judge_answers_by_job ON judge_answers (job_id);

CREATE TABLE tokens (                        -- of the HTTP API; no token can be read out of it
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('admin','submitter','viewer','annotator')),
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    created_at REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL
) STRICT;

CREATE TABLE calibrations (                  -- how often gates flip on one and the same model
    id         INTEGER PRIMARY KEY,
    key        TEXT NOT NULL,                -- SHA-256 over the suites, scorers, gates and the model they were tried on
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,   -- whose answers it rests on
    created_at REAL NOT NULL,
    result     TEXT NOT NULL                 -- JSON
) STRICT;

CREATE INDEX calibrations_by_key ON calibrations (key, created_at);
CREATE INDEX calibrations_by_job ON calibrations (job_id);
