//! Guests' pages and values that are kept (S16, S17): fresh at once after a change, never anything personal, on every
//! instance, and there while the database is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use betternews::platform::cache::{Options as Kept, user_key};
use sqlx::PgPool;

use crate::{
    faults::postgres_proxy,
    support::{Answer, Mode, Options, Outside, TestSite, Visitor},
};

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn came(answer: &Answer) -> &str {
    answer.header("x-cache")
}

#[sqlx::test]
async fn s16_a_guests_page_is_made_once_and_again_after_each_change(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (guest, alice, bob) = (
        site.visitor(),
        site.signed_up("alice").await,
        site.signed_up("bob").await,
    );
    let id = alice
        .submit_post(
            "A cache that forgets",
            "https://example.org/cache",
            "",
            "web",
        )
        .await;
    let page = guest.get("/").await.expect_status(200);
    assert_eq!(came(&page), "MISS");
    assert!(page.body.contains("A cache that forgets"));
    let again = guest.get("/").await;
    assert_eq!((came(&again), &again.body), ("HIT", &page.body));
    assert_eq!(again.header("cache-control"), "no-cache");
    assert_eq!(again.header("vary"), "Cookie, Accept-Encoding");
    assert!(
        again.headers.contains_key("content-security-policy")
            && again.headers.contains_key("x-request-id")
    );

    bob.post(&format!("/posts/{id}/vote"), &[("value", "1")])
        .await
        .expect_status(303);
    let voted = guest.get("/").await;
    assert_eq!(came(&voted), "MISS");
    assert!(voted.texts(".points").contains(&"2 points".to_owned()));

    let path = format!("/posts/{id}/a-cache-that-forgets");
    guest.get(&path).await.expect_status(200);
    assert_eq!(came(&guest.get(&path).await), "HIT");
    bob.comment(id, None, "What does it remember?").await;
    let discussed = guest.get(&path).await;
    assert!(discussed.body.contains("What does it remember?"));
    assert!(
        guest
            .get("/comments")
            .await
            .body
            .contains("What does it remember?")
    );

    alice
        .post(&format!("/posts/{id}/delete"), &[])
        .await
        .expect_status(303);
    for path in ["/", "/newest", "/tags/web", "/domains/example.org"] {
        assert!(
            !guest.get(path).await.body.contains("A cache that forgets"),
            "{path}"
        );
    }
}

#[sqlx::test]
async fn s16_what_a_moderator_removes_is_gone_for_guests_at_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (guest, alice) = (site.visitor(), site.signed_up("alice").await);
    let moderator = site.signed_up_as("judge", "moderator").await;
    let id = alice
        .submit_post("Something unkind", "", "It names and blames somebody.", "")
        .await;
    let comment = alice.comment(id, None, "And so does this remark.").await;
    let path = format!("/posts/{id}/something-unkind");
    assert!(
        guest
            .get(&path)
            .await
            .body
            .contains("And so does this remark.")
    );
    let reason = [("reason", "It attacks a person.")];
    moderator
        .post(&format!("/comments/{comment}/remove"), &reason)
        .await
        .expect_status(303);
    for seen in [path.as_str(), "/comments"] {
        assert!(
            !guest
                .get(seen)
                .await
                .body
                .contains("And so does this remark."),
            "{seen}"
        );
    }
    guest.get("/moderation/log").await.expect_status(200);
    moderator
        .post(&format!("/posts/{id}/remove"), &reason)
        .await
        .expect_status(303);
    for seen in ["/", "/newest", "/users/alice/posts"] {
        assert!(
            !guest.get(seen).await.body.contains("Something unkind"),
            "{seen}"
        );
    }
    assert!(
        guest
            .get("/moderation/log")
            .await
            .body
            .contains("It attacks a person.")
    );
}

