//! The error boundary (S05): gives every bare error its page, or on `/api` its envelope, and logs what is ours to fix,
//! once. Must not know handlers.

use actix_web::{
    Error as ActixError, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderName},
    },
    middleware::Next,
    web::Data,
};
use askama::Template;

use crate::web::{
    context::Context,
    envelope::{self, WantsEnvelope},
    error::Error,
    form,
    page::Page,
    render,
    state::State,
    views::ErrorPage,
};

/// Headers of the bare error that its page keeps.
const KEPT: [&str; 5] = [
    "retry-after",
    "allow",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
];

/// Middleware function, see the module.
pub async fn boundary(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, ActixError> {
    Ok(dress(next.call(request).await?.map_into_boxed_body()))
}

/// Gives a bare error its page or envelope; for middleware further out, too, which the boundary does not see.
pub fn dress(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let bare = (status.is_client_error() || status.is_server_error()) && !has_body(&response);
    if !bare {
        return response;
    }
    let (request, response) = response.into_parts();
    let error = response.error().and_then(|e| e.as_error::<Error>());
    let id = &Context::get(&request).id;
    if status.is_server_error() {
        match (error, response.error()) {
            (Some(error @ (Error::Unavailable(_) | Error::Elsewhere(_))), _) => {
                tracing::warn!(request.id = %id, error = %error, "unavailable")
            }
            (Some(error), _) => tracing::error!(request.id = %id, error = %error, "failed"),
            (None, Some(error)) => tracing::error!(request.id = %id, error = %error, "failed"),
            (None, None) => tracing::error!(request.id = %id, status = status.as_u16(), "failed"),
        }
    }
    if let Some(error) = error {
        count(&request, error);
    }
    let for_programs = envelope::is_for_programs(request.path())
        || request.extensions().contains::<WantsEnvelope>();
    let mut answer = if for_programs {
        envelope::failure(status, error)
    } else if matches!(error, Some(Error::LoginRequired)) {
        to_login(&request)
    } else {
        page(&request, status, error)
    };
    for name in KEPT {
        if let Some(value) = response.headers().get(name) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static(name), value.clone());
        }
    }
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        answer
            .headers_mut()
            .append(header::SET_COOKIE, cookie.clone());
    }
    ServiceResponse::new(request, answer)
}

/// Counts what an operator would want to know the number of: who was held back, and who may not do what they tried.
fn count(request: &HttpRequest, error: &Error) {
    let Some(state) = request.app_data::<Data<State>>() else {
        return;
    };
    let registry = state.metrics.registry();
    let counter = match error {
        Error::Limited { class, .. } => registry.counter(
            "requests_limited_total",
            "Requests that were refused as too many, by what was counted.",
            &[("class", class.name())],
        ),
        Error::Forbidden(_) => registry.counter(
            "requests_denied_total",
            "Requests of people who may not do this.",
            &[],
        ),
        Error::Csrf => registry.counter(
            "requests_forged_total",
            "Forms without a good token, or from another site.",
            &[],
        ),
        _ => return,
    };
    counter.increment();
}

/// A handler's own page (a form shown again) has a type; a bare error has none, and what actix says in plain text is
/// not for people.
fn has_body(response: &ServiceResponse<BoxBody>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|kind| !kind.starts_with("text/plain"))
}

fn page(request: &HttpRequest, status: StatusCode, error: Option<&Error>) -> HttpResponse {
    let mut page = ErrorPage::of_status(Page::of(request, ""), status.as_u16());
    if let Some(Error::BadRequest(said) | Error::Forbidden(said) | Error::Conflict(said)) = error {
        page.sentence = said.to_string();
    }
    if let Some(Error::Csrf) = error {
        "The form you sent was too old to be trusted, or came from another site."
            .clone_into(&mut page.sentence);
        "Go back, load the page again and send it once more; your text is kept."
            .clone_into(&mut page.advice);
    }
    if let Some(invalid @ Error::Invalid(_)) = error {
        page.sentence = invalid.to_string();
    }
    if let Some(limited @ Error::Limited { message, .. }) = error {
        page.sentence = message.to_string();
        page.advice = format!(
            "Try again in {}.",
            render::duration(limited.retry_after().unwrap_or(1))
        );
    }
    let body = page.render().unwrap_or_else(|e| {
        tracing::error!(error = %e, "the error page does not render");
        status.to_string()
    });
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

/// To the login page and back. A form cannot be sent again by a redirect, so a POST comes back to the page it was on.
fn to_login(request: &HttpRequest) -> HttpResponse {
    let own = match *request.method() {
        Method::GET | Method::HEAD => request
            .uri()
            .path_and_query()
            .map(|p| p.as_str().to_owned()),
        _ => form::referring_path(request),
    };
    let next = own.unwrap_or_else(|| "/".to_owned());
    let next: String =
        url::form_urlencoded::byte_serialize(form::local_path(&next).as_bytes()).collect();
    let location = format!("/login?next={next}");
    if form::wants_fragment(request) {
        // A redirect would be followed by the script, and the login page put where the vote stood.
        return HttpResponse::Ok()
            .insert_header(("hx-redirect", location))
            .finish();
    }
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}
