-- What a message's orderingKey is to endpoints that keep an order by key (a hash, as in
-- delivery.order_key); NULL without one. Deliveries that are made later find it here.
ALTER TABLE message ADD COLUMN order_key BIGINT;
