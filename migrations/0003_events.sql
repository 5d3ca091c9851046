-- The domain's history for moderation and accounts, and the public log that is read from it.
--
-- Streams are 'post-{id}', 'comment-{id}', 'user-{id}'; versions count from 1 without holes. No personal data
-- (addresses, e-mail) ever goes into an event, so that an account can be erased.

CREATE TABLE events (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream  text        NOT NULL,
    version integer     NOT NULL,
    type    text        NOT NULL,
    time    timestamptz NOT NULL DEFAULT now(),
    data    jsonb       NOT NULL,
    meta    jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT events_stream_version_key UNIQUE (stream, version),
    CONSTRAINT events_version_check CHECK (version > 0)
);

-- A projection of events: rebuilt by `betternews events rebuild`.
CREATE TABLE moderation_log (
    event_id   bigint      PRIMARY KEY REFERENCES events,
    action     text        NOT NULL,
    actor_id   bigint      REFERENCES users,
    target     text        NOT NULL,
    target_id  bigint      NOT NULL,
    reason     text        NOT NULL,
    details    jsonb       NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    CONSTRAINT moderation_log_target_check CHECK (target IN ('post', 'comment', 'user'))
);
CREATE INDEX moderation_log_newest_idx ON moderation_log (created_at DESC, event_id DESC);
CREATE INDEX moderation_log_target_idx ON moderation_log (target, target_id);
