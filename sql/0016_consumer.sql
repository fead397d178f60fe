-- A consumer's position is the iterator that it came with last: what it was given since, it gets
-- again until it comes with the next one.
ALTER TABLE sink_consumer DROP COLUMN page_began;
ALTER TABLE sink_consumer DROP COLUMN request_hash;
-- Not zero: a seek put it there, and no call without an iterator has begun there yet.
ALTER TABLE sink_consumer ADD COLUMN sought BIGINT NOT NULL DEFAULT 0;
