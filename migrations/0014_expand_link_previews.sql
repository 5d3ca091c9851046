-- What the page behind a post's link says of itself (P18), fetched in the background after the post was made.
-- Beside the ranked row and not in it: it is read on the post's own page only, and may be missing.
-- `url` is the link that it was fetched for: once the link is changed, the old preview no longer shows.

CREATE TABLE link_previews (
    post_id       bigint      NOT NULL REFERENCES posts ON DELETE CASCADE,
    url           text        NOT NULL,
    description   text,
    fetched_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT link_previews_pkey PRIMARY KEY (post_id),
    CONSTRAINT link_previews_description_check CHECK (char_length(description) <= 300)
);
