//! S02: traces are taken, made, told, logged and exported; the last by the real program, to a collector in the test's
//! own process.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::support::{Options, TestSite, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[sqlx::test]
async fn s02_every_answer_tells_its_trace_and_a_callers_trace_goes_on(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    for path in ["/about", "/nowhere"] {
        let made = visitor.get(path).await;
        assert!(is_hex(made.header("x-trace-id"), 32), "{path}");
        assert!(is_hex(made.header("x-span-id"), 16), "{path}");
        assert_eq!(made.header("x-correlation-id"), made.header("x-request-id"));
    }
    let about = || visitor.client().get(visitor.url("/about"));
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let taken = visitor
        .send(
            about()
                .header("traceparent", &traceparent)
                .header("x-correlation-id", "order-12345"),
        )
        .await;
    assert_eq!(taken.header("x-trace-id"), TRACE);
    assert_ne!(taken.header("x-span-id"), PARENT);
    assert_eq!(taken.header("x-correlation-id"), "order-12345");
    let apart = visitor
        .send(
            about()
                .header("x-trace-id", TRACE)
                .header("x-parent-span-id", PARENT),
        )
        .await;
    assert_eq!(apart.header("x-trace-id"), TRACE);
    let ids = visitor
        .send(about().header("x-request-id", "request-1"))
        .await;
    assert_eq!(ids.header("x-correlation-id"), "request-1");
    for bad in ["nonsense", "00-zz-00-01", "<script>"] {
        let request = about()
            .header("traceparent", bad)
            .header("x-trace-id", bad)
            .header("x-correlation-id", bad);
        let answer = visitor.send(request).await.expect_status(200);
        assert!(is_hex(answer.header("x-trace-id"), 32), "{bad}");
        assert_eq!(
            answer.header("x-correlation-id") == bad,
            bad != "<script>",
            "{bad}"
        );
    }
}

/// A web page that keeps what it was asked with.
async fn curious() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heads = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                head.push_str(&line.to_ascii_lowercase());
                line.clear();
            }
            kept.lock().expect("no panic before").push_str(&head);
            let page = "<!doctype html><title>A page of a stranger</title>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
                page.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, heads)
}

#[sqlx::test]
async fn s02_a_stranger_who_is_asked_learns_the_trace_and_nothing_more(pool: PgPool) {
    let (port, heads) = curious().await;
    let options = Options {
        outside: vec![port],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let alice = site.signed_up("alice").await;
    let request = alice
        .client()
        .get(alice.url(&format!(
            "/api/v1/link-preview?url=http%3A%2F%2F127.0.0.1%3A{port}%2Fpage"
        )))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("x-correlation-id", "order-12345")
        .header("baggage", "user=alice");
    let answer = alice.send(request).await.expect_status(200);
    let span = answer.header("x-span-id");
    let heads = heads.lock().expect("no panic before");
    assert!(
        heads.contains(&format!("traceparent: 00-{TRACE}-{span}-01")),
        "{heads}"
    );
    assert!(
        !heads.contains("baggage") && !heads.contains("order-12345") && !heads.contains("alice")
    );
}

#[sqlx::test]
async fn s02_a_job_goes_on_in_the_trace_of_the_request_that_caused_it(pool: PgPool) {
    let (port, heads) = curious().await;
    let options = Options {
        outside: vec![port],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let alice = site.signed_up("alice").await;
    alice.get("/submit").await.expect_status(200);
    let (link, token) = (format!("http://127.0.0.1:{port}/page"), alice.token());
    let fields = [
        ("title", "A page of a stranger"),
        ("url", &link),
        ("csrf_token", &token),
    ];
    let submission = alice
        .client()
        .post(alice.url("/posts"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .form(&fields);
    let span = alice.send(submission).await.expect_status(303);
    let span = span.header("x-span-id");
    let kept: String = site
        .value("SELECT traceparent FROM jobs WHERE kind = 'link.preview'")
        .await;
    assert_eq!(kept, format!("00-{TRACE}-{span}-01"));
    eventually("the page is asked for as part of the trace", async || {
        let heads = heads.lock().expect("no panic before");
        heads.contains(&format!("traceparent: 00-{TRACE}-"))
    })
    .await;
    let heads = heads.lock().expect("no panic before");
    assert!(
        !heads.contains(span),
        "the job's part of it is its own: {heads}"
    );
}

/// A collector of traces that keeps whatever it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let collector = Self::default();
        let serving = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = serving.clone();
                tokio::spawn(async move { collector.serve(stream).await });
            }
        });
        (collector, address)
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut line, mut length, mut first) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).await? > 0 && line.trim() != "" {
                if first.is_empty() {
                    first.clone_from(&line);
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            if first.is_empty() {
                return Ok(());
            }
            assert!(first.starts_with("POST /v1/traces "), "{first}");
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            self.0.lock().expect("no panic before").extend(body);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await?;
        }
    }

    fn holds(&self, wanted: &[u8]) -> bool {
        let kept = self.0.lock().expect("no panic before");
        kept.windows(wanted.len()).any(|window| window == wanted)
    }
}

