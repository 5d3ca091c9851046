//! Importing Hacker News items: issue 2, item 8; P19. The files in `tests/fixtures/hn` are of our own making.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot have fails the test"
)]

use betternews::news::import::{self, Progress, Summary};
use betternews::news::verify::verify;
use sqlx::{PgConnection, PgPool, Row};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/hn")
        .join(name)
}

async fn import(pool: &PgPool, files: &[PathBuf]) -> Summary {
    let mut conn = pool.acquire().await.unwrap();
    import::hn(&mut conn, files.to_vec(), |_| {}).await.unwrap()
}

async fn assert_no_drift(pool: &PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    assert_eq!(verify(&mut conn, |_| {}).await.unwrap(), []);
}

/// Everything that an import can write, as one number.
async fn fingerprint(conn: &mut PgConnection) -> String {
    let mut all = String::new();
    for table in [
        "users",
        "user_bodies",
        "domains",
        "posts",
        "post_bodies",
        "comments",
        "comment_bodies",
    ] {
        let query = format!(
            "SELECT count(*)::text || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t"
        );
        let row: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        all += &format!("{table} {row}\n");
    }
    all
}

#[sqlx::test(migrations = "./migrations")]
async fn items_in_any_order_become_posts_and_threads(pool: PgPool) {
    let summary = import(&pool, &[fixture("items.jsonl")]).await;
    assert_eq!(
        (
            summary.posts,
            summary.comments,
            summary.options,
            summary.repeated
        ),
        (7, 5, 2, 1)
    );
    assert_eq!(
        (summary.orphans, &summary.missing),
        (2, &vec![(9100, 8999)])
    );
    assert_eq!(
        (summary.odd_urls, summary.unnamed, summary.users),
        (1, 0, 6)
    );
    assert_no_drift(&pool).await;

    let post = sqlx::query(
        "SELECT p.title, p.url, p.url_key, p.kind, p.state, p.points, p.comment_count, d.name AS domain, u.username, u.karma,
                extract(epoch FROM p.created_at)::bigint AS created, extract(epoch FROM p.active_at)::bigint AS active
           FROM posts p JOIN domains d ON d.id = p.domain_id JOIN users u ON u.id = p.author_id WHERE p.hn_id = 9001",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        post.get::<&str, _>("title"),
        "A compiler in \"one\" page & more"
    );
    assert_eq!(
        post.get::<&str, _>("url"),
        "http://www.example.com/compiler/"
    );
    assert_eq!(post.get::<&str, _>("url_key"), "example.com/compiler");
    assert_eq!(
        (
            post.get::<&str, _>("kind"),
            post.get::<&str, _>("state"),
            post.get::<&str, _>("domain")
        ),
        ("link", "live", "example.com")
    );
    assert_eq!(
        (
            post.get::<i32, _>("points"),
            post.get::<i32, _>("comment_count")
        ),
        (57, 3)
    );
    assert_eq!(
        (post.get::<i64, _>("created"), post.get::<i64, _>("active")),
        (1_300_000_000, 1_300_000_300)
    );
    assert_eq!(
        (post.get::<&str, _>("username"), post.get::<i32, _>("karma")),
        ("ines", 1 + 56 + 2)
    );

    let thread: Vec<(i64, i16, Option<i64>, i64, String, String)> = sqlx::query_as(
        "SELECT c.hn_id, c.depth, p.hn_id, r.hn_id, c.state, b.source
           FROM comments c JOIN comment_bodies b ON b.comment_id = c.id JOIN comments r ON r.id = c.root_id LEFT JOIN comments p ON p.id = c.parent_id
          ORDER BY c.hn_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let row = |id, depth, parent, root, state: &str, source: &str| {
        (id, depth, parent, root, state.to_owned(), source.to_owned())
    };
    assert_eq!(
        thread,
        [
            row(
                9010,
                0,
                None,
                9010,
                "live",
                "First!\n\n```\nlet x = 1;\n  x\n```"
            ),
            row(
                9011,
                1,
                Some(9010),
                9010,
                "live",
                "Not the same person as tove"
            ),
            row(
                9012,
                2,
                Some(9011),
                9010,
                "live",
                "Deeper 'still', with <https://example.com/a_b>"
            ),
            row(9013, 0, None, 9013, "dead", "never mind"),
            row(9014, 1, Some(9010), 9010, "deleted", ""),
        ]
    );

    let kinds: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT hn_id, kind, state, title FROM posts WHERE hn_id > 9001 ORDER BY hn_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let kinds: Vec<(i64, &str, &str, &str)> = kinds
        .iter()
        .map(|(id, kind, state, title)| (*id, &**kind, &**state, &**title))
        .collect();
    assert_eq!(
        kinds,
        [
            (9002, "ask", "live", "Ask HN: Which editor?"),
            (9003, "show", "live", "Show HN: A clock"),
            (9004, "job", "live", "Acme is hiring"),
            (9005, "poll", "live", "Poll: tabs or spaces"),
            (9008, "text", "deleted", ""),
            (9009, "link", "dead", "Buy"),
        ]
        .map(|(id, kind, state, title)| (
            id,
            if id == 9009 { "text" } else { kind },
            state,
            title
        ))
    );
    let poll: (String, String) =
        sqlx::query_as("SELECT b.source, b.html FROM post_bodies b JOIN posts p ON p.id = b.post_id WHERE p.hn_id = 9005").fetch_one(&pool).await.unwrap();
    assert_eq!(
        poll.0,
        "Once and for all.\n\n- Tabs & *only* tabs (31 points)\n- Spaces (20 points)"
    );
    assert!(
        poll.1
            .contains("<li>Tabs &amp; <em>only</em> tabs (31 points)</li>"),
        "{}",
        poll.1
    );
}

#[sqlx::test(migrations = "./migrations")]
async fn a_broken_line_is_named_and_the_rest_goes_on(pool: PgPool) {
    let summary = import(&pool, &[fixture("items.jsonl")]).await;
    let faults: Vec<(u64, &str)> = summary
        .named_faults
        .iter()
        .map(|fault| (fault.line, fault.reason.as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            (4, "the JSON ends too early"),
            (8, "not a JSON object"),
            (10, "it has no time, or one out of range")
        ]
    );
    assert_eq!((summary.faults, summary.read), (3, 18));
    assert_eq!(summary.named_faults[0].file, fixture("items.jsonl"));
}

#[sqlx::test(migrations = "./migrations")]
async fn names_that_differ_only_in_case_are_two_people(pool: PgPool) {
    import(&pool, &[fixture("items.jsonl")]).await;
    let names: Vec<(String, String)> = sqlx::query_as(
        "SELECT username, name_key FROM users WHERE lower(username) = 'tove' ORDER BY id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        names,
        [
            ("tove".to_owned(), "tove".to_owned()),
            ("Tove".to_owned(), "tove#Tove".to_owned())
        ]
    );
    let mirela: (i32, i32, i32, i32, String) = sqlx::query_as(
        "SELECT karma, base_karma, post_count, comment_count, b.source FROM users u JOIN user_bodies b ON b.user_id = u.id WHERE username = 'mirela'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(mirela, (155, 155, 1, 1, "I *bake*.".to_owned()));
}

#[sqlx::test(migrations = "./migrations")]
async fn a_member_is_not_taken_for_an_imported_user(pool: PgPool) {
    sqlx::query("INSERT INTO users (username, name_key, password_hash) VALUES ('ines', 'ines', 'x'), ('MIRELA', 'mirela', 'x')").execute(&pool).await.unwrap();
    let summary = import(&pool, &[fixture("items.jsonl")]).await;
    assert_eq!(summary.renamed, 1);
    let authors: Vec<(String, String)> = sqlx::query_as(
        "SELECT u.username, u.name_key FROM posts p JOIN users u ON u.id = p.author_id WHERE p.hn_id IN (9001, 9003) ORDER BY p.hn_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        authors,
        [
            ("ines-hn".to_owned(), "ines-hn".to_owned()),
            ("mirela".to_owned(), "mirela#mirela".to_owned())
        ]
    );
    assert_no_drift(&pool).await;
    let before = fingerprint(&mut pool.acquire().await.unwrap()).await;
    import(&pool, &[fixture("items.jsonl")]).await;
    assert_eq!(
        fingerprint(&mut pool.acquire().await.unwrap()).await,
        before
    );
}

#[sqlx::test(migrations = "./migrations")]
async fn twice_changes_nothing_and_later_items_find_their_parents(pool: PgPool) {
    import(&pool, &[fixture("items.jsonl")]).await;
    let before = fingerprint(&mut pool.acquire().await.unwrap()).await;
    let again = import(&pool, &[fixture("items.jsonl")]).await;
    assert_eq!(
        (again.posts, again.comments, again.users, again.known),
        (0, 0, 0, 14)
    );
    assert_eq!(
        fingerprint(&mut pool.acquire().await.unwrap()).await,
        before
    );

    let later = import(&pool, &[fixture("later.jsonl")]).await;
    assert_eq!((later.comments, later.users, later.orphans), (3, 1, 0));
    let placed: Vec<(i64, i16, i64, i64)> = sqlx::query_as(
        "SELECT c.hn_id, c.depth, r.hn_id, p.hn_id FROM comments c JOIN comments r ON r.id = c.root_id JOIN posts p ON p.id = c.post_id WHERE c.hn_id > 9200 ORDER BY c.hn_id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        placed,
        [
            (9201, 3, 9010, 9001),
            (9202, 4, 9010, 9001),
            (9203, 0, 9203, 9002)
        ]
    );
    assert_no_drift(&pool).await;
}

#[sqlx::test(migrations = "./migrations")]
async fn the_order_of_files_does_not_matter(pool: PgPool) {
    let summary = import(
        &pool,
        &[
            fixture("later.jsonl"),
            fixture("algolia.json"),
            fixture("items.jsonl"),
        ],
    )
    .await;
    assert_eq!(
        (summary.posts, summary.comments, summary.orphans),
        (8, 5 + 3 + 73, 2)
    );
    assert_no_drift(&pool).await;
}

#[sqlx::test(migrations = "./migrations")]
async fn algolias_nested_threads_are_unfolded(pool: PgPool) {
    let mut seen = Vec::new();
    let mut conn = pool.acquire().await.unwrap();
    let summary = import::hn(&mut conn, vec![fixture("algolia.json")], |progress| {
        seen.push(progress)
    })
    .await
    .unwrap();
    assert_eq!(
        (summary.posts, summary.comments, summary.faults),
        (1, 73, 0)
    );
    let deepest: (i16, String) =
        sqlx::query_as("SELECT c.depth, b.html FROM comments c JOIN comment_bodies b ON b.comment_id = c.id WHERE c.hn_id = 9380").fetch_one(&pool).await.unwrap();
    assert_eq!(deepest, (70, "<p>the bottom</p>\n".to_owned()));
    let emptied: String = sqlx::query_scalar("SELECT state FROM comments WHERE hn_id = 9390")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(emptied, "deleted");
    assert_no_drift(&pool).await;
    assert!(
        seen.contains(&Progress::Sort)
            && seen.contains(&Progress::Write {
                done: 74,
                total: 74
            })
    );
}

#[sqlx::test(migrations = "./migrations")]
async fn a_missing_file_leaves_nothing_behind(pool: PgPool) {
    let before = fingerprint(&mut pool.acquire().await.unwrap()).await;
    let mut conn = pool.acquire().await.unwrap();
    let result = import::hn(
        &mut conn,
        vec![fixture("items.jsonl"), fixture("nowhere.jsonl")],
        |_| {},
    )
    .await;
    assert!(result.is_err_and(|error| error.to_string().contains("nowhere.jsonl")));
    assert_eq!(fingerprint(&mut conn).await, before);
}

/// The real items lie beside the project, not in it: `BETTERNEWS_HN_DATA` says where.
#[sqlx::test(migrations = "./migrations")]
async fn real_hacker_news_threads_come_whole(pool: PgPool) {
    let named = std::env::var_os("BETTERNEWS_HN_DATA").map(PathBuf::from);
    let folder = named
        .clone()
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hn"));
    let files: Vec<PathBuf> = [
        "nested-2006-2007.jsonl",
        "thread-poll-2008.jsonl",
        "thread-show-hn-2026.jsonl",
        "stories-2016-2020.jsonl",
    ]
    .iter()
    .map(|name| folder.join(name))
    .collect();
    if named.is_none() && !folder.exists() {
        // A clone without the items has nothing to read, and script/test says so; every rule has its own test above.
        return;
    }
    let summary = import(&pool, &files).await;
    assert_eq!(
        (
            summary.faults,
            summary.orphans,
            summary.odd_urls,
            summary.unnamed
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (summary.posts, summary.comments, summary.read),
        (6295, 393, 6688)
    );
    assert_no_drift(&pool).await;
    let figures: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT max(depth)::bigint FROM comments), (SELECT count(*) FROM comments WHERE state = 'dead'),
                (SELECT count(*) FROM posts WHERE state = 'dead'), (SELECT count(*) FROM posts WHERE state = 'deleted')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(figures, (8, 14, 232, 5));
    let before = fingerprint(&mut pool.acquire().await.unwrap()).await;
    let again = import(&pool, &files).await;
    assert_eq!((again.posts, again.comments, again.users), (0, 0, 0));
    assert_eq!(
        fingerprint(&mut pool.acquire().await.unwrap()).await,
        before
    );
}
