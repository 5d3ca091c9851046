//! S11: roles hold permissions with conditions, as data; and S13: what changes nothing, and what must prove where it came
//! from.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::support::{Options, TestSite, Visitor, eventually};

async fn submitted(author: &Visitor, title: &str, tags: &str) -> i64 {
    author
        .submit_post(title, "", "A text that is long enough.", tags)
        .await
}

async fn remove(who: &Visitor, post: i64) -> u16 {
    let fields = [("reason", "not for this place")];
    let answer = who.post(&format!("/posts/{post}/remove"), &fields).await;
    answer.status.as_u16()
}

#[sqlx::test]
async fn s11_a_permission_with_a_condition_is_held_against_each_target(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let author = site.signed_up("alice").await;
    let recruiter = site.signed_up("rita").await;
    let job = submitted(&author, "Job: a gardener for tulips", "").await;
    let ask = submitted(&author, "Ask: why are there tulips?", "").await;
    let tagged = submitted(&author, "Tulips in memory safe languages", "rust").await;
    assert_eq!(remove(&recruiter, job).await, 403);
    site.execute(
        "WITH role AS (INSERT INTO roles (id, name, rank) VALUES (7, 'recruiter', 2) RETURNING id),
              given AS (INSERT INTO user_roles (user_id, role_id)
                        SELECT u.id, role.id FROM users u, role WHERE u.username = 'rita')
         INSERT INTO permissions (role_id, resource, action, condition)
         SELECT id, 'post', 'remove', 'kind=job' FROM role",
    )
    .await;
    recruiter
        .get(&format!("/posts/{job}/remove"))
        .await
        .expect_status(200);
    recruiter
        .get(&format!("/posts/{ask}/remove"))
        .await
        .expect_status(403);
    assert_eq!(remove(&recruiter, ask).await, 403);
    assert_eq!(remove(&recruiter, tagged).await, 403);
    assert_eq!(remove(&recruiter, job).await, 303);
    let form = format!("a[href='/posts/{ask}/remove']");
    let path = recruiter.get(&format!("/posts/{ask}")).await.location();
    assert!(!recruiter.get(&path).await.has(&form), "nor is it offered");

    site.execute("UPDATE permissions SET condition = 'tag=rust' WHERE condition = 'kind=job'")
        .await;
    assert_eq!(remove(&recruiter, ask).await, 403);
    assert_eq!(remove(&recruiter, tagged).await, 303);
    // A condition is no key to what looks at no target.
    site.execute("INSERT INTO permissions (role_id, resource, action, condition) VALUES (7, 'console', 'read', 'own')")
        .await;
    recruiter.get("/admin").await.expect_status(403);
    assert_eq!(
        site.value::<String>(
            "SELECT string_agg(state, ' ' ORDER BY id) FROM posts WHERE title LIKE '%ulip%'"
        )
        .await,
        "removed live removed"
    );
}

#[sqlx::test]
async fn s11_the_first_permission_that_is_taken_from_a_role_holds_at_once(pool: PgPool) {
    let site = TestSite::start(pool.clone()).await;
    let author = site.signed_up("alice").await;
    let post = submitted(&author, "A thing about tulips", "").await;
    let keeper = site.signed_up_as("mona", "moderator").await;
    let form = format!("/posts/{post}/remove");
    keeper.get(&form).await.expect_status(200);
    site.execute("DELETE FROM permissions WHERE resource = 'post' AND action = 'remove'")
        .await;
    keeper.get(&form).await.expect_status(403);
    author.get("/admin").await.expect_status(403);
}

/// Keeps what is logged as denied.
#[derive(Clone, Default)]
struct Denials(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Denials {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.contains("message=denied") {
            self.0.lock().expect("no panic before").push(text.0);
        }
    }
}

