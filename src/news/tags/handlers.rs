//! The pages of tags. Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};

use super::{
    queries,
    views::{IndexPage, TagItem},
};
use crate::{
    news::lists::{
        listing::{Continued, Listing},
        queries as lists,
    },
    web::{
        cache,
        error::Error,
        form::Query,
        page::{Page, Place},
        render,
        state::State,
        viewer::Caller,
    },
};

/// Most tags that one address may name.
const TAGS_MAX: usize = 10;

/// `GET /tags`
///
/// # Errors
/// [`Error::Unavailable`].
pub async fn index(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    cache::tag(&request, "lists");
    let tags = queries::list(&mut state.db.conn().await?).await?;
    let item = |tag: queries::Tag| TagItem {
        name: tag.name,
        description: tag.description,
        post_count: tag.post_count.into(),
    };
    let view = IndexPage {
        page: Page::of(&request, "Tags"),
        tags: tags.into_iter().map(item).collect(),
    };
    render::page(&request, &view)
}

/// `GET /tags/{tag}` and `/tags/{tag},{tag}`
///
/// # Errors
/// [`Error::NotFound`] if one of the tags does not exist.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    path: Path<String>,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let mut names: Vec<String> = path.split(',').map(|n| n.trim().to_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > TAGS_MAX {
        return Err(Error::NotFound);
    }
    let mut conn = state.db.conn().await?;
    let tags = queries::list_named(&mut conn, &names).await?;
    if tags.len() != names.len() {
        return Err(Error::NotFound);
    }
    for name in &names {
        cache::tag(&request, format!("tag:{name}"));
    }
    let joined = names.join(",");
    let name = format!(
        "tags-{}",
        tags.iter()
            .map(|t| t.id.to_string())
            .collect::<Vec<_>>()
            .join("-")
    );
    let address = format!(
        "/tags/{}",
        crate::web::chrome::encode(&joined).replace("%2C", ",")
    );
    let heading = names.join(", ");
    let listing = Listing {
        name: &name,
        path: &address,
        parameters: &[],
        heading: &heading,
        intro: match &tags[..] {
            [tag] if !tag.description.is_empty() => Some(tag.description.clone()),
            _ => None,
        },
        place: Place::Elsewhere,
        tabs: Vec::new(),
        empty: "No post carries this tag yet.",
        key: lists::by_time,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let ids: Vec<i32> = tags.iter().map(|t| t.id).collect();
    let rows = lists::list_by_tags(&mut conn, window, &ids).await?;
    listing.respond(&request, &caller, &window, rows)
}
