-- The console finds people by the beginning of their name, in the order of names, and everyone who is banned. Ordering by
-- bytes ("C") makes the beginning of a name one range of the index, whatever the database's collation is.
CREATE INDEX users_name_prefix_idx ON users (name_key COLLATE "C");
CREATE INDEX users_banned_idx ON users (id) WHERE banned_at IS NOT NULL;
