-- The dbt surface. An account is a number in paths and the application dbt.{number}.
CREATE TABLE dbt_account (
    number {id_key},
    identifier {text_key} NOT NULL,
    name TEXT NOT NULL,
    plan BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- A webhook subscription: what its endpoint does not know. The row outlives a deleted endpoint, as
-- that one's own row does.
CREATE TABLE dbt_subscription (
    endpoint_id {id_key},
    name TEXT NOT NULL,
    client_url TEXT NOT NULL, -- as it was given; the endpoint has the normal form
    delivery TEXT NOT NULL,   -- JSON object: what the delivery call says
    -- The last dispatch: 0 = none, or no HTTP answer.
    http_status_code BIGINT NOT NULL,
    dispatched_at BIGINT,
    updated_at BIGINT NOT NULL,
    -- Attempts that failed in a row, and since when.
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    failures_max BIGINT NOT NULL, -- 0 = never deactivated
    failing_max_us BIGINT NOT NULL,
    noticed BIGINT NOT NULL, -- 1 = the account was told that it will be deactivated
    deactivate_reason TEXT
);
