//! The pages of one post: submitting, reading, changing, deleting (P03, P04). Must not know SQL.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::Days;
use serde::Deserialize;

use super::{
    form::{Submitted, Valid},
    model::{self, Post},
    queries::{self, Draft},
    views::{DeletePage, EditPage, NewPage, PostPreview, ShowPage},
};
use crate::{
    news::{
        comments::{self, tree::Sort, views::Discussion},
        outdated, previews,
    },
    platform::{cache::Options, db::Conn},
    web::{
        activity, cache, chrome,
        context::Context,
        error::{Error, violated},
        form::{Form, FormErrors, Query},
        markup,
        page::{Page, Place, Tab},
        paging, render,
        signing::random_token,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// The same URL within this time leads to the post that is there.
const SAME_URL_DAYS: u64 = 30;

/// `GET /submit`, with `?title=` and `?url=` from a bookmarklet.
///
/// # Errors
/// [`Error::LoginRequired`].
pub async fn new_form(
    request: HttpRequest,
    state: Data<State>,
    Query(form): Query<Submitted>,
) -> Result<HttpResponse, Error> {
    let tags = known_tags(&state, &mut state.db.conn().await?).await?;
    let form = Submitted {
        nonce: random_token(12),
        ..form
    };
    render::page(
        &request,
        &new_page(&request, &state, &form, FormErrors::default(), None, tags),
    )
}

/// The form with what was typed.
pub fn new_page(
    request: &HttpRequest,
    state: &State,
    form: &Submitted,
    errors: FormErrors,
    preview: Option<PostPreview>,
    known_tags: Vec<String>,
) -> NewPage {
    NewPage {
        page: Page::of(request, "Submit").at(Place::Submit),
        form: form.to_view(),
        nonce: form.nonce.clone(),
        errors,
        preview,
        known_tags,
        fetches_titles: state.settings.get().link_previews,
    }
}

/// `POST /submit/preview`: the same form with the post as it will look above it.
///
/// # Errors
/// [`Error::LoginRequired`].
pub async fn preview(
    request: HttpRequest,
    state: Data<State>,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let tags = known_tags(&state, &mut state.db.conn().await?).await?;
    match form.validate() {
        Ok(valid) => {
            let preview = PostPreview {
                title: valid.title.as_str().to_owned(),
                domain: valid.url.as_ref().map(|u| u.domain().to_owned()),
                html: rendered(valid.text).await?,
            };
            render::page(
                &request,
                &new_page(
                    &request,
                    &state,
                    &form,
                    FormErrors::default(),
                    Some(preview),
                    tags,
                ),
            )
        }
        Err(errors) => render::invalid(
            &request,
            &new_page(&request, &state, &form, errors, None, tags),
        ),
    }
}

/// `POST /posts`
///
/// # Errors
/// [`Error::LoginRequired`]; a form that breaks a rule is shown again with 422.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    viewer.require("post", "create", &Target::default())?;
    let mut conn = state.db.conn().await?;
    if let Some(made) = earlier(&mut conn, viewer.id, &form.nonce).await? {
        return Ok(render::see_other(&made));
    }
    let valid = match form.validate() {
        Ok(valid) => valid,
        Err(errors) => {
            let tags = known_tags(&state, &mut conn).await?;
            return render::invalid(
                &request,
                &new_page(&request, &state, &form, errors, None, tags),
            );
        }
    };
    let html = rendered(valid.text.clone()).await?;
    let made = conn
        .transaction(async |conn| make(conn, &request, viewer, &form.nonce, &valid, &html).await)
        .await?;
    match made {
        Made::New(id, path) => {
            tracing::info!(post.id = id, user.id = viewer.id, "submitted");
            outdated::post(&state.pages, id, Some(viewer.id));
            outdated::tags(&state.cache, &valid.tags).await;
            activity::did(&request, "post.create", "post", id);
            Ok(render::see_other(&path))
        }
        Made::Before(path) => Ok(render::see_other(&path)),
        Made::ByOthers(path) => {
            let said = "This has been posted already. Here is what people say about it.";
            Ok(render::see_other_saying(&state, &path, said))
        }
    }
}

/// What became of a submission: paths of posts.
enum Made {
    /// A post with this id.
    New(i64, String),
    /// Nothing more: the same form had made this post.
    Before(String),
    /// Nothing: the link had been posted already.
    ByOthers(String),
}

/// Writes a post, within a transaction that may be made again.
async fn make(
    conn: &mut Conn,
    request: &HttpRequest,
    viewer: &Viewer,
    nonce: &str,
    valid: &Valid,
    html: &str,
) -> Result<Made, Error> {
    if let Some((id, title)) = same_url(conn, valid, request).await? {
        return Ok(Made::ByOthers(model::path(id, &title)));
    }
    let id = insert(conn, viewer, valid, html).await?;
    if valid.url.is_some() {
        previews::enqueue(&mut *conn, id).await?;
    }
    let path = model::path(id, valid.title.as_str());
    Ok(match remember(conn, viewer.id, nonce, &path).await? {
        Some(made) => Made::Before(made),
        None => Made::New(id, path),
    })
}

/// Names of tags for completing while typing. They change rarely, and every form needs them.
pub async fn known_tags(state: &State, conn: &mut Conn) -> Result<Vec<String>, Error> {
    let options = Options::default().invalidate_on(outdated::TAGS_CHANGED);
    let names = state
        .cache
        .get_or("tags:names", &options, queries::list_tag_names(conn));
    Ok(names.await?)
}

/// Markdown as safe HTML; a long text is rendered off the worker.
pub async fn rendered(source: String) -> Result<String, Error> {
    const SHORT: usize = 4_000;
    if source.len() <= SHORT {
        return Ok(markup::render(&source));
    }
    tokio::task::spawn_blocking(move || markup::render(&source))
        .await
        .map_err(|e| Error::Internal(e.into()))
}

/// What a form with this nonce has made before.
pub async fn earlier(conn: &mut Conn, user_id: i64, nonce: &str) -> Result<Option<String>, Error> {
    if nonce.is_empty() {
        return Ok(None);
    }
    Ok(queries::find_submission(conn, user_id, nonce).await?)
}

/// Remembers, within the transaction, what a form has made. Where the same form came twice at once, the transaction is
/// undone and what the other one made is given.
pub async fn remember(
    conn: &mut Conn,
    user_id: i64,
    nonce: &str,
    path: &str,
) -> Result<Option<String>, Error> {
    if nonce.is_empty() {
        return Ok(None);
    }
    match queries::insert_submission(&mut *conn, user_id, nonce, path).await {
        Ok(()) => Ok(None),
        Err(error) if violated(&error) == Some("submissions_pkey") => {
            conn.rollback().await?;
            Ok(queries::find_submission(conn, user_id, nonce).await?)
        }
        Err(error) if violated(&error) == Some("submissions_nonce_check") => Err(
            Error::bad_request("This form is not one of ours. Load the page again."),
        ),
        Err(error) => Err(error.into()),
    }
}

async fn same_url(
    conn: &mut Conn,
    valid: &Valid,
    request: &HttpRequest,
) -> Result<Option<(i64, String)>, Error> {
    let Some(url) = &valid.url else {
        return Ok(None);
    };
    let key = url.url_key();
    queries::lock_url(&mut *conn, &key).await?;
    let since = Context::get(request).now - Days::new(SAME_URL_DAYS);
    Ok(queries::find_by_url(conn, &key, since).await?)
}

async fn insert(conn: &mut Conn, viewer: &Viewer, valid: &Valid, html: &str) -> Result<i64, Error> {
    let (domain_id, key) = domain_of(conn, valid).await?;
    let id = queries::insert(
        &mut *conn,
        viewer.id,
        draft(valid, domain_id, key.as_deref()),
    )
    .await?;
    queries::set_body(&mut *conn, id, &valid.text, html, markup::RENDERER).await?;
    queries::add_to_post_count(&mut *conn, viewer.id, 1).await?;
    queries::insert_tags(&mut *conn, &valid.tags).await?;
    queries::set_tags(&mut *conn, id, &valid.tags).await?;
    Ok(id)
}

async fn domain_of(conn: &mut Conn, valid: &Valid) -> Result<(Option<i64>, Option<String>), Error> {
    match &valid.url {
        Some(url) => Ok((
            Some(queries::upsert_domain(conn, url.domain()).await?),
            Some(url.url_key()),
        )),
        None => Ok((None, None)),
    }
}

fn draft<'a>(valid: &'a Valid, domain_id: Option<i64>, url_key: Option<&'a str>) -> Draft<'a> {
    Draft {
        kind: valid.kind.as_str(),
        title: valid.title.as_str(),
        url: valid.url.as_ref().map(|u| u.as_str()),
        url_key,
        domain_id,
    }
}

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
        can_edit: may("edit") && post.is_editable(now),
        can_delete: may("delete") && live,
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

/// A post that this viewer may change now.
async fn editable(
    conn: &mut Conn,
    request: &HttpRequest,
    viewer: &Viewer,
    id: i64,
) -> Result<Post, Error> {
    let post = queries::find(conn, id, Some(viewer.id))
        .await?
        .ok_or(Error::NotFound)?;
    if !post.card.is_live() {
        return Err(Error::NotFound);
    }
    let target = Target {
        owner: post.card.author_id,
        attributes: &post.attributes(),
    };
    viewer.require("post", "edit", &target)?;
    if !post.is_editable(Context::get(request).now) {
        return Err(Error::forbidden(
            "A post can be changed for six hours after it was submitted.",
        ));
    }
    Ok(post)
}

/// `GET /posts/{id}/edit`
///
/// # Errors
/// [`Error::Forbidden`] if it is not one's own, or too old.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let post = editable(&mut conn, &request, caller.viewer()?, *id).await?;
    let tags = known_tags(&state, &mut conn).await?;
    let form = Submitted {
        title: post.card.title.clone(),
        url: post.card.url.clone().unwrap_or_default(),
        text: post.source.clone(),
        tags: post.card.tags.join(", "),
        nonce: String::new(),
    };
    render::page(
        &request,
        &edit_page(&request, &post, &form, FormErrors::default(), tags),
    )
}