#[sqlx::test]
async fn s16_nothing_personal_is_kept_and_nobody_signed_in_is_served_from_it(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice-who-is-private").await;
    let mine = alice.get("/").await.expect_status(200);
    assert!(mine.body.contains("alice-who-is-private") && mine.body.contains("csrf_token"));
    assert_eq!(
        (came(&mine), mine.header("cache-control")),
        ("", "no-store")
    );
    let guest = site.visitor();
    for path in ["/", "/newest", "/about"] {
        for _ in 0..2 {
            let page = guest.get(path).await.expect_status(200);
            assert!(
                !page.body.contains("alice-who-is-private") && !page.body.contains("csrf_token"),
                "{path}"
            );
            assert!(
                !page.headers.contains_key("set-cookie")
                    && !page.headers.contains_key("x-cache-key")
            );
        }
    }
    let login = guest.get("/login").await.expect_status(200);
    assert_eq!(
        (came(&login), login.header("cache-control")),
        ("", "no-store")
    );
    assert_ne!(
        login.attribute("input[name=csrf_token]", "value"),
        site.visitor()
            .get("/login")
            .await
            .attribute("input[name=csrf_token]", "value")
    );
    let operator = site.signed_up_as("op", "admin").await;
    let page = operator.get("/top?period=day&after=").await;
    assert_eq!(page.header("x-cache-key"), "/top?after=&period=day");
    assert!(!alice.get("/").await.headers.contains_key("x-cache-key"));
}

#[sqlx::test]
async fn s16_themes_and_queries_have_pages_of_their_own(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (guest, dark) = (site.visitor(), site.visitor());
    let themed = |theme: &'static str| {
        dark.client()
            .get(dark.url("/about"))
            .header("cookie", format!("theme={theme}"))
    };
    guest.get("/about").await;
    let first = dark.send(themed("dark")).await;
    assert_eq!(came(&first), "MISS");
    assert!(first.body.contains("data-theme=\"dark\""));
    assert_eq!(came(&dark.send(themed("dark")).await), "HIT");
    assert!(
        !guest
            .get("/about")
            .await
            .body
            .contains("data-theme=\"dark\"")
    );
    assert_eq!(came(&guest.get("/top?period=day&x=1").await), "MISS");
    assert_eq!(came(&guest.get("/top?x=1&period=day").await), "HIT");
    assert_eq!(came(&guest.get("/top?x=1&period=year").await), "MISS");
    let missing = guest.get("/posts/999/nothing").await.expect_status(404);
    assert_eq!(came(&missing), "", "only successes are kept");
}

#[sqlx::test]
async fn s16_each_encoding_has_its_etag_and_a_known_page_is_a_304(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    let ask = async |encoding: &str, etag: Option<&str>| {
        let mut request = guest
            .client()
            .get(guest.url("/guidelines"))
            .header("accept-encoding", encoding);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        request.send().await.expect("an answer")
    };
    let mut etags = Vec::new();
    for (accepted, used) in [
        ("br, gzip", "br"),
        ("zstd", "zstd"),
        ("gzip", "gzip"),
        ("identity", ""),
    ] {
        for _ in 0..2 {
            let answer = ask(accepted, None).await;
            let encoding = answer
                .headers()
                .get("content-encoding")
                .map_or("", |v| v.to_str().expect("text"));
            assert_eq!(encoding, used);
            etags.push(answer.headers()["etag"].to_str().expect("text").to_owned());
        }
    }
    etags.dedup();
    assert_eq!(etags.len(), 4, "{etags:?}");
    let known = ask("br", Some(&format!("\"other\", W/{}", etags[0]))).await;
    assert_eq!(known.status(), 304);
    assert!(known.headers().contains_key("etag") && known.headers().contains_key("x-request-id"));
    assert!(known.bytes().await.expect("no body").is_empty());
    assert_eq!(ask("gzip", Some(&etags[0])).await.status(), 200);
    let head = guest
        .client()
        .head(guest.url("/guidelines"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (
            head.status().as_u16(),
            head.headers()["x-cache"].to_str().expect("text")
        ),
        (200, "HIT")
    );
}

#[sqlx::test]
async fn s16_a_stampede_of_500_guests_computes_the_page_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.state.pages.clear();
    let made = site.state.pages.stats().sets;
    let guest = site.visitor();
    let asked = (0..500).map(|_| guest.get("/newest"));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|a| a.status == 200));
    assert_eq!(answers.iter().filter(|a| came(a) == "MISS").count(), 1);
    assert_eq!(site.state.pages.stats().sets - made, 1);
}

