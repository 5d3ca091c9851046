//! S08: sessions, on both stores: a new token at login, lists, ends, and what happens while the store is away.

use std::time::Duration;

use betternews::web::session::{Record, TokenHash};
use chrono::{TimeDelta, Utc};
use reqwest::header::COOKIE;
use sqlx::PgPool;

use crate::support::{Options, PASSWORD, TestSite, Visitor};

/// Each of these runs with sessions in Redis, and again with sessions in PostgreSQL.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod in_redis {
            use super::*;
            $(#[sqlx::test]
            async fn $name(pool: PgPool) {
                super::$name(TestSite::start(pool).await).await;
            })+
        }
        mod in_postgres {
            use super::*;
            $(#[sqlx::test]
            async fn $name(pool: PgPool) {
                super::$name(TestSite::start_without_redis(pool).await).await;
            })+
        }
    };
}

on_both_stores!(
    a_login_brings_a_token_of_its_own,
    a_session_that_has_ended_is_dead_whoever_holds_its_cookie,
    sessions_are_listed_and_ended_one_by_one_or_all,
    a_new_password_ends_every_other_session,
    a_ban_ends_every_session,
    a_request_under_way_does_not_revive_an_ended_session,
    an_expired_session_is_gone_when_met,
);

/// Someone who brings this session cookie and nothing else.
async fn with_cookie(site: &TestSite, token: &str) -> crate::support::Answer {
    let visitor = site.visitor();
    let request = visitor
        .client()
        .get(visitor.url("/about"))
        .header(COOKIE, format!("session={token}"));
    visitor.send(request).await.expect_status(200)
}

fn is_signed_in(answer: &crate::support::Answer) -> bool {
    answer.has(".menu summary")
}

async fn token_at_login(visitor: &Visitor, name: &str) -> String {
    let answer = visitor.log_in(name, PASSWORD).await.expect_status(303);
    let token = Visitor::cookie(&answer, "session").expect("a session's cookie");
    visitor.get("/about").await;
    token
}

async fn a_login_brings_a_token_of_its_own(site: TestSite) {
    site.signed_up("alice").await;
    // What an attacker has planted, a token of no session and one of their own, is worth nothing after the login.
    let mallory = site.signed_up("mallory").await;
    let planted = token_at_login(&site.visitor(), "mallory").await;
    let visitor = site.visitor();
    visitor.get("/login").await;
    let answer = visitor.log_in("alice", PASSWORD).await.expect_status(303);
    let set = answer.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let token = Visitor::cookie(&answer, "session").expect("a cookie");
    assert_ne!(token, planted);
    assert!(is_signed_in(&with_cookie(&site, &token).await));
    let fixed = with_cookie(&site, "a-token-that-an-attacker-has-made-up-himself").await;
    assert!(!is_signed_in(&fixed));
    assert!(
        fixed.header("set-cookie").contains("Max-Age=0"),
        "a dead cookie is taken away"
    );
    assert_ne!(
        token_at_login(&site.visitor(), "alice").await,
        token,
        "each login has its own"
    );
    assert_eq!(mallory.get("/about").await.text(".menu summary"), "mallory");
}

async fn a_session_that_has_ended_is_dead_whoever_holds_its_cookie(site: TestSite) {
    site.signed_up("alice").await;
    let visitor = site.visitor();
    let token = token_at_login(&visitor, "alice").await;
    assert!(is_signed_in(&with_cookie(&site, &token).await));
    let answer = visitor.post("/logout", &[]).await.expect_status(303);
    assert_eq!(
        Visitor::cookie(&answer, "session").as_deref(),
        Some(""),
        "the cookie is taken away"
    );
    assert!(!is_signed_in(&with_cookie(&site, &token).await));
}

async fn sessions_are_listed_and_ended_one_by_one_or_all(site: TestSite) {
    let here = site.signed_up("alice").await;
    let tokens = [
        token_at_login(&site.visitor(), "alice").await,
        token_at_login(&site.visitor(), "alice").await,
        token_at_login(&site.visitor(), "alice").await,
    ];
    let bob = site.signed_up("bob").await;
    let page = here.get("/settings/sessions").await.expect_status(200);
    assert_eq!(page.texts(".sessions li").len(), 4);
    assert!(page.texts(".sessions li")[0].contains("this one"));
    let path = page
        .attribute(".sessions form", "action")
        .expect("others can be ended");
    let alive = async || {
        let mut alive = 0;
        for token in &tokens {
            alive += u8::from(is_signed_in(&with_cookie(&site, token).await));
        }
        alive
    };
    bob.post(&path, &[]).await.expect_status(404);
    assert_eq!(alive().await, 3, "nobody ends another's");
    here.post(&path, &[]).await.expect_status(303);
    assert_eq!(alive().await, 2);
    here.post(&path, &[]).await.expect_status(404);
    here.post("/settings/sessions/nonsense/end", &[])
        .await
        .expect_status(404);
    here.post("/settings/sessions/end-others", &[])
        .await
        .expect_status(303);
    assert_eq!(alive().await, 0);
    assert!(is_signed_in(&here.get("/about").await));
    assert!(is_signed_in(&bob.get("/about").await));
}

