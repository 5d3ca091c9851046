//! Lists (P02): each shows what it says, in its order, and pages without gaps; the original parameters work on `/`.

use sqlx::PgPool;

use crate::support::TestSite;

/// Ninety posts of three users over ninety days, with points, kinds, tags and two domains.
async fn ninety_posts(site: &TestSite) {
    site.execute("DELETE FROM post_tags").await;
    site.execute("DELETE FROM post_bodies").await;
    site.execute("DELETE FROM posts").await;
    site.execute("INSERT INTO users (username, name_key) VALUES ('ann', 'ann'), ('ben', 'ben'), ('cat', 'cat')").await;
    site.execute("INSERT INTO domains (name) VALUES ('one.example'), ('two.example')")
        .await;
    site.execute(
        "INSERT INTO posts (id, author_id, domain_id, kind, title, url, url_key, base_points, created_at, active_at)
         SELECT 100 + n, u.id, d.id,
                CASE WHEN n % 10 = 0 THEN 'ask' WHEN n % 10 = 5 THEN 'show' ELSE 'link' END,
                'Post number ' || n, 'https://' || d.name || '/' || n, d.name || '/' || n,
                (n * 37) % 101, now() - n * interval '1 day' - interval '1 minute',
                CASE WHEN n % 3 = 0 THEN now() - (90 - n) * interval '1 hour' END
           FROM generate_series(0, 89) AS n
           JOIN users u ON u.username = (ARRAY['ann', 'ben', 'cat'])[n % 3 + 1]
           JOIN domains d ON d.name = (ARRAY['one.example', 'two.example'])[n % 2 + 1]",
    )
    .await;
    site.execute(
        "INSERT INTO post_tags (post_id, tag_id, created_at)
         SELECT p.id, t.id, p.created_at
           FROM posts p
           JOIN tags t ON t.name = CASE WHEN p.id % 4 = 0 THEN 'rust' WHEN p.id % 4 = 1 THEN 'web' END",
    )
    .await;
}

/// All ids of a list, page after page, with the ranks that were shown.
async fn walk(site: &TestSite, path: &str) -> (Vec<i64>, Vec<i64>) {
    let visitor = site.visitor();
    let (mut ids, mut ranks) = (Vec::new(), Vec::new());
    let mut path = path.to_owned();
    loop {
        let page = visitor.get(&path).await.expect_status(200);
        ids.extend(
            page.attributes(".items > li", "id")
                .iter()
                .map(|id| id[5..].parse::<i64>().expect("an id")),
        );
        ranks.extend(
            page.texts(".items > li > .rank")
                .iter()
                .map(|r| r.parse::<i64>().expect("a rank")),
        );
        match page.attribute("a[rel=next]", "href") {
            Some(next) => path = next,
            None => return (ids, ranks),
        }
    }
}

async fn expected(site: &TestSite, tail: &str) -> Vec<i64> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT id FROM posts p {tail}"
    )))
    .fetch_all(&site.pool)
    .await
    .expect("a list")
}

#[sqlx::test]
async fn every_list_has_its_order_and_pages_without_gaps(pool: PgPool) {
    let site = TestSite::start(pool).await;
    ninety_posts(&site).await;
    let tagged = |names: &str| {
        format!(
            "WHERE id IN (SELECT post_id FROM post_tags JOIN tags t ON t.id = tag_id WHERE t.name IN ({names}))
             ORDER BY created_at DESC, id DESC"
        )
    };
    let top = |days: i64| {
        format!(
            "WHERE created_at > now() - {days} * interval '1 day' ORDER BY points DESC, id DESC"
        )
    };
    let cases = [
        ("/", "ORDER BY hot DESC, id DESC".to_owned()),
        ("/newest", "ORDER BY created_at DESC, id DESC".to_owned()),
        ("/active", "WHERE active_at IS NOT NULL ORDER BY active_at DESC, id DESC".to_owned()),
        ("/top?period=all", "ORDER BY points DESC, id DESC".to_owned()),
        ("/top?period=day", top(1)),
        ("/top?period=week", top(7)),
        ("/top?period=month", top(30)),
        ("/top?period=year", top(365)),
        ("/ask", "WHERE kind = 'ask' ORDER BY hot DESC, id DESC".to_owned()),
        ("/show", "WHERE kind = 'show' ORDER BY hot DESC, id DESC".to_owned()),
        ("/over?points=50", "WHERE points >= 50 ORDER BY created_at DESC, id DESC".to_owned()),
        ("/tags/rust", tagged("'rust'")),
        ("/tags/rust,web", tagged("'rust', 'web'")),
        (
            "/domains/one.example",
            "WHERE url LIKE '%one.example%' ORDER BY created_at DESC, id DESC".to_owned(),
        ),
        (
            "/users/ann/posts",
            "WHERE author_id = (SELECT id FROM users WHERE username = 'ann') ORDER BY created_at DESC, id DESC".to_owned(),
        ),
    ];
    for (path, tail) in cases {
        let (ids, ranks) = walk(&site, path).await;
        assert_eq!(ids, expected(&site, &tail).await, "{path}");
        assert_eq!(
            ranks,
            (1..=ids.len() as i64).collect::<Vec<_>>(),
            "the rank runs on: {path}"
        );
        assert!(!ids.is_empty(), "{path}");
    }
}

