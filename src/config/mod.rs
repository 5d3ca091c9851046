//! The configuration: the only reader of the environment. Must not know anything else of ours.
//!
//! One typed struct for each subsystem. Reading never stops at the first mistake: [`Config::read`] reports all that is
//! wrong at once. Secrets are [`SecretString`]s, which do not print.

mod mail;
mod net;
mod origin;
mod outside;
mod reader;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use actix_web::http::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

pub use mail::Mail;
pub use net::Network;
pub use origin::Origin;
pub use outside::Outside;
pub use reader::{Problems, Reader};

/// Names that are reserved for parts that are still to come.
const NOT_USED: [&str; 2] = ["DATABASE_REPLICA_URLS", "FEATURE_DOCS"];

/// Where the process runs; production is stricter about secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine: a missing secret is made and kept in the data folder.
    Development,
    /// As production, but named so that flags can tell them apart.
    Staging,
    /// A missing or weak secret stops the start.
    Production,
}

impl Environment {
    /// The word that `APP_ENV` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The HTTP server.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where the site listens. `BIND`
    pub bind: SocketAddr,
    /// A second listener for operators' endpoints, off by default. `OPS_BIND`
    pub ops_bind: Option<SocketAddr>,
    /// The site's public address without a trailing slash; https makes cookies `Secure`. `BASE_URL`
    pub base_url: url::Url,
    /// Whose forwarding headers are believed. `TRUSTED_PROXIES`
    pub trusted_proxies: Vec<Network>,
    /// The one header that holds the client's address, instead of the usual ones. `CLIENT_IP_HEADER`
    pub client_ip_header: Option<String>,
    /// Origins whose pages may call the API from a browser; none by default. `CORS_ORIGINS`
    pub cors_origins: Vec<Origin>,
    /// Threads that serve requests. `HTTP_WORKERS`, by default one a core
    pub workers: usize,
    /// How long "not ready" is told before the door closes: what a load balancer needs to notice. `SHUTDOWN_DELAY`, in
    /// seconds
    pub shutdown_delay: Duration,
}

impl Http {
    /// Whether visitors come over https.
    pub fn secure(&self) -> bool {
        self.base_url.scheme() == "https"
    }

    /// An absolute address of this site for a path that begins with `/`.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.as_str().trim_end_matches('/'))
    }
}

/// PostgreSQL and Redis, one's own or embedded.
#[derive(Clone, Debug)]
pub struct Databases {
    /// A PostgreSQL of one's own; without it the embedded one is started. `DATABASE_URL`
    pub database_url: Option<SecretString>,
    /// Size of the pool. `DATABASE_MAX_CONNECTIONS`
    pub max_connections: usize,
    /// A Redis of one's own; without it and without `DATABASE_URL` the embedded one is started. `REDIS_URL`
    pub redis_url: Option<SecretString>,
    /// Put before every key, so that several sites (or tests) share one Redis. `REDIS_PREFIX`
    pub redis_prefix: String,
    /// Where the embedded servers keep their data. `BETTERNEWS_DATA_DIR`
    pub data_dir: PathBuf,
    /// Where PostgreSQL's programs are, if not in a usual place. `BETTERNEWS_PG_BIN`
    pub pg_bin: Option<PathBuf>,
}

/// Limits on writing (S12).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Whether limits are applied at all. `FEATURE_RATE_LIMITING`
    pub enabled: bool,
    /// Writes that one address may make in one window. `RATE_LIMIT_MAX`
    pub max: u32,
    /// The window. `RATE_LIMIT_WINDOW`, in seconds
    pub window: Duration,
}

