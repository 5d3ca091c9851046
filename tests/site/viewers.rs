//! S09: the enriched user is kept for a moment, and dropped everywhere as soon as their role, ban or preferences change.

use reqwest::Method;
use sqlx::PgPool;

use crate::support::{Answer, Options, TestSite, Visitor, eventually};

async fn token(visitor: &Visitor, scope: &str) -> String {
    visitor.get("/settings/tokens").await;
    let fields = [("name", "a script"), ("scopes", scope), ("days", "30")];
    let page = visitor.post("/settings/tokens", &fields).await;
    format!("Bearer {}", page.expect_status(200).text(".secret"))
}

async fn at(site: &TestSite, visitor: &Visitor, path: &str) -> Answer {
    let url = format!("{}{path}", site.address);
    visitor.send(visitor.client().get(url)).await
}

async fn with_token(site: &TestSite, method: Method, path: &str, token: &str) -> u16 {
    let program = site.visitor();
    let request = program
        .client()
        .request(method, program.url(path))
        .header("authorization", token);
    program.send(request).await.status.as_u16()
}

#[sqlx::test]
async fn s09_a_role_holds_at_once_on_both_instances_and_is_gone_at_once(pool: PgPool) {
    let (one, two) = TestSite::start_two(&pool, Options::default()).await;
    let alice = one.signed_up("alice").await;
    let operator = one.signed_up_as("olga", "admin").await;
    let post = alice
        .submit_post("A thing", "", "A text that is long enough.", "")
        .await;
    let form = format!("/posts/{post}/remove");
    for site in [&one, &two] {
        at(site, &alice, &form).await.expect_status(403);
    }
    for (roles, status) in [(Some("moderator"), 200), (None, 403)] {
        operator.get("/admin/users/alice").await.expect_status(200);
        let mut fields = vec![("reason", "as was agreed")];
        fields.extend(roles.map(|role| ("roles", role)));
        operator
            .post("/admin/users/alice/roles", &fields)
            .await
            .expect_status(303);
        at(&one, &alice, &form).await.expect_status(status);
        eventually("the other instance knows", async || {
            at(&two, &alice, &form).await.status == status
        })
        .await;
    }
}

#[sqlx::test]
async fn s09_a_ban_stops_a_token_at_once_on_both_instances(pool: PgPool) {
    let (one, two) = TestSite::start_two(&pool, Options::default()).await;
    let alice = one.signed_up("alice").await;
    let moderator = one.signed_up_as("mona", "moderator").await;
    let key = token(&alice, "write").await;
    let path = "/api/v1/auth/tokens/0";
    for site in [&one, &two] {
        assert_eq!(with_token(site, Method::DELETE, path, &key).await, 404);
    }
    moderator.get("/users/alice/ban").await.expect_status(200);
    moderator
        .post(
            "/users/alice/ban",
            &[("reason", "spam and more spam"), ("days", "")],
        )
        .await
        .expect_status(303);
    assert_eq!(with_token(&one, Method::DELETE, path, &key).await, 403);
    eventually("the other instance knows", async || {
        with_token(&two, Method::DELETE, path, &key).await == 403
    })
    .await;
    assert!(
        !at(&two, &alice, "/about").await.has(".menu summary"),
        "and her session is over"
    );
}

#[sqlx::test]
async fn s09_a_preference_is_seen_at_once_on_both_instances(pool: PgPool) {
    let (one, two) = TestSite::start_two(&pool, Options::default()).await;
    let alice = one.signed_up("alice").await;
    let theme = async |site: &TestSite| {
        at(site, &alice, "/about")
            .await
            .attribute("html", "data-theme")
            .unwrap_or_default()
    };
    assert_ne!(theme(&two).await, "dark");
    at(&one, &alice, "/about").await;
    alice
        .post("/theme", &[("theme", "dark")])
        .await
        .expect_status(303);
    assert_eq!(theme(&one).await, "dark");
    eventually("the other instance knows", async || {
        theme(&two).await == "dark"
    })
    .await;
}

#[sqlx::test]
async fn s09_an_ended_key_is_dead_although_its_owner_is_kept(pool: PgPool) {
    let (one, two) = TestSite::start_two(&pool, Options::default()).await;
    let alice = one.signed_up("alice").await;
    let key = token(&alice, "read").await;
    let path = "/api/v1/auth/tokens";
    for site in [&one, &two] {
        assert_eq!(with_token(site, Method::GET, path, &key).await, 200);
    }
    let id: i64 = sqlx::query_scalar("SELECT id FROM api_tokens")
        .fetch_one(&pool)
        .await
        .expect("a key");
    alice
        .post(&format!("/settings/tokens/{id}/end"), &[])
        .await
        .expect_status(303);
    for site in [&one, &two] {
        assert_eq!(with_token(site, Method::GET, path, &key).await, 401);
    }
}

#[sqlx::test]
async fn s17_what_is_known_of_a_person_is_kept_and_dropped_on_both_instances_when_it_changes(
    pool: PgPool,
) {
    let (one, two) = TestSite::start_two(&pool, Options::default()).await;
    let alice = one.signed_up("alice").await;
    let bob = one.signed_up("bob").await;
    let operator = one.signed_up_as("olga", "admin").await;
    let about = [("about", "I like trees.")];
    alice
        .post("/settings/profile", &about)
        .await
        .expect_status(303);
    for site in [&one, &two] {
        let page = at(site, &bob, "/users/alice").await;
        assert_eq!(page.text(".prose"), "I like trees.");
    }
    // Behind the site's back: what was kept is still shown.
    sqlx::query("UPDATE user_bodies SET html = '<p>Changed unseen.</p>'")
        .execute(&one.pool)
        .await
        .expect("the row is changed");
    let page = at(&one, &bob, "/users/alice").await;
    assert_eq!(page.text(".prose"), "I like trees.");
    let about = [("about", "I like hills.")];
    alice
        .post("/settings/profile", &about)
        .await
        .expect_status(303);
    let page = at(&one, &bob, "/users/alice").await;
    assert_eq!(page.text(".prose"), "I like hills.");
    operator.get("/admin/users/alice").await.expect_status(200);
    let fields = [("reason", "as was agreed"), ("roles", "moderator")];
    operator
        .post("/admin/users/alice/roles", &fields)
        .await
        .expect_status(303);
    assert_eq!(
        at(&one, &bob, "/users/alice").await.text("h1"),
        "alice new here moderator"
    );
    eventually("the other instance knows", async || {
        let page = at(&two, &bob, "/users/alice").await;
        page.text(".prose") == "I like hills." && page.text("h1").ends_with("moderator")
    })
    .await;
}