#[sqlx::test]
async fn what_is_not_living_is_on_no_list(pool: PgPool) {
    let site = TestSite::start(pool).await;
    ninety_posts(&site).await;
    site.execute("UPDATE posts SET state = 'removed' WHERE id = 100")
        .await;
    site.execute("UPDATE posts SET state = 'dead' WHERE id = 102")
        .await;
    for path in [
        "/",
        "/newest",
        "/active",
        "/top?period=all",
        "/ask",
        "/tags/rust",
        "/domains/one.example",
        "/users/ann/posts",
    ] {
        let (ids, _) = walk(&site, path).await;
        assert!(!ids.contains(&100) && !ids.contains(&102), "{path}");
    }
}

#[sqlx::test]
async fn a_cursor_belongs_to_its_list(pool: PgPool) {
    let site = TestSite::start(pool).await;
    ninety_posts(&site).await;
    let visitor = site.visitor();
    let next = visitor
        .get("/newest")
        .await
        .attribute("a[rel=next]", "href")
        .expect("more");
    let cursor = next.split_once("after=").expect("a cursor").1;
    visitor
        .get(&format!("/newest?after={cursor}"))
        .await
        .expect_status(200);
    for path in [
        "/",
        "/active",
        "/top",
        "/ask",
        "/tags/rust",
        "/domains/one.example",
        "/comments",
        "/over",
        "/users/ann/posts",
    ] {
        let answer = visitor
            .get(&format!("{path}?after={cursor}"))
            .await
            .expect_status(400);
        assert!(answer.body.contains("does not lead on"), "{path}");
    }
}

