//! Turns a page struct into an answer. Must not know which page.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use askama::Template;

use super::{error::Error, flash, state::State, viewer::Caller};

/// A page with status 200.
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub fn page(request: &HttpRequest, page: &impl Template) -> Result<HttpResponse, Error> {
    page_with(request, StatusCode::OK, page)
}

/// A form shown again, with status 422: nothing was done, and nothing that was typed is lost.
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub fn invalid(request: &HttpRequest, page: &impl Template) -> Result<HttpResponse, Error> {
    page_with(request, StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// A page with any status. What a signed-in person sees is stored nowhere, nor is a page with a flash on it, which is
/// said once; a guest's page may be kept and is asked for again each time.
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub fn page_with(
    request: &HttpRequest,
    status: StatusCode,
    page: &impl Template,
) -> Result<HttpResponse, Error> {
    let said = flash::has(request);
    let personal = said || Caller::get(request).viewer.is_some() || !request.method().is_safe();
    let mut body = String::with_capacity(32 * 1024);
    page.render_into(&mut body)?;
    let mut answer = HttpResponse::build(status);
    if said {
        answer.cookie(flash::forget(request));
    }
    Ok(answer
        .content_type("text/html; charset=utf-8")
        .insert_header((
            header::CACHE_CONTROL,
            if personal { "no-store" } else { "no-cache" },
        ))
        .insert_header((header::VARY, "Cookie, Accept-Encoding"))
        .body(body))
}

/// A 303 to a path of this site.
pub fn see_other(path: &str) -> HttpResponse {
    redirect(StatusCode::SEE_OTHER, path)
}

/// A 303 to a path of this site, where `sentence` is said once.
pub fn see_other_saying(state: &State, path: &str, sentence: &str) -> HttpResponse {
    let mut answer = see_other(path);
    let cookie = flash::set(&state.keys, sentence, state.config.http.secure());
    // The only failure is a value that no header takes; then the sentence stays unsaid.
    let _ = answer.add_cookie(&cookie);
    answer
}

/// A 301 to a path of this site: the address for good.
pub fn moved(path: &str) -> HttpResponse {
    redirect(StatusCode::MOVED_PERMANENTLY, path)
}

fn redirect(status: StatusCode, path: &str) -> HttpResponse {
    let mut answer: HttpResponseBuilder = HttpResponse::build(status);
    answer.insert_header((header::LOCATION, path));
    answer.finish()
}

/// A number of seconds in words, rounded up: `40 seconds`, `3 minutes`, `2 hours`.
pub fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=90 => (seconds, "second"),
        91..=5_400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3_600), "hour"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_words() {
        assert_eq!(super::duration(1), "1 second");
        assert_eq!(super::duration(91), "2 minutes");
        assert_eq!(super::duration(7_200), "2 hours");
    }
}
