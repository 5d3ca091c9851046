//! What is known of a request before anything is asked of it (S01): id, start, client address, agent. Must not know
//! sessions, and must not look at a body.

use std::{
    cell::{Cell, OnceCell},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::header::{self, AsHeaderName, HeaderMap, HeaderName},
};
use chrono::{DateTime, Utc};

use crate::{
    config::{Http, Network},
    platform::observe::trace::{self, Trace},
};

/// A request's metadata; one is in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Returned as `X-Request-ID`, shown on error pages, and in every log line.
    pub id: String,
    /// What the request belongs to, as its sender or the nearest proxy says (`X-Correlation-ID`); else [`Self::id`].
    pub correlation: Arc<str>,
    /// Where it stands in its trace; the span's id may be changed by the log, which exports it.
    pub trace: Cell<Trace>,
    /// What its sender wants carried on (`baggage`).
    pub baggage: Option<Arc<str>>,
    /// When the request's head was read; for durations.
    pub started: Instant,
    /// The same moment on the calendar; what a page calls "now".
    pub now: DateTime<Utc>,
    /// The client's address, as far as trusted proxies tell it.
    pub address: IpAddr,
    /// `User-Agent`, at most 300 characters, or `unknown`.
    pub agent: String,
    /// The route that answered, where the router was not asked: a kept page knows the one that made it.
    pub route: OnceCell<Arc<str>>,
}

/// Longest `User-Agent` that is kept, in characters.
const AGENT_MAX: usize = 300;

impl Context {
    /// Reads the context off a request that nobody has looked at yet.
    pub fn of(request: &ServiceRequest, http: &Http) -> Self {
        let headers = request.headers();
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.ip());
        let id = request_id(headers);
        Self {
            correlation: text(headers, &CORRELATION_ID)
                .filter(is_well_formed)
                .unwrap_or(&id)
                .into(),
            id,
            trace: Cell::new(Trace::taken(
                text(headers, &TRACEPARENT),
                text(headers, &TRACE_ID),
                text(headers, &PARENT_SPAN_ID),
            )),
            baggage: trace::taken_baggage(text(headers, &BAGGAGE)),
            started: Instant::now(),
            now: Utc::now(),
            address: client_address(peer, headers, http),
            agent: text(headers, header::USER_AGENT)
                .map_or_else(|| "unknown".to_owned(), shortened),
            route: OnceCell::new(),
        }
    }

    /// The client's address as a limit counts it: IPv6 by /64, the least that one subscriber has.
    pub fn limit_address(&self) -> IpAddr {
        limit_address(self.address)
    }

    /// The context that the outermost middleware has stored, or a bare one outside the stack (as in unit tests).
    pub fn get(request: &HttpRequest) -> Rc<Self> {
        if let Some(context) = request.extensions().get::<Rc<Self>>() {
            return Rc::clone(context);
        }
        Rc::new(Self {
            id: String::new(),
            correlation: "".into(),
            trace: Cell::default(),
            baggage: None,
            started: Instant::now(),
            now: Utc::now(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            agent: "unknown".into(),
            route: OnceCell::new(),
        })
    }
}

/// See [`Context::limit_address`].
pub fn limit_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !((1_u128 << 64) - 1);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

fn shortened(agent: &str) -> String {
    let end = agent
        .char_indices()
        .nth(AGENT_MAX)
        .map_or(agent.len(), |(at, _)| at);
    agent[..end].to_owned()
}

/// Headers that are looked for on every request, typed once.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
static PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-parent-span-id");
static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .filter(|v| !v.is_empty())
}

