-- Payloads are sealed as secrets are (0002_sealed.sql), what is sent in place of them too.
ALTER TABLE payload ADD COLUMN sealed_body {blob};
ALTER TABLE payload ADD COLUMN sealed_raw_body {blob};

-- A store whose secrets are all sealed has payloads in plain still: it is walked over once more.
DELETE FROM meta WHERE name = 'secrets_sealed';
