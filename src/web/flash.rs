//! A sentence that survives one redirect: a signed cookie, so that guests need no session. Must not know pages.

use actix_web::{HttpRequest, cookie::Cookie, cookie::time::Duration, web::Data};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{cookies, signing::Keys, state::State};

const PURPOSE: &str = "flash";

/// The cookie that carries `sentence` to the next page.
pub fn set(keys: &Keys, sentence: &str, secure: bool) -> Cookie<'static> {
    let text = URL_SAFE_NO_PAD.encode(sentence);
    let signature = keys.sign(PURPOSE, text.as_bytes());
    cookies::build("flash", format!("{text}.{signature}"), secure)
        .max_age(Duration::minutes(5))
        .finish()
}

/// Whether a sentence came with `request`.
pub fn has(request: &HttpRequest) -> bool {
    request
        .cookie(&cookies::name("flash", is_secure(request)))
        .is_some()
}

/// What makes the browser forget the sentence, once it has been said.
pub fn forget(request: &HttpRequest) -> Cookie<'static> {
    cookies::removal("flash", is_secure(request))
}

fn is_secure(request: &HttpRequest) -> bool {
    request
        .app_data::<Data<State>>()
        .is_some_and(|state| state.config.http.secure())
}

/// The sentence that came with `request`, if it is one of ours.
pub fn take(keys: &Keys, request: &HttpRequest, secure: bool) -> Option<String> {
    let cookie = request.cookie(&cookies::name("flash", secure))?;
    let (text, signature) = cookie.value().split_once('.')?;
    if !keys.verify(PURPOSE, text.as_bytes(), signature) {
        return None;
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_our_own_sentences_are_shown() {
        let keys = Keys::new(&["0123456789abcdef0123456789abcdef".into()]);
        let request = |cookie| TestRequest::default().cookie(cookie).to_http_request();
        let ours = request(set(&keys, "Saved – thank you.", false));
        assert_eq!(
            take(&keys, &ours, false).as_deref(),
            Some("Saved – thank you.")
        );
        let forged = request(cookies::build("flash", "aGVsbG8.AAAA".into(), false).finish());
        assert_eq!(take(&keys, &forged, false), None);
    }
}