/// What is kept ready, counted and noted (S15-S17, S24-S30).
#[derive(Clone, Debug)]
pub struct Observe {
    /// Whether guests' pages and computed values are kept. `FEATURE_CACHING`
    pub caching: bool,
    /// Most bytes that guests' pages take. `CACHE_PAGES_MB`, in MiB
    pub cache_pages_bytes: u64,
    /// Whether requests are counted by route, and `/metrics` is there. `FEATURE_METRICS`
    pub metrics: bool,
    /// Whether the machine is looked at, and minutes of routes are stored. `FEATURE_MONITORING`
    pub monitoring: bool,
    /// Whether the activity log is written. `ACTIVITY_LOG`
    pub activity: bool,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// `tracing` directives, such as `info` or `betternews=debug`. `RUST_LOG`, else `LOG_LEVEL`
    pub filter: String,
    /// `LOG_FORMAT`
    pub format: LogFormat,
    /// The collector that spans are sent to (OTLP over HTTP), by its base address; unset: none are.
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`
    pub otlp_endpoint: Option<url::Url>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `APP_ENV`
    pub environment: Environment,
    /// Signs cookies and form tokens; older keys after the first still verify. Empty: make one and keep it (never in
    /// production). `SECRET_KEY`
    pub secret_keys: Vec<SecretString>,
    /// The HTTP server.
    pub http: Http,
    /// PostgreSQL and Redis.
    pub databases: Databases,
    /// Limits on writing.
    pub limits: Limits,
    /// Caches, metrics, the activity log.
    pub observe: Observe,
    /// Outgoing mail.
    pub mail: Mail,
    /// Logging.
    pub log: Log,
    /// Requests to the outside.
    pub outside: Outside,
    /// Templates' neighbours (`static/`) are read from the disk on each request. `BETTERNEWS_DEV`
    pub dev: bool,
    /// Log at debug level. `DEBUG_MODE`
    pub debug: bool,
    /// What is not wrong, but has not the effect that somebody may expect: a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// All that is wrong, at once, in plain sentences that name the variable and never print a secret.
    pub fn from_env() -> Result<Self, Problems> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads from anything that answers a variable's name with its value; an empty value counts as unset.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn read(source: impl Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut r = Reader::new(source);
        let environment = r.choice(
            "APP_ENV",
            Environment::Development,
            &[
                ("development", Environment::Development),
                ("staging", Environment::Staging),
                ("production", Environment::Production),
            ],
        );
        let secret_keys = secret_keys(&mut r, environment);
        let http = http(&mut r, environment);
        let debug = r.parse("DEBUG_MODE", false, "true or false");
        for name in NOT_USED {
            if r.text(name).is_some() {
                r.warning(name, "is set, but not used yet");
            }
        }
        let config = Self {
            environment,
            secret_keys,
            http,
            databases: Databases {
                database_url: r.secret_url("DATABASE_URL", &["postgres", "postgresql"]),
                max_connections: r.within("DATABASE_MAX_CONNECTIONS", 10_usize, 1, 500),
                redis_url: r.secret_url("REDIS_URL", &["redis", "rediss", "redis+unix", "unix"]),
                redis_prefix: r.text("REDIS_PREFIX").unwrap_or_else(|| "bn:".into()),
                data_dir: r
                    .text("BETTERNEWS_DATA_DIR")
                    .unwrap_or_else(|| "./data".into())
                    .into(),
                pg_bin: r.text("BETTERNEWS_PG_BIN").map(PathBuf::from),
            },
            limits: Limits {
                enabled: r.parse("FEATURE_RATE_LIMITING", true, "true or false"),
                max: r.within("RATE_LIMIT_MAX", 100, 1, 1_000_000),
                window: Duration::from_secs(
                    r.within("RATE_LIMIT_WINDOW", 900, 1, 86_400_u32).into(),
                ),
            },
            observe: Observe {
                caching: r.parse("FEATURE_CACHING", true, "true or false"),
                cache_pages_bytes: r.within("CACHE_PAGES_MB", 64_u64, 1, 65_536) * 1_024 * 1_024,
                metrics: r.parse("FEATURE_METRICS", true, "true or false"),
                monitoring: r.parse("FEATURE_MONITORING", true, "true or false"),
                activity: r.parse("ACTIVITY_LOG", true, "true or false"),
            },
            mail: Mail::read(&mut r),
            log: Log {
                filter: log_filter(&mut r, debug),
                format: r.choice(
                    "LOG_FORMAT",
                    LogFormat::Text,
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                ),
                otlp_endpoint: r.optional(
                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                    "the address of a collector, such as http://127.0.0.1:4318",
                ),
            },
            outside: Outside::read(&mut r),
            dev: r.flag("BETTERNEWS_DEV"),
            debug,
            warnings: Vec::new(),
        };
        if config.http.ops_bind == Some(config.http.bind) {
            r.problem(
                "OPS_BIND",
                "must differ from BIND: it is the operators' own listener",
            );
        }
        let warnings = r.take_warnings();
        r.finish(Self { warnings, ..config })
    }
}

fn http(r: &mut Reader<impl Fn(&str) -> Option<String>>, environment: Environment) -> Http {
    let bind: SocketAddr = r.parse(
        "BIND",
        SocketAddr::from(([127, 0, 0, 1], 8080)),
        "an address and a port, such as 127.0.0.1:8080",
    );
    Http {
        bind,
        ops_bind: r.optional(
            "OPS_BIND",
            "an address and a port, such as 127.0.0.1:9090, or unset",
        ),
        base_url: base_url(r, bind),
        trusted_proxies: r.list(
            "TRUSTED_PROXIES",
            "addresses or networks, such as 127.0.0.1, 10.0.0.0/8",
        ),
        client_ip_header: r
            .optional::<HeaderName>(
                "CLIENT_IP_HEADER",
                "a header's name, such as CF-Connecting-IP",
            )
            .map(|name| name.as_str().to_owned()),
        cors_origins: r.list(
            "CORS_ORIGINS",
            "origins, such as https://app.example.org, http://127.0.0.1:3000",
        ),
        workers: r.within("HTTP_WORKERS", cores(), 1, 256),
        shutdown_delay: Duration::from_secs(
            r.within(
                "SHUTDOWN_DELAY",
                if environment == Environment::Development {
                    0
                } else {
                    3_u32
                },
                0,
                15,
            )
            .into(),
        ),
    }
}

/// The directives of `RUST_LOG`, else of `LOG_LEVEL`; both are looked at.
fn log_filter(r: &mut Reader<impl Fn(&str) -> Option<String>>, debug: bool) -> String {
    let level = r.choice(
        "LOG_LEVEL",
        if debug {
            "info,betternews=debug"
        } else {
            "info"
        },
        &["error", "warn", "info", "debug", "trace"].map(|word| (word, word)),
    );
    let Some(directives) = r.text("RUST_LOG") else {
        return level.to_owned();
    };
    if EnvFilter::try_new(&directives).is_err() {
        r.problem(
            "RUST_LOG",
            &format!("is '{directives}', but must be rules such as info,sqlx=warn"),
        );
    }
    directives
}

fn cores() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(256)
}

fn base_url(r: &mut Reader<impl Fn(&str) -> Option<String>>, bind: SocketAddr) -> url::Url {
    let host = if bind.ip().is_unspecified() {
        format!("127.0.0.1:{}", bind.port())
    } else {
        bind.to_string()
    };
    let text = r
        .text("BASE_URL")
        .unwrap_or_else(|| format!("http://{host}"));
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.path() == "/" => url,
        _ => {
            r.problem(
                "BASE_URL",
                "must be the site's address, http or https without a path, such as https://news.example.org",
            );
            FALLBACK_URL.clone()
        }
    }
}

/// Stands in while the other problems are gathered; never leaves [`Config::read`].
static FALLBACK_URL: std::sync::LazyLock<url::Url> = std::sync::LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant that parses")]
    url::Url::parse("http://127.0.0.1").expect("a constant URL")
});

fn secret_keys(
    r: &mut Reader<impl Fn(&str) -> Option<String>>,
    environment: Environment,
) -> Vec<SecretString> {
    let keys: Vec<SecretString> = r
        .text("SECRET_KEY")
        .map(|all| {
            all.split(',')
                .map(|k| SecretString::from(k.trim().to_owned()))
                .collect()
        })
        .unwrap_or_default();
    for key in &keys {
        let key = key.expose_secret();
        let distinct: std::collections::BTreeSet<char> = key.chars().collect();
        if key.chars().count() < 32 {
            r.problem(
                "SECRET_KEY",
                "must have 32 characters or more (try: openssl rand -hex 32)",
            );
        } else if environment == Environment::Production && distinct.len() < 8 {
            r.problem(
                "SECRET_KEY",
                "is too easy to guess (try: openssl rand -hex 32)",
            );
        }
    }
    if keys.is_empty() && environment != Environment::Development {
        r.problem(
            "SECRET_KEY",
            "is missing: it signs cookies, and only development may do without (try: openssl rand -hex 32)",
        );
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::read(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_is_a_development_site() {
        let config = read(&[]).expect("defaults are valid");
        assert_eq!(config.environment, Environment::Development);
        assert_eq!(config.http.bind.to_string(), "127.0.0.1:8080");
        assert_eq!(
            config.http.absolute("/newest"),
            "http://127.0.0.1:8080/newest"
        );
        assert!(config.databases.database_url.is_none());
    }

    #[test]
    fn all_problems_are_told_at_once_and_no_secret_is_printed() {
        let problems = read(&[
            ("BIND", "nowhere"),
            ("SECRET_KEY", "hunter2hunter2"),
            ("DATABASE_URL", "mysql://root:swordfish@localhost/"),
            ("DATABASE_MAX_CONNECTIONS", "0"),
            ("LOG_FORMAT", "xml"),
            (
                "HEALTH_URLS",
                "https://example.org/health, ftp://example.org/",
            ),
            ("ALERT_WEBHOOK_URL", "hooks.example.org/hunter2"),
        ])
        .expect_err("seven mistakes")
        .to_string();
        for name in [
            "BIND",
            "SECRET_KEY",
            "DATABASE_URL",
            "DATABASE_MAX_CONNECTIONS",
            "LOG_FORMAT",
            "HEALTH_URLS",
            "ALERT_WEBHOOK_URL",
        ] {
            assert!(problems.contains(name), "{name} is missing in:\n{problems}");
        }
        assert!(!problems.contains("hunter2") && !problems.contains("swordfish"));
    }

    #[test]
    fn production_wants_a_strong_secret() {
        assert!(read(&[("APP_ENV", "production")]).is_err());
        let weak = "a".repeat(40);
        assert!(read(&[("APP_ENV", "production"), ("SECRET_KEY", &weak)]).is_err());
        let strong = "0123456789abcdef0123456789abcdef";
        let config = read(&[("APP_ENV", "production"), ("SECRET_KEY", strong)]).expect("valid");
        assert!(!format!("{config:?}").contains(strong));
    }
}
