-- Secrets sealed at rest (core/seal.h). A sealed column has its value in the one whose name begins
-- with `sealed_`, and its own is empty; without a master key everything stays in plain.

-- What values are sealed with; each is wrapped by the master key, which is never stored.
CREATE TABLE data_key (
    id {id_key},
    created_at BIGINT NOT NULL,
    -- Tells one master key from another and says nothing about either.
    master_id {blob} NOT NULL,
    wrapped {blob} NOT NULL,
    -- Grows ahead of the values that are sealed, a block at a time.
    uses BIGINT NOT NULL
);

ALTER TABLE endpoint_secret ADD COLUMN sealed_secret {blob};
ALTER TABLE endpoint ADD COLUMN sealed_headers {blob};
ALTER TABLE idempotency ADD COLUMN sealed_response {blob};