/// `[A-Za-z0-9._-]{8,128}`
fn is_well_formed(id: &&str) -> bool {
    (8..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// An inbound id is kept only if it is `[A-Za-z0-9._-]{8,128}`: it goes into logs and back to the client.
fn request_id(headers: &HeaderMap) -> String {
    text(headers, &REQUEST_ID)
        .filter(is_well_formed)
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

fn trusted(address: IpAddr, proxies: &[Network]) -> bool {
    proxies.iter().any(|network| network.contains(address))
}

/// The client's address: the peer's, unless the peer is a trusted proxy. Then, in this order: the configured header;
/// the last address in `X-Forwarded-For` that is no trusted proxy (what stands before it is the client's own claim);
/// `CF-Connecting-IP`; `X-Real-IP`.
fn client_address(peer: IpAddr, headers: &HeaderMap, http: &Http) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted(peer, &http.trusted_proxies) {
        return peer;
    }
    if let Some(name) = &http.client_ip_header {
        return text(headers, name).and_then(parse_address).unwrap_or(peer);
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    let mut nearest = None;
    for hop in forwarded.iter().rev() {
        let Some(address) = parse_address(hop) else {
            break;
        };
        nearest = Some(address);
        if !trusted(address, &http.trusted_proxies) {
            break;
        }
    }
    nearest
        .or_else(|| text(headers, "cf-connecting-ip").and_then(parse_address))
        .or_else(|| text(headers, "x-real-ip").and_then(parse_address))
        .unwrap_or(peer)
}

/// An address with or without a port or brackets, as proxies write them.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.trim_matches(['[', ']']).parse().ok())
        .map(|a| a.to_canonical())
}

/// Whether this is an address by which others watch over the site: not counted by class, and not in the activity log.
pub fn is_probe(path: &str) -> bool {
    path == "/api/health" || path == "/health" || path.starts_with("/health/")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::Config;

    fn http(trusted: &str) -> Http {
        Config::read(|name| (name == "TRUSTED_PROXIES").then(|| trusted.to_owned()))
            .expect("valid")
            .http
    }

    fn address(peer: &str, forwarded: &str, trusted: &str) -> String {
        let request = TestRequest::default()
            .peer_addr(format!("{peer}:1").parse().expect("valid"))
            .insert_header(("x-forwarded-for", forwarded))
            .to_srv_request();
        Context::of(&request, &http(trusted)).address.to_string()
    }

    #[test]
    fn a_stranger_cannot_claim_another_address() {
        assert_eq!(address("203.0.113.9", "10.0.0.1", ""), "203.0.113.9");
        assert_eq!(
            address("203.0.113.9", "10.0.0.1", "127.0.0.1"),
            "203.0.113.9"
        );
    }

    #[test]
    fn behind_a_trusted_proxy_the_last_untrusted_hop_counts() {
        let trusted = "127.0.0.1, 10.0.0.0/8";
        assert_eq!(
            address("127.0.0.1", "198.51.100.7", trusted),
            "198.51.100.7"
        );
        assert_eq!(
            address("127.0.0.1", "6.6.6.6, 198.51.100.7, 10.0.0.2", trusted),
            "198.51.100.7"
        );
        assert_eq!(address("127.0.0.1", "garbage", trusted), "127.0.0.1");
    }

    #[test]
    fn only_a_well_formed_request_id_is_kept() {
        let id = |value: &str| {
            let request = TestRequest::default()
                .insert_header(("x-request-id", value))
                .to_srv_request();
            Context::of(&request, &http("")).id
        };
        assert_eq!(id("abc.DEF-12345"), "abc.DEF-12345");
        assert_ne!(id("short"), "short");
        assert_ne!(id("has spaces in it"), "has spaces in it");
    }

    #[test]
    fn an_ipv6_subscriber_is_one_whatever_the_low_half() {
        let a = limit_address("2001:db8:1:2:3:4:5:6".parse().expect("valid"));
        let b = limit_address("2001:db8:1:2:ffff::1".parse().expect("valid"));
        assert_eq!(a, b);
        assert_eq!(
            limit_address("::ffff:192.0.2.1".parse().expect("valid")).to_string(),
            "192.0.2.1"
        );
    }
}
