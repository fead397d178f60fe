-- Event types whose messages are refused when the payload does not fit the newest schema.
ALTER TABLE event_type ADD COLUMN validate_payload BIGINT NOT NULL DEFAULT 0;
CREATE INDEX event_type_checked ON event_type (id) WHERE validate_payload <> 0;