#[sqlx::test]
async fn s16_with_postgres_away_kept_pages_stay_and_removed_ones_do_not_come_back(pool: PgPool) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        postgres: Some(through),
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let (guest, alice) = (site.visitor(), site.signed_up("alice").await);
    let id = alice
        .submit_post("Still to be read", "https://example.org/", "", "")
        .await;
    guest.get("/").await.expect_status(200);
    guest
        .get(&format!("/posts/{id}/still-to-be-read"))
        .await
        .expect_status(200);
    guest.get("/users/alice/posts").await.expect_status(200);
    // Outdated, but better than nothing; and something that must not be seen again.
    site.state.pages.invalidate(&["lists"]);
    site.state.pages.remove(&[format!(
        "user:{}",
        site.value::<i64>("SELECT id FROM users").await
    )]);
    for mode in [Mode::Refuse, Mode::Stall] {
        proxy.set(mode);
        for path in ["/", &format!("/posts/{id}/still-to-be-read")] {
            let started = Instant::now();
            let page = guest.get(path).await.expect_status(200);
            assert!(page.body.contains("Still to be read"), "{mode:?} {path}");
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "{mode:?} {path}"
            );
        }
        assert_eq!(came(&guest.get("/").await), "STALE");
        guest.get("/users/alice/posts").await.expect_status(503);
        proxy.set(Mode::Pass);
        until("pages are made anew", async || {
            guest.get("/users/alice/posts").await.status == 200
        })
        .await;
        let id = site.value::<i64>("SELECT id FROM users").await;
        site.state.pages.remove(&[format!("user:{id}")]);
    }
}

#[sqlx::test]
async fn s16_a_setting_switches_kept_pages_off_and_the_environment_too(pool: PgPool) {
    let site = TestSite::start(pool.clone()).await;
    let guest = site.visitor();
    guest.get("/about").await;
    assert_eq!(came(&guest.get("/about").await), "HIT");
    site.execute("INSERT INTO settings (key, value) VALUES ('cache.pages', 'false')")
        .await;
    until("the setting is followed", async || {
        came(&guest.get("/about").await).is_empty()
    })
    .await;
    let options = Options {
        environment: vec![("FEATURE_CACHING", "false".to_owned())],
        ..Options::default()
    };
    let bare = TestSite::start_with(pool, options).await;
    let guest = bare.visitor();
    guest.get("/about").await.expect_status(200);
    assert_eq!(came(&guest.get("/about").await), "");
}

#[sqlx::test]
async fn s16_pages_without_parameters_are_there_before_anybody_asks(pool: PgPool) {
    let site = TestSite::start(pool).await;
    assert_eq!(came(&site.visitor().get("/newest").await), "HIT");
}

/// Two instances of one site; the second hears of the first over Redis, or over PostgreSQL where there is none.
async fn two_instances(pool: &PgPool, without_redis: bool) -> (TestSite, TestSite) {
    let options = Options {
        without_redis,
        redis_prefix: Some(format!(
            "test-{}:",
            betternews::web::signing::random_token(9)
        )),
        ..Options::default()
    };
    let first = TestSite::start_with(pool.clone(), options.clone()).await;
    (first, TestSite::start_with(pool.clone(), options).await)
}

#[sqlx::test]
async fn s16_a_change_on_one_instance_reaches_the_others_within_a_second(pool: PgPool) {
    for without_redis in [false, true] {
        let (here, there) = two_instances(&pool, without_redis).await;
        let name = if without_redis { "bob" } else { "alice" };
        let (writer, reader) = (here.signed_up(name).await, there.visitor());
        reader.get("/newest").await;
        assert_eq!(came(&reader.get("/newest").await), "HIT");
        let title = format!("News from the instance of {name}");
        writer
            .submit_post(&title, "", "Something long enough to be a text.", "")
            .await;
        let started = Instant::now();
        until("the change is heard of", async || {
            reader.get("/newest").await.body.contains(&title)
        })
        .await;
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "without Redis: {without_redis}, {:?}",
            started.elapsed()
        );
    }
}

