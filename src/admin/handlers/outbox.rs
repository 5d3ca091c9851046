//! `/dev/outbox`: what a development site without a mail server would have sent. Must not exist elsewhere.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use crate::{
    admin::views::OutboxPage,
    web::{
        error::Error,
        page::{Page, Place},
        render,
        state::State,
    },
};

/// `GET /dev/outbox`
///
/// # Errors
/// 404 where mail leaves, or is off.
pub async fn outbox(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let letters = state.mailer.outbox().ok_or(Error::NotFound)?;
    let verdict = match letters.len() {
        0 => "No letters yet".to_owned(),
        1 => "One letter".to_owned(),
        count => format!("{count} letters"),
    };
    let page = OutboxPage {
        page: Page::of(&request, "Outbox").at(Place::Console),
        verdict,
        letters,
    };
    render::page(&request, &page)
}
