-- The core's tables. Ids are the 63-bit integers of core/id.h: order is time order, and on
-- PostgreSQL the id itself is the partition key, so no query computes a day.
-- Times are microseconds since 1970 (UTC). Flags are 0 or 1.

CREATE TABLE meta (
    name {text_key} NOT NULL PRIMARY KEY,
    value {blob} NOT NULL
);

CREATE TABLE application (
    id {id_key},
    org {text_key} NOT NULL,
    uid {text_key},
    name TEXT NOT NULL,
    throttle_rate BIGINT,
    metadata TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    -- Grows with every change that ingest must see: its endpoints, their secrets, its limits.
    config_version BIGINT NOT NULL
);
CREATE UNIQUE INDEX application_uid ON application (org, uid)
    WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX application_org ON application (org, id) WHERE deleted_at IS NULL;

CREATE TABLE event_type (
    id {id_key},
    org {text_key} NOT NULL,
    name {text_key} NOT NULL,
    description TEXT NOT NULL,
    archived BIGINT NOT NULL,
    deprecated BIGINT NOT NULL,
    schemas TEXT,
    feature_flags TEXT,
    group_name TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX event_type_name ON event_type (org, name);

CREATE TABLE endpoint (
    id {id_key},
    application_id BIGINT NOT NULL,
    uid {text_key},
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    throttle_rate BIGINT,
    version BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    event_types TEXT,
    channels TEXT,
    metadata TEXT NOT NULL,
    headers TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    -- Grows with disable and delete: a delivery of an older generation is never sent.
    generation BIGINT NOT NULL,
    failing_since BIGINT,
    shard BIGINT NOT NULL
);
CREATE INDEX endpoint_application ON endpoint (application_id, id);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application_id, uid)
    WHERE uid IS NOT NULL AND deleted_at IS NULL;

-- The current key of an endpoint has no expires_at; older ones sign until theirs.
CREATE TABLE endpoint_secret (
    id {id_key},
    endpoint_id BIGINT NOT NULL,
    scheme BIGINT NOT NULL,
    secret {blob} NOT NULL,
    expires_at BIGINT
);
CREATE INDEX endpoint_secret_endpoint ON endpoint_secret (endpoint_id, id);

CREATE TABLE message (
    id {id_key},
    application_id BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    event_id TEXT,
    channels TEXT,
    payload_expires_at BIGINT NOT NULL,
    -- Hash of an `auto_` idempotency key; found through a table in memory, so it has no index.
    auto_key {blob},
    tx {txid}
) {partition:id};
CREATE INDEX message_application ON message (application_id, id);

CREATE TABLE message_event_id (
    application_id BIGINT NOT NULL,
    event_id {text_key} NOT NULL,
    message_id BIGINT NOT NULL,
    PRIMARY KEY (application_id, event_id)
) {without_rowid};
CREATE INDEX message_event_id_message ON message_event_id (message_id);

CREATE TABLE payload (
    message_id {id_key},
    body {blob} NOT NULL,
    -- What is sent in place of the payload when the publisher gave raw bytes.
    raw_body {blob}
) {partition:message_id};

-- state: 0 pending, 1 succeeded, 2 failed, 3 cancelled (core/delivery_state.h).
CREATE TABLE delivery (
    message_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    shard BIGINT NOT NULL,
    state BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT,
    generation BIGINT NOT NULL,
    PRIMARY KEY (message_id, endpoint_id)
) {without_rowid} {partition:message_id};
-- The last two columns are there to be read with the page, without a look at each row.
CREATE INDEX delivery_due ON delivery (shard, endpoint_id, next_attempt_at, message_id, attempts,
    generation) WHERE state = 0;

-- A resend that was acknowledged and not yet made.
CREATE TABLE manual_attempt (
    id {id_key},
    message_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    shard BIGINT NOT NULL
);
CREATE INDEX manual_attempt_due ON manual_attempt (shard, endpoint_id, id);

-- status: 0 success, 2 failure. trigger_type: 0 scheduled, 1 manual.
CREATE TABLE attempt (
    id {id_key},
    message_id BIGINT NOT NULL,
    endpoint_id BIGINT NOT NULL,
    status BIGINT NOT NULL,
    response_code BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    trigger_type BIGINT NOT NULL,
    next_attempt_at BIGINT,
    url TEXT NOT NULL,
    response {blob}
) {partition:id};
CREATE INDEX attempt_endpoint ON attempt (endpoint_id, id);
CREATE INDEX attempt_message ON attempt (message_id, id);

-- Answers to POST requests with an idempotency key, by the hour in which they were given, so that
-- the oldest hours go in one piece. A message's answer is rebuilt from the message.
CREATE TABLE idempotency (
    hour BIGINT NOT NULL,
    key_hash {blob} NOT NULL,
    message_id BIGINT,
    status BIGINT NOT NULL,
    response {blob},
    PRIMARY KEY (hour, key_hash)
) {without_rowid};

{if_postgres}
-- Rows outside the day partitions that the keeper makes ahead of time land here.
CREATE TABLE message_default PARTITION OF message DEFAULT;
CREATE TABLE payload_default PARTITION OF payload DEFAULT;
CREATE TABLE delivery_default PARTITION OF delivery DEFAULT;
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;
{end}