#[sqlx::test]
async fn s17_values_are_computed_once_shared_and_dropped_everywhere(pool: PgPool) {
    let (here, there) = two_instances(&pool, false).await;
    let (first, second) = (&here.state.cache, &there.state.cache);
    let computed = Arc::new(AtomicUsize::new(0));
    let compute = || {
        let computed = Arc::clone(&computed);
        async move {
            computed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, String>("a long value ".repeat(200))
        }
    };
    let options = Kept::default().tag("things").invalidate_on("thing.changed");
    let all = (0..50).map(|_| first.get_or("thing:1", &options, compute()));
    let values = futures_util::future::join_all(all).await;
    assert!(
        values
            .iter()
            .all(|v| v.as_deref().is_ok_and(|v| v.len() == 2_600))
    );
    assert_eq!(computed.load(Ordering::Relaxed), 1, "single flight");
    assert!(
        second.exists("thing:1").await,
        "the other instance finds it in Redis"
    );
    second
        .get_or("thing:1", &options, compute())
        .await
        .expect("a value");
    assert_eq!(computed.load(Ordering::Relaxed), 1, "and promotes it");
    assert!(second.ttl("thing:1").await.expect("a time") <= Duration::from_secs(300));

    assert_eq!(first.invalidate_tag("things").await, 1);
    until("the other forgets, too", async || {
        !second.exists("thing:1").await
    })
    .await;
    first
        .get_or("thing:1", &options, compute())
        .await
        .expect("a value");
    assert_eq!(first.happened("thing.changed").await, 1);

    for user in [7, 77] {
        first
            .set(
                &user_key(user, "profile"),
                &user,
                &betternews::platform::cache::Cache::user_options(user),
            )
            .await;
    }
    assert_eq!(first.forget_user(7).await, 1);
    assert_eq!(first.get::<i64>(&user_key(77, "profile")).await, Some(77));
    assert_eq!(first.get::<i64>(&user_key(7, "profile")).await, None);
    let long = format!("search:{}", "x".repeat(400));
    first.set(&long, &1, &Kept::default()).await;
    assert_eq!(second.get::<i64>(&long).await, Some(1));
    assert_eq!(first.invalidate_pattern("search:*").await.ok(), Some(1));
    let stats = first.stats(true).await;
    assert!(
        stats.hits > 0
            && stats.misses > 0
            && stats.sets > 0
            && stats.invalidations > 0
            && stats.line_up
    );
    assert_eq!(
        (stats.provider.name, stats.provider.status),
        ("redis", "up")
    );
    assert!(stats.provider.latency_ms.is_some() && stats.oldest.is_some());
    assert!(first.clear().await.expect("dropped") >= 1);
    assert_eq!(first.stats(true).await.provider.keys, Some(0));
}

#[sqlx::test]
async fn s17_an_old_value_is_served_while_a_new_one_is_made_and_an_overtaken_one_is_not_kept(
    pool: PgPool,
) {
    let site = TestSite::start_without_redis(pool).await;
    let cache = site.state.cache.clone();
    let options = Kept::default()
        .ttl(Duration::from_millis(20))
        .stale_for(Duration::from_secs(60))
        .tag("number");
    let next = Arc::new(AtomicUsize::new(0));
    let compute = {
        let next = Arc::clone(&next);
        move || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, String>(number) }
        }
    };
    assert_eq!(
        cache
            .get_or_refresh("number", &options, compute.clone())
            .await,
        Ok(0)
    );
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(
        cache
            .get_or_refresh("number", &options, compute.clone())
            .await,
        Ok(0),
        "the old one, at once"
    );
    until("the new one is made", async || {
        cache
            .get_or_refresh("number", &options, compute.clone())
            .await
            .is_ok_and(|n| n > 0)
    })
    .await;

    let overtaken = cache.clone();
    let value = cache
        .get_or("overtaken", &Kept::default().tag("written"), async move {
            // Between reading and keeping, somebody writes.
            overtaken.invalidate_tag("written").await;
            Ok::<_, String>("old".to_owned())
        })
        .await;
    assert_eq!(value.as_deref(), Ok("old"));
    assert_eq!(cache.get::<String>("overtaken").await, None);
    assert_eq!(cache.stats(true).await.provider.name, "memory");
}

