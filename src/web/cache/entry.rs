//! One finished page: its bytes as they go over the wire, in each encoding, with the headers that belong to them. Must not
//! know how long it may be served.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_web::{
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::web::encoding::accepts;

/// Brotli's level: 4 gives most of what the highest gives, in a tenth of a tenth of the time.
const BROTLI_LEVEL: i32 = 4;
/// 2^18 bytes: a page is seldom longer, and the encoder keeps a buffer of twice the window while it works.
const BROTLI_WINDOW: i32 = 18;
const ZSTD_LEVEL: i32 = 6;
const GZIP_LEVEL: u32 = 6;
/// Pages that are compressed at once.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// How an answer came about: `HIT`, `MISS` or `STALE`.
pub const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// Headers that answer the moment, not the page.
const NOT_KEPT: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::DATE,
    header::CONNECTION,
];

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
    /// Gzip.
    Gzip,
    /// Not at all.
    Identity,
}

impl Encoding {
    /// The best that a client takes (RFC 9110, section 12.5.3), by our own preference: what is smallest.
    pub fn negotiate(accepted: Option<&HeaderValue>) -> Self {
        [Self::Brotli, Self::Zstd, Self::Gzip]
            .into_iter()
            .find(|encoding| accepts(accepted, encoding.name()))
            .unwrap_or(Self::Identity)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    fn compress(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(plain.to_vec()),
            Self::Brotli => {
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: BROTLI_LEVEL,
                    lgwin: BROTLI_WINDOW,
                    size_hint: plain.len(),
                    ..Default::default()
                };
                let mut out = Vec::with_capacity(plain.len() / 4);
                brotli::BrotliCompress(&mut &*plain, &mut out, &parameters)?;
                Ok(out)
            }
            Self::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL),
            Self::Gzip => {
                let out = Vec::with_capacity(plain.len() / 4);
                let mut encoder =
                    flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

/// A page in one encoding.
#[derive(Debug)]
pub struct Variant {
    /// What goes over the wire.
    pub body: Bytes,
    /// Everything but the request's id.
    pub headers: HeaderMap,
    /// A strong validator of exactly these bytes.
    pub etag: HeaderValue,
}

impl Variant {
    /// Whether the client has these bytes already. Only `W/` may differ: a weak comparison (RFC 9110, section 13.1.2).
    pub fn is_named_by(&self, if_none_match: &HeaderValue) -> bool {
        let (Ok(named), Ok(own)) = (if_none_match.to_str(), self.etag.to_str()) else {
            return false;
        };
        named
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == own || tag == "*")
    }
}

/// Compresses off the workers; a compressor takes megabytes while it works, so that only a few do at once.
async fn compressed(plain: Bytes, encoding: Encoding) -> Option<Bytes> {
    let _place = AT_ONCE.acquire().await.ok()?;
    let task = tokio::task::spawn_blocking(move || encoding.compress(&plain));
    task.await.ok()?.ok().map(Bytes::from)
}

/// How outdated a page is. The order is from good to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Struck {
    /// Nothing that it is made of has changed.
    Not,
    /// It changes all the time, and may be served while a new one is made.
    Often,
    /// It is served only where no new one can be made.
    Outdated,
    /// It must not be seen again.
    Gone,
}

/// One page.
pub struct Entry {
    key: Arc<str>,
    route: Arc<str>,
    status: StatusCode,
    headers: HeaderMap,
    plain: Bytes,
    hash: String,
    tags: Vec<String>,
    made: Instant,
    /// A [`Struck`] as a number.
    struck: AtomicU8,
    /// Not before then, in milliseconds since the start, is it made anew in the background.
    refresh_at: AtomicU64,
    variants: [OnceCell<Arc<Variant>>; 4],
}

