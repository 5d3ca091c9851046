//! The guarded client (S22, P18): a server that misbehaves in every way, and addresses that lead inside.

use std::time::{Duration, Instant};

use betternews::platform::fetch::{
    Error, Fetcher, Options as FetchOptions, Overflow, Wanted, address::Allowance,
};
use futures_util::future::join_all;

use crate::support::Outside;

const HTML: Wanted = Wanted {
    types: &["text/html"],
    bytes: 100_000,
    overflow: Overflow::Refuse,
    time: Duration::from_secs(2),
};

fn fetcher(ports: &[u16]) -> Fetcher {
    let allowance = Allowance {
        loopback_ports: ports.to_vec(),
    };
    Fetcher::new(&FetchOptions {
        agent: "test".into(),
        allowance,
    })
    .expect("a client")
}

#[tokio::test]
async fn s22_every_way_to_misbehave_is_refused_in_bounded_time() {
    let outside = Outside::start().await;
    let fetcher = fetcher(&[outside.port]);
    for (path, expected) in [
        ("/slow-head", "no answer"),
        ("/silent-body", "no answer"),
        ("/hang", "no answer"),
        ("/endless", "more than 100000 bytes"),
        ("/bomb", "more than 100000 bytes"),
        ("/loop", "too many redirects"),
        ("/private", "refused: only public"),
        ("/metadata", "refused: only public"),
        ("/file", "refused: only http"),
        ("/other-port", "refused: only the web's usual ports"),
        ("/nowhere", "a broken answer"),
        ("/pdf", "unwanted content: application/pdf"),
        ("/untyped", "unwanted content: none"),
        ("/not-gzip", "a broken answer"),
        ("/bad-chunk", "a broken answer"),
        ("/cut", "a broken answer"),
        ("/not-http", "no connection"),
        ("/many-headers", "no connection"),
        ("/missing", "status 404"),
    ] {
        let began = Instant::now();
        let error = fetcher
            .get(&outside.url(path), &HTML)
            .await
            .expect_err(path)
            .to_string();
        assert!(error.starts_with(expected), "{path}: {error}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{path} took {:?}",
            began.elapsed()
        );
    }
    assert_eq!(outside.hits("/loop"), 6, "five redirects are followed");
    let truncating = Wanted {
        overflow: Overflow::Truncate,
        ..HTML
    };
    for path in ["/bomb", "/endless"] {
        let fetched = fetcher
            .get(&outside.url(path), &truncating)
            .await
            .expect(path);
        assert!(
            fetched.is_truncated && fetched.body.len() == HTML.bytes,
            "{path}"
        );
    }
}

#[tokio::test]
async fn s22_no_name_and_no_spelling_leads_inside() {
    let outside = Outside::start().await;
    let fetcher = fetcher(&[]);
    let port = outside.port;
    for url in [
        format!("http://127.0.0.1:{port}/page"),
        "http://localhost/page".into(),
        "http://localhost:8080/".into(),
        "http://[::1]:8080/".into(),
        "http://[::ffff:127.0.0.1]:8080/".into(),
        "http://017700000001:8080/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
    ] {
        let patient = Wanted {
            time: Duration::from_secs(30),
            ..HTML
        };
        let error = fetcher.get(&url, &patient).await.expect_err(&url);
        assert!(matches!(error, Error::Refused(_)), "{url}: {error}");
    }
    assert_eq!(outside.hits("/page"), 0);
}

#[tokio::test]
async fn s22_one_host_gets_at_most_ten_connections() {
    let outside = Outside::start().await;
    let fetcher = fetcher(&[outside.port]);
    let url = outside.url("/gate");
    let wanted = Wanted {
        time: Duration::from_secs(30),
        ..HTML
    };
    let all = join_all((0..25).map(|_| fetcher.get(&url, &wanted)));
    let doorman = async {
        let mut through = 0;
        while through < 25 {
            while outside.hits("/gate") < (through + 10).min(25) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(
                outside.hits("/gate") <= through + 10,
                "more than ten at once"
            );
            outside.open_gate(1);
            through += 1;
        }
    };
    let (answers, ()) = tokio::join!(all, doorman);
    assert!(answers.iter().all(Result::is_ok));
}
