-- Sinks that are polled: an application's messages in the order of their ids, filtered. Nothing is
-- delivered to them; what they give is read from the messages themselves.
CREATE TABLE sink (
    -- Of the same clock as messages: what came after it is what a new consumer gets.
    id {id_key},
    application_id BIGINT NOT NULL,
    uid {text_key},
    event_types TEXT,
    channels TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX sink_application ON sink (application_id, id);
CREATE UNIQUE INDEX sink_uid ON sink (application_id, uid) WHERE uid IS NOT NULL;

-- How far a named consumer of a sink has come.
CREATE TABLE sink_consumer (
    sink_id BIGINT NOT NULL,
    name {text_key} NOT NULL,
    -- The last message that it was given or that was passed over for it.
    position BIGINT NOT NULL,
    -- Where its last page began, and a hash of the request that got it: a repeated request gets
    -- the same page.
    page_began BIGINT NOT NULL,
    request_hash BIGINT NOT NULL,
    -- Grows with every change, so that of two clients under one name one is refused.
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (sink_id, name)
) {without_rowid};
