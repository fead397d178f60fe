-- Background tasks: long work that goes on in steps (flow/task.h). What a step does and where it
-- stands then are one transaction. kind and state: store/task.h.
CREATE TABLE task (
    id {id_key},
    org {text_key} NOT NULL,
    -- Absent when the task is the organisation's.
    application_id BIGINT,
    endpoint_id BIGINT,
    kind BIGINT NOT NULL,
    state BIGINT NOT NULL,
    -- What was asked for, as JSON.
    parameters TEXT NOT NULL,
    since_at BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    -- Messages per second, 0 = no limit.
    rate BIGINT NOT NULL,
    -- Where it stands: which of its walks, the last id of it, of which application.
    walk BIGINT NOT NULL,
    cursor_id BIGINT NOT NULL,
    subject_id BIGINT NOT NULL,
    -- What it has found, done and left out.
    total BIGINT NOT NULL,
    done BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    failure TEXT,
    started_at BIGINT,
    updated_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX task_org ON task (org, id);
CREATE INDEX task_application ON task (application_id, id);
CREATE INDEX task_running ON task (application_id, org, id) WHERE state = 0;
CREATE INDEX task_finished ON task (finished_at) WHERE finished_at IS NOT NULL;

-- What a statistics task has found of each application.
CREATE TABLE task_result (
    task_id BIGINT NOT NULL,
    application_id BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    deliveries BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- JSON array of names that endpoints ask for; is_catch_all: one of them asks for all.
    event_types TEXT,
    is_catch_all BIGINT NOT NULL,
    PRIMARY KEY (task_id, application_id)
) {without_rowid};

-- The task that wants the attempt; absent when somebody asked by hand.
ALTER TABLE manual_attempt ADD COLUMN task_id BIGINT;
-- An expunged message takes its manual attempts along.
CREATE INDEX manual_attempt_message ON manual_attempt (message_id);
-- When a replay last made the delivery pending anew.
ALTER TABLE delivery ADD COLUMN replayed_at BIGINT;

-- Attempts are counted by status from the index alone.
DROP INDEX attempt_endpoint;
CREATE INDEX attempt_endpoint ON attempt (endpoint_id, id, status);
