//! What outside is talked to besides the databases and mail: `ALERT_WEBHOOK_URL`, `HEALTH_URLS` and `CDN_PURGE_URL`. Must
//! not know how.

use secrecy::SecretString;
use url::Url;

use super::Reader;

/// Requests to the outside.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// A Slack-compatible incoming webhook that is told of trouble; its address is its key. `ALERT_WEBHOOK_URL`
    pub alert_webhook_url: Option<SecretString>,
    /// Addresses that the site cannot do well without: health asks each of them. They are the operator's own, so that they
    /// may be private. `HEALTH_URLS`
    pub health_urls: Vec<Url>,
    /// Where a CDN in front takes word of outdated pages; unset: there is none. `CDN_PURGE_URL`
    pub cdn_purge_url: Option<SecretString>,
    /// Ports on the loopback addresses that may be asked beside the public internet. No variable fills it: it is for tests,
    /// which run the outside themselves.
    pub loopback_ports: Vec<u16>,
}

impl Outside {
    pub(super) fn read(r: &mut Reader<impl Fn(&str) -> Option<String>>) -> Self {
        Self {
            alert_webhook_url: alert_webhook_url(r),
            health_urls: health_urls(r),
            cdn_purge_url: r.secret_url("CDN_PURGE_URL", &["https", "http"]),
            loopback_ports: Vec::new(),
        }
    }
}

fn alert_webhook_url(r: &mut Reader<impl Fn(&str) -> Option<String>>) -> Option<SecretString> {
    const NAME: &str = "ALERT_WEBHOOK_URL";
    let text = r.text(NAME)?;
    if web_address(&text).is_none() {
        // It may hold a key, so that it is not repeated.
        r.problem(
            NAME,
            "must be an http or https address, such as https://hooks.example.org/services/T0/B0/key",
        );
        return None;
    }
    Some(text.into())
}

fn health_urls(r: &mut Reader<impl Fn(&str) -> Option<String>>) -> Vec<Url> {
    const NAME: &str = "HEALTH_URLS";
    let text = r.text(NAME).unwrap_or_default();
    let mut urls = Vec::new();
    for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
        match web_address(part) {
            Some(url) => urls.push(url),
            None => r.problem(
                NAME,
                "must hold http or https addresses, such as https://api.example.org/health, separated by commas",
            ),
        }
    }
    urls
}

fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}
