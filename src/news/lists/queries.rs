//! SQL of the lists of posts: one statement a list, each a range of one index (`migrations/0002_news.sql`). Must not
//! know requests.
//!
//! Each list runs downwards by its key and then by id, from `after` on, and asks for one more than fits.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, QueryBuilder, Row};

use crate::{
    news::posts::model::PostCard,
    web::paging::{Cursor, Key},
};

/// One page of a list: who looks, where it goes on, and how many.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Who looks; `$1` of every statement.
    pub viewer: Option<i64>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows.
    pub limit: i64,
}

impl Window {
    /// What a list by a floating key goes on below.
    fn float(&self) -> (f64, i64) {
        self.after
            .map_or((f64::INFINITY, i64::MAX), |c| (c.key.as_float(), c.id))
    }

    /// What a list by a number goes on below.
    fn int(&self) -> (i32, i64) {
        self.after.map_or((i32::MAX, i64::MAX), |c| {
            (i32::try_from(c.key.as_int()).unwrap_or(i32::MAX), c.id)
        })
    }

    /// What a list by time goes on below.
    fn time(&self) -> (DateTime<Utc>, i64) {
        let end = DateTime::from_timestamp(LAST_SECOND, 0).unwrap_or_default();
        self.after
            .map_or((end, i64::MAX), |c| (c.key.as_time(), c.id))
    }
}

/// Later than any post: the year 9999.
const LAST_SECOND: i64 = 253_370_764_800;

/// A statement that gives [`PostCard`]s; the tail says which and in what order, and its own arguments begin at `$2`.
macro_rules! cards {
    ($db:expr, $window:expr, $tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            PostCard,
            r#"SELECT p.id AS "id!", p.title AS "title!", p.url, p.author_id, p.state AS "state!", p.points AS "points!",
                      p.comment_count AS "comment_count!", p.created_at AS "created_at!", p.active_at,
                      p.hot AS "hot!",
                      d.name AS "domain?",
                      p.author_name AS "author?",
                      p.tags AS "tags!",
                      EXISTS (SELECT 1
                                FROM post_votes v
                               WHERE v.user_id = $1
                                 AND v.post_id = p.id) AS "voted!""# + $tail,
            $window.viewer
            $(, $argument)*
        )
        .fetch_all($db)
        .await
    };
}

/// By hot rank.
pub async fn list_hot(db: impl PgExecutor<'_>, window: Window) -> sqlx::Result<Vec<PostCard>> {
    let (hot, id) = window.float();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND (p.hot, p.id) < ($2, $3)
           ORDER BY p.hot DESC, p.id DESC
           LIMIT $4"#,
        hot,
        id,
        window.limit,
    )
}

/// By time.
pub async fn list_newest(db: impl PgExecutor<'_>, window: Window) -> sqlx::Result<Vec<PostCard>> {
    let (time, id) = window.time();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND (p.created_at, p.id) < ($2, $3)
           ORDER BY p.created_at DESC, p.id DESC
           LIMIT $4"#,
        time,
        id,
        window.limit,
    )
}

/// By the last living comment.
pub async fn list_active(db: impl PgExecutor<'_>, window: Window) -> sqlx::Result<Vec<PostCard>> {
    let (time, id) = window.time();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND p.active_at IS NOT NULL
             AND (p.active_at, p.id) < ($2, $3)
           ORDER BY p.active_at DESC, p.id DESC
           LIMIT $4"#,
        time,
        id,
        window.limit,
    )
}

/// By points, of all time.
pub async fn list_top(db: impl PgExecutor<'_>, window: Window) -> sqlx::Result<Vec<PostCard>> {
    let (points, id) = window.int();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND (p.points, p.id) < ($2, $3)
           ORDER BY p.points DESC, p.id DESC
           LIMIT $4"#,
        points,
        id,
        window.limit,
    )
}

/// By points, of the days since `since`. The best of each day are merged, so that the cost grows with the days and not
/// with their posts.
pub async fn list_top_of_days(
    db: impl PgExecutor<'_>,
    window: Window,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<PostCard>> {
    let (points, id) = window.int();
    cards!(
        db,
        window,
        r#" FROM (SELECT best.*
                   FROM generate_series(($5::timestamptz AT TIME ZONE 'UTC')::date,
                                        ($6::timestamptz AT TIME ZONE 'UTC')::date,
                                        interval '1 day') AS days (day)
                  CROSS JOIN LATERAL (
                        SELECT q.*
                          FROM posts q
                         WHERE q.state = 'live'
                           AND (q.created_at AT TIME ZONE 'UTC')::date = days.day::date
                           AND q.created_at >= $5
                           AND (q.points, q.id) < ($2, $3)
                         ORDER BY q.points DESC, q.id DESC
                         LIMIT $4) best
                  ORDER BY best.points DESC, best.id DESC
                  LIMIT $4) p
            LEFT JOIN domains d ON d.id = p.domain_id
           ORDER BY p.points DESC, p.id DESC"#,
        points,
        id,
        window.limit,
        since,
        now,
    )
}

