//! How this site's cookies are named and fenced in. Must not know what they hold.

use actix_web::cookie::{Cookie, CookieBuilder, SameSite};

/// `__Host-name` over https, so that no neighbouring host can set it; a plain name on a development host.
pub fn name(base: &str, secure: bool) -> String {
    if secure {
        format!("__Host-{base}")
    } else {
        base.to_owned()
    }
}

/// A cookie of this site: whole site, not for scripts, not sent along from elsewhere except on a plain link.
pub fn build(base: &str, value: String, secure: bool) -> CookieBuilder<'static> {
    Cookie::build(name(base, secure), value)
        .path("/")
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Lax)
}

/// What makes the browser forget a cookie.
pub fn removal(base: &str, secure: bool) -> Cookie<'static> {
    let mut cookie = build(base, String::new(), secure).finish();
    cookie.make_removal();
    cookie
}
