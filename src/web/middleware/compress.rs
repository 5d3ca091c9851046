//! Compresses answers that are whole in memory (RFC 9110, section 8.4). Must not know what they are.
//!
//! Pages are made as one piece, so they are compressed as one piece, on the worker: zstd takes well under a millisecond
//! for a page. Its state is kept by the thread; encoders that are made anew for each answer cost megabytes each.

use std::{cell::RefCell, io::Write};

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};
use tokio::sync::Semaphore;

use crate::web::encoding::accepts;

/// Below this size an answer fits one packet anyway, in bytes.
const SMALL: usize = 1_024;
/// Above this size compressing takes longer than a worker may be held up, in bytes.
const LARGE: usize = 1_024 * 1_024;
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;

/// What both sides know, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    const ALL: [(Self, &'static str); 2] = [(Self::Zstd, "zstd"), (Self::Gzip, "gzip")];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The best coding that a client accepts; one with `q=0` is none.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(header::ACCEPT_ENCODING);
        Self::ALL
            .into_iter()
            .find(|(_, name)| accepts(accepted, name))
            .map(|(coding, _)| coding)
    }

    /// The bytes in this coding; `None` if that fails, which leaves them as they are.
    fn encode(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Zstd => ZSTD.with_borrow_mut(|zstd| {
                if zstd.is_none() {
                    *zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
                }
                zstd.as_mut()?.compress(bytes).ok()
            }),
            Self::Gzip => {
                let mut gzip = GzEncoder::new(
                    Vec::with_capacity(bytes.len() / 4),
                    Compression::new(GZIP_LEVEL),
                );
                gzip.write_all(bytes).ok()?;
                gzip.finish().ok()
            }
        }
    }
}

thread_local! {
    static ZSTD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// Middleware function, see the module.
pub async fn compress(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let coding = Coding::accepted(request.headers()).filter(|_| *request.method() != Method::HEAD);
    let response = next.call(request).await?.map_into_boxed_body();
    let Some(coding) = coding.filter(|_| is_worth_it(&response)) else {
        return Ok(response);
    };
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(body) => return Ok(ServiceResponse::new(request, response.set_body(body))),
    };
    let encoded = if bytes.len() > LARGE {
        encode_elsewhere(coding, bytes.clone()).await
    } else {
        coding.encode(&bytes)
    };
    let body = match encoded {
        Some(encoded) => {
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_ENCODING,
                HeaderValue::from_static(coding.name()),
            );
            if !headers.contains_key(header::VARY) {
                headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            }
            BoxBody::new(encoded)
        }
        None => BoxBody::new(bytes),
    };
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

/// Compresses on a blocking thread, a few at once: there is one such thread for each large page that is asked for at a time,
/// and each would keep a compressor's megabytes.
async fn encode_elsewhere(coding: Coding, bytes: Bytes) -> Option<Vec<u8>> {
    static AT_ONCE: Semaphore = Semaphore::const_new(2);
    let _place = AT_ONCE.acquire().await.ok()?;
    let task = tokio::task::spawn_blocking(move || {
        let encoded = coding.encode(&bytes);
        ZSTD.set(None);
        encoded
    });
    task.await.ok().flatten()
}

fn is_worth_it(response: &ServiceResponse<BoxBody>) -> bool {
    let headers = response.headers();
    let is_text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|kind| {
            kind.starts_with("text/") || kind.contains("json") || kind.contains("xml")
        });
    let is_large = match response.response().body().size() {
        BodySize::Sized(size) => size >= SMALL as u64,
        BodySize::None | BodySize::Stream => false,
    };
    is_text && is_large && !headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn accepted(value: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
        Coding::accepted(&headers)
    }

    #[test]
    fn the_best_that_both_know_is_chosen() {
        assert_eq!(accepted("gzip, deflate, br, zstd"), Some(Coding::Zstd));
        assert_eq!(accepted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(accepted("zstd;q=0, GZIP;q=0.5"), Some(Coding::Gzip));
        assert_eq!(accepted("br"), None);
        assert_eq!(accepted("gzip;q=0"), None);
    }

    #[test]
    fn what_was_compressed_comes_back_whole() {
        let page = "<li>A post and its facts</li>\n".repeat(1_000);
        for _ in 0..2 {
            let zstd = Coding::Zstd.encode(page.as_bytes()).expect("compressed");
            assert!(zstd.len() < page.len() / 10);
            let back = zstd::bulk::decompress(&zstd, page.len()).expect("whole");
            assert_eq!(back, page.as_bytes());
            let gzip = Coding::Gzip.encode(page.as_bytes()).expect("compressed");
            let mut back = String::new();
            flate2::read::GzDecoder::new(&gzip[..])
                .read_to_string(&mut back)
                .expect("whole");
            assert_eq!(back, page);
        }
    }
}
