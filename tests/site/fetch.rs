//! The guarded client (S22, P18): a server that misbehaves in every way, and addresses that lead inside.

use std::time::{Duration, Instant};

use betternews::platform::{
    fetch::{Error, Fetcher, Options as FetchOptions, Overflow, Wanted, address::Allowance},
    resilience::retry::{Blame, Fault},
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
    fetcher_that_knows(ports, &[])
}

/// One for which these names lead to these addresses.
fn fetcher_that_knows(ports: &[u16], names: &[(&str, &[&str])]) -> Fetcher {
    let names = names.iter().map(|(name, addresses)| {
        let addresses = addresses.iter().map(|a| a.parse().expect("an address"));
        ((*name).to_owned(), addresses.collect())
    });
    let allowance = Allowance {
        loopback_ports: ports.to_vec(),
        names: names.collect(),
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
        ("/bomb-br", "more than 100000 bytes"),
        ("/bomb-deflate", "more than 100000 bytes"),
        ("/long", "refused: a redirect to so long an address"),
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
        ("/not-http", "a broken answer"),
        ("/many-headers", "a broken answer"),
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
            !error.contains("127.0.0.1"),
            "{path} tells no address: {error}"
        );
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
    let packed = fetcher
        .get(&outside.url("/bomb-zstd"), &HTML)
        .await
        .expect("what cannot be unpacked stays packed");
    assert!(packed.body.len() < 10_000, "it does not go off");
}

#[tokio::test]
async fn s22_what_breaks_the_rules_of_http_is_not_tried_again_and_nobodys_fault() {
    let outside = Outside::start().await;
    let fetcher = fetcher(&[outside.port]);
    for path in ["/not-http", "/many-headers", "/bad-chunk", "/nowhere"] {
        let error = fetcher.get(&outside.url(path), &HTML).await;
        let error = error.expect_err(path);
        assert!(matches!(error, Error::Broken(_)), "{path}: {error}");
        assert!(!error.is_retryable(), "{path}");
        assert_eq!(error.blame(), Blame::Nobody, "{path}");
    }
    assert_eq!(Error::Unresolved.blame(), Blame::Nobody);
}

#[tokio::test]
async fn s22_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to() {
    let outside = Outside::start().await;
    let port = outside.port;
    let fetcher = fetcher_that_knows(
        &[port],
        &[
            ("page.test", &["127.0.0.1"]),
            ("inside.test", &["10.0.0.1"]),
            ("both.test", &["127.0.0.1", "10.0.0.1"]),
            ("mapped.test", &["::ffff:10.0.0.1"]),
            ("nothing.test", &[]),
        ],
    );
    let get = async |url: String| fetcher.get(&url, &HTML).await;
    get(format!("http://page.test:{port}/page"))
        .await
        .expect("names are taken from the test");
    assert_eq!(outside.hits("/page"), 1);
    for url in [
        "http://inside.test/".to_owned(),
        format!("http://both.test:{port}/page"),
        "http://mapped.test/".to_owned(),
        outside.url("/inside"),
    ] {
        let error = get(url.clone()).await.expect_err(&url);
        assert!(matches!(error, Error::Refused(_)), "{url}: {error}");
    }
    assert_eq!(outside.hits("/page"), 1);
    let error = get("http://nothing.test/".into()).await;
    assert_eq!(error.expect_err("no address"), Error::Unresolved);
}

#[test]
fn s22_addresses_of_the_machine_itself_are_known() {
    use betternews::platform::fetch::address::is_own;
    assert!(is_own("127.0.0.1".parse().expect("an address")));
    for other in ["192.0.2.1", "1.1.1.1", "2606:4700:4700::1111"] {
        assert!(!is_own(other.parse().expect("an address")), "{other}");
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
