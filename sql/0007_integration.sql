-- Integrations: other services that act for an application with a key of their own.
CREATE TABLE integration (
    id {id_key},
    application_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    feature_flags TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- The key is found by its hash; it is kept too, to be shown again.
    key_hash {blob} NOT NULL,
    key {blob} NOT NULL,
    sealed_key {blob}
);
CREATE INDEX integration_application ON integration (application_id, id);
CREATE UNIQUE INDEX integration_key ON integration (key_hash);
