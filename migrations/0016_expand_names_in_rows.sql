-- What every list and thread shows of a row stands in the row: its author's name, and a post's tags. A page of thirty posts
-- otherwise reads thirty times through the indexes of users and tags, which grow deeper with the site.
-- The database keeps them right: names by foreign keys that cascade, tags by triggers. No statement needs to know of them;
-- whoever fills a table by COPY may give them, and saves the triggers' work.

ALTER TABLE users ADD CONSTRAINT users_id_username_key UNIQUE (id, username);

CREATE FUNCTION take_author_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.author_name := (SELECT username FROM users WHERE id = NEW.author_id);
    RETURN NEW;
END
$$;

ALTER TABLE posts
    ADD COLUMN author_name text,
    ADD COLUMN tags        text[] NOT NULL DEFAULT '{}';
UPDATE posts p
   SET author_name = (SELECT u.username FROM users u WHERE u.id = p.author_id),
       tags = ARRAY(SELECT t.name
                      FROM post_tags pt
                      JOIN tags t ON t.id = pt.tag_id
                     WHERE pt.post_id = p.id
                     ORDER BY t.name);
ALTER TABLE posts
    ADD CONSTRAINT posts_author_name_check CHECK ((author_id IS NULL) = (author_name IS NULL)),
    ADD CONSTRAINT posts_author_fkey FOREIGN KEY (author_id, author_name) REFERENCES users (id, username) ON UPDATE CASCADE,
    DROP CONSTRAINT posts_author_id_fkey;
CREATE TRIGGER posts_author_name_given BEFORE INSERT ON posts
    FOR EACH ROW WHEN (NEW.author_id IS NOT NULL AND NEW.author_name IS NULL) EXECUTE FUNCTION take_author_name();
CREATE TRIGGER posts_author_name_changed BEFORE UPDATE OF author_id ON posts
    FOR EACH ROW WHEN (NEW.author_id IS DISTINCT FROM OLD.author_id) EXECUTE FUNCTION take_author_name();

ALTER TABLE comments ADD COLUMN author_name text;
UPDATE comments c SET author_name = (SELECT u.username FROM users u WHERE u.id = c.author_id);
ALTER TABLE comments
    ADD CONSTRAINT comments_author_name_check CHECK ((author_id IS NULL) = (author_name IS NULL)),
    ADD CONSTRAINT comments_author_fkey FOREIGN KEY (author_id, author_name) REFERENCES users (id, username) ON UPDATE CASCADE,
    DROP CONSTRAINT comments_author_id_fkey;
CREATE TRIGGER comments_author_name_given BEFORE INSERT ON comments
    FOR EACH ROW WHEN (NEW.author_id IS NOT NULL AND NEW.author_name IS NULL) EXECUTE FUNCTION take_author_name();
CREATE TRIGGER comments_author_name_changed BEFORE UPDATE OF author_id ON comments
    FOR EACH ROW WHEN (NEW.author_id IS DISTINCT FROM OLD.author_id) EXECUTE FUNCTION take_author_name();

-- `posts.tags`, by name, follows `post_tags`.
CREATE FUNCTION list_tags_of_posts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE posts p
       SET tags = current.tags
      FROM (SELECT changed.post_id,
                   coalesce(array_agg(t.name ORDER BY t.name) FILTER (WHERE t.id IS NOT NULL), '{}') AS tags
              FROM (SELECT DISTINCT post_id FROM changed_tags) changed
              LEFT JOIN post_tags pt ON pt.post_id = changed.post_id
              LEFT JOIN tags t ON t.id = pt.tag_id
             GROUP BY changed.post_id) current
     WHERE p.id = current.post_id
       AND p.tags <> current.tags;
    RETURN NULL;
END
$$;
CREATE TRIGGER post_tags_listed AFTER INSERT ON post_tags
    REFERENCING NEW TABLE AS changed_tags FOR EACH STATEMENT EXECUTE FUNCTION list_tags_of_posts();
CREATE TRIGGER post_tags_unlisted AFTER DELETE ON post_tags
    REFERENCING OLD TABLE AS changed_tags FOR EACH STATEMENT EXECUTE FUNCTION list_tags_of_posts();
CREATE FUNCTION rename_tag_in_posts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE posts p
       SET tags = ARRAY(SELECT t.name
                          FROM post_tags pt
                          JOIN tags t ON t.id = pt.tag_id
                         WHERE pt.post_id = p.id
                         ORDER BY t.name)
     WHERE p.id IN (SELECT pt.post_id FROM post_tags pt WHERE pt.tag_id = NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER tags_renamed AFTER UPDATE OF name ON tags
    FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION rename_tag_in_posts();

-- A thread's texts are one range of an index, like its comments.
ALTER TABLE comment_bodies ADD COLUMN post_id bigint;
UPDATE comment_bodies b SET post_id = (SELECT c.post_id FROM comments c WHERE c.id = b.comment_id);
ALTER TABLE comment_bodies
    ALTER COLUMN post_id SET NOT NULL,
    ADD CONSTRAINT comment_bodies_comment_fkey FOREIGN KEY (comment_id, post_id) REFERENCES comments (id, post_id)
        ON UPDATE CASCADE ON DELETE CASCADE,
    DROP CONSTRAINT comment_bodies_comment_id_fkey;
CREATE INDEX comment_bodies_post_idx ON comment_bodies (post_id);
CREATE FUNCTION take_post_of_comment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.post_id := (SELECT post_id FROM comments WHERE id = NEW.comment_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER comment_bodies_post_given BEFORE INSERT ON comment_bodies
    FOR EACH ROW WHEN (NEW.post_id IS NULL) EXECUTE FUNCTION take_post_of_comment();