fn edit_page(
    request: &HttpRequest,
    post: &Post,
    form: &Submitted,
    errors: FormErrors,
    known_tags: Vec<String>,
) -> EditPage {
    EditPage {
        page: Page::of(request, "Edit your post"),
        post_id: post.card.id,
        path: post.card.path(),
        form: form.to_view(),
        errors,
        known_tags,
    }
}

/// `POST /posts/{id}/edit`
///
/// # Errors
/// As [`edit_form`]; a form that breaks a rule is shown again with 422.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    let post = editable(&mut conn, &request, viewer, *id).await?;
    let valid = match form.validate() {
        Ok(valid) => valid,
        Err(errors) => {
            let tags = known_tags(&state, &mut conn).await?;
            return render::invalid(&request, &edit_page(&request, &post, &form, errors, tags));
        }
    };
    let html = rendered(valid.text.clone()).await?;
    conn.begin().await?;
    let (domain_id, key) = domain_of(&mut conn, &valid).await?;
    if !queries::update(&mut conn, *id, draft(&valid, domain_id, key.as_deref())).await? {
        conn.rollback().await?;
        return Err(Error::Conflict(
            "This post was taken away while you were changing it.".into(),
        ));
    }
    queries::set_body(&mut conn, *id, &valid.text, &html, markup::RENDERER).await?;
    queries::insert_tags(&mut conn, &valid.tags).await?;
    queries::set_tags(&mut conn, *id, &valid.tags).await?;
    if valid.url.is_some() {
        previews::enqueue(&mut conn, *id).await?;
    }
    conn.commit().await?;
    outdated::post(&state.pages, *id, post.card.author_id);
    outdated::tags(&state.cache, &valid.tags).await;
    activity::did(&request, "post.edit", "post", *id);
    Ok(render::see_other(&model::path(*id, valid.title.as_str())))
}