#[sqlx::test]
async fn the_original_parameters_work_on_the_front_page(pool: PgPool) {
    let site = TestSite::start(pool).await;
    ninety_posts(&site).await;
    let first = async |path: &str| {
        let page = site.visitor().get(path).await.expect_status(200);
        page.attributes(".items > li", "id")
            .iter()
            .map(|id| id[5..].parse::<i64>().expect("id"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        first("/?sortBy=points&limit=5").await,
        expected(&site, "ORDER BY points DESC, id DESC LIMIT 5").await
    );
    assert_eq!(
        first("/?sort=recent&order=asc&limit=7&page=2").await,
        expected(&site, "ORDER BY created_at, id LIMIT 7 OFFSET 7").await
    );
    assert_eq!(first("/?author=ann&limit=100").await.len(), 30);
    assert_eq!(
        first("/?site=two.example&sortBy=recent&limit=100")
            .await
            .len(),
        45
    );
    assert_eq!(first("/?author=nobody").await.len(), 0);
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "page=0",
        "page=51",
        "sortBy=fame",
        "order=sideways",
        "limit=1&limit=2",
    ] {
        site.visitor()
            .get(&format!("/?{bad}"))
            .await
            .expect_status(400);
    }
}

#[sqlx::test]
async fn strange_addresses_are_404_or_400_and_never_worse(pool: PgPool) {
    let site = TestSite::start(pool).await;
    for (path, status) in [
        ("/tags/nonexistent", 404),
        ("/tags/%00", 404),
        ("/tags/rust,", 404),
        ("/domains/nowhere.example", 404),
        ("/users/nobody", 404),
        ("/users/%F0%9F%92%A9", 404),
        ("/users/%FF", 404),
        ("/top?period=century", 400),
        ("/over?points=99999999999", 400),
        ("/posts/abc", 404),
        ("/comments/9223372036854775808", 404),
        ("/comments/9223372036854775807", 404),
        ("/item?id=5", 404),
        ("/item", 400),
        ("/newest?after=newest.i7fffffffffffffff.1.0", 200),
        ("/newest?after=newest.i8000000000000000.1.0", 200),
    ] {
        site.visitor().get(path).await.expect_status(status);
    }
}

/// A signed-in front page costs at most 2 queries, a thread 3 (DESIGN section 4), counted by sqlx's own events.
#[sqlx::test]
async fn pages_cost_few_queries(pool: PgPool) {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
        registry::LookupSpan,
        util::SubscriberInitExt,
    };

    struct Count(Arc<AtomicUsize>);
    impl<S> Layer<S> for Count
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
            // What background tasks ask meanwhile is not the page's.
            let of_request = context
                .event_scope(event)
                .is_some_and(|mut scope| scope.any(|span| span.name() == "request"));
            if of_request && event.metadata().target() == "sqlx::query" {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    tracing_subscriber::registry()
        .with(Count(count.clone()))
        .try_init()
        .expect("each test is a process of its own");

    for without_redis in [false, true] {
        let site = if without_redis {
            TestSite::start_without_redis(pool.clone()).await
        } else {
            TestSite::start(pool.clone()).await
        };
        let name = if without_redis { "bob" } else { "alice" };
        let visitor = site.signed_up(name).await;
        let post = visitor
            .submit_post(
                &format!("A post of {name}"),
                "",
                "With a text of its own.",
                "rust",
            )
            .await;
        let path = visitor.get(&format!("/posts/{post}")).await.location();
        for (path, most) in [("/", 2), ("/newest", 2), (path.as_str(), 3)] {
            let before = count.load(Ordering::SeqCst);
            visitor.get(path).await.expect_status(200);
            let queries = count.load(Ordering::SeqCst) - before;
            assert!(
                queries <= most && queries > 0,
                "{path} took {queries} queries, without_redis: {without_redis}"
            );
        }
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn names_and_tags_in_rows_follow_their_tables(pool: PgPool) {
    let row = "SELECT p.author_name || ' ' || array_to_string(p.tags, ',') || ' ' || c.author_name
                 FROM posts p JOIN comments c ON c.post_id = p.id";
    let steps = [
        (
            "INSERT INTO users (id, username, name_key) VALUES (7, 'ada', 'ada');
             INSERT INTO tags (id, name) VALUES (1001, 'ships'), (1002, 'maps');
             INSERT INTO posts (id, author_id, title) VALUES (9, 7, 'A post');
             INSERT INTO comments (id, post_id, root_id, author_id) VALUES (5, 9, 5, 7);
             INSERT INTO post_tags (post_id, tag_id, created_at) VALUES (9, 1001, now()), (9, 1002, now())",
            "ada maps,ships ada",
        ),
        (
            "UPDATE users SET username = 'Ada' WHERE id = 7",
            "Ada maps,ships Ada",
        ),
        (
            "UPDATE tags SET name = 'atlases' WHERE id = 1001",
            "Ada atlases,maps Ada",
        ),
        ("DELETE FROM post_tags WHERE tag_id = 1002", "Ada atlases Ada"),
        ("DELETE FROM tags WHERE id = 1001", "Ada  Ada"),
    ];
    for (statement, expected) in steps {
        sqlx::raw_sql(statement)
            .execute(&pool)
            .await
            .expect(statement);
        let found: String = sqlx::query_scalar(row)
            .fetch_one(&pool)
            .await
            .expect("one row");
        assert_eq!(found, expected, "{statement}");
    }
    let wrong = sqlx::raw_sql("UPDATE posts SET author_name = 'someone'")
        .execute(&pool)
        .await;
    assert!(wrong.is_err(), "a name that is nobody's");
}
