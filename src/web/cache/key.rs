//! Whether a request may be answered with a kept page, and with which. Must not know pages.

use std::borrow::Cow;

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderName},
    },
};

use crate::web::{page::Theme, session};

static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// What a guest wants to see.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Path, sorted query, and the theme where it is not the system's.
    pub key: Cow<'a, str>,
    /// What the theme's cookie says.
    pub theme: Theme,
}

/// What the request wants, if a kept page may answer it: it reads, and brings neither a session nor a flash, nor a token,
/// nor asks for a fragment. Costs no allocation where there is neither a query nor a theme.
pub fn wanted(request: &ServiceRequest) -> Option<Wanted<'_>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let headers = request.headers();
    if headers.contains_key(&HX_REQUEST) || headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let mut theme = Theme::System;
    for cookies in headers.get_all(header::COOKIE) {
        for pair in cookies.as_bytes().split(|b| *b == b';') {
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()),
                None => continue,
            };
            let name = name.strip_prefix(b"__Host-").unwrap_or(name);
            if name == session::COOKIE.as_bytes() || name == b"flash" {
                return None;
            }
            if name == b"theme" {
                theme = std::str::from_utf8(value)
                    .ok()
                    .and_then(Theme::parse)
                    .unwrap_or_default();
            }
        }
    }
    let (path, query) = (request.path(), request.query_string());
    if path.starts_with("/static/") {
        return None;
    }
    Some(Wanted {
        key: key(path, query, theme),
        theme,
    })
}

/// The key under which guests with the system's theme get the page of this request.
pub fn guests_key(request: &actix_web::HttpRequest) -> Cow<'_, str> {
    key(request.path(), request.query_string(), Theme::System)
}

fn key<'a>(path: &'a str, query: &str, theme: Theme) -> Cow<'a, str> {
    if query.is_empty() && theme == Theme::System {
        return path.into();
    }
    let mut key = String::with_capacity(path.len() + query.len() + 8);
    key.push_str(path);
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    // Stable, and by the name alone: the order of two equal names means something.
    pairs.sort_by_key(|pair| pair.split('=').next());
    for (pair, mark) in pairs
        .into_iter()
        .zip(std::iter::once('?').chain(std::iter::repeat('&')))
    {
        key.push(mark);
        key.push_str(pair);
    }
    if theme != Theme::System {
        key.push('#');
        key.push_str(theme.name());
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(uri: &str, cookie: &str) -> Option<String> {
        let request = TestRequest::with_uri(uri)
            .insert_header(("cookie", cookie))
            .to_srv_request();
        wanted(&request).map(|wanted| wanted.key.into_owned())
    }

    #[test]
    fn the_key_is_path_sorted_query_and_theme() {
        assert_eq!(of("/", "").as_deref(), Some("/"));
        assert_eq!(
            of("/top?period=day&after=x", "").as_deref(),
            Some("/top?after=x&period=day")
        );
        assert_eq!(
            of("/top?after=x&period=day&", "theme=dark; other=1").as_deref(),
            Some("/top?after=x&period=day#dark")
        );
        assert_eq!(of("/", "theme=<script>").as_deref(), Some("/"));
        assert_eq!(of("/?b=2&a=1&b=1", "").as_deref(), Some("/?a=1&b=2&b=1"));
    }

    #[test]
    fn nothing_personal_is_asked_of_the_cache() {
        assert_eq!(of("/", "session=abc"), None);
        assert_eq!(of("/", "theme=dark; __Host-session=abc"), None);
        assert_eq!(of("/", "flash=abc"), None);
        let posted = TestRequest::post().uri("/").to_srv_request();
        assert_eq!(wanted(&posted), None);
        let fragment = TestRequest::get()
            .uri("/")
            .insert_header(("hx-request", "true"))
            .to_srv_request();
        assert_eq!(wanted(&fragment), None);
        let token = TestRequest::get()
            .uri("/")
            .insert_header(("authorization", "Bearer x"))
            .to_srv_request();
        assert_eq!(wanted(&token), None);
    }
}
