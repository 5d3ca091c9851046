//! Rows of a stretch of posts with all that hangs on them, for each table one `COPY`. Must not know what is in them.

use super::bank::Text;
use crate::platform::db::copy::Rows;
use crate::web::markup::RENDERER;

/// Comments, or posts, after which what was made is handed over.
pub const CHUNK: usize = 6_000;

/// Rows for one table.
pub struct Batch {
    /// The `COPY` that takes them.
    pub statement: &'static str,
    /// All of its bytes.
    pub rows: Vec<u8>,
    /// Posts and comments among them.
    pub items: u64,
}

/// Rows of all the tables that a post's thread touches, in the order in which they must come.
pub struct Chunk {
    /// `posts`.
    pub posts: Rows,
    /// `post_bodies`.
    pub post_bodies: Rows,
    /// `post_tags`.
    pub tags: Rows,
    /// `post_votes`.
    pub post_votes: Rows,
    /// `comments`.
    pub comments: Rows,
    /// `comment_bodies`.
    pub comment_bodies: Rows,
    /// `comment_votes`.
    pub comment_votes: Rows,
    /// Posts and comments.
    pub items: [u64; 2],
}

impl Chunk {
    /// None yet.
    pub fn new() -> Self {
        Self {
            posts: Rows::new(16),
            post_bodies: Rows::new(4),
            tags: Rows::new(3),
            post_votes: Rows::new(3),
            comments: Rows::new(10),
            comment_bodies: Rows::new(5),
            comment_votes: Rows::new(3),
            items: [0; 2],
        }
    }

    /// Whether it is time to hand over.
    pub fn is_full(&self) -> bool {
        self.items.iter().any(|&items| items >= CHUNK as u64)
    }

    /// Hands over a batch for each table; `false` where nobody wants more.
    pub fn hand_over(self, to: &mut impl FnMut(Batch) -> bool) -> bool {
        let [posts, comments] = self.items;
        [
            batch(COPY_POSTS, self.posts, posts),
            batch(COPY_POST_BODIES, self.post_bodies, 0),
            batch(COPY_POST_TAGS, self.tags, 0),
            batch(COPY_POST_VOTES, self.post_votes, 0),
            batch(COPY_COMMENTS, self.comments, comments),
            batch(COPY_COMMENT_BODIES, self.comment_bodies, 0),
            batch(COPY_COMMENT_VOTES, self.comment_votes, 0),
        ]
        .into_iter()
        .all(to)
    }
}

/// Users.
pub const COPY_USERS: &str = "COPY users (id, username, name_key, base_karma, karma, post_count, comment_count, created_at) FROM STDIN (FORMAT binary)";
/// What users say about themselves.
pub const COPY_USER_BODIES: &str =
    "COPY user_bodies (user_id, source, html, renderer) FROM STDIN (FORMAT binary)";
const COPY_POSTS: &str = "COPY posts (id, author_id, domain_id, kind, state, base_points, votes, comment_count, modifiers, created_at, active_at, title, url, url_key, author_name, tags) FROM STDIN (FORMAT binary)";
const COPY_POST_BODIES: &str =
    "COPY post_bodies (post_id, source, html, renderer) FROM STDIN (FORMAT binary)";
const COPY_POST_TAGS: &str =
    "COPY post_tags (post_id, tag_id, created_at) FROM STDIN (FORMAT binary)";
const COPY_POST_VOTES: &str =
    "COPY post_votes (post_id, user_id, created_at) FROM STDIN (FORMAT binary)";
const COPY_COMMENTS: &str = "COPY comments (id, post_id, parent_id, root_id, author_id, depth, state, votes, created_at, author_name) FROM STDIN (FORMAT binary)";
const COPY_COMMENT_BODIES: &str =
    "COPY comment_bodies (comment_id, source, html, renderer, post_id) FROM STDIN (FORMAT binary)";
const COPY_COMMENT_VOTES: &str =
    "COPY comment_votes (comment_id, user_id, created_at) FROM STDIN (FORMAT binary)";

/// A batch of all the rows.
pub fn batch(statement: &'static str, rows: Rows, items: u64) -> Batch {
    Batch {
        statement,
        rows: rows.finish(),
        items,
    }
}

/// Adds a text to rows of bodies.
pub fn body(rows: &mut Rows, id: i64, text: &Text) {
    rows.row()
        .put(id)
        .put(text.source.as_str())
        .put(text.html.as_str())
        .put(RENDERER);
}
