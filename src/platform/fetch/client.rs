//! The client: every connection is checked, and everything is bounded. Must not know what is fetched.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mime::Mime;
use reqwest::{
    Client, Method, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap},
    redirect::Policy,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::{Error, address::Allowance};
use crate::platform::{
    observe::{outbound, trace::Peer},
    tls,
};

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Connections to one host at a time (S22).
const PER_HOST: usize = 10;
/// Time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Silence after which a body is given up.
const SILENCE: Duration = Duration::from_secs(5);
/// Header fields in an answer.
const HEADERS: usize = 100;
/// Longest address that a redirect may lead to, in bytes; as long as a link may be.
const ADDRESS: usize = 2_000;

/// How the client is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What it calls itself (`User-Agent`).
    pub agent: String,
    /// What besides the public may be asked: nothing, but for tests.
    pub allowance: Allowance,
}

/// What to do with a body that is longer than wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is an error.
    Refuse,
    /// Its beginning is enough.
    Truncate,
}

/// What is wanted, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Content types that are taken, such as `text/html`; none is any.
    pub types: &'static [&'static str],
    /// Bytes of the body, unpacked.
    pub bytes: usize,
    /// What to do with more.
    pub overflow: Overflow,
    /// Time for everything, redirects included.
    pub time: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from, after all redirects.
    pub url: Url,
    /// What it is.
    pub kind: Option<Mime>,
    /// The body, unpacked.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub is_truncated: bool,
}

/// A cloneable client for addresses that somebody else has chosen.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    allowance: Arc<Allowance>,
    hosts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Fetcher {
    /// A client.
    ///
    /// # Errors
    /// What is wrong with the machine's TLS, in a sentence.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let allowance = Arc::new(options.allowance.clone());
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client()?)
            .user_agent(&options.agent)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS)
            // No connection outlives its request: the next one is resolved and checked anew.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .dns_resolver(Guard(allowance.clone()))
            .build()?;
        Ok(Self {
            client,
            allowance,
            hosts: Arc::default(),
        })
    }

    /// Fetches a page, following redirects; each is checked as if it had been asked for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, url: &str, wanted: &Wanted) -> Result<Fetched, Error> {
        let url = Url::parse(url).map_err(|_| Error::NotAUrl)?;
        within(wanted.time, self.follow(url, wanted)).await
    }

    /// Sends JSON, to be answered by any success; what is answered is not read, and no redirect is followed.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn post_json(
        &self,
        url: &str,
        body: &serde_json::Value,
        time: Duration,
    ) -> Result<(), Error> {
        let url = Url::parse(url).map_err(|_| Error::NotAUrl)?;
        let sent = async {
            let (_permit, request) = self.request(Method::POST, &url).await?;
            let request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
            let answer = outbound::send(request, Peer::Chosen)
                .await
                .map_err(explain)?;
            if answer.status().is_success() {
                Ok(())
            } else {
                Err(refusal(&answer))
            }
        };
        within(time, sent).await
    }

    async fn follow(&self, mut url: Url, wanted: &Wanted) -> Result<Fetched, Error> {
        for _ in 0..=REDIRECTS {
            let (_permit, request) = self.request(Method::GET, &url).await?;
            let request = request.header(header::ACCEPT, accept(wanted.types));
            let answer = outbound::send(request, Peer::Stranger)
                .await
                .map_err(explain)?;
            match redirect(&answer, &url)? {
                Some(next) => url = next,
                None if answer.status().is_success() => return read(answer, url, wanted).await,
                None => return Err(refusal(&answer)),
            }
        }
        Err(Error::TooManyRedirects)
    }

    /// A request to a checked URL, and leave to be one of the host's connections.
    async fn request(
        &self,
        method: Method,
        url: &Url,
    ) -> Result<(OwnedSemaphorePermit, reqwest::RequestBuilder), Error> {
        let (host, _) = self.allowance.check(url)?;
        let permit = self
            .host(&host)
            .acquire_owned()
            .await
            .map_err(|_| Error::Refused("the client is closed"))?;
        Ok((permit, self.client.request(method, url.clone())))
    }

    fn host(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let semaphore = hosts
            .entry(host.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(PER_HOST)));
        semaphore.clone()
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(Error::TooSlow(limit)))
}

