//! The demo site: issue 2, item 9.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot have fails the test"
)]

use betternews::news::demo::{self, Options, Summary};
use betternews::news::verify::verify;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Row};

/// A moment, whole to the microsecond that PostgreSQL keeps.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn options(posts: u64, comments: u64, users: u64) -> Options {
    Options {
        posts,
        comments,
        users,
        seed: 7,
        now: now(),
    }
}

async fn seed(pool: &PgPool, options: &Options) -> Summary {
    demo::seed(&mut pool.acquire().await.unwrap(), options, |_| {})
        .await
        .unwrap()
}

async fn seed_tags(pool: &PgPool) {
    sqlx::raw_sql(include_str!("../../seeds/0002_tags.sql"))
        .execute(pool)
        .await
        .unwrap();
}

async fn assert_no_drift(pool: &PgPool) {
    assert_eq!(
        verify(&mut pool.acquire().await.unwrap(), |_| {})
            .await
            .unwrap(),
        []
    );
}

async fn fingerprint(conn: &mut PgConnection) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        "users",
        "user_bodies",
        "domains",
        "posts",
        "post_bodies",
        "post_tags",
        "post_votes",
        "comments",
        "comment_bodies",
        "comment_votes",
        "tags",
    ] {
        let query = format!(
            "SELECT count(*)::text || ' ' || md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t"
        );
        let row: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        all.push(format!("{table} {row}"));
    }
    all
}

/// Indexes and foreign keys, as the catalogue tells them.
async fn structure(conn: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
          UNION ALL
         SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace
          ORDER BY 1",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "./migrations")]
async fn a_demo_is_as_large_as_asked_and_its_counters_are_right(pool: PgPool) {
    seed_tags(&pool).await;
    let summary = seed(&pool, &options(400, 6000, 300)).await;
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM comments), (SELECT count(*) FROM users),
                (SELECT count(*) FROM post_votes) + (SELECT count(*) FROM comment_votes)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        counts,
        (400, 6000, 300, i64::try_from(summary.votes).unwrap())
    );
    assert_eq!(
        (summary.posts, summary.comments, summary.users),
        (400, 6000, 300)
    );
    assert!(summary.votes > 2000, "{summary:?}");
    assert_no_drift(&pool).await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_demo_is_believable(pool: PgPool) {
    seed_tags(&pool).await;
    seed(&pool, &options(400, 6000, 300)).await;
    let row = sqlx::query(
        "SELECT (SELECT max(comment_count) FROM posts) AS largest,
                (SELECT max(depth)::integer FROM comments) AS deepest,
                (SELECT count(DISTINCT kind) FROM posts) AS kinds,
                (SELECT count(*) FROM posts WHERE created_at > $1 - interval '1 day') AS today,
                (SELECT count(*) FROM posts WHERE created_at < $1 - interval '1 year') AS old,
                (SELECT count(*) FROM comments c JOIN comments p ON p.id = c.parent_id WHERE p.created_at > c.created_at OR p.author_id = c.author_id) AS wrong_answers,
                (SELECT count(*) FROM (SELECT created_at, author_id FROM posts UNION ALL SELECT created_at, author_id FROM comments) t
                   JOIN users u ON u.id = t.author_id WHERE t.created_at > $1 OR t.created_at < u.created_at) AS out_of_time,
                (SELECT count(*) FROM comments c JOIN posts p ON p.id = c.post_id WHERE c.created_at < p.created_at) AS too_early,
                (SELECT count(*) FROM post_votes v JOIN posts p ON p.id = v.post_id WHERE p.author_id = v.user_id OR v.created_at > $1 OR v.created_at < p.created_at) AS odd_votes,
                (SELECT count(*) FROM comment_votes v JOIN comments c ON c.id = v.comment_id WHERE c.author_id = v.user_id OR v.created_at > $1) AS odd_comment_votes,
                (SELECT count(*) FROM users WHERE password_hash IS NOT NULL) AS with_password,
                (SELECT count(*) FROM posts WHERE url IS NOT NULL AND url NOT LIKE '%.example/%') AS real_hosts,
                (SELECT max(points) FROM posts) AS best,
                (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY points) FROM posts) AS median",
    )
    .bind(now())
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(row.get::<i32, _>("largest") >= 500);
    assert!(row.get::<i32, _>("deepest") >= 50);
    assert_eq!(row.get::<i64, _>("kinds"), 6);
    assert!(row.get::<i64, _>("today") >= 30 && row.get::<i64, _>("old") >= 30);
    for wrong in [
        "wrong_answers",
        "out_of_time",
        "too_early",
        "odd_votes",
        "odd_comment_votes",
        "with_password",
        "real_hosts",
    ] {
        assert_eq!(row.get::<i64, _>(wrong), 0, "{wrong}");
    }
    assert!(
        row.get::<i32, _>("best") > 100 && row.get::<i32, _>("median") <= 4,
        "power law"
    );
    // What is on the front page is fresh, and the great thread is there.
    let front: (i64, i32) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE created_at > $1 - interval '3 days'), max(comment_count) FROM (SELECT * FROM posts WHERE state = 'live' ORDER BY hot DESC, id DESC LIMIT 30) p",
    )
    .bind(now())
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(front.0 >= 28 && front.1 >= 500, "{front:?}");
}

