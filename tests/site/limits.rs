//! S12: too much is refused, by class, address and account, with and without Redis.

use std::time::{Duration, Instant};

use betternews::platform::{
    flags::{Environment, Flags},
    limits::{Class, Limiter, Rate},
    settings::Settings,
};
use sqlx::PgPool;

use crate::support::{Answer, Options, PASSWORD, TestSite, Visitor};

fn limited(max: &str) -> Options {
    Options {
        environment: vec![
            ("FEATURE_RATE_LIMITING", "true".into()),
            ("RATE_LIMIT_MAX", max.into()),
            ("TRUSTED_PROXIES", "127.0.0.1".into()),
        ],
        ..Options::default()
    }
}

fn expect_refusal(answer: Answer, limit: &str) {
    let answer = answer.expect_status(429);
    assert_eq!(answer.header("ratelimit-limit"), limit);
    assert_eq!(answer.header("ratelimit-remaining"), "0");
    let wait: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!(wait > 0);
    assert!(answer.text("h1").contains("slower"), "a page for people");
    assert!(answer.text("main").contains("Try again in"), "it says when");
    assert!(answer.headers.contains_key("content-security-policy"));
}

async fn writes_are_counted(pool: PgPool, options: Options) {
    let site = TestSite::start_with(pool, options).await;
    let visitor = site.visitor();
    visitor.get("/login").await;
    for left in ["2", "1", "0"] {
        let answer = visitor
            .post("/theme", &[("theme", "dark")])
            .await
            .expect_status(303);
        assert_eq!(answer.header("ratelimit-limit"), "3");
        assert_eq!(answer.header("ratelimit-remaining"), left);
        assert!(answer.header("ratelimit-reset").parse::<u64>().is_ok());
    }
    expect_refusal(visitor.post("/theme", &[("theme", "dark")]).await, "3");
    visitor.get("/about").await.expect_status(200);
    let elsewhere = visitor
        .client()
        .post(visitor.url("/theme"))
        .header("x-forwarded-for", "198.51.100.7")
        .form(&[("theme", "dark")]);
    visitor.send(elsewhere).await.expect_status(303);
}

#[sqlx::test]
async fn s12_changes_of_one_address_are_counted_in_redis(pool: PgPool) {
    writes_are_counted(pool, limited("3")).await;
}

#[sqlx::test]
async fn s12_and_in_the_process_without_redis(pool: PgPool) {
    let options = Options {
        without_redis: true,
        ..limited("3")
    };
    writes_are_counted(pool, options).await;
}

#[sqlx::test]
async fn s12_and_in_the_process_while_redis_is_away(pool: PgPool) {
    let options = Options {
        redis_url: Some("redis://127.0.0.1:1/".into()),
        ..limited("3")
    };
    writes_are_counted(pool, options).await;
}

#[sqlx::test]
async fn s12_changes_of_one_account_are_counted_from_wherever_they_come(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("4")).await;
    let alice = site.signed_up("alice").await;
    let token = alice.token();
    for (at, address) in [
        "198.51.100.1",
        "198.51.100.2",
        "198.51.100.3",
        "198.51.100.4",
        "198.51.100.5",
    ]
    .into_iter()
    .enumerate()
    {
        let request = alice
            .client()
            .post(alice.url("/settings/profile"))
            .header("x-forwarded-for", address)
            .form(&[("about", "me"), ("csrf_token", token.as_str())]);
        let status = alice.send(request).await.status.as_u16();
        assert_eq!(status, if at < 4 { 303 } else { 429 }, "change {at}");
    }
}

#[sqlx::test]
async fn s12_calls_of_the_api_are_counted_and_refused_in_the_envelope(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("2")).await;
    let guest = site.visitor();
    for _ in 0..2 {
        let answer = guest.get("/api/v1/auth/tokens").await.expect_status(401);
        assert!(answer.headers.contains_key("x-request-id"));
    }
    let alice = site.signed_up("alice").await;
    for _ in 0..2 {
        alice.get("/api/v1/auth/tokens").await.expect_status(200);
    }
    let answer = alice.get("/api/v1/auth/tokens").await.expect_status(429);
    assert!(answer.body.contains("RATE_LIMITED"), "{}", answer.body);
    assert_eq!(answer.header("ratelimit-limit"), "2");
    assert!(answer.body.contains(r#""class":"api""#), "{}", answer.body);
}

#[sqlx::test]
async fn s12_reading_is_limited_far_higher_and_the_limit_is_live(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("1000")).await;
    let operator = site.signed_up_as("olga", "admin").await;
    operator
        .get("/admin/settings/limits.reads")
        .await
        .expect_status(200);
    operator
        .post("/admin/settings/limits.reads", &[("value", "3")])
        .await
        .expect_status(303);
    let reader = site.visitor();
    let from = async |address: &str| {
        let request = reader
            .client()
            .get(reader.url("/newest"))
            .header("x-forwarded-for", address);
        reader.send(request).await
    };
    for _ in 0..3 {
        from("203.0.113.5").await.expect_status(200);
    }
    let refused = from("203.0.113.5").await.expect_status(429);
    assert_eq!(refused.header("ratelimit-limit"), "3");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert_eq!(
        refused.header("ratelimit-reset"),
        refused.header("retry-after")
    );
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    assert!(refused.text("h1").contains("slower"));
    assert!(refused.headers.contains_key("content-security-policy"));
    from("203.0.113.6").await.expect_status(200);
    site.execute("UPDATE flags SET is_on = false WHERE name = 'rate_limiting'")
        .await;
    site.state
        .flags
        .refresh(&site.state.db)
        .await
        .expect("read anew");
    from("203.0.113.5").await.expect_status(200);
}

