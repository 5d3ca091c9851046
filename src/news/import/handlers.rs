//! The addresses of Hacker News, so that links to what was imported lead on. Must not know how it was imported.

use actix_web::{HttpResponse, web::Data};
use serde::Deserialize;

use super::queries::{self, Found};
use crate::{
    news::posts::model::path,
    web::{chrome, error::Error, form::Query, render, state::State},
};

/// The query of `/item`.
#[derive(Debug, Deserialize)]
pub struct ItemQuery {
    id: i64,
}

/// `GET /item?id=`: to the imported post or comment with this Hacker News id.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn item(
    state: Data<State>,
    Query(query): Query<ItemQuery>,
) -> Result<HttpResponse, Error> {
    let found = queries::find_item(&mut state.db.conn().await?, query.id)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(render::moved(&match found {
        Found::Post(id, title) => path(id, &title),
        Found::Comment(id) => format!("/comments/{id}"),
    }))
}

/// The query of `/user`.
#[derive(Debug, Deserialize)]
pub struct UserQuery {
    id: String,
}

/// `GET /user?id=`: to the user with this name.
///
/// # Errors
/// None of its own: the user's page says whether there is one.
pub async fn user(Query(query): Query<UserQuery>) -> Result<HttpResponse, Error> {
    Ok(render::moved(&format!(
        "/users/{}",
        chrome::encode(&query.id)
    )))
}
