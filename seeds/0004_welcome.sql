-- One post, so that a new site is not an empty page. It has no author: nobody can log in as one.
INSERT INTO posts (kind, title)
SELECT 'text', 'Welcome to your new site'
 WHERE NOT EXISTS (SELECT 1 FROM posts);

INSERT INTO post_bodies (post_id, source, html, renderer)
SELECT p.id,
       E'This is a place for links worth reading and for talking about them.\n\nSubmit a link or a question, vote for what deserves to be seen, and be kind in the comments. The one who runs this site finds the console in the footer.',
       E'<p>This is a place for links worth reading and for talking about them.</p>\n<p>Submit a link or a question, vote for what deserves to be seen, and be kind in the comments. The one who runs this site finds the console in the footer.</p>\n',
       1
  FROM posts p
 WHERE p.title = 'Welcome to your new site'
   AND p.author_id IS NULL
   AND NOT EXISTS (SELECT 1 FROM post_bodies b WHERE b.post_id = p.id);

INSERT INTO post_tags (post_id, tag_id, created_at)
SELECT p.id, t.id, p.created_at
  FROM posts p
  JOIN tags t ON t.name = 'meta'
 WHERE p.title = 'Welcome to your new site'
   AND p.author_id IS NULL
ON CONFLICT DO NOTHING;

UPDATE tags t
   SET post_count = (SELECT count(*) FROM post_tags pt WHERE pt.tag_id = t.id)
 WHERE t.name = 'meta';