/// Resolves a name once, and gives it only if all it leads to may be asked; the connection then goes to what was checked.
struct Guard(Arc<Allowance>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowance = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match allowance.names.get(name.as_str()) {
                Some(known) => known.iter().map(|ip| SocketAddr::new(*ip, 0)).collect(),
                None => {
                    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
                    found.map_err(|error| unresolved(&error))?.collect()
                }
            };
            if found.is_empty() {
                return Err(Error::Unresolved.into());
            }
            if !found.iter().all(|found| allowance.permits_host(found.ip())) {
                return Err(
                    Error::Refused("the name leads to an address that is not public").into(),
                );
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A name that is none, or a resolver that does not answer (`EAI_AGAIN`, which the library tells in words only).
fn unresolved(error: &std::io::Error) -> Error {
    let words = error.to_string().to_ascii_lowercase();
    if words.contains("temporary failure") || words.contains("try again") {
        Error::Connection("the name cannot be resolved just now".into())
    } else {
        Error::Unresolved
    }
}

fn accept(types: &[&str]) -> String {
    if types.is_empty() {
        "*/*".to_owned()
    } else {
        types.join(", ")
    }
}

/// Where an answer leads on to.
fn redirect(answer: &Response, from: &Url) -> Result<Option<Url>, Error> {
    let status = answer.status();
    let leads = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !leads.contains(&status) {
        return Ok(None);
    }
    let to = answer
        .headers()
        .get(header::LOCATION)
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    match to.and_then(|to| from.join(to).ok()) {
        Some(to) if to.as_str().len() > ADDRESS => Err(Error::Refused(
            "a redirect to so long an address is not followed",
        )),
        Some(to) => Ok(Some(to)),
        None => Err(Error::Broken("a redirect to nowhere".into())),
    }
}

fn refusal(answer: &Response) -> Error {
    Error::Status {
        status: answer.status().as_u16(),
        retry_after: retry_after(answer.headers()),
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(
        (at.to_utc() - chrono::Utc::now())
            .to_std()
            .unwrap_or_default(),
    )
}

async fn read(mut answer: Response, url: Url, wanted: &Wanted) -> Result<Fetched, Error> {
    let kind = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind: Option<Mime> = kind.and_then(|kind| kind.parse().ok());
    let essence = kind.as_ref().map_or("none", Mime::essence_str);
    if !wanted.types.is_empty() && !wanted.types.contains(&essence) {
        return Err(Error::WrongType(essence.chars().take(80).collect()));
    }
    let mut body = Vec::new();
    let mut is_truncated = false;
    // Pieces come unpacked, and no further than they are asked for: a bomb goes off in small pieces.
    while let Some(piece) = answer.chunk().await.map_err(explain)? {
        let room = wanted.bytes - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            if wanted.overflow == Overflow::Refuse {
                return Err(Error::TooLarge(wanted.bytes));
            }
            is_truncated = true;
            break;
        }
    }
    Ok(Fetched {
        url,
        kind,
        body,
        is_truncated,
    })
}

/// What the library's error was about; ours, from the resolver, lies somewhere beneath.
fn explain(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut innermost = String::new();
    while let Some(at) = cause {
        if let Some(own) = at.downcast_ref::<Error>() {
            return own.clone();
        }
        if at
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse)
        {
            return Error::Broken(at.to_string());
        }
        innermost = at.to_string();
        cause = at.source();
    }
    match () {
        () if error.is_timeout() && error.is_connect() => Error::TooSlow(CONNECT),
        () if error.is_timeout() => Error::TooSlow(SILENCE),
        () if error.is_connect() => Error::Connection(innermost),
        () if error.is_decode() || error.is_body() => Error::Broken(innermost),
        () => Error::Connection(innermost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().expect("a header"));
        retry_after(&headers)
    }

    #[test]
    fn s19_retry_after_is_seconds_or_a_date() {
        assert_eq!(asked("120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(
            asked("Tue, 31 Dec 2999 23:59:59 GMT")
                .is_some_and(|wait| wait > Duration::from_secs(1_000_000))
        );
        assert_eq!(asked("soon"), None);
    }
}
