//! A site under test and its visitors: helpers are what people do. Must not assert anything about the product.

mod outside;
mod proxy;
mod smtp;
mod visitor;

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use actix_web::web::Data;
use betternews::{
    accounts::{
        standing::{
            queries::find_subject,
            roles::{self, Change},
        },
        viewers,
    },
    app::{Application, Databases},
    config::Config,
    platform::{
        db::{self, Db},
        kv::{self, Kv},
        shutdown::Shutdown,
    },
    web::{signing::random_token, state::State},
};
use sqlx::PgPool;

pub use outside::Outside;
pub use proxy::{Mode, Proxy, Upstream};
pub use smtp::SmtpSink;
pub use visitor::{Answer, Visitor};

/// The password of everyone in the tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// Waits until something holds, at most 20 s; `what` is named if it never does.
#[track_caller]
pub fn eventually<F: AsyncFn() -> bool>(what: &str, holds: F) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(Instant::now() < deadline, "{place}: never: {what}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// A running site; it stops when dropped.
pub struct TestSite {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    /// The same of the operators' port, where there is one.
    pub ops_address: String,
    /// The test's own database, beside the application's connections.
    pub pool: PgPool,
    /// What handlers reach.
    pub state: Data<State>,
    server: tokio::task::JoinHandle<()>,
}

/// How a site is started.
#[derive(Clone, Default)]
pub struct Options {
    /// Environment variables, as the configuration reads them.
    pub environment: Vec<(&'static str, String)>,
    /// Sessions in PostgreSQL, although a Redis is there.
    pub without_redis: bool,
    /// How PostgreSQL is reached instead of directly: through a proxy that can fail.
    pub postgres: Option<sqlx::postgres::PgConnectOptions>,
    /// Ports of servers on this machine that the site may ask as if they were outside.
    pub outside: Vec<u16>,
    /// How Redis is reached instead of by `REDIS_URL`.
    pub redis_url: Option<String>,
    /// What stands before every key in Redis, for two sites that share them.
    pub redis_prefix: Option<String>,
}

impl TestSite {
    /// A site with Redis (`REDIS_URL`, given by `script/test`), and without limits.
    pub async fn start(pool: PgPool) -> Self {
        Self::start_with(pool, Options::default()).await
    }

    /// A site without Redis.
    pub async fn start_without_redis(pool: PgPool) -> Self {
        let options = Options {
            without_redis: true,
            ..Options::default()
        };
        Self::start_with(pool, options).await
    }

    /// A site as `options` say.
    pub async fn start_with(pool: PgPool, options: Options) -> Self {
        start_log();
        let config = config(&options);
        let connect = options
            .postgres
            .clone()
            .unwrap_or_else(|| (*pool.connect_options()).clone());
        let mut db_options = db::Options::with_connect_options(connect);
        db_options.max_connections = 5;
        let db = Db::connect(&db_options)
            .await
            .expect("the test's database answers");
        let kv = (!options.without_redis).then(|| redis(&options));
        let mut shutdown = Shutdown::new();
        let application = Application::build(config, Databases { db, kv }, &mut shutdown)
            .await
            .expect("the application starts");
        let address = format!("http://127.0.0.1:{}", application.port());
        let ops_address = application
            .ops_port()
            .map_or_else(String::new, |port| format!("http://127.0.0.1:{port}"));
        let state = application.state().clone();
        let server = tokio::spawn(async move {
            let signals = betternews::platform::shutdown::Signals::listen().expect("signals");
            let _ = application.run_until_stopped(signals, shutdown).await;
        });
        Self {
            address,
            ops_address,
            pool,
            state,
            server,
        }
    }

    /// Two instances of one site, which share database and Redis.
    pub async fn start_two(pool: &PgPool, mut options: Options) -> (Self, Self) {
        options.redis_prefix = Some(format!("test-{}:", random_token(9)));
        let first = Self::start_with(pool.clone(), options.clone()).await;
        (first, Self::start_with(pool.clone(), options).await)
    }

    /// Someone who has just come, with no cookies.
    pub fn visitor(&self) -> Visitor {
        Visitor::new(&self.address)
    }

    /// Someone who has made an account by the form.
    pub async fn signed_up(&self, name: &str) -> Visitor {
        let visitor = self.visitor();
        visitor.get("/signup").await.expect_status(200);
        visitor
            .post(
                "/signup",
                &[("username", name), ("email", ""), ("password", PASSWORD)],
            )
            .await
            .expect_status(303);
        // The guest's token is worthless now; any page has the new one.
        visitor.get("/about").await.expect_status(200);
        visitor
    }

    /// Someone who has logged in by the form, in a browser of their own.
    pub async fn logged_in(&self, name: &str) -> Visitor {
        let visitor = self.visitor();
        visitor.log_in(name, PASSWORD).await.expect_status(303);
        visitor.get("/about").await.expect_status(200);
        visitor
    }

    /// Someone with an account and a role.
    pub async fn signed_up_as(&self, name: &str, role: &str) -> Visitor {
        let visitor = self.signed_up(name).await;
        self.give_role(name, role).await;
        visitor
    }

    /// Gives a role as the site does: by an event.
    pub async fn give_role(&self, name: &str, role: &str) {
        let change = Change {
            actor: None,
            reason: "for a test",
            request_id: "",
        };
        let mut conn = self.state.db.conn().await.expect("a connection");
        let subject = find_subject(&mut conn, name)
            .await
            .expect("an answer")
            .expect("the account");
        conn.begin().await.expect("a transaction");
        roles::grant(&mut conn, subject.id, role, change)
            .await
            .expect("the role is given");
        conn.commit().await.expect("the role is kept");
        viewers::forget(&self.state.cache, subject.id).await;
    }

    /// One value from the database.
    pub async fn value<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql)
            .fetch_one(&self.pool)
            .await
            .expect("one value")
    }

    /// Runs a statement on the database.
    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(&self.pool)
            .await
            .expect("the statement runs");
        // What is done behind the application's back, it cannot know.
        self.state.pages.clear();
        // Where Redis is away there is nothing to drop.
        let _ = self.state.cache.clear().await;
    }
}

