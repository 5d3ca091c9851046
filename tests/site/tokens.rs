//! S10 and S05 on the API: keys of programs, their scopes, and the envelope of every answer.

use reqwest::Method;
use sqlx::PgPool;

use crate::support::{Answer, TestSite, Visitor};

const TOKENS: &str = "/api/v1/auth/tokens";

async fn made(visitor: &Visitor, scope: &str) -> String {
    visitor.get("/settings/tokens").await.expect_status(200);
    let fields = [("name", "a script"), ("scopes", scope), ("days", "30")];
    let page = visitor
        .post("/settings/tokens", &fields)
        .await
        .expect_status(200);
    page.text(".secret")
}

async fn with(visitor: &Visitor, method: Method, path: &str, authorization: &str) -> Answer {
    let request = visitor
        .client()
        .request(method, visitor.url(path))
        .header("authorization", authorization);
    visitor.send(request).await
}

fn code(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["success"], answer.status.is_success());
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[sqlx::test]
async fn s10_a_token_is_shown_once_kept_as_a_hash_and_good_for_its_scope(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let token = made(&alice, "read").await;
    assert!(token.starts_with("bn_"), "{token}");
    assert!(
        !alice.get("/settings/tokens").await.body.contains(&token),
        "never again"
    );
    let hashed: bool = site
        .value("SELECT octet_length(token_hash) = 32 FROM api_tokens")
        .await;
    assert!(hashed);
    let program = site.visitor();
    let bearer = format!("Bearer {token}");
    let answer = with(&program, Method::GET, TOKENS, &bearer)
        .await
        .expect_status(200);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(body["data"][0]["name"], "a script");
    let id = body["data"][0]["id"].as_i64().expect("an id");
    let path = format!("{TOKENS}/{id}");
    let refused = with(&program, Method::DELETE, &path, &bearer)
        .await
        .expect_status(403);
    assert_eq!(code(&refused), "AUTHORIZATION_ERROR");
    let writer = made(&alice, "write").await;
    let refused = with(&program, Method::GET, TOKENS, &format!("bearer {writer}")).await;
    assert_eq!(refused.status, 403, "writing alone is not reading");
    with(&program, Method::DELETE, &path, &format!("bearer {writer}"))
        .await
        .expect_status(200);
    with(&program, Method::GET, TOKENS, &bearer)
        .await
        .expect_status(401);
    let mine = made(&site.signed_up("bob").await, "write").await;
    let others: i64 = site.value("SELECT min(id) FROM api_tokens").await;
    with(
        &program,
        Method::DELETE,
        &format!("{TOKENS}/{others}"),
        &format!("Bearer {mine}"),
    )
    .await
    .expect_status(404);
}

#[sqlx::test]
async fn s10_a_bad_token_is_a_401_even_beside_a_good_session(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    alice.get(TOKENS).await.expect_status(200);
    for bad in ["Bearer bn_nonsense", "Bearer", "Basic YTpi", "Bearer  "] {
        let answer = with(&alice, Method::GET, TOKENS, bad)
            .await
            .expect_status(401);
        assert_eq!(code(&answer), "AUTHENTICATION_ERROR", "{bad}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!(answer.headers.contains_key("x-request-id"));
    }
    let token = made(&alice, "read").await;
    site.execute("UPDATE api_tokens SET expires_at = now() - interval '1 second'")
        .await;
    with(&alice, Method::GET, TOKENS, &format!("Bearer {token}"))
        .await
        .expect_status(401);
    let page = with(
        &site.visitor(),
        Method::GET,
        "/settings/tokens",
        &format!("Bearer {token}"),
    )
    .await;
    assert_eq!(page.status, 303, "tokens are for the API alone");
}

#[sqlx::test]
async fn s05_every_failure_of_the_api_is_an_envelope(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    let cases = [
        (Method::GET, TOKENS, 401, "AUTHENTICATION_ERROR"),
        (Method::GET, "/api/v1/nothing", 404, "NOT_FOUND"),
        (Method::PUT, TOKENS, 405, "NOT_FOUND"),
        (
            Method::DELETE,
            "/api/v1/auth/tokens/99999999999999999999",
            401,
            "AUTHENTICATION_ERROR",
        ),
    ];
    for (method, path, status, expected) in cases {
        let answer = guest
            .send(guest.client().request(method, guest.url(path)))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(code(&answer), expected, "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.headers.contains_key("content-security-policy"));
    }
    let alice = site.signed_up("alice").await;
    let token = made(&alice, "write").await;
    let wrong = with(
        &guest,
        Method::DELETE,
        "/api/v1/auth/tokens/0",
        &format!("Bearer {token}"),
    )
    .await;
    assert_eq!(code(&wrong.expect_status(404)), "NOT_FOUND");
    let without_proof = alice.client().delete(alice.url("/api/v1/auth/tokens/1"));
    let answer = alice.send(without_proof).await.expect_status(403);
    assert_eq!(
        code(&answer),
        "AUTHORIZATION_ERROR",
        "a session needs the form's token"
    );
}

#[sqlx::test]
async fn s34_tokens_are_for_whom_their_flag_is_on(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let moderator = site.signed_up_as("mona", "moderator").await;
    let (hers, theirs) = (made(&alice, "read").await, made(&moderator, "read").await);
    site.execute("UPDATE flags SET segments = '{staff}' WHERE name = 'api_tokens'")
        .await;
    site.state
        .flags
        .refresh(&site.state.db)
        .await
        .expect("read anew");
    alice.get("/settings/tokens").await.expect_status(403);
    moderator.get("/settings/tokens").await.expect_status(200);
    let program = site.visitor();
    with(&program, Method::GET, TOKENS, &format!("Bearer {hers}"))
        .await
        .expect_status(401);
    with(&program, Method::GET, TOKENS, &format!("Bearer {theirs}"))
        .await
        .expect_status(200);
}

#[sqlx::test]
async fn s10_a_token_holds_no_more_than_its_owner_may(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    alice.get("/settings/tokens").await;
    let fields = [("name", "figures"), ("scopes", "ops"), ("days", "30")];
    let told = alice
        .post("/settings/tokens", &fields)
        .await
        .expect_status(422);
    assert!(told.text("#scopes-error").contains("may not"));
    let told = alice
        .post("/settings/tokens", &[("name", ""), ("days", "31")])
        .await
        .expect_status(422);
    assert_eq!(
        told.texts(".field-error").len(),
        3,
        "all that is wrong at once"
    );
    let operator = site.signed_up_as("olga", "admin").await;
    operator.get("/settings/tokens").await;
    operator
        .post("/settings/tokens", &fields)
        .await
        .expect_status(200);
}