#[sqlx::test]
async fn s12_one_account_does_not_read_without_bound_from_many_addresses(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("1000")).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    site.execute("INSERT INTO settings (key, value) VALUES ('limits.reads', '5')")
        .await;
    site.state.steer().await.expect("read anew");
    let from = async |who: &Visitor, number: u32| {
        let request = who
            .client()
            .get(who.url("/newest"))
            .header("x-forwarded-for", format!("203.0.113.{number}"));
        who.send(request).await.status.as_u16()
    };
    let mut answers = Vec::new();
    for number in 1..=8 {
        answers.push(from(&alice, number).await);
    }
    assert_eq!(answers.first(), Some(&200));
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    assert_eq!(from(&bob, 9).await, 200, "it is Alice's limit alone");
}

#[sqlx::test]
async fn s12_two_instances_count_together_in_redis(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let flags = Flags::new(Environment::Production);
    flags.refresh(&site.state.db).await.expect("read");
    let rate = Rate {
        max: 10,
        window: Duration::from_secs(900),
    };
    let limiter = || {
        Limiter::new(
            site.state.kv.clone(),
            true,
            rate,
            Settings::default(),
            flags.clone(),
        )
    };
    let (one, two) = (limiter(), limiter());
    let mut passed = 0;
    for _ in 0..10 {
        passed += u32::from(one.check(Class::Write, "a").await.is_ok());
        passed += u32::from(two.check(Class::Write, "a").await.is_ok());
    }
    assert_eq!(passed, 10);
}

#[sqlx::test]
async fn s12_two_instances_refuse_together_over_http(pool: PgPool) {
    let (one, two) = TestSite::start_two(&pool, limited("4")).await;
    let visitor = one.visitor();
    let change = async |site: &TestSite| {
        let url = format!("{}/theme", site.address);
        visitor
            .send(visitor.client().post(url).form(&[("theme", "dark")]))
            .await
    };
    for (site, left) in [(&one, "3"), (&two, "2"), (&one, "1"), (&two, "0")] {
        let answer = change(site).await.expect_status(303);
        assert_eq!(answer.header("ratelimit-remaining"), left);
    }
    for site in [&one, &two] {
        expect_refusal(change(site).await, "4");
    }
}

async fn attempt(site: &TestSite, address: &str, password: &str) -> Answer {
    let visitor = site.visitor();
    visitor.get("/login").await;
    let token = visitor.token();
    let request = visitor
        .client()
        .post(visitor.url("/login"))
        .header("x-forwarded-for", address)
        .form(&[
            ("username", "alice"),
            ("password", password),
            ("csrf_token", token.as_str()),
        ]);
    visitor.send(request).await
}

#[sqlx::test]
async fn s12_an_answer_tells_the_limit_that_is_nearest_and_a_refusal_the_one_it_met(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("1000")).await;
    site.signed_up("alice").await;
    for left in ["4", "3", "2", "1", "0"] {
        let answer = attempt(&site, "192.0.2.1", "a wrong password")
            .await
            .expect_status(422);
        assert_eq!(
            answer.header("ratelimit-limit"),
            "5",
            "of logins, not of changes"
        );
        assert_eq!(answer.header("ratelimit-remaining"), left);
    }
    expect_refusal(attempt(&site, "192.0.2.1", PASSWORD).await, "5");
}

#[sqlx::test]
async fn s12_guesses_from_everywhere_are_slowed_down_and_nobody_is_locked_out(pool: PgPool) {
    let site = TestSite::start_with(pool, limited("1000")).await;
    site.signed_up("alice").await;
    site.execute("INSERT INTO settings (key, value) VALUES ('limits.logins_account', '1')")
        .await;
    let refreshed = site.state.settings.refresh(&site.state.db).await;
    refreshed.expect("read anew");
    for host in 0..site.state.limiter.rate(Class::LoginEverywhere).max {
        let address = format!("192.0.2.{host}");
        attempt(&site, &address, "a wrong password")
            .await
            .expect_status(422);
    }
    let began = Instant::now();
    let (guess, owner) = tokio::join!(
        attempt(&site, "198.51.100.1", "a wrong password"),
        attempt(&site, "198.51.100.2", PASSWORD),
    );
    guess.expect_status(422);
    owner.expect_status(303);
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "one after the other"
    );
}