async fn token_of(operator: &Visitor) -> String {
    operator.get("/about").await;
    operator.token()
}

#[sqlx::test]
async fn s17_operators_see_and_drop_what_is_kept(pool: PgPool) {
    let options = Options {
        environment: vec![
            ("OPS_BIND", "127.0.0.1:0".to_owned()),
            ("BIND", "127.0.0.2:0".to_owned()),
        ],
        ..Options::default()
    };
    let mut site = TestSite::start_with(pool, options).await;
    site.address = site.address.replace("127.0.0.1", "127.0.0.2");
    let (guest, member) = (site.visitor(), site.signed_up("alice").await);
    let operator = site.signed_up_as("op", "admin").await;
    guest.get("/cache/stats").await.expect_status(401);
    member.get("/cache/stats").await.expect_status(403);
    let stats = operator.get("/cache/stats").await.expect_status(200);
    let stats: serde_json::Value = serde_json::from_str(&stats.body).expect("JSON");
    assert!(
        stats["pages"]["keys"].as_u64().is_some_and(|n| n > 0)
            && stats["values"]["provider"]["status"] == "up"
    );

    let delete = |who: &Visitor, path: &str, token: &str| {
        who.client()
            .delete(who.url(path))
            .header("x-csrf-token", token.to_owned())
    };
    let token = token_of(&operator).await;
    operator
        .send(delete(&operator, "/cache/tag/lists", ""))
        .await
        .expect_status(403);
    guest.get("/newest").await;
    let dropped = operator
        .send(delete(&operator, "/cache/tag/lists", &token))
        .await
        .expect_status(200);
    let dropped: serde_json::Value = serde_json::from_str(&dropped.body).expect("JSON");
    assert!(
        dropped["count"].as_u64().is_some_and(|n| n > 0),
        "{dropped}"
    );
    assert_eq!(came(&guest.get("/newest").await), "MISS");
    site.state.cache.set("thing:1", &1, &Kept::default()).await;
    let dropped = operator
        .send(delete(&operator, "/cache/thing:*", &token))
        .await
        .expect_status(200);
    assert!(dropped.body.contains("\"count\":1"), "{}", dropped.body);
    guest.get("/about").await;
    let dropped = operator
        .send(delete(&operator, "/cache/page:/about*", &token))
        .await
        .expect_status(200);
    assert!(dropped.body.contains("\"pages\":1"), "{}", dropped.body);
    assert_eq!(came(&guest.get("/about").await), "MISS");

    let ops = format!("{}/cache/stats", site.ops_address);
    let open = guest.client().get(&ops);
    assert_eq!(
        guest.send(open).await.status,
        200,
        "who reaches the port may use it"
    );
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let forwarded = guest.client().get(&ops).header(header, "for=10.0.0.1");
        guest.send(forwarded).await.expect_status(403);
    }
    let all = guest
        .client()
        .delete(format!("{}/cache/*", site.ops_address));
    guest.send(all).await.expect_status(200);
    assert_eq!(came(&guest.get("/").await), "MISS");
}

#[sqlx::test]
async fn s17_a_cdn_is_told_what_is_outdated(pool: PgPool) {
    let cdn = Outside::start().await;
    let options = Options {
        outside: vec![cdn.port],
        // It refuses the first message.
        environment: vec![("CDN_PURGE_URL", cdn.url("/hook"))],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("Behind a CDN", "https://example.org/cdn", "", "web")
        .await;
    let page = site
        .visitor()
        .get(&format!("/posts/{id}/behind-a-cdn"))
        .await
        .expect_status(200);
    let keys = page.header("surrogate-key");
    assert!(
        keys.split(' ').any(|key| key == format!("post:{id}")),
        "{keys}"
    );
    assert_eq!(page.header("cdn-cache-control"), "max-age=60");
    until("the CDN hears of the post", async || {
        cdn.taken()
            .iter()
            .any(|body| body.contains("surrogate_keys") && body.contains(&format!("\"post:{id}\"")))
    })
    .await;
    let mine = alice.get(&format!("/posts/{id}/behind-a-cdn")).await;
    assert_eq!(mine.header("surrogate-key"), "", "nothing personal is kept");
}