#[sqlx::test]
async fn s11_what_is_denied_is_logged_with_whom_and_what(pool: PgPool) {
    let denials = Denials::default();
    tracing_subscriber::registry()
        .with(denials.clone())
        .try_init()
        .expect("each test is a process of its own");
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id: i64 = site.value("SELECT id FROM users").await;
    let expect = |what: &str| {
        let logged = std::mem::take(&mut *denials.0.lock().expect("no panic before"));
        assert_eq!(logged.len(), 1, "{what}: {logged:?}");
        assert!(logged[0].contains(what), "{what}: {logged:?}");
        assert!(logged[0].contains(&format!("user.id={id}")), "{logged:?}");
    };
    alice.get("/admin").await.expect_status(403);
    expect("console.read");
    let post = submitted(&alice, "A thing about tulips", "").await;
    alice
        .post(&format!("/posts/{post}/vote"), &[("value", "1")])
        .await
        .expect_status(403);
    expect("vote on one's own");
    alice.get("/settings/tokens").await;
    let fields = [("name", "a script"), ("scopes", "read"), ("days", "30")];
    let page = alice.post("/settings/tokens", &fields).await;
    let request = alice
        .client()
        .delete(alice.url("/api/v1/auth/tokens/1"))
        .header("authorization", format!("Bearer {}", page.text(".secret")));
    alice.send(request).await.expect_status(403);
    expect("write");
    site.execute("UPDATE users SET banned_at = now(), ban_reason = 'spam'")
        .await;
    alice
        .post("/settings/profile", &[("about", "me")])
        .await
        .expect_status(403);
    expect("change while banned");
}

/// The program's subcommand on the site's databases; what it says, and whether it succeeded.
async fn roles(pool: &PgPool, prefix: &str, arguments: &[&str]) -> (bool, String) {
    let done = tokio::process::Command::new(env!("CARGO_BIN_EXE_betternews"))
        .arg("roles")
        .args(arguments)
        .env_clear()
        .env(
            "DATABASE_URL",
            pool.connect_options().to_url_lossy().to_string(),
        )
        .env("REDIS_URL", std::env::var("REDIS_URL").expect("REDIS_URL"))
        .env("REDIS_PREFIX", prefix)
        .env("SECRET_KEY", "a secret for the tests that is long enough")
        .output()
        .await
        .expect("it runs");
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[sqlx::test]
async fn s11_what_a_role_may_is_changed_at_the_terminal_and_holds_at_once(pool: PgPool) {
    let prefix = format!("test-{}:", betternews::web::signing::random_token(9));
    let options = Options {
        redis_prefix: Some(prefix.clone()),
        ..Options::default()
    };
    let site = TestSite::start_with(pool.clone(), options).await;
    let author = site.signed_up("alice").await;
    let reader = site.signed_up("bob").await;
    let job = submitted(&author, "Job: a gardener for tulips", "").await;
    let ask = submitted(&author, "Ask: why are there tulips?", "").await;
    let form = async |post: i64| reader.get(&format!("/posts/{post}/remove")).await.status;
    assert_eq!(form(job).await, 403);
    // Removing wants a higher rank besides: a rule about people, which no permission replaces.
    site.execute("INSERT INTO roles (id, name, rank) VALUES (7, 'gardener', 2)")
        .await;
    site.give_role("bob", "gardener").await;
    let of_jobs = ["gardener", "post", "remove", "--if", "kind=job"];
    let (done, said) = roles(&pool, &prefix, &[&["grant"], &of_jobs[..]].concat()).await;
    assert!(
        done && said.contains("Granted: post remove if kind=job"),
        "{said}"
    );
    eventually("the running site knows", async || form(job).await == 200).await;
    assert_eq!(form(ask).await, 403);
    let (_, said) = roles(&pool, &prefix, &["list"]).await;
    assert!(
        said.contains("gardener (rank 2)\n    post remove if kind=job"),
        "{said}"
    );
    let (done, _) = roles(&pool, &prefix, &[&["revoke"], &of_jobs[..]].concat()).await;
    assert!(done);
    eventually("the running site knows", async || form(job).await == 403).await;
    let audited: i64 = site
        .value("SELECT count(*) FROM audit WHERE subject = 'role:gardener' AND actor_id IS NULL")
        .await;
    assert_eq!(audited, 2);
    for bad in [
        &["grant", "nobody", "post", "remove"][..],
        &["grant", "gardener", "Post!", "remove"],
        &["grant", "gardener", "post", "remove", "--if", "sometimes"],
        &["revoke", "admin", "*", "*"],
    ] {
        let (done, said) = roles(&pool, &prefix, bad).await;
        assert!(!done, "{bad:?}: {said}");
    }
}

/// Every GET route of the table of contents, with what exists in the place of its parameters.
fn get_routes(post: i64, comment: i64) -> Vec<String> {
    let table = include_str!("../../src/routes.rs");
    let (post, comment) = (post.to_string(), comment.to_string());
    let mut paths: Vec<String> = table
        .split("config.service(at(")
        .skip(1)
        .filter(|entry| {
            let entry = entry.split("));").next().unwrap_or_default();
            entry.contains("get(") || entry.contains("get_behind(")
        })
        .filter_map(|entry| entry.split('"').nth(1))
        .map(|path| {
            let id = if path.starts_with("/comments") {
                &comment
            } else {
                &post
            };
            let name = if path.starts_with("/admin/flags") {
                "caching"
            } else {
                "alice"
            };
            path.replace("{id}", id)
                .replace("{slug}", "a-slug")
                .replace("{name}", name)
                .replace("{tag}", "rust")
                .replace("{domain}", "example.com")
                .replace("{key}", "site.name")
                .replace("{token}", "0123456789abcdef")
                .replace("{file}", "nothing.css")
        })
        .collect();
    paths.dedup();
    paths
}

/// What each table holds, but for what is noted of any request: when somebody was last seen, and what was asked.
async fn fingerprint(pool: &PgPool) -> BTreeMap<String, Option<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables
          WHERE schemaname = 'public'
            AND tablename !~ '^(activity|jobs|job_|route_|sessions|_sqlx)'",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    assert!(tables.len() > 15, "{tables:?}");
    let mut prints = BTreeMap::new();
    for table in tables {
        let sql = format!(
            "SELECT md5(string_agg(row::text, ',' ORDER BY row::text))
               FROM (SELECT to_jsonb(t) - ARRAY['last_active_at', 'evaluated_at'] AS row
                       FROM {table} t) AS rows"
        );
        let print = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(pool)
            .await
            .expect("a fingerprint");
        prints.insert(table, print);
    }
    prints
}