#[sqlx::test(migrations = "./migrations")]
async fn the_same_seed_gives_the_same_site(pool: PgPool) {
    seed_tags(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let mut found = Vec::new();
    for number in [7, 7, 8] {
        sqlx::raw_sql("TRUNCATE users, domains, posts, comments RESTART IDENTITY CASCADE; UPDATE tags SET post_count = 0").execute(&mut *conn).await.unwrap();
        demo::seed(
            &mut conn,
            &Options {
                seed: number,
                ..options(120, 900, 60)
            },
            |_| {},
        )
        .await
        .unwrap();
        found.push(fingerprint(&mut conn).await);
    }
    assert_eq!(found[0], found[1]);
    assert_ne!(found[0], found[2]);
}

#[sqlx::test(migrations = "./migrations")]
async fn an_empty_sites_indexes_are_taken_down_and_put_up_again(pool: PgPool) {
    seed_tags(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let before = structure(&mut conn).await;
    let mut indexed = false;
    demo::seed(&mut conn, &options(3000, 50_000, 800), |progress| {
        indexed |= matches!(progress, demo::Progress::Index { .. })
    })
    .await
    .unwrap();
    assert!(indexed);
    assert_eq!(structure(&mut conn).await, before);
    assert_no_drift(&pool).await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_second_demo_stands_beside_the_first(pool: PgPool) {
    seed_tags(&pool).await;
    sqlx::query("INSERT INTO users (username, name_key, password_hash) VALUES ('x', 'x', 'x')")
        .execute(&pool)
        .await
        .unwrap();
    assert!(
        demo::is_empty(&mut pool.acquire().await.unwrap())
            .await
            .unwrap()
    );
    for _ in 0..3 {
        seed(&pool, &options(30, 200, 20)).await;
    }
    assert!(
        !demo::is_empty(&mut pool.acquire().await.unwrap())
            .await
            .unwrap()
    );
    let counts: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM users)")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(counts, (90, 61));
    assert_no_drift(&pool).await;
    // The ids that follow are free.
    sqlx::query("INSERT INTO posts (title) VALUES ('next')")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO users (username, name_key) VALUES ('next', 'next')")
        .execute(&pool)
        .await
        .unwrap();
}

#[sqlx::test(migrations = "./migrations")]
async fn a_small_demo_and_an_odd_one_are_made_or_refused(pool: PgPool) {
    for (posts, comments, users) in [(1, 0, 2), (1, 40, 2), (2, 7000, 3), (0, 0, 0), (0, 0, 5)] {
        seed(&pool, &options(posts, comments, users)).await;
        assert_no_drift(&pool).await;
    }
    let mut conn = pool.acquire().await.unwrap();
    for refused in [options(0, 1, 5), options(1, 0, 1), options(u64::MAX, 0, 5)] {
        assert!(demo::seed(&mut conn, &refused, |_| {}).await.is_err());
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn verify_finds_what_is_wrong(pool: PgPool) {
    seed_tags(&pool).await;
    seed(&pool, &options(50, 300, 30)).await;
    sqlx::raw_sql(
        "UPDATE posts SET votes = votes + 1, comment_count = comment_count + 2, active_at = now() WHERE id = 3;
         UPDATE comments SET votes = votes + 1 WHERE id <= 20;
         UPDATE users SET karma = karma - 1, post_count = post_count + 1, comment_count = comment_count + 1 WHERE id = 2;
         UPDATE tags SET post_count = post_count + 1 WHERE name = 'meta'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let drifts = verify(&mut pool.acquire().await.unwrap(), |_| {})
        .await
        .unwrap();
    let found: Vec<(&str, u64)> = drifts
        .iter()
        .map(|drift| (drift.counter, drift.rows))
        .collect();
    assert_eq!(
        found,
        [
            ("posts.votes", 1),
            ("comments.votes", 20),
            ("users.karma", 1),
            ("posts.comment_count", 1),
            ("posts.active_at", 1),
            ("users.post_count", 1),
            ("users.comment_count", 1),
            ("tags.post_count", 1),
        ]
    );
    assert_eq!(drifts[1].first.len(), 10);
    assert_eq!(
        (
            drifts[7].first[0].stored.as_str(),
            drifts[7].first[0].counted.as_str()
        ),
        ("1", "0")
    );
}
