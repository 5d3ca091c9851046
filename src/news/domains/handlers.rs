//! The page of a domain. Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::queries;
use crate::{
    news::lists::{
        listing::{Continued, Listing},
        queries as lists,
    },
    web::{cache, chrome, error::Error, form::Query, page::Place, state::State, viewer::Caller},
};

/// `GET /domains/{domain}`
///
/// # Errors
/// [`Error::NotFound`] if nothing has ever linked there.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    domain: Path<String>,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let domain = domain.to_lowercase();
    let mut conn = state.db.conn().await?;
    if !queries::exists(&mut conn, &domain).await? {
        return Err(Error::NotFound);
    }
    cache::tag(&request, format!("domain:{domain}"));
    let listing = Listing {
        name: "domain",
        path: &format!("/domains/{}", chrome::encode(&domain)),
        parameters: &[],
        heading: &domain,
        intro: Some(format!("What has been posted from {domain}.")),
        place: Place::Elsewhere,
        tabs: Vec::new(),
        empty: "Nothing from here is to be read any more.",
        key: lists::by_time,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = lists::list_by_domain(&mut conn, window, &domain).await?;
    listing.respond(&request, &caller, &window, rows)
}
