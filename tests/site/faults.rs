//! Faults (SPEC section 4): PostgreSQL or Redis dead or frozen behind a proxy; pages answer in time and come back by
//! themselves.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::support::{Answer, Mode, Options, Proxy, TestSite, Upstream, Visitor};

/// A site whose PostgreSQL is reached through a proxy.
async fn behind_postgres_proxy(pool: PgPool, without_redis: bool) -> (TestSite, Proxy) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        // What is kept answers without a database: tests/site/caching.rs.
        environment: vec![("FEATURE_CACHING", "false".to_owned())],
        postgres: Some(through),
        without_redis,
        ..Options::default()
    };
    (TestSite::start_with(pool, options).await, proxy)
}

/// A proxy before the test's PostgreSQL, and the way through it.
pub async fn postgres_proxy(pool: &PgPool) -> (sqlx::postgres::PgConnectOptions, Proxy) {
    let direct = (*pool.connect_options()).clone();
    let upstream = match direct.get_socket() {
        Some(folder) => Upstream::Unix(folder.join(format!(".s.PGSQL.{}", direct.get_port()))),
        None if direct.get_host().starts_with('/') => {
            Upstream::Unix(format!("{}/.s.PGSQL.{}", direct.get_host(), direct.get_port()).into())
        }
        None => Upstream::Tcp(format!("{}:{}", direct.get_host(), direct.get_port())),
    };
    let proxy = Proxy::start(upstream).await;
    let mut through = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(proxy.address.port())
        .username(direct.get_username())
        .ssl_mode(sqlx::postgres::PgSslMode::Disable);
    if let Some(database) = direct.get_database() {
        through = through.database(database);
    }
    (through, proxy)
}

async fn timed(visitor: &Visitor, path: &str) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = visitor.get(path).await;
    (answer, started.elapsed())
}

async fn is_back_within(visitor: &Visitor, path: &str, limit: Duration) {
    let started = Instant::now();
    loop {
        let answer = visitor.get(path).await;
        if answer.status == 200 {
            return;
        }
        assert!(
            started.elapsed() < limit,
            "{path} is still {} after {limit:?}",
            answer.status
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test]
async fn without_postgres_pages_are_503_within_two_seconds_and_come_back(pool: PgPool) {
    for without_redis in [false, true] {
        let (site, proxy) = behind_postgres_proxy(pool.clone(), without_redis).await;
        let name = if without_redis { "bob" } else { "alice" };
        let (guest, member) = (site.visitor(), site.signed_up(name).await);
        for mode in [Mode::Refuse, Mode::Stall] {
            guest.get("/newest").await.expect_status(200);
            proxy.set(mode);
            for path in ["/", "/newest", "/comments", "/users/alice"] {
                for visitor in [&guest, &member] {
                    let (answer, time) = timed(visitor, path).await;
                    assert_eq!(answer.status, 503, "{mode:?} {path}\n{}", answer.body);
                    assert!(
                        time < Duration::from_secs(2),
                        "{mode:?} {path} took {time:?}"
                    );
                    assert!(answer.headers.contains_key("retry-after"));
                    assert!(answer.headers.contains_key("content-security-policy"));
                }
            }
            guest.get("/health/live").await.expect_status(200);
            guest.get("/health/ready").await.expect_status(503);
            guest.get("/guidelines").await.expect_status(200);
            proxy.set(Mode::Pass);
            is_back_within(&guest, "/newest", Duration::from_secs(5)).await;
            is_back_within(&member, "/threads", Duration::from_secs(5)).await;
        }
    }
}

/// A site whose Redis is reached through a proxy.
async fn behind_redis_proxy(pool: PgPool) -> (TestSite, Proxy) {
    let url = std::env::var("REDIS_URL").expect("REDIS_URL names a Redis for the tests");
    let upstream = match url.split_once("://") {
        Some(("redis+unix" | "unix", path)) => {
            Upstream::Unix(path.split('?').next().unwrap_or(path).into())
        }
        Some((_, rest)) => Upstream::Tcp(
            rest.trim_end_matches('/')
                .split('/')
                .next()
                .unwrap_or(rest)
                .into(),
        ),
        None => panic!("REDIS_URL is no URL"),
    };
    let proxy = Proxy::start(upstream).await;
    let options = Options {
        redis_url: Some(format!("redis://{}", proxy.address)),
        ..Options::default()
    };
    (TestSite::start_with(pool, options).await, proxy)
}

#[sqlx::test]
async fn without_redis_guests_notice_nothing_and_nobody_is_let_in(pool: PgPool) {
    let (site, proxy) = behind_redis_proxy(pool).await;
    let (guest, member) = (site.visitor(), site.signed_up("alice").await);
    member.get("/threads").await.expect_status(200);
    for mode in [Mode::Refuse, Mode::Stall] {
        proxy.set(mode);
        for path in ["/", "/newest", "/comments", "/users/alice"] {
            let (answer, time) = timed(&guest, path).await;
            assert_eq!(answer.status, 200, "{mode:?} {path}");
            assert!(
                time < Duration::from_millis(500),
                "{mode:?} {path} took {time:?}"
            );
        }
        let (page, time) = timed(&member, "/").await;
        assert_eq!(page.status, 200);
        assert!(time < Duration::from_secs(1), "{time:?}");
        assert!(
            page.text(".notice").contains("reading as a guest"),
            "the member is told"
        );
        assert!(!page.body.contains("/logout"));
        assert_eq!(
            member.get("/threads").await.status,
            303,
            "and is led to the login"
        );
        let stranger = site.visitor();
        stranger.get("/login").await.expect_status(200);
        let login = [
            ("username", "alice"),
            ("password", crate::support::PASSWORD),
        ];
        stranger.post("/login", &login).await.expect_status(503);
        assert_eq!(
            stranger.get("/threads").await.status,
            303,
            "nobody is let in"
        );
        assert!(
            guest
                .get("/health")
                .await
                .expect_status(200)
                .body
                .contains("degraded")
        );
        guest.get("/health/ready").await.expect_status(200);
        proxy.set(Mode::Pass);
        is_back_within(&member, "/threads", Duration::from_secs(5)).await;
    }
}

#[sqlx::test]
async fn s05_a_panic_is_a_500_page_and_a_live_process(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    // No handler panics on purpose; this one is made for the test and mounted behind the same guard.
    use actix_web::{App, HttpServer, middleware::from_fn, web};
    use betternews::web::middleware::{
        boundary::boundary,
        context::context,
        guard::{Access, guard},
        headers::headers,
    };
    async fn breaks() -> &'static str {
        panic!("on purpose")
    }
    let state = site.state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .service(
                web::resource("/breaks")
                    .route(web::get().to(breaks).wrap(from_fn(guard(Access::Guest)))),
            )
            .service(web::resource("/works").route(web::get().to(async || "fine")))
            .wrap(from_fn(boundary))
            .wrap(from_fn(headers))
            .wrap(from_fn(context))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .expect("a free port");
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    for _ in 0..3 {
        let answer = visitor
            .send(visitor.client().get(format!("http://{address}/breaks")))
            .await
            .expect_status(500);
        assert!(
            answer.headers.contains_key("content-security-policy")
                && !answer.body.contains("on purpose")
        );
        assert!(answer.body.contains(answer.header("x-request-id")));
    }
    visitor
        .send(visitor.client().get(format!("http://{address}/works")))
        .await
        .expect_status(200);
}
