-- How an endpoint wants its deliveries: a JSON object of what differs from the server's settings
-- (flow/endpoint_options.h). What is secret of it (passwords, client keys, the proxy) stands apart.
ALTER TABLE endpoint ADD COLUMN options TEXT;
ALTER TABLE endpoint ADD COLUMN credentials {blob};
ALTER TABLE endpoint ADD COLUMN sealed_credentials {blob};

-- Not before this time; NULL = at once.
ALTER TABLE message ADD COLUMN deliver_at BIGINT;
ALTER TABLE message ADD COLUMN tags TEXT;

-- Deliveries of an endpoint with the same key are made one after the other, in the order of their
-- messages. All but the first pending one wait with a next_attempt_at at the end of time.
ALTER TABLE delivery ADD COLUMN order_key BIGINT;
CREATE INDEX delivery_order ON delivery (endpoint_id, order_key, message_id)
    WHERE state = 0 AND order_key IS NOT NULL;
DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (shard, endpoint_id, next_attempt_at, message_id, attempts,
    generation, order_key) WHERE state = 0;
