//! Tokens that prove a form came from this site (S13). Must not know routes or bodies.
//!
//! A signed-in person's token is bound to their session: `nonce.signature(session, nonce)`. A guest has no session, so
//! the few forms that guests send (login, signup, set-up) carry a signed double-submit token: the same value stands in a
//! cookie and in the form, and neither can be made without the site's key. Every token differs, so that compressed
//! pages give nothing away (BREACH).

use actix_web::{HttpRequest, cookie::Cookie, http::header};
use subtle::ConstantTimeEq;

use super::{
    cookies,
    signing::{Keys, random_token},
};

const PURPOSE_SESSION: &str = "csrf-session";
const PURPOSE_GUEST: &str = "csrf-guest";

/// A token for forms sent from the session with this hash.
pub fn session_token(keys: &Keys, session: &str) -> String {
    let nonce = random_token(9);
    let signature = keys.sign(PURPOSE_SESSION, format!("{session}.{nonce}").as_bytes());
    format!("{nonce}.{signature}")
}

/// Whether `token` was made by [`session_token`] for this session.
pub fn verify_session(keys: &Keys, session: &str, token: &str) -> bool {
    token.split_once('.').is_some_and(|(nonce, signature)| {
        keys.verify(
            PURPOSE_SESSION,
            format!("{session}.{nonce}").as_bytes(),
            signature,
        )
    })
}

/// The token of a guest's form: the cookie's if the visitor has a good one (so that two open tabs both work), else new.
pub fn guest_token(keys: &Keys, request: &HttpRequest, secure: bool) -> String {
    if let Some(token) = guest_cookie(request, secure).filter(|t| signed(keys, t)) {
        return token;
    }
    let nonce = random_token(18);
    let signature = keys.sign(PURPOSE_GUEST, nonce.as_bytes());
    format!("{nonce}.{signature}")
}

/// The cookie that goes out beside a form with `token`.
pub fn cookie(token: &str, secure: bool) -> Cookie<'static> {
    cookies::build("csrf", token.to_owned(), secure).finish()
}

/// Whether a guest's form token is ours and the same as in the cookie.
pub fn verify_guest(keys: &Keys, request: &HttpRequest, token: &str, secure: bool) -> bool {
    let Some(cookie) = guest_cookie(request, secure) else {
        return false;
    };
    bool::from(cookie.as_bytes().ct_eq(token.as_bytes())) && signed(keys, token)
}

fn guest_cookie(request: &HttpRequest, secure: bool) -> Option<String> {
    request
        .cookie(&cookies::name("csrf", secure))
        .map(|c| c.value().to_owned())
}

fn signed(keys: &Keys, token: &str) -> bool {
    token
        .split_once('.')
        .is_some_and(|(nonce, signature)| keys.verify(PURPOSE_GUEST, nonce.as_bytes(), signature))
}

/// Whether the browser says that another site sent this request: `Sec-Fetch-Site`, else a foreign `Origin`. A client
/// that sends neither is no browser of today, and the token decides.
pub fn from_another_site(request: &HttpRequest, own_origin: &str) -> bool {
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(header::ORIGIN.as_str()).is_some_and(|origin| {
            let host = text(header::HOST.as_str()).unwrap_or_default();
            let same_host = origin.split_once("://").is_some_and(|(_, h)| h == host);
            origin != own_origin && !same_host
        }),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn keys() -> Keys {
        Keys::new(&["0123456789abcdef0123456789abcdef".into()])
    }

    #[test]
    fn a_session_token_is_for_that_session() {
        let token = session_token(&keys(), "session-a");
        assert!(verify_session(&keys(), "session-a", &token));
        assert!(!verify_session(&keys(), "session-b", &token));
        assert!(!verify_session(&keys(), "session-a", "x.y"));
        assert!(!verify_session(&keys(), "session-a", ""));
    }

    #[test]
    fn a_guest_token_needs_its_cookie_and_our_signature() {
        let bare = TestRequest::default().to_http_request();
        let token = guest_token(&keys(), &bare, false);
        assert!(!verify_guest(&keys(), &bare, &token, false), "no cookie");
        let with = TestRequest::default()
            .cookie(cookie(&token, false))
            .to_http_request();
        assert!(verify_guest(&keys(), &with, &token, false));
        assert_eq!(
            guest_token(&keys(), &with, false),
            token,
            "two tabs share one token"
        );
        let forged = TestRequest::default()
            .cookie(cookie("a.b", false))
            .to_http_request();
        assert!(!verify_guest(&keys(), &forged, "a.b", false));
    }

    #[test]
    fn another_site_is_told_by_fetch_metadata_or_origin() {
        let with = |name: &'static str, value: &'static str| {
            TestRequest::default()
                .insert_header(("host", "news.example"))
                .insert_header((name, value))
                .to_http_request()
        };
        let own = "https://news.example";
        assert!(from_another_site(
            &with("sec-fetch-site", "cross-site"),
            own
        ));
        assert!(from_another_site(&with("sec-fetch-site", "same-site"), own));
        assert!(!from_another_site(
            &with("sec-fetch-site", "same-origin"),
            own
        ));
        assert!(from_another_site(
            &with("origin", "https://evil.example"),
            own
        ));
        assert!(from_another_site(&with("origin", "null"), own));
        assert!(!from_another_site(
            &with("origin", "http://news.example"),
            own
        ));
    }
}
