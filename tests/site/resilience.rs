//! S18-S23 through the site: link previews of a server that misbehaves, Redis as a dependency, and transactions that are
//! made again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use betternews::platform::{
    kv::{self, Kv},
    resilience::{
        breaker::{Forced, State},
        dependencies::Guarded,
    },
};
use deadpool_redis::redis::cmd;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use crate::support::{Answer, Options, Outside, TestSite, Visitor, eventually};

/// A site and an outside that it may ask.
pub async fn with_outside(pool: PgPool) -> (TestSite, Outside) {
    let outside = Outside::start().await;
    let options = Options {
        outside: vec![outside.port],
        ..Options::default()
    };
    (TestSite::start_with(pool, options).await, outside)
}

/// Changes a setting, as the console would, and does not wait for the task that notices.
pub async fn set(site: &TestSite, key: &str, value: Value) {
    sqlx::query("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
        .bind(key)
        .bind(value)
        .execute(&site.pool)
        .await
        .expect("the setting is written");
    site.state
        .settings
        .refresh(&site.state.db)
        .await
        .expect("the settings are read");
    site.state.obey();
}

/// Asks the API for a preview.
pub async fn preview(visitor: &Visitor, url: &str) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("url", url)
        .finish();
    visitor.get(&format!("/api/v1/link-preview?{query}")).await
}

/// A body as JSON.
pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}

