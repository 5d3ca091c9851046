//! The pages of a user (P07). Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    queries::{self, User},
    views::{Profile, ShowPage},
};
use crate::{
    accounts::views::AccountState,
    news::lists::{
        listing::{Continued, Listing},
        queries as lists,
    },
    web::{
        cache, chrome,
        context::Context,
        error::Error,
        form::Query,
        page::{Page, Place, Tab},
        render,
        state::State,
        viewer::{Caller, Target},
    },
};

/// An account younger than this is marked as new.
const NEW_FOR: TimeDelta = TimeDelta::days(14);

fn address(user: &User) -> String {
    format!("/users/{}", chrome::encode(&user.username))
}

fn tabs(user: &User, current: &str) -> Vec<Tab> {
    let base = address(user);
    [
        ("", "About"),
        ("/posts", "Posts"),
        ("/comments", "Comments"),
    ]
    .map(|(place, label)| Tab {
        href: format!("{base}{place}"),
        label: label.to_owned(),
        is_current: place == current,
    })
    .to_vec()
}

fn account_state(user: &User, now: DateTime<Utc>) -> AccountState {
    let banned = user.banned_at.is_some() && user.banned_until.is_none_or(|until| until > now);
    match (banned, user.imported) {
        (true, _) => AccountState::Banned {
            until: user.banned_until,
            reason: user.ban_reason.clone().unwrap_or_default(),
        },
        (false, true) => AccountState::Imported,
        (false, false) => AccountState::Active,
    }
}

/// `GET /users/{name}`
///
/// # Errors
/// [`Error::NotFound`].
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    let user = queries::find(&mut state.db.conn().await?, &name)
        .await?
        .ok_or(Error::NotFound)?;
    let path = address(&user);
    if user.username != *name {
        return Ok(render::moved(&path));
    }
    cache::tag(&request, format!("user:{}", user.id));
    let now = Context::get(&request).now;
    let viewer = caller.viewer.as_deref();
    let is_self = viewer.is_some_and(|v| v.id == user.id);
    let outranks = viewer.is_some_and(|v| v.rank > user.rank);
    let may = |action| {
        outranks && viewer.is_some_and(|v| v.may("user", action, &Target::of(Some(user.id))))
    };
    let account = account_state(&user, now);
    let mut page = Page::of(&request, user.username.clone());
    page.canonical = Some(state.config.http.absolute(&path));
    let view = ShowPage {
        page,
        tabs: tabs(&user, ""),
        is_self,
        can_ban: may("ban") && !account.is_banned(),
        can_unban: may("unban") && account.is_banned(),
        profile: Profile {
            about_html: user.about.clone().unwrap_or_default(),
            karma: user.karma.into(),
            created_at: user.created_at,
            post_count: user.post_count.into(),
            comment_count: user.comment_count.into(),
            is_new: now - user.created_at < NEW_FOR,
            roles: user.roles,
            name: user.username,
            state: account,
        },
    };
    render::page(&request, &view)
}

/// `GET /users/{name}/posts`
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BadRequest`] for a bad cursor.
pub async fn posts(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let user = queries::find(&mut conn, &name)
        .await?
        .ok_or(Error::NotFound)?;
    cache::tag(&request, format!("user:{}", user.id));
    let list = format!("author-{}", user.id);
    let listing = Listing {
        name: &list,
        path: &format!("{}/posts", address(&user)),
        parameters: &[],
        heading: &format!("Posts by {}", user.username),
        intro: None,
        place: Place::Elsewhere,
        tabs: tabs(&user, "/posts"),
        empty: "There is nothing here yet.",
        key: lists::by_time,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = lists::list_by_author(&mut conn, window, user.id).await?;
    listing.respond(&request, &caller, &window, rows)
}