/// A post that this viewer may delete.
async fn deletable(conn: &mut Conn, viewer: &Viewer, id: i64) -> Result<Post, Error> {
    let post = queries::find(conn, id, Some(viewer.id))
        .await?
        .ok_or(Error::NotFound)?;
    if !post.card.is_live() {
        return Err(Error::NotFound);
    }
    // A moderator removes, with a reason in the log; only its author deletes.
    if post.card.author_id != Some(viewer.id) {
        return Err(Error::forbidden("Only its author can delete a post."));
    }
    let target = Target {
        owner: post.card.author_id,
        attributes: &post.attributes(),
    };
    viewer.require("post", "delete", &target)?;
    Ok(post)
}

/// `GET /posts/{id}/delete`: asks once.
///
/// # Errors
/// [`Error::Forbidden`] if it is not one's own.
pub async fn delete_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let post = deletable(&mut state.db.conn().await?, caller.viewer()?, *id).await?;
    let view = DeletePage {
        page: Page::of(&request, "Delete this post?"),
        post_id: *id,
        path: post.card.path(),
        has_comments: post.card.comment_count > 0,
        title: post.card.title,
    };
    render::page(&request, &view)
}

/// `POST /posts/{id}/delete`
///
/// # Errors
/// As [`delete_form`].
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    deletable(&mut conn, viewer, *id).await?;
    conn.begin().await?;
    if !queries::delete(&mut conn, *id).await? {
        conn.rollback().await?;
        return Err(Error::NotFound);
    }
    queries::add_to_post_count(&mut conn, viewer.id, -1).await?;
    conn.commit().await?;
    outdated::post_state(&state.pages, *id, Some(viewer.id));
    activity::did(&request, "post.delete", "post", *id);
    let profile = format!("/users/{}", chrome::encode(&viewer.name));
    Ok(render::see_other_saying(
        &state,
        &profile,
        "Your post is deleted.",
    ))
}