async fn a_new_password_ends_every_other_session(site: TestSite) {
    let here = site.signed_up("alice").await;
    let elsewhere = token_at_login(&site.visitor(), "alice").await;
    let new = "an entirely new one";
    let change = |current: &'static str, wanted: &'static str| {
        let here = &here;
        async move {
            let fields = [("current_password", current), ("new_password", wanted)];
            here.post("/settings/password", &fields)
                .await
                .status
                .as_u16()
        }
    };
    assert_eq!(change("a wrong one", new).await, 422);
    assert_eq!(change(PASSWORD, "alice123").await, 422);
    assert!(
        is_signed_in(&with_cookie(&site, &elsewhere).await),
        "nothing has happened yet"
    );
    assert_eq!(change(PASSWORD, new).await, 303);
    assert!(!is_signed_in(&with_cookie(&site, &elsewhere).await));
    assert!(
        is_signed_in(&here.get("/about").await),
        "this session stays"
    );
    site.visitor()
        .log_in("alice", PASSWORD)
        .await
        .expect_status(422);
    site.visitor().log_in("alice", new).await.expect_status(303);
}

async fn a_ban_ends_every_session(site: TestSite) {
    let mallory = site.signed_up("mallory").await;
    let elsewhere = token_at_login(&site.visitor(), "mallory").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    moderator
        .post("/users/mallory/ban", &[("reason", "spam again")])
        .await
        .expect_status(303);
    assert!(!is_signed_in(&mallory.get("/about").await));
    assert!(!is_signed_in(&with_cookie(&site, &elsewhere).await));
    let refused = site
        .visitor()
        .log_in("mallory", PASSWORD)
        .await
        .expect_status(403);
    assert!(refused.body.contains("spam again"));
    // Whether an account is banned is told only to who has its password.
    site.visitor()
        .log_in("mallory", "a wrong password")
        .await
        .expect_status(422);
    moderator
        .post("/users/mallory/unban", &[("reason", "has apologised")])
        .await
        .expect_status(303);
    site.visitor()
        .log_in("mallory", PASSWORD)
        .await
        .expect_status(303);
}

async fn a_request_under_way_does_not_revive_an_ended_session(site: TestSite) {
    site.signed_up("alice").await;
    let store = &site.state.sessions;
    for _ in 0..20 {
        // Last seen a while ago: every request that finds it writes it back.
        let before = Utc::now() - TimeDelta::minutes(5);
        let record = Record::new(
            1,
            false,
            "curl/8",
            [192, 0, 2, 1].into(),
            before,
            &store.lifetimes(),
        );
        let token = store.begin(&record).await.expect("begun");
        let requests = (0..8).map(|_| {
            let (store, token) = (store.clone(), token.clone());
            tokio::spawn(async move { store.find(&token, Utc::now()).await.is_ok() })
        });
        let requests: Vec<_> = requests.collect();
        store.end(1, TokenHash::of(&token)).await.expect("ended");
        for request in requests {
            assert!(request.await.expect("no panic"), "the store answers");
        }
        assert!(
            store
                .find(&token, Utc::now())
                .await
                .expect("asked")
                .is_none(),
            "it stays ended"
        );
    }
}

async fn an_expired_session_is_gone_when_met(site: TestSite) {
    site.signed_up("alice").await;
    let store = &site.state.sessions;
    let record = Record::new(
        1,
        false,
        "curl/8",
        [192, 0, 2, 1].into(),
        Utc::now(),
        &store.lifetimes(),
    );
    let token = store.begin(&record).await.expect("begun");
    let later = Utc::now() + TimeDelta::hours(25);
    assert!(store.find(&token, later).await.expect("asked").is_none());
    assert!(
        store
            .find(&token, Utc::now())
            .await
            .expect("asked")
            .is_none(),
        "it was deleted"
    );
}

#[sqlx::test]
async fn while_sessions_are_away_guests_notice_nothing_and_nobody_is_let_in(pool: PgPool) {
    let before = TestSite::start_without_redis(pool.clone()).await;
    before.signed_up("alice").await;
    let token = token_at_login(&before.visitor(), "alice").await;
    let options = Options {
        redis_url: Some("redis://127.0.0.1:1".into()),
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let guest = site.visitor();
    assert!(!guest.get("/about").await.expect_status(200).has(".notice"));
    let answer = guest.log_in("alice", PASSWORD).await.expect_status(503);
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(Visitor::cookie(&answer, "session"), None);
    guest.get("/signup").await;
    let fields = [("username", "bob"), ("email", ""), ("password", PASSWORD)];
    guest.post("/signup", &fields).await.expect_status(503);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM users").await,
        1,
        "no account that could not log in"
    );
    let answer = with_cookie(&site, &token).await;
    assert!(!is_signed_in(&answer));
    assert!(
        answer
            .text(".notice.warning")
            .contains("reading as a guest")
    );
    assert_eq!(
        Visitor::cookie(&answer, "session"),
        None,
        "the cookie is kept for when sessions are back"
    );
}

#[sqlx::test]
async fn who_is_about_is_noted_behind_the_answer(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    for _ in 0..50 {
        alice.get("/about").await;
        if site
            .value::<bool>("SELECT last_active_at IS NOT NULL FROM users")
            .await
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("last active was never noted");
}
