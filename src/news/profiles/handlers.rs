//! The pages of a user (P07). Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    queries::{self, About, User},
    views::{Profile, ShowPage},
};
use crate::{
    accounts::views::AccountState,
    news::lists::{
        listing::{Continued, Listing},
        queries as lists,
    },
    platform::{
        cache::{Cache, user_key},
        db::Conn,
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

/// The three pages about somebody; `current` is `""`, `"/posts"` or `"/comments"`.
pub fn tabs(user: &User, current: &str) -> Vec<Tab> {
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

/// The user with this name: as written, else with case folded.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn find(conn: &mut Conn, name: &str) -> Result<User, Error> {
    let exact = queries::find(&mut *conn, name).await?;
    match exact {
        Some(user) => Ok(user),
        None => queries::find_folded(conn, name)
            .await?
            .ok_or(Error::NotFound),
    }
}

/// What changes seldom about somebody, and is kept: `accounts::viewers::forget` drops it.
async fn about(state: &State, conn: &mut Conn, user_id: i64) -> Result<About, Error> {
    let read = queries::get_about(conn, user_id);
    if !state.cache.is_in_step() {
        return Ok(read.await?);
    }
    let options = Cache::user_options(user_id);
    let key = user_key(user_id, "about");
    Ok(state.cache.get_or(&key, &options, read).await?)
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
    let mut conn = state.db.conn().await?;
    let user = find(&mut conn, &name).await?;
    let path = address(&user);
    if user.username != *name {
        return Ok(render::moved(&path));
    }
    let about = about(&state, &mut conn, user.id).await?;
    drop(conn);
    cache::tag(&request, format!("user:{}", user.id));
    let now = Context::get(&request).now;
    let viewer = caller.viewer.as_deref();
    let is_self = viewer.is_some_and(|v| v.id == user.id);
    let outranks = viewer.is_some_and(|v| v.rank > about.rank);
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
            about_html: about.html.unwrap_or_default(),
            karma: user.karma.into(),
            created_at: user.created_at,
            post_count: user.post_count.into(),
            comment_count: user.comment_count.into(),
            is_new: now - user.created_at < NEW_FOR,
            roles: about.roles,
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
    let user = find(&mut conn, &name).await?;
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