impl Drop for TestSite {
    fn drop(&mut self) {
        self.server.abort();
        self.state.tasks.token().cancel();
        self.state.db.close();
    }
}

fn config(options: &Options) -> Config {
    let mut environment = vec![
        ("BIND", "127.0.0.1:0".to_owned()),
        (
            "SECRET_KEY",
            "a secret for the tests that is long enough".to_owned(),
        ),
        ("FEATURE_RATE_LIMITING", "false".to_owned()),
        ("HTTP_WORKERS", "1".to_owned()),
    ];
    environment.extend(options.environment.iter().cloned());
    let mut config = Config::read(|name| {
        environment
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.clone())
    })
    .expect("the tests' configuration is well formed");
    config.outside.loopback_ports.clone_from(&options.outside);
    config
}

fn redis(options: &Options) -> Kv {
    let url = options.redis_url.clone().unwrap_or_else(|| {
        std::env::var("REDIS_URL")
            .expect("REDIS_URL names a Redis for the tests; script/test starts one")
    });
    let mut kv_options = kv::Options::new(url.into());
    kv_options.prefix = options
        .redis_prefix
        .clone()
        .unwrap_or_else(|| format!("test-{}:", random_token(9)));
    // A machine that runs many tests at once is slow now and then.
    kv_options.timeout = Duration::from_millis(if options.redis_url.is_some() {
        200
    } else {
        2_000
    });
    Kv::open(&kv_options).expect("REDIS_URL is well formed")
}

/// With `RUST_LOG` set, the application's log is shown.
fn start_log() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        if let Ok(filter) = std::env::var("RUST_LOG") {
            betternews::platform::observe::log::start(&filter, false, None);
        }
    });
}
