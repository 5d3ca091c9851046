//! The pages of accounts. Must not hold SQL or rules; one file for each thing that a person does.

pub mod email;
pub mod login;
pub mod password;
pub mod preferences;
pub mod profile;
pub mod recovery;
pub mod sessions;
pub mod setup;
pub mod signup;
pub mod tokens;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header};
use askama::Template;

use crate::web::{csrf, error::Error, page::Page, render, state::State, viewer::Caller};

/// The chrome of a page whose address holds a secret: no link on it repeats the address, and no robot keeps it.
fn secret_page(request: &HttpRequest, title: &str) -> Page {
    Page {
        next: String::new(),
        robots: Some("noindex"),
        canonical: None,
        ..Page::of(request, title)
    }
}

/// Answers with a page that a guest sends a form from: `draw` is given the form's token, whose cookie goes along. Such a
/// page is kept nowhere.
fn guest_form<T: Template>(
    request: &HttpRequest,
    state: &State,
    status: StatusCode,
    draw: impl FnOnce(String) -> T,
) -> Result<HttpResponse, Error> {
    let secure = state.config.http.secure();
    let session = Caller::get(request).session.clone();
    let (token, cookie) = match session {
        Some(session) => (csrf::session_token(&state.keys, &session), None),
        None => {
            let token = csrf::guest_token(&state.keys, request, secure);
            let cookie = csrf::cookie(&token, secure);
            (token, Some(cookie))
        }
    };
    let mut answer = render::page_with(request, status, &draw(token))?;
    answer.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    if let Some(cookie) = cookie {
        answer
            .add_cookie(&cookie)
            .map_err(|e| Error::Internal(e.into()))?;
    }
    Ok(answer)
}