/// By points, of the months since `since`; as [`list_top_of_days`].
pub async fn list_top_of_months(
    db: impl PgExecutor<'_>,
    window: Window,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<PostCard>> {
    let (points, id) = window.int();
    cards!(
        db,
        window,
        r#" FROM (SELECT best.*
                   FROM generate_series(date_trunc('month', $5::timestamptz AT TIME ZONE 'UTC'),
                                        date_trunc('month', $6::timestamptz AT TIME ZONE 'UTC'),
                                        interval '1 month') AS months (month)
                  CROSS JOIN LATERAL (
                        SELECT q.*
                          FROM posts q
                         WHERE q.state = 'live'
                           AND date_trunc('month', q.created_at AT TIME ZONE 'UTC') = months.month
                           AND q.created_at >= $5
                           AND (q.points, q.id) < ($2, $3)
                         ORDER BY q.points DESC, q.id DESC
                         LIMIT $4) best
                  ORDER BY best.points DESC, best.id DESC
                  LIMIT $4) p
            LEFT JOIN domains d ON d.id = p.domain_id
           ORDER BY p.points DESC, p.id DESC"#,
        points,
        id,
        window.limit,
        since,
        now,
    )
}

/// Of one kind (`ask`, `show`, `job`, `poll`), by hot rank.
pub async fn list_kind(
    db: impl PgExecutor<'_>,
    window: Window,
    kind: &str,
) -> sqlx::Result<Vec<PostCard>> {
    let (hot, id) = window.float();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND p.kind = $5
             AND p.kind IN ('ask', 'show', 'job', 'poll')
             AND (p.hot, p.id) < ($2, $3)
           ORDER BY p.hot DESC, p.id DESC
           LIMIT $4"#,
        hot,
        id,
        window.limit,
        kind,
    )
}

/// With at least so many points, by time. While few posts have as many, they are found by their points; once they are
/// common, walking back in time meets them soon.
pub async fn list_over(
    db: &mut crate::platform::db::Conn,
    window: Window,
    least: i32,
) -> sqlx::Result<Vec<PostCard>> {
    const FEW: i64 = 2_000;
    let (time, id) = window.time();
    let matches = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM (SELECT 1 FROM posts WHERE state = 'live' AND points >= $1 LIMIT $2) AS matching"#,
        least,
        FEW,
    )
    .fetch_one(&mut *db)
    .await?;
    if matches < FEW {
        return cards!(
            db,
            window,
            r#" FROM (SELECT q.*
                        FROM posts q
                       WHERE q.state = 'live'
                         AND q.points >= $5
                      OFFSET 0) p
                LEFT JOIN domains d ON d.id = p.domain_id
               WHERE (p.created_at, p.id) < ($2, $3)
               ORDER BY p.created_at DESC, p.id DESC
               LIMIT $4"#,
            time,
            id,
            window.limit,
            least,
        );
    }
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.state = 'live'
             AND p.points >= $5
             AND (p.created_at, p.id) < ($2, $3)
           ORDER BY p.created_at DESC, p.id DESC
           LIMIT $4"#,
        time,
        id,
        window.limit,
        least,
    )
}

/// Of one author, by time; what is not living is left out.
pub async fn list_by_author(
    db: impl PgExecutor<'_>,
    window: Window,
    author_id: i64,
) -> sqlx::Result<Vec<PostCard>> {
    let (time, id) = window.time();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.author_id = $5
             AND p.state = 'live'
             AND (p.created_at, p.id) < ($2, $3)
           ORDER BY p.created_at DESC, p.id DESC
           LIMIT $4"#,
        time,
        id,
        window.limit,
        author_id,
    )
}

/// Of one domain, by time.
pub async fn list_by_domain(
    db: impl PgExecutor<'_>,
    window: Window,
    domain: &str,
) -> sqlx::Result<Vec<PostCard>> {
    let (time, id) = window.time();
    cards!(
        db,
        window,
        r#" FROM posts p
            LEFT JOIN domains d ON d.id = p.domain_id
           WHERE p.domain_id = (SELECT o.id FROM domains o WHERE o.name = $5)
             AND p.state = 'live'
             AND (p.created_at, p.id) < ($2, $3)
           ORDER BY p.created_at DESC, p.id DESC
           LIMIT $4"#,
        time,
        id,
        window.limit,
        domain,
    )
}

