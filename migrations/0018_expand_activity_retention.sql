-- How long the activity log is kept is a setting (`activity.keep`), which the database does not read. The function that
-- knew 90 days stays for binaries of the version before.

-- Drops months that ended before a moment, and gives their number.
CREATE FUNCTION activity_drop_months_before(moment timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
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
           AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' < moment
    LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', month);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
