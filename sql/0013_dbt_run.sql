-- Runs of dbt, as they were reported. `id` is ours, in order of time; `number` is the reporter's.
CREATE TABLE dbt_run (
    id {id_key},
    account BIGINT NOT NULL,
    number BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    environment_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    status BIGINT NOT NULL, -- as the Admin API counts: 1 2 3 10 20 30
    report TEXT NOT NULL,   -- JSON object: the last report but for its steps
    steps TEXT NOT NULL,    -- JSON array
    started_at BIGINT,
    finished_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    told BIGINT NOT NULL, -- a bit for each kind of event that was emitted
    ingested_at BIGINT,   -- the artifacts are complete
    failed_nodes TEXT,    -- JSON object, once the artifacts are
    -- `completed` is still to be told, at this time at the latest.
    due_at BIGINT
);
CREATE UNIQUE INDEX dbt_run_number ON dbt_run (account, number);
CREATE INDEX dbt_run_account ON dbt_run (account, id);
CREATE INDEX dbt_run_due ON dbt_run (due_at) WHERE due_at IS NOT NULL;

-- Projects (0), environments (1) and jobs (2), as the last run named them.
CREATE TABLE dbt_named (
    account BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    project_id BIGINT NOT NULL,
    environment_id BIGINT NOT NULL,
    dbt_version TEXT NOT NULL,
    job_type TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL, -- its name, or what it belongs to
    used_at BIGINT NOT NULL,
    PRIMARY KEY (account, kind, number)
) {without_rowid};
CREATE INDEX dbt_named_used ON dbt_named (used_at);

-- An artifact of a run; each upload makes a new one. state 0: it comes; 1: it can be read, at most
-- one of a path; 2: its chunks are to be deleted.
CREATE TABLE dbt_artifact (
    id {id_key},
    run_id BIGINT NOT NULL, -- dbt_run.id
    path {text_key} NOT NULL,
    state BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    touched_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX dbt_artifact_path ON dbt_artifact (run_id, path) WHERE state = 1;
CREATE INDEX dbt_artifact_unread ON dbt_artifact (touched_at) WHERE state <> 1;

CREATE TABLE dbt_artifact_chunk (
    artifact_id BIGINT NOT NULL,
    number BIGINT NOT NULL, -- from 0
    content {blob} NOT NULL,
    PRIMARY KEY (artifact_id, number)
);