/// The program, once it listens; what it writes is kept.
pub async fn started(
    pool: &PgPool,
    environment: &[(&str, &str)],
) -> (Child, String, Arc<Mutex<String>>) {
    let mut database: url::Url = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL")
        .parse()
        .expect("a URL");
    database.set_path(
        pool.connect_options()
            .get_database()
            .expect("the test's own"),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_betternews"))
        .env_clear()
        .env("DATABASE_URL", database.as_str())
        .env("BIND", "127.0.0.1:0")
        .env("SECRET_KEY", "a secret for the tests that is long enough")
        .env("RUST_LOG", "info")
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let said = Arc::new(Mutex::new(String::new()));
    let (out, err) = (
        child.stdout.take().expect("piped"),
        child.stderr.take().expect("piped"),
    );
    let keep = |text: Arc<Mutex<String>>, line: &str| {
        let mut text = text.lock().expect("no panic before");
        text.push_str(line);
        text.push('\n');
    };
    let (kept, also_kept) = (Arc::clone(&said), Arc::clone(&said));
    tokio::spawn(async move {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            keep(Arc::clone(&kept), &line);
        }
    });
    tokio::spawn(async move {
        let mut lines = BufReader::new(err).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            keep(Arc::clone(&also_kept), &line);
        }
    });
    let address = || {
        let said = said.lock().expect("no panic before");
        let from = &said[said.find("listens on http://")? + "listens on ".len()..];
        Some(from.split_whitespace().next()?.to_owned())
    };
    eventually("it listens", async || address().is_some()).await;
    let address = address().expect("it listens");
    (child, address, said)
}

#[sqlx::test]
async fn s02_spans_of_requests_and_sql_reach_the_collector_under_the_trace_that_answers_and_logs_tell(
    pool: PgPool,
) {
    let (collector, endpoint) = Collector::start().await;
    let redis = std::env::var("REDIS_URL").expect("REDIS_URL");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("LOG_FORMAT", "json"),
        ("REDIS_URL", redis.as_str()),
        ("REDIS_PREFIX", "test-traces:"),
    ];
    let (mut child, address, said) = started(&pool, &environment).await;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(betternews::platform::tls::client().expect("TLS"))
        .no_proxy()
        .build()
        .expect("a client");
    let answer = client
        .get(format!("{address}/over?points=1"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .send()
        .await
        .expect("an answer");
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("x-trace-id"), TRACE);
    let span = header("x-span-id");
    let kept = client
        .get(format!("{address}/about"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(kept.headers()["x-cache"], "HIT");
    let kept_span = kept.headers()["x-span-id"]
        .to_str()
        .expect("text")
        .to_owned();
    // It is counted in Redis.
    let changed = client
        .post(format!("{address}/theme"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("theme=dark")
        .send()
        .await;
    assert!(!changed.expect("an answer").status().is_server_error());
    let id = child.id().expect("it runs").to_string();
    let killed = Command::new("kill").arg(&id).status().await.expect("kill");
    assert!(killed.success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    assert!(ended.expect("in time").expect("ended").success());
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect()
    };
    eventually("what belongs to the request's span has come", async || {
        collector.holds(&bytes(&span)) && collector.holds(&bytes(&kept_span))
    })
    .await;
    assert!(collector.holds(&bytes(TRACE)) && collector.holds(&bytes(PARENT)));
    for part in [
        "GET /over",
        "GET /about",
        "sql",
        "SELECT",
        "db.operation.name",
        "postgresql",
        "redis",
        "EVALSHA",
        "betternews",
    ] {
        assert!(collector.holds(part.as_bytes()), "{part} is missing");
    }
    let said = said.lock().expect("no panic before");
    let line = said
        .lines()
        .find(|line| line.contains("\"answered\""))
        .expect("one line a request");
    assert!(line.contains(TRACE) && line.contains(&span), "{line}");
}