/// With any of these tags, by time.
pub async fn list_by_tags(
    db: impl PgExecutor<'_>,
    window: Window,
    tags: &[i32],
) -> sqlx::Result<Vec<PostCard>> {
    let (time, id) = window.time();
    cards!(
        db,
        window,
        r#" FROM (SELECT DISTINCT each.post_id, each.created_at
                   FROM unnest($5::integer[]) AS wanted (tag_id)
                  CROSS JOIN LATERAL (
                        SELECT pt.post_id, pt.created_at
                          FROM post_tags pt
                          JOIN posts q ON q.id = pt.post_id AND q.state = 'live'
                         WHERE pt.tag_id = wanted.tag_id
                           AND (pt.created_at, pt.post_id) < ($2, $3)
                         ORDER BY pt.created_at DESC, pt.post_id DESC
                         LIMIT $4) each
                  ORDER BY each.created_at DESC, each.post_id DESC
                  LIMIT $4) found
            JOIN posts p ON p.id = found.post_id
            LEFT JOIN domains d ON d.id = p.domain_id
           ORDER BY p.created_at DESC, p.id DESC"#,
        time,
        id,
        window.limit,
        tags,
    )
}

/// What the original BetterNews' parameters on `/` ask for.
#[derive(Clone, Debug)]
pub struct Filter {
    /// By points, by time, or by hot rank.
    pub sort: FilterSort,
    /// Upwards instead of downwards.
    pub ascending: bool,
    /// Of this author only.
    pub author: Option<String>,
    /// Of this domain only.
    pub site: Option<String>,
    /// How many are skipped; at most 5,000.
    pub skip: i64,
}

/// The order of a [`Filter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterSort {
    /// By hot rank.
    Hot,
    /// By points.
    Points,
    /// By time.
    Recent,
}

/// Posts by the original parameters. Numbered pages are part of that contract: this is the one list that skips rows, and
/// never more than 5,000.
pub async fn list_filtered(
    db: impl PgExecutor<'_>,
    viewer: Option<i64>,
    filter: &Filter,
    limit: i64,
) -> sqlx::Result<Vec<PostCard>> {
    let mut query = QueryBuilder::new(
        "SELECT p.id, p.title, p.url, p.author_id, p.state, p.points, p.comment_count, p.created_at, p.active_at, p.hot,
                d.name AS domain, p.author_name AS author,
                p.tags,
                EXISTS (SELECT 1 FROM post_votes v WHERE v.post_id = p.id AND v.user_id = ",
    );
    query.push_bind(viewer).push(
        ") AS voted
           FROM posts p
           LEFT JOIN domains d ON d.id = p.domain_id
          WHERE p.state = 'live'",
    );
    if let Some(author) = &filter.author {
        query
            .push(" AND p.author_id = (SELECT a.id FROM users a WHERE a.username = ")
            .push_bind(author.clone())
            .push(")");
    }
    if let Some(site) = &filter.site {
        query
            .push(" AND p.domain_id = (SELECT o.id FROM domains o WHERE o.name = ")
            .push_bind(site.clone())
            .push(")");
    }
    query.push(match (filter.sort, filter.ascending) {
        (FilterSort::Hot, false) => " ORDER BY p.hot DESC, p.id DESC",
        (FilterSort::Hot, true) => " ORDER BY p.hot, p.id",
        (FilterSort::Points, false) => " ORDER BY p.points DESC, p.id DESC",
        (FilterSort::Points, true) => " ORDER BY p.points, p.id",
        (FilterSort::Recent, false) => " ORDER BY p.created_at DESC, p.id DESC",
        (FilterSort::Recent, true) => " ORDER BY p.created_at, p.id",
    });
    query
        .push(" LIMIT ")
        .push_bind(limit)
        .push(" OFFSET ")
        .push_bind(filter.skip);
    let rows = query.build().fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(PostCard {
                id: row.try_get("id")?,
                title: row.try_get("title")?,
                url: row.try_get("url")?,
                domain: row.try_get("domain")?,
                author_id: row.try_get("author_id")?,
                author: row.try_get("author")?,
                state: row.try_get("state")?,
                points: row.try_get("points")?,
                comment_count: row.try_get("comment_count")?,
                created_at: row.try_get("created_at")?,
                active_at: row.try_get("active_at")?,
                hot: row.try_get("hot")?,
                tags: row.try_get("tags")?,
                voted: row.try_get("voted")?,
            })
        })
        .collect()
}

/// The sort key of a post in a list by hot rank.
pub fn by_hot(post: &PostCard) -> Key {
    Key::Float(post.hot)
}

/// The sort key of a post in a list by points.
pub fn by_points(post: &PostCard) -> Key {
    Key::Int(post.points.into())
}

/// The sort key of a post in a list by time.
pub fn by_time(post: &PostCard) -> Key {
    Key::time(post.created_at)
}

/// The sort key of a post in the list by last comment.
pub fn by_activity(post: &PostCard) -> Key {
    Key::time(post.active_at.unwrap_or(post.created_at))
}
