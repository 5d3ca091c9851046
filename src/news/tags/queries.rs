//! SQL of tags. Must not know lists.

use sqlx::PgExecutor;

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Living posts that carry it.
    pub post_count: i32,
}

/// All tags by name; sites have hundreds, and the page shows 1,000 at the most.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Tag>> {
    sqlx::query_as!(
        Tag,
        "SELECT id, name, description, post_count
           FROM tags
          WHERE post_count > 0 OR description <> ''
          ORDER BY name
          LIMIT 1000",
    )
    .fetch_all(db)
    .await
}

/// The tags with these names.
pub async fn list_named(db: impl PgExecutor<'_>, names: &[String]) -> sqlx::Result<Vec<Tag>> {
    sqlx::query_as!(
        Tag,
        "SELECT id, name, description, post_count
           FROM tags
          WHERE name = ANY ($1)
          ORDER BY name",
        names,
    )
    .fetch_all(db)
    .await
}
