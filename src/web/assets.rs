//! The files of `static/`, compiled in: hashed names, compressed ahead, served as immutable. Must not know pages.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::Path,
};

use super::{encoding::accepts, error::Error};

/// One file; the table is written by `build.rs`.
struct Asset {
    name: &'static str,
    hashed: &'static str,
    plain: &'static [u8],
    brotli: &'static [u8],
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether files are read from the disk on each request (`BETTERNEWS_DEV`), so that a change shows without a build.
static FROM_DISK: std::sync::OnceLock<bool> = std::sync::OnceLock::new();

/// Sets, once at the start, whether files come from the disk.
pub fn read_from_disk(from_disk: bool) {
    FROM_DISK.get_or_init(|| from_disk);
}

fn from_disk() -> bool {
    FROM_DISK.get().copied().unwrap_or(false)
}

/// The address of a file in `static/`, with its content hash; a name that is not there is given back as it is.
pub fn href(name: &str) -> String {
    match ASSETS.iter().find(|a| a.name == name) {
        Some(asset) if !from_disk() => format!("/static/{}", asset.hashed),
        _ => format!("/static/{name}"),
    }
}

/// `GET /static/{file}`
///
/// # Errors
/// [`Error::NotFound`].
pub async fn show(request: HttpRequest, file: Path<String>) -> Result<HttpResponse, Error> {
    let asset = ASSETS
        .iter()
        .find(|a| a.hashed == file.as_str() || a.name == file.as_str())
        .ok_or(Error::NotFound)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(content_type(asset.name));
    if from_disk() {
        let bytes = std::fs::read(std::path::Path::new("static").join(asset.name))
            .map_err(|_| Error::NotFound)?;
        return Ok(answer
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(bytes));
    }
    let hashed = asset.hashed == file.as_str();
    answer
        .insert_header((
            header::CACHE_CONTROL,
            if hashed {
                "public, max-age=31536000, immutable"
            } else {
                "public, max-age=3600"
            },
        ))
        .insert_header((header::VARY, "Accept-Encoding"));
    let takes_brotli = accepts(request.headers().get(header::ACCEPT_ENCODING), "br");
    if takes_brotli && asset.brotli.len() < asset.plain.len() {
        return Ok(answer
            .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static("br")))
            .body(asset.brotli));
    }
    Ok(answer.body(asset.plain))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}
