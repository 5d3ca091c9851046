//! The request pipeline: S01, S05, S06, S14, S31: what every request passes, whatever it asks for.

use sqlx::PgPool;

use crate::support::TestSite;

/// Headers that must stand on every answer, errors included (S14, S01).
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "x-request-id",
];

#[sqlx::test]
async fn every_error_page_carries_the_security_headers_and_a_request_id(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    let big = "x".repeat(600 * 1024);
    let post = |path: &str| visitor.client().post(visitor.url(path));
    let cases = [
        (404, visitor.client().get(visitor.url("/nowhere"))),
        (
            404,
            visitor
                .client()
                .get(visitor.url("/posts/99999999999999999999")),
        ),
        (404, visitor.client().get(visitor.url("/posts/-1"))),
        (405, visitor.client().delete(visitor.url("/newest"))),
        (
            400,
            visitor.client().get(visitor.url("/newest?after=nonsense")),
        ),
        (400, visitor.client().get(visitor.url("/newest?after=%FF"))),
        (403, post("/login").form(&[("username", "a")])),
        (
            403,
            post("/login")
                .header("sec-fetch-site", "cross-site")
                .form(&[("username", "a")]),
        ),
        (413, post("/login").form(&[("username", big.as_str())])),
        (
            415,
            post("/login")
                .header("content-type", "application/json")
                .body("{}"),
        ),
        (
            400,
            post("/login")
                .header("content-type", "application/x-www-form-urlencoded")
                .body("a=%C3%28"),
        ),
    ];
    for (status, request) in cases {
        let shown = format!("{request:?}");
        let answer = visitor.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}\n{}", answer.body);
        for name in HEADERS {
            assert!(
                answer.headers.contains_key(name),
                "{status} without {name}: {shown}"
            );
        }
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{status} is a page"
        );
        assert!(
            answer.body.contains(answer.header("x-request-id")),
            "{status} shows the request's id"
        );
    }
}

#[sqlx::test]
async fn a_wrong_method_is_told_which_are_right(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    let answer = visitor
        .send(visitor.client().put(visitor.url("/login")))
        .await
        .expect_status(405);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
}

#[sqlx::test]
async fn a_well_formed_request_id_is_kept_and_a_bad_one_replaced(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    for (sent, kept) in [
        ("abcdef-12345", true),
        ("bad id with spaces", false),
        ("x", false),
    ] {
        let answer = visitor
            .send(
                visitor
                    .client()
                    .get(visitor.url("/about"))
                    .header("x-request-id", sent),
            )
            .await;
        assert_eq!(answer.header("x-request-id") == sent, kept, "{sent}");
    }
}

#[sqlx::test]
async fn probes_answer_without_details(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    let live = visitor.get("/health/live").await.expect_status(200);
    assert!(live.body.contains("alive"));
    let ready = visitor.get("/health/ready").await.expect_status(200);
    assert!(ready.body.contains("ready"));
    let whole = visitor.get("/health").await.expect_status(200);
    assert!(whole.body.contains(r#""status":"healthy""#) && !whole.body.contains("duration"));
    site.state.shutting_down.set();
    visitor.get("/health/live").await.expect_status(200);
    let ready = visitor.get("/health/ready").await.expect_status(503);
    assert!(ready.body.contains("shutting-down"));
}

#[sqlx::test]
async fn static_files_are_immutable_compressed_and_found_by_hash(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    let page = visitor.get("/about").await.expect_status(200);
    let css = page
        .attribute("link[rel=stylesheet]", "href")
        .expect("a stylesheet");
    let request = visitor
        .client()
        .get(visitor.url(&css))
        .header("accept-encoding", "br");
    let answer = visitor
        .client()
        .execute(request.build().expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-encoding"], "br");
    assert!(
        answer.headers()["cache-control"]
            .to_str()
            .expect("text")
            .contains("immutable")
    );
    visitor.get("/static/nothing.css").await.expect_status(404);
    visitor
        .get("/static/..%2fCargo.toml")
        .await
        .expect_status(404);
}
