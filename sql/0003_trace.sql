-- Trace id and flags of the traceparent that came with the message (core/trace.h); they go on to
-- endpoints for as long as there is a payload to send.
ALTER TABLE payload ADD COLUMN trace {blob};
