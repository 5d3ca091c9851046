-- Who requested what (the activity log), and how the routes did, minute by minute.

-- One row a request, written in batches. Partitions are months, so that old ones are dropped whole; the application makes
-- them ahead of time with the function below.
CREATE TABLE activity (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL,
    -- no foreign key: the log must not hold up writes, and outlives the account until its time is over
    user_id     bigint,
    action      text        NOT NULL,
    resource    text,
    resource_id bigint,
    method      text        NOT NULL,
    route       text        NOT NULL,
    path        text        NOT NULL,
    query       text        NOT NULL DEFAULT '',
    status      smallint    NOT NULL,
    duration_us bigint      NOT NULL,
    -- shortened to its network after 30 days
    address     inet        NOT NULL,
    agent       text        NOT NULL,
    request_id  text        NOT NULL,
    CONSTRAINT activity_pkey PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);
CREATE INDEX activity_user_idx ON activity (user_id, at DESC) WHERE user_id IS NOT NULL;

CREATE FUNCTION activity_ensure_month(day timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', day AT TIME ZONE 'UTC')::date;
    next  date := (date_trunc('month', day AT TIME ZONE 'UTC') + interval '1 month')::date;
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS activity_%s PARTITION OF activity FOR VALUES FROM (%L) TO (%L)',
                   to_char(first, 'YYYYMM'), first || ' 00:00:00+00', next || ' 00:00:00+00');
EXCEPTION
    -- two instances at once: the other one has made it
    WHEN duplicate_table OR unique_violation THEN NULL;
END $$;

-- Drops months that ended more than 90 days ago, and gives their number.
CREATE FUNCTION activity_drop_old_months(now timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    month   text;
    dropped integer := 0;
BEGIN
    FOR month IN
        SELECT c.relname
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'activity'::regclass
           AND c.relname ~ '^activity_[0-9]{6}$'
           AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' < now - interval '90 days'
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', month);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT activity_ensure_month(now()), activity_ensure_month(now() + interval '1 month');

-- One row a route, minute and instance; kept for 30 days. Durations in microseconds.
CREATE TABLE route_minutes (
    at            timestamptz NOT NULL,
    instance      text        NOT NULL,
    route         text        NOT NULL,
    total         bigint      NOT NULL,
    failed        bigint      NOT NULL,
    server_errors bigint      NOT NULL,
    mean_us       bigint      NOT NULL,
    p95_us        bigint      NOT NULL,
    p99_us        bigint      NOT NULL,
    max_us        bigint      NOT NULL,
    CONSTRAINT route_minutes_pkey PRIMARY KEY (at, instance, route)
);