#[sqlx::test]
async fn s13_no_get_changes_anything(pool: PgPool) {
    let site = TestSite::start(pool.clone()).await;
    let admin = site.signed_up_as("alice", "admin").await;
    let post = admin
        .submit_post(
            "A thing about tulips",
            "",
            "A text that is long enough.",
            "rust",
        )
        .await;
    let comment = admin.comment(post, None, "Tulips are worth a word.").await;
    site.execute("WITH d AS (INSERT INTO domains (name) VALUES ('example.com') RETURNING id) UPDATE posts SET domain_id = d.id FROM d")
        .await;
    let before = fingerprint(&pool).await;
    let paths = get_routes(post, comment);
    assert!(paths.len() > 60, "{paths:?}");
    for path in &paths {
        let answer = admin.get(path).await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.body);
        let with_query = format!(
            "{path}?confirm=1&value=1&delete=1&csrf_token={}",
            admin.token()
        );
        assert!(admin.get(&with_query).await.status.as_u16() < 500, "{path}");
    }
    let after = fingerprint(&pool).await;
    for (table, print) in &before {
        assert_eq!(after.get(table), Some(print), "{table} has changed");
    }
    assert!(
        admin.get("/about").await.has(".menu summary"),
        "still signed in"
    );
}

#[sqlx::test]
async fn s13_a_foreign_page_changes_nothing_even_with_the_right_token(pool: PgPool) {
    let site = TestSite::start_with(pool, Options::default()).await;
    let alice = site.signed_up("alice").await;
    let token = alice.token();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request = alice
            .client()
            .post(alice.url("/settings/profile"))
            .header(name, value)
            .form(&[("about", "taken over"), ("csrf_token", token.as_str())]);
        alice.send(request).await.expect_status(403);
    }
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM user_bodies").await,
        0
    );
}
