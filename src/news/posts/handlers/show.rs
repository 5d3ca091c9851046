//! The page of one post with its thread (P04). Must not know how posts are written.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use crate::{
    news::{
        comments::{self, tree::Sort, views::Discussion},
        posts::{model::Post, queries, views::ShowPage},
    },
    platform::db::Conn,
    web::{
        cache,
        context::Context,
        error::Error,
        form::Query,
        markup,
        page::{Page, Tab},
        paging, render,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// The query of a post's page.
#[derive(Debug, Deserialize)]
pub struct ShowQuery {
    sort: Option<String>,
    all: Option<String>,
    after: Option<String>,
}

/// `GET /posts/{id}`: to the address with the slug.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn show_bare(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    query: Query<ShowQuery>,
) -> Result<HttpResponse, Error> {
    show_at(request, state, caller, *id, "", query.0).await
}

/// `GET /posts/{id}/{slug}`
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BadRequest`] for a bad cursor or order.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    path: Path<(i64, String)>,
    query: Query<ShowQuery>,
) -> Result<HttpResponse, Error> {
    let (id, slug) = path.into_inner();
    show_at(request, state, caller, id, &slug, query.0).await
}

async fn show_at(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: i64,
    slug: &str,
    query: ShowQuery,
) -> Result<HttpResponse, Error> {
    let sort = match query.sort.as_deref() {
        None | Some("") => Sort::Best,
        Some(text) => Sort::parse(text)
            .ok_or_else(|| Error::bad_request("The order is best, newest or oldest."))?,
    };
    cache::tag(&request, format!("post:{id}"));
    let whole = query.all.as_deref().is_some_and(|a| !matches!(a, "" | "0"));
    let mut conn = state.db.conn().await?;
    let post = queries::find(&mut conn, id, caller.id())
        .await?
        .ok_or(Error::NotFound)?;
    let path = post.card.path();
    let canonical_slug = path
        .strip_prefix(&format!("/posts/{id}/"))
        .unwrap_or_default();
    if slug != canonical_slug {
        let query = request.query_string();
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        };
        return Ok(render::moved(&format!("{path}{query}")));
    }
    let request_for = comments::thread::Request {
        post: &post,
        sort,
        whole,
        after: query.after.as_deref(),
        now: Context::get(&request).now,
    };
    let thread = comments::thread::load(&mut conn, &caller, &request_for).await?;
    drop(conn);
    render::page(
        &request,
        &show_page(&request, &state, &caller, post, sort, thread),
    )
}

fn show_page(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    post: Post,
    sort: Sort,
    loaded: comments::thread::Loaded,
) -> ShowPage {
    let viewer = caller.viewer.as_deref();
    let now = Context::get(request).now;
    let path = post.card.path();
    let target = Target {
        owner: post.card.author_id,
        attributes: &post.attributes(),
    };
    let may =
        |action: &str| viewer.is_some_and(|v| v.ban.is_none() && v.may("post", action, &target));
    let live = post.card.is_live();
    let own = viewer.is_some_and(|v| Some(v.id) == post.card.author_id);
    let mut page = Page::of(request, post.card.heading());
    page.canonical = Some(state.config.http.absolute(&path));
    page.robots = (!live).then_some("noindex");
    let link_description = post.link_description.clone().filter(|_| live);
    page.description = if live {
        markup::excerpt(&post.html, 200)
    } else {
        String::new()
    };
    if let (true, Some(said)) = (page.description.is_empty(), &link_description) {
        page.description = said.clone();
    }
    let tab = |kind: Sort| Tab {
        href: if kind == Sort::Best {
            path.clone()
        } else {
            format!("{path}?sort={}", kind.as_str())
        },
        label: match kind {
            Sort::Best => "Best".into(),
            Sort::Newest => "Newest".into(),
            Sort::Oldest => "Oldest".into(),
        },
        is_current: kind == sort,
    };
    let link = |parameters: &[(&str, &str)]| {
        let mut all = vec![(
            "sort",
            if sort == Sort::Best {
                ""
            } else {
                sort.as_str()
            },
        )];
        all.extend_from_slice(parameters);
        paging::address(&path, &all)
    };
    ShowPage {
        page,
        html: if live {
            post.html.clone()
        } else {
            String::new()
        },
        link_description,
        edited_at: post.edited_at,
        is_locked: post.locked,
        removal_reason: post.removal_reason.clone(),
        can_edit: own && may("edit") && post.is_editable(now),
        can_delete: own && may("delete") && live,
        can_remove: may("remove") && live && !own,
        can_restore: may("restore") && post.card.state == "removed" && !own,
        discussion: discussion(viewer, &post),
        sorts: [Sort::Best, Sort::Newest, Sort::Oldest].map(tab).to_vec(),
        thread: loaded.thread,
        more: loaded.more.map(|cursor| link(&[("after", &cursor)])),
        whole: loaded.is_paged.then(|| link(&[("all", "1")])),
        post: post.card.into_item(viewer, None),
    }
}

/// A post's page with a comment's form as it was sent, with status 422.
///
/// # Errors
/// As [`show`].
pub async fn show_again(
    request: &HttpRequest,
    state: &State,
    conn: &mut Conn,
    caller: &Caller,
    post: Post,
    form: comments::views::ReplyForm,
) -> Result<HttpResponse, Error> {
    let thread = comments::thread::Request {
        post: &post,
        sort: Sort::Best,
        whole: false,
        after: None,
        now: Context::get(request).now,
    };
    let thread = comments::thread::load(conn, caller, &thread).await?;
    let mut view = show_page(request, state, caller, post, Sort::Best, thread);
    view.is_locked = false;
    view.discussion = Discussion::Open(form);
    render::invalid(request, &view)
}

/// Where to comment on a post, or why not.
pub fn discussion(viewer: Option<&Viewer>, post: &Post) -> Discussion {
    match viewer {
        _ if !post.card.is_live() => Discussion::Closed("Nothing more can be said here.".into()),
        _ if post.locked => Discussion::Closed("This discussion is locked.".into()),
        None => Discussion::Guest,
        Some(viewer) if viewer.ban.is_some() => {
            Discussion::Closed("Your account is banned, so you can read but not write.".into())
        }
        Some(_) => Discussion::Open(comments::form::empty(post.card.id, None)),
    }
}
