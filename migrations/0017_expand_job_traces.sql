-- A job belongs to the trace of what caused it, so that a letter is found by the request that asked for it.
-- The form is that of `traceparent` (W3C Trace Context, section 3.2).

ALTER TABLE jobs ADD COLUMN traceparent text;
ALTER TABLE jobs ADD CONSTRAINT jobs_traceparent_check CHECK (octet_length(traceparent) = 55);
