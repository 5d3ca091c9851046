//! What the operator says about the site: about, guidelines, privacy. Must not know news.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use super::{
    error::Error,
    page::Page,
    render,
    state::State,
    views::{AboutPage, GuidelinesPage, PrivacyPage},
};

/// `GET /about`
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub async fn about(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let view = AboutPage {
        page: Page::of(&request, "About"),
        contact: state.settings.get().site_contact.clone(),
    };
    render::page(&request, &view)
}

/// `GET /guidelines`
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub async fn guidelines(request: HttpRequest) -> Result<HttpResponse, Error> {
    let view = GuidelinesPage {
        page: Page::of(&request, "Guidelines"),
    };
    render::page(&request, &view)
}

/// `GET /privacy`
///
/// # Errors
/// [`Error::Internal`] if the template fails.
pub async fn privacy(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let view = PrivacyPage {
        page: Page::of(&request, "Privacy"),
        contact: state.settings.get().site_contact.clone(),
    };
    render::page(&request, &view)
}