#[sqlx::test]
async fn s18_a_route_whose_dependency_fails_answers_at_once_until_it_is_well(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.link-preview",
        json!({ "breaker": { "reset": 1 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    site.state.dependencies.force("links", Some(Forced::Open));
    for _ in 0..5 {
        preview(&alice, &outside.url("/page"))
            .await
            .expect_status(503);
    }
    site.state.dependencies.force("links", None);
    let route = || {
        let found = site.state.dependencies.find("link-preview");
        found.expect("listed").breaker
    };
    assert_eq!((route().state, route().failures), (State::Open, 5));
    assert!(
        route()
            .last_failure
            .is_some_and(|failure| failure.reason.contains("the circuit is open"))
    );
    let refused = preview(&alice, &outside.url("/page"))
        .await
        .expect_status(503);
    assert_eq!(outside.hits("/page"), 0, "nobody asks");
    assert_eq!(
        json_of(&refused)["error"]["message"],
        "Service temporarily unavailable"
    );
    assert_eq!(refused.header("retry-after"), "1");
    preview(&site.visitor(), &outside.url("/page"))
        .await
        .expect_status(401);
    let mut answers = 0;
    while answers < 3 {
        // Each try that the open breaker refuses says how long; a success is one of the three that close it.
        answers += usize::from(preview(&alice, &outside.url("/page")).await.status == 200);
    }
    assert_eq!(route().state, State::Closed);
}

#[sqlx::test]
async fn s18_what_strangers_pages_do_closes_the_way_for_nobody(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.links",
        json!({ "retry": { "attempts": 1 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    let urls: Vec<String> = (0..12)
        .map(|n| outside.url(&format!("/fail?{n}")))
        .collect();
    for answer in join_all(urls.iter().map(|url| preview(&alice, url))).await {
        answer.expect_status(503);
    }
    let breaker = |name: &str| {
        let found = site.state.dependencies.find(name);
        found.expect("listed").breaker
    };
    assert_eq!(
        (breaker("links").state, breaker("links").failures),
        (State::Closed, 1),
        "one host speaks for itself, and once, however many ask it at a time"
    );
    assert_eq!(
        (
            breaker("link-preview").state,
            breaker("link-preview").failures
        ),
        (State::Closed, 0)
    );
    preview(&alice, &outside.url("/page"))
        .await
        .expect_status(200);
}

#[sqlx::test]
async fn s18_an_operator_forces_a_breaker_open_and_closed(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.links",
        json!({ "retry": { "attempts": 1 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    assert!(!site.state.dependencies.force("nothing", Some(Forced::Open)));
    for name in ["link-preview", "links"] {
        assert!(site.state.dependencies.force(name, Some(Forced::Open)));
        preview(&alice, &outside.url("/page"))
            .await
            .expect_status(503);
        assert_eq!(outside.hits("/page"), 0, "{name} is open");
        assert!(site.state.dependencies.force(name, None));
    }
    site.state
        .dependencies
        .force("link-preview", Some(Forced::Closed));
    for hits in 1..=8 {
        let path = format!("/fail?{hits}");
        preview(&alice, &outside.url(&path))
            .await
            .expect_status(503);
        assert_eq!(outside.hits(&path), 1, "forced closed, every call passes");
    }
}

#[sqlx::test]
async fn s19_what_fails_for_a_moment_is_tried_again_and_what_is_missing_is_not(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.links",
        json!({ "retry": { "base": 0.01 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    preview(&alice, &outside.url("/flaky"))
        .await
        .expect_status(200);
    assert_eq!(outside.hits("/flaky"), 3);
    preview(&alice, &outside.url("/missing"))
        .await
        .expect_status(404);
    preview(&alice, &outside.url("/fail"))
        .await
        .expect_status(503);
    for path in ["/missing", "/fail"] {
        preview(&alice, &outside.url(path)).await;
    }
    assert_eq!(
        (outside.hits("/missing"), outside.hits("/fail")),
        (1, 1),
        "404 and 500 are answers, and remembered for a while"
    );
    let retries = site
        .state
        .dependencies
        .find("links")
        .and_then(|status| status.retries)
        .expect("counted");
    assert_eq!((retries.attempts, retries.retried), (5, 2));
}

#[sqlx::test]
async fn s20_what_runs_is_listed_and_can_be_cancelled_and_ends_in_time(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let alice = site.signed_up("alice").await;
    let url = outside.url("/hang");
    let (answer, ()) = tokio::join!(preview(&alice, &url), async {
        while outside.hits("/hang") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let active = site.state.dependencies.active();
        assert!(
            active
                .iter()
                .any(|one| one.context == "links: 127.0.0.1, attempt 1" && one.limit_ms == 10_000),
            "{active:?}"
        );
        assert!(site.state.dependencies.cancel_all() > 0);
    });
    answer.expect_status(503);
    set(
        &site,
        "resilience.links",
        json!({ "timeout": { "attempt": 0.1 }, "retry": { "base": 0.01 } }),
    )
    .await;
    let began = Instant::now();
    preview(&alice, &url).await.expect_status(503);
    let retries = site
        .state
        .dependencies
        .find("links")
        .and_then(|status| status.retries)
        .expect("counted");
    assert_eq!(
        retries.attempts, 4,
        "one that was cancelled, and three that ended in time"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(site.state.dependencies.active(), []);
}

#[sqlx::test]
async fn s21_at_most_so_many_run_and_wait_and_the_rest_is_refused(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.links",
        json!({ "bulkhead": { "running": 1, "queued": 1 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    let stats = || {
        site.state
            .dependencies
            .find("links")
            .and_then(|status| status.bulkhead)
            .expect("counted")
    };
    let urls: Vec<String> = ["/gate?1", "/gate?2", "/page"]
        .iter()
        .map(|path| outside.url(path))
        .collect();
    let first = preview(&alice, &urls[0]);
    let second = async {
        while stats().running == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        preview(&alice, &urls[1]).await
    };
    let third = async {
        while stats().queued == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let answer = preview(&alice, &urls[2]).await;
        outside.open_gate(2);
        answer
    };
    let (first, second, third) = tokio::join!(first, second, third);
    first.expect_status(200);
    second.expect_status(200);
    third.expect_status(503);
    let stats = stats();
    assert_eq!(
        (stats.running, stats.queued, stats.total, stats.refused),
        (0, 0, 2, 1)
    );
    let health = site
        .state
        .dependencies
        .find("links")
        .expect("listed")
        .health;
    assert_eq!(health.calls, 3, "S22: a refused call counts");
    assert!(health.availability < 0.99 && health.error_rate == 0.0);
}

#[sqlx::test]
async fn s23_equal_previews_at_once_are_one_request(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let alice = site.signed_up("alice").await;
    let url = outside.url("/gate");
    let (answers, ()) = tokio::join!(join_all((0..20).map(|_| preview(&alice, &url))), async {
        while outside.hits("/gate") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        outside.open_gate(20);
    });
    answers
        .into_iter()
        .for_each(|answer| drop(answer.expect_status(200)));
    assert_eq!(outside.hits("/gate"), 1);
}

#[sqlx::test]
async fn s23_who_waits_is_not_bound_to_a_job_that_fetches_the_same(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(
        &site,
        "resilience.links",
        json!({ "retry": { "attempts": 1 } }),
    )
    .await;
    let alice = site.signed_up("alice").await;
    let url = outside.url("/gate");
    alice.submit_post("A title of mine", &url, "", "").await;
    eventually("the job asks", async || outside.hits("/gate") == 1).await;
    let (answer, ()) = tokio::join!(preview(&alice, &url), async {
        eventually("so does who waits", async || outside.hits("/gate") == 2).await;
        outside.open_gate(2);
    });
    answer.expect_status(200);
}

#[sqlx::test]
async fn s18_redis_is_seen_and_can_be_forced_and_the_site_goes_on(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let redis = || site.state.dependencies.find("redis").expect("listed");
    alice.get("/").await.expect_status(200);
    assert_eq!(redis().breaker.state, State::Closed);
    assert!(redis().breaker.successes > 0 && redis().health.availability == 1.0);
    // The operator's rules hold for it, too.
    let reset = || redis().rules.expect("its rules").breaker.reset;
    assert_eq!(reset(), Duration::from_secs(1));
    set(
        &site,
        "resilience.redis",
        json!({ "breaker": { "reset": 7 } }),
    )
    .await;
    assert_eq!(reset(), Duration::from_secs(7));
    set(&site, "resilience.redis", Value::Null).await;
    assert_eq!(reset(), Duration::from_secs(1));
    site.state.dependencies.force("redis", Some(Forced::Open));
    assert_eq!(redis().breaker.state, State::Open);
    let page = alice.get("/").await.expect_status(200);
    assert!(
        !page.has("form[action='/logout']"),
        "read as a guest meanwhile"
    );
    assert!(redis().breaker.refused > 0);
    site.state.dependencies.force("redis", None);
    assert!(
        alice
            .get("/")
            .await
            .expect_status(200)
            .has("form[action='/logout']")
    );
}

/// A Redis that answers the probe and, unless it is well, refuses everything else; and how many commands it was given.
async fn odd_redis(is_well: Arc<AtomicBool>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let commands = Arc::new(AtomicUsize::new(0));
    let counted = commands.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (is_well, counted) = (is_well.clone(), counted.clone());
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(head)) = lines.next_line().await {
                    let words: usize = head[1..].parse().expect("an array");
                    let mut command = Vec::new();
                    for _ in 0..words {
                        lines.next_line().await.expect("a length");
                        command.extend(lines.next_line().await.expect("a word"));
                    }
                    let answer = match command[0].to_ascii_uppercase().as_str() {
                        "PING" => match command.get(1) {
                            Some(said) => format!("${}\r\n{said}\r\n", said.len()),
                            None => "+PONG\r\n".to_owned(),
                        },
                        "GET" => {
                            counted.fetch_add(1, Ordering::SeqCst);
                            if is_well.load(Ordering::SeqCst) {
                                "$1\r\n7\r\n".to_owned()
                            } else {
                                "-READONLY for the test\r\n".to_owned()
                            }
                        }
                        _ => "+OK\r\n".to_owned(),
                    };
                    if write.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("redis://127.0.0.1:{port}"), commands)
}

#[tokio::test]
async fn s18_a_redis_that_answers_the_probe_and_nothing_else_is_done_without() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (url, commands) = odd_redis(is_well.clone()).await;
    let mut options = kv::Options::new(url.into());
    options.timeout = Duration::from_secs(2);
    let kv = Kv::open(&options).expect("a handle");
    let ask = async || kv.query::<u8>(cmd("GET").arg("x")).await;
    for _ in 0..5 {
        assert!(kv.is_up());
        assert!(ask().await.is_err_and(|error| error.is_unavailable()));
    }
    assert!(!kv.is_up());
    assert!(ask().await.is_err());
    assert_eq!(commands.load(Ordering::SeqCst), 5, "it is left alone");
    assert_eq!(kv.status().breaker.state, State::Open);
    is_well.store(true, Ordering::SeqCst);
    eventually("it is tried again, and trusted", async || {
        ask().await.is_ok() && kv.status().breaker.state == State::Closed
    })
    .await;
    assert!(kv.is_up());
}

#[sqlx::test]
async fn s18_s20_operators_see_what_is_called_and_steer_it(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let (alice, operator) = (
        site.signed_up("alice").await,
        site.signed_up_as("olga", "admin").await,
    );
    alice.get("/dependencies").await.expect_status(403);
    site.visitor().get("/dependencies").await.expect_status(401);
    operator.get("/about").await;
    let answer = operator
        .post("/dependencies/links/open", &[])
        .await
        .expect_status(200);
    assert_eq!(json_of(&answer)["forced"], "open");
    preview(&alice, &outside.url("/page"))
        .await
        .expect_status(503);
    assert_eq!(outside.hits("/page"), 0);
    operator
        .post("/dependencies/links/auto", &[])
        .await
        .expect_status(200);
    preview(&alice, &outside.url("/page"))
        .await
        .expect_status(200);
    for path in ["/dependencies/links/ajar", "/dependencies/nothing/open"] {
        operator.post(path, &[]).await.expect_status(404);
    }
    alice
        .post("/dependencies/links/open", &[])
        .await
        .expect_status(403);
    let url = outside.url("/hang");
    let (answer, ()) = tokio::join!(preview(&alice, &url), async {
        eventually("it is asked", async || outside.hits("/hang") > 0).await;
        let seen = json_of(&operator.get("/dependencies").await.expect_status(200));
        let active = seen["active"].as_array().expect("a list");
        assert!(
            active
                .iter()
                .any(|call| call["context"] == "links: 127.0.0.1, attempt 1")
        );
        let links = seen["dependencies"]
            .as_array()
            .and_then(|all| all.iter().find(|one| one["name"] == "links"))
            .expect("listed");
        assert_eq!(
            (&links["state"], &links["bulkhead"]["running"]),
            (&json!("closed"), &json!(1))
        );
        let ended = operator
            .client()
            .delete(operator.url("/dependencies/active"))
            .header("x-csrf-token", operator.token());
        let ended = operator.send(ended).await.expect_status(200);
        assert!(json_of(&ended)["count"].as_u64() > Some(0));
    });
    answer.expect_status(503);
}

#[sqlx::test]
async fn s19_a_transaction_that_collided_is_made_again_and_counts_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (alice, bob) = (site.signed_up("alice").await, site.signed_up("bob").await);
    let post = alice
        .submit_post("Something to vote on", "", "A text of some length.", "")
        .await;
    // A sequence is not rolled back, so that it counts the attempts.
    for statement in [
        "CREATE SEQUENCE attempts",
        "CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             CASE nextval('attempts')
                 WHEN 1 THEN RAISE EXCEPTION 'for the test' USING ERRCODE = '40001';
                 WHEN 2 THEN RAISE EXCEPTION 'for the test' USING ERRCODE = '40P01';
                 ELSE RETURN NEW;
             END CASE;
         END $$",
        "CREATE TRIGGER collide BEFORE INSERT ON post_votes FOR EACH ROW EXECUTE FUNCTION collide()",
        "CREATE TRIGGER collide BEFORE INSERT ON comments FOR EACH ROW EXECUTE FUNCTION collide()",
        "CREATE TRIGGER collide BEFORE INSERT ON post_bodies FOR EACH ROW EXECUTE FUNCTION collide()",
    ] {
        site.execute(statement).await;
    }
    let attempts = async || site.value::<i64>("SELECT last_value FROM attempts").await;
    bob.post(&format!("/posts/{post}/vote"), &[("value", "1")])
        .await
        .expect_status(303);
    assert_eq!(attempts().await, 3);
    site.execute("ALTER SEQUENCE attempts RESTART").await;
    bob.comment(post, None, "A comment that had to wait.").await;
    assert_eq!(attempts().await, 3);
    site.execute("ALTER SEQUENCE attempts RESTART").await;
    bob.submit_post("Another", "", "A text of some length.", "")
        .await;
    assert_eq!(attempts().await, 3);
    let counts: String = site
        .value(
            "SELECT concat_ws(' ', (SELECT sum(votes) FROM posts), (SELECT count(*) FROM comments),
                              (SELECT sum(comment_count) FROM posts), (SELECT count(*) FROM posts WHERE title = 'Another'))",
        )
        .await;
    assert_eq!(counts, "1 1 1 1");
    site.execute(
        "CREATE OR REPLACE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
                  BEGIN RAISE EXCEPTION 'for the test' USING ERRCODE = '40001'; END $$",
    )
    .await;
    let answer = alice
        .post(&format!("/posts/{post}/comments"), &[("text", "Never.")])
        .await
        .expect_status(503);
    assert!(
        !answer.header("retry-after").is_empty(),
        "three attempts, then it is told to come back"
    );
}

#[sqlx::test]
async fn s19_a_connection_lost_before_commit_is_replaced(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("Something to talk about", "", "A text of some length.", "")
        .await;
    for statement in [
        "CREATE SEQUENCE attempts",
        "CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('attempts') = 1 THEN
                 PERFORM pg_terminate_backend(pg_backend_pid());
             END IF;
             RETURN NEW;
         END $$",
        "CREATE TRIGGER hang_up BEFORE INSERT ON comments FOR EACH ROW EXECUTE FUNCTION hang_up()",
    ] {
        site.execute(statement).await;
    }
    alice.comment(post, None, "Said once.").await;
    assert_eq!(
        site.value::<i64>("SELECT last_value FROM attempts").await,
        2
    );
    assert_eq!(site.value::<i64>("SELECT count(*) FROM comments").await, 1);
}
