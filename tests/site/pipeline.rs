//! The request pipeline: S01, S03, S05, S06, S14, S31: what every request passes, whatever it asks for.

use sqlx::PgPool;

use crate::support::{Answer, Options, TestSite, Visitor};

/// Headers that must stand on every answer, errors included (S14, S01).
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "x-request-id",
];

#[sqlx::test]
async fn s14_every_error_page_carries_the_security_headers_and_a_request_id(pool: PgPool) {
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
async fn s05_a_wrong_method_is_told_which_are_right(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    let answer = visitor
        .send(visitor.client().put(visitor.url("/login")))
        .await
        .expect_status(405);
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
}

#[sqlx::test]
async fn s01_a_well_formed_request_id_is_kept_and_a_bad_one_replaced(pool: PgPool) {
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
async fn s31_probes_answer_without_details(pool: PgPool) {
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

fn with(environment: &[(&'static str, &str)]) -> Options {
    Options {
        environment: environment
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        ..Options::default()
    }
}

fn expect_headers(answer: &Answer, what: &str) {
    for name in HEADERS {
        assert!(answer.headers.contains_key(name), "{what} without {name}");
    }
}

#[sqlx::test]
async fn s03_each_layer_stands_where_its_effect_says(pool: PgPool) {
    let limits = with(&[
        ("FEATURE_RATE_LIMITING", "true"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let site = TestSite::start_with(pool, limits).await;
    let visitor = site.visitor();
    let get = async |path: &str| {
        let request = visitor.client().get(visitor.url(path));
        visitor
            .send(request.header("x-forwarded-for", "203.0.113.9"))
            .await
    };
    site.execute("INSERT INTO settings (key, value) VALUES ('limits.reads', '2')")
        .await;
    let refreshed = site.state.settings.refresh(&site.state.db).await;
    refreshed.expect("read anew");
    get("/about").await.expect_status(200);
    get("/nowhere").await.expect_status(404);
    let refused = get("/about").await.expect_status(429);
    expect_headers(&refused, "outside of the limit: metadata and headers");
    assert!(
        !refused.headers.contains_key("x-cache"),
        "inside of the limit: kept pages"
    );
    assert_eq!(refused.header("ratelimit-limit"), "2");
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    let counted = site.state.metrics.routes().stats(|_| true);
    let refusals: u64 = counted
        .iter()
        .flat_map(|route| &route.by_status)
        .filter(|(status, _)| **status == 429)
        .map(|(_, count)| *count)
        .sum();
    assert_eq!(refusals, 1, "outside of the limit: metrics");
    for path in ["/health/live", "/health/ready", "/health"] {
        let probe = get(path).await.expect_status(200);
        expect_headers(&probe, path);
    }
    let probes = site
        .state
        .metrics
        .routes()
        .stats(|route| route.contains("health"));
    assert!(
        probes.is_empty(),
        "probes stand outside of metrics and limits"
    );
}

#[sqlx::test]
async fn s03_the_operators_port_has_its_own_stack(pool: PgPool) {
    let ports = with(&[("OPS_BIND", "127.0.0.1:0"), ("BIND", "127.0.0.2:0")]);
    let site = TestSite::start_with(pool, ports).await;
    let visitor = site.visitor();
    let ask = async |method: reqwest::Method, path: &str, forwarded: bool| {
        let mut request = visitor
            .client()
            .request(method, format!("{}{path}", site.ops_address));
        if forwarded {
            request = request.header("x-forwarded-for", "198.51.100.1");
        }
        visitor.send(request).await
    };
    let cases = [
        (reqwest::Method::GET, "/nowhere", false, 404, "NOT_FOUND"),
        (reqwest::Method::PUT, "/metrics", false, 405, "NOT_FOUND"),
        (
            reqwest::Method::GET,
            "/metrics?route=%FF",
            false,
            400,
            "VALIDATION_ERROR",
        ),
        (
            reqwest::Method::GET,
            "/health/live",
            true,
            403,
            "AUTHORIZATION_ERROR",
        ),
    ];
    for (method, path, forwarded, status, code) in cases {
        let answer = ask(method, path, forwarded).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(code), "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json");
        expect_headers(&answer, path);
    }
    let wrong = ask(reqwest::Method::PUT, "/metrics", false).await;
    assert_eq!(wrong.header("allow"), "GET");
    for path in ["/health/live", "/health/ready", "/health", "/metrics"] {
        let answer = ask(reqwest::Method::GET, path, false)
            .await
            .expect_status(200);
        expect_headers(&answer, path);
    }
    site.state.shutting_down.set();
    let ready = ask(reqwest::Method::GET, "/health/ready", false)
        .await
        .expect_status(503);
    assert!(ready.body.contains("shutting-down"));
}

#[sqlx::test]
async fn s14_https_brings_hsts_and_signed_in_pages_are_stored_nowhere(pool: PgPool) {
    let site =
        TestSite::start_with(pool.clone(), with(&[("BASE_URL", "https://news.example")])).await;
    for path in ["/", "/nowhere", "/health/live", "/api/v1/nothing"] {
        let answer = site.visitor().get(path).await;
        assert!(
            answer
                .header("strict-transport-security")
                .contains("max-age=63072000"),
            "{path}"
        );
    }
    drop(site);
    let site = TestSite::start(pool).await;
    let guest = site.visitor().get("/").await.expect_status(200);
    assert_eq!(
        guest.header("strict-transport-security"),
        "",
        "not over http"
    );
    assert_eq!(guest.header("cache-control"), "no-cache");
    assert_eq!(guest.header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(guest.header("cross-origin-resource-policy"), "same-origin");
    assert_eq!(guest.header("x-frame-options"), "DENY");
    let csp = guest.header("content-security-policy");
    assert!(
        csp.contains("frame-ancestors 'none'") && !csp.contains("unsafe"),
        "{csp}"
    );
    let alice = site.signed_up("alice").await;
    for path in ["/", "/newest", "/settings/profile", "/users/alice"] {
        let page = alice.get(path).await.expect_status(200);
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
}

const APP: &str = "https://app.example.org";

async fn preflight(visitor: &Visitor, path: &str, origin: &str) -> Answer {
    let request = visitor
        .client()
        .request(reqwest::Method::OPTIONS, visitor.url(path))
        .header("origin", origin)
        .header("access-control-request-method", "DELETE")
        .header(
            "access-control-request-headers",
            "authorization, content-type",
        );
    visitor.send(request).await
}

async fn from(visitor: &Visitor, path: &str, origin: &str) -> Answer {
    let request = visitor.client().get(visitor.url(path));
    visitor.send(request.header("origin", origin)).await
}

#[sqlx::test]
async fn s14_the_api_is_open_to_pages_of_the_origins_that_are_named_and_to_no_others(pool: PgPool) {
    let site = TestSite::start_with(pool, with(&[("CORS_ORIGINS", APP)])).await;
    let visitor = site.visitor();
    let api = "/api/v1/auth/tokens";
    let allowed = preflight(&visitor, api, APP).await.expect_status(200);
    assert_eq!(allowed.header("access-control-allow-origin"), APP);
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(
            allowed
                .header("access-control-allow-methods")
                .contains(method)
        );
    }
    let headers = allowed
        .header("access-control-allow-headers")
        .to_lowercase();
    assert!(
        headers.contains("authorization") && headers.contains("x-correlation-id"),
        "{headers}"
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), "");
    expect_headers(&allowed, "a preflight");
    let refused = from(&visitor, api, APP).await.expect_status(401);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        APP,
        "refusals can be read"
    );
    assert!(
        refused
            .header("access-control-expose-headers")
            .to_lowercase()
            .contains("retry-after")
    );
    let vary = refused.headers.get_all("vary").iter().any(|v| {
        v.to_str()
            .is_ok_and(|v| v.to_lowercase().contains("origin"))
    });
    assert!(vary, "caches must tell origins apart");

    let foreign = "https://evil.example";
    for answer in [
        preflight(&visitor, api, foreign).await,
        from(&visitor, api, foreign).await,
        preflight(&visitor, "/newest", APP).await,
        from(&visitor, "/newest", APP).await,
        from(&visitor, "/metrics", APP).await,
    ] {
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    from(&visitor, "/newest", APP).await.expect_status(200);
}

#[sqlx::test]
async fn s14_without_named_origins_the_api_is_closed_to_other_pages(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    for answer in [
        preflight(&visitor, "/api/v1/auth/tokens", APP)
            .await
            .expect_status(405),
        from(&visitor, "/api/v1/auth/tokens", APP)
            .await
            .expect_status(401),
    ] {
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}