impl Entry {
    /// A page from the parts of an answer; `made` is when it was asked for, which is what its ages are counted from.
    pub fn new(
        key: &str,
        route: &str,
        status: StatusCode,
        mut headers: HeaderMap,
        plain: Bytes,
        tags: Vec<String>,
        made: Instant,
    ) -> Self {
        for name in &NOT_KEPT {
            headers.remove(name);
        }
        let hash = Sha256::digest(&plain)
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            key: key.into(),
            route: route.into(),
            status,
            headers,
            plain,
            hash,
            tags,
            made,
            struck: AtomicU8::new(Struck::Not as u8),
            refresh_at: AtomicU64::new(0),
            variants: Default::default(),
        }
    }

    /// Under which it is kept.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The route that made it, for the log and the metrics.
    pub fn route(&self) -> &Arc<str> {
        &self.route
    }

    /// 200, as a rule.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What it is made of.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// What it counts for, in bytes: itself, as much again for what it is compressed to, its headers.
    pub(super) fn weight(&self) -> usize {
        2_048 + self.plain.len() * 2
    }

    /// Whether it is at least so outdated.
    pub fn is(&self, struck: Struck) -> bool {
        self.struck.load(Relaxed) >= struck as u8
    }

    /// Something that it is made of has changed; it never gets better.
    pub(super) fn strike(&self, struck: Struck) {
        self.struck.fetch_max(struck as u8, Relaxed);
    }

    /// Whether the caller is the one who has it made anew.
    pub(super) fn claim_refresh(&self, every: Duration) -> bool {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(super::since_start());
        let due = self.refresh_at.load(Relaxed);
        now >= due
            && self
                .refresh_at
                .compare_exchange(due, now + millis(every), Relaxed, Relaxed)
                .is_ok()
    }

    /// The page in an encoding, if it has been made.
    pub fn ready(&self, encoding: Encoding) -> Option<&Arc<Variant>> {
        self.variants[encoding as usize].get()
    }

    /// The page in an encoding, made on a blocking thread by the first who asks for it.
    pub async fn variant(self: &Arc<Self>, encoding: Encoding) -> Arc<Variant> {
        let made = self.variants[encoding as usize].get_or_init(|| async {
            let body = match encoding {
                Encoding::Identity => Some(self.plain.clone()),
                _ => compressed(self.plain.clone(), encoding).await,
            };
            match body {
                Some(body) => self.dressed(encoding, body),
                // A compressor that fails leaves the page as it is.
                None => self.dressed(Encoding::Identity, self.plain.clone()),
            }
        });
        Arc::clone(made.await)
    }

    fn dressed(&self, encoding: Encoding, body: Bytes) -> Arc<Variant> {
        let etag = format!("\"{}-{}\"", self.hash, encoding.name());
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
        let mut headers = self.headers.clone();
        headers.insert(header::ETAG, etag.clone());
        headers.insert(X_CACHE, HeaderValue::from_static("HIT"));
        if encoding != Encoding::Identity {
            headers.insert(
                header::CONTENT_ENCODING,
                HeaderValue::from_static(encoding.name()),
            );
        }
        Arc::new(Variant {
            body,
            headers,
            etag,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn the_smallest_encoding_that_the_client_takes_is_chosen() {
        let chosen = |text| Encoding::negotiate(Some(&value(text)));
        assert_eq!(chosen("gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(chosen("gzip;q=1.0, br;q=0"), Encoding::Gzip);
        assert_eq!(chosen("zstd"), Encoding::Zstd);
        assert_eq!(chosen("identity"), Encoding::Identity);
        assert_eq!(Encoding::negotiate(None), Encoding::Identity);
    }

    #[actix_web::test]
    async fn each_encoding_holds_the_same_page_under_its_own_etag() {
        let page = "<p>a page</p>".repeat(300);
        let entry = Entry::new(
            "/",
            "/",
            StatusCode::OK,
            HeaderMap::new(),
            page.clone().into(),
            Vec::new(),
            Instant::now(),
        );
        let entry = Arc::new(entry);
        let mut gzip = String::new();
        let body = entry.variant(Encoding::Gzip).await.body.clone();
        flate2::read::GzDecoder::new(&*body)
            .read_to_string(&mut gzip)
            .expect("gzip");
        let mut br = Vec::new();
        let body = entry.variant(Encoding::Brotli).await.body.clone();
        brotli::BrotliDecompress(&mut &*body, &mut br).expect("brotli");
        let body = entry.variant(Encoding::Zstd).await.body.clone();
        let zstd = zstd::decode_all(&*body).expect("zstd");
        assert!(gzip == page && br == page.as_bytes() && zstd == page.as_bytes());
        let br = entry.variant(Encoding::Brotli).await;
        assert_ne!(br.etag, entry.variant(Encoding::Identity).await.etag);
        assert!(
            br.is_named_by(
                &HeaderValue::from_str(&format!("\"x\", W/{}", br.etag.to_str().expect("text")))
                    .expect("a value")
            )
        );
        assert!(!br.is_named_by(&value("\"x\"")));
        assert!(entry.ready(Encoding::Zstd).is_some());
    }
}
