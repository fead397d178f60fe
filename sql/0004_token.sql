-- Tokens of applications that end before their own time. Tokens themselves are signed, not stored.

-- Expire-all: from `effective_at` on, tokens that were issued before are refused. `session_id` is
-- empty for tokens of every session. Rows that say no more than a later one are removed.
CREATE TABLE token_expiry (
    application_id BIGINT NOT NULL,
    session_id {text_key} NOT NULL,
    effective_at BIGINT NOT NULL,
    -- The writer's id at that moment, for tokens that carry one, and the time, for others.
    issued_before_id BIGINT NOT NULL,
    issued_before BIGINT NOT NULL,
    PRIMARY KEY (application_id, session_id, effective_at)
) {without_rowid};
-- Those of sessions go when their tokens have ended by themselves.
CREATE INDEX token_expiry_session ON token_expiry (effective_at) WHERE session_id <> '';

-- Logout: single tokens, by a hash of what was signed.
CREATE TABLE token_revoked (
    application_id BIGINT NOT NULL,
    token_hash {blob} NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (application_id, token_hash)
) {without_rowid};
CREATE INDEX token_revoked_expires ON token_revoked (expires_at);
