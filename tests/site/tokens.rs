//! S10 and S05 on the API: keys of programs, their scopes, and the envelope of every answer.

use reqwest::Method;
use sqlx::PgPool;

use crate::{
    faults::postgres_proxy,
    support::{Answer, Mode, Options, TestSite, Visitor, eventually},
};

const TOKENS: &str = "/api/v1/auth/tokens";

async fn made(visitor: &Visitor, scope: &str) -> String {
    visitor.get("/settings/tokens").await.expect_status(200);
    let fields = [("name", "a script"), ("scopes", scope), ("days", "30")];
    let page = visitor
        .post("/settings/tokens", &fields)
        .await
        .expect_status(200);
    let chosen = page.attributes("input[name=scopes][checked]", "value");
    assert_eq!(chosen, ["read"], "the next form is the careful one");
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
async fn s05_what_is_wrong_with_a_call_is_told_field_by_field(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = |body: &serde_json::Value| {
        alice
            .client()
            .post(alice.url(TOKENS))
            .header("x-csrf-token", alice.token())
            .header("content-type", "application/json")
            .body(body.to_string())
    };
    let bad = serde_json::json!({ "name": "", "scopes": ["read", "fly"], "days": 31 });
    let answer = alice.send(post(&bad)).await.expect_status(400);
    assert_eq!(code(&answer), "VALIDATION_ERROR");
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let errors = body["error"]["details"]["errors"]
        .as_array()
        .expect("errors");
    let told: Vec<_> = errors
        .iter()
        .map(|e| {
            (
                e["field"].as_str().unwrap_or(""),
                e["code"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("name", "length"), ("scopes", "choice"), ("days", "choice")]
    );
    assert!(
        errors
            .iter()
            .all(|e| e["message"].as_str().is_some_and(|m| m.len() > 10))
    );
    let nested = serde_json::json!({ "name": { "a": 1 } });
    assert_eq!(
        code(&alice.send(post(&nested)).await.expect_status(400)),
        "VALIDATION_ERROR"
    );

    let good = serde_json::json!({ "name": "a script", "scopes": ["read", "write"], "days": 30 });
    let made = alice.send(post(&good)).await.expect_status(201);
    let body: serde_json::Value = serde_json::from_str(&made.body).expect("JSON");
    let bearer = format!(
        "Bearer {}",
        body["data"]["token"].as_str().expect("a token")
    );
    let program = site.visitor();
    with(&program, Method::GET, TOKENS, &bearer)
        .await
        .expect_status(200);
    let refused = with(&program, Method::POST, TOKENS, &bearer)
        .await
        .expect_status(403);
    assert_eq!(
        code(&refused),
        "AUTHORIZATION_ERROR",
        "a token makes no tokens"
    );
}

#[sqlx::test]
async fn s10_operators_paths_take_a_token_with_the_scope_ops_and_no_other(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let bearer = async |scope: &str| format!("Bearer {}", made(&operator, scope).await);
    let (ops, reads, writes) = (
        bearer("ops").await,
        bearer("read").await,
        bearer("write").await,
    );
    let program = site.visitor();
    let cases = [
        (Method::GET, "/metrics"),
        (Method::GET, "/cache/stats"),
        (Method::DELETE, "/cache/tag/lists"),
        (Method::DELETE, "/cache/thing:*"),
    ];
    for (method, path) in cases {
        with(&program, method.clone(), path, &ops)
            .await
            .expect_status(200);
        for (other, status, expected) in [
            (&reads, 403, "AUTHORIZATION_ERROR"),
            (&writes, 403, "AUTHORIZATION_ERROR"),
            (
                &"Bearer bn_nonsense".to_owned(),
                401,
                "AUTHENTICATION_ERROR",
            ),
        ] {
            let refused = with(&program, method.clone(), path, other)
                .await
                .expect_status(status);
            assert_eq!(code(&refused), expected, "{path}");
        }
        let nobody = program
            .send(program.client().request(method, program.url(path)))
            .await;
        assert_eq!(
            code(&nobody.expect_status(401)),
            "AUTHENTICATION_ERROR",
            "{path}"
        );
    }
    for path in ["/health", "/api/health"] {
        let told = with(&program, Method::GET, path, &ops)
            .await
            .expect_status(200);
        assert!(
            told.body.contains("pool")
                || told.body.contains("latency")
                || told.body.contains("duration"),
            "{}",
            told.body
        );
        let less = with(&program, Method::GET, path, &reads)
            .await
            .expect_status(200);
        assert!(less.body.len() < told.body.len(), "{path}: {}", less.body);
        let wrong = with(&program, Method::GET, path, "Bearer bn_nonsense").await;
        if path == "/health" {
            // A probe that comes with a wrong key is a probe still, and learns what strangers do.
            let wrong = wrong.expect_status(200);
            assert!(
                !["pool", "latency", "duration"]
                    .iter()
                    .any(|detail| wrong.body.contains(detail)),
                "{}",
                wrong.body
            );
        } else {
            wrong.expect_status(401);
        }
    }
    assert_eq!(
        code(
            &with(&program, Method::GET, TOKENS, &ops)
                .await
                .expect_status(403)
        ),
        "AUTHORIZATION_ERROR",
        "nor is it good for anything else"
    );
    operator.get("/admin/users/olga").await;
    site.signed_up_as("omar", "admin").await;
    operator
        .post("/admin/users/olga/roles", &[("reason", "goes on leave")])
        .await
        .expect_status(303);
    with(&program, Method::GET, "/metrics", &ops)
        .await
        .expect_status(403);
}

#[sqlx::test]
async fn s10_health_answers_an_operator_while_nobody_can_tell_who_that_is(pool: PgPool) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        postgres: Some(through),
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let ops = format!("Bearer {}", made(&operator, "ops").await);
    let program = site.visitor();
    proxy.set(Mode::Refuse);
    let refused = with(&program, Method::GET, "/metrics", &ops).await;
    assert_eq!(code(&refused.expect_status(503)), "UNAVAILABLE");
    let report = with(&program, Method::GET, "/health", &ops).await;
    assert!(report.body.contains(r#""checks""#), "{}", report.body);
    proxy.set(Mode::Pass);
    eventually("operators are known again", async || {
        with(&program, Method::GET, "/metrics", &ops).await.status == 200
    })
    .await;
}

#[sqlx::test]
async fn s05_operators_addresses_fail_in_the_envelope_too(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    for (method, path, status, expected) in [
        (Method::GET, "/metrics", 401, "AUTHENTICATION_ERROR"),
        (Method::PUT, "/metrics", 405, "NOT_FOUND"),
        (Method::GET, "/cache/thing", 405, "NOT_FOUND"),
        (Method::GET, "/metrics/nothing", 404, "NOT_FOUND"),
        (Method::GET, "/cache", 404, "NOT_FOUND"),
    ] {
        let answer = guest
            .send(guest.client().request(method, guest.url(path)))
            .await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(code(&answer), expected, "{path}");
        assert!(answer.headers.contains_key("x-request-id"));
    }
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
