//! Submitting a post, and what its form needs (P03). Must not know how a post is shown.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::Days;

use crate::{
    news::{
        outdated,
        posts::{
            form::{Submitted, Valid},
            model,
            queries::{self, Draft},
            views::{NewPage, PostPreview},
        },
        previews,
    },
    platform::{cache::Options, db::Conn},
    web::{
        activity,
        context::Context,
        error::{Error, violated},
        form::{Form, FormErrors, Query},
        markup,
        page::{Page, Place},
        render,
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
    let tags = known_tags(&state).await?;
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
    let tags = known_tags(&state).await?;
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
            drop(conn);
            let tags = known_tags(&state).await?;
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

/// Names of tags for completing while typing. They change rarely, and every form needs them: old ones are shown while they
/// are read anew. Whoever calls this holds no connection: it may need one.
pub async fn known_tags(state: &State) -> Result<Vec<String>, Error> {
    const STALE: Duration = Duration::from_secs(3_600);
    let options = Options::default()
        .stale_for(STALE)
        .invalidate_on(outdated::TAGS_CHANGED);
    let db = state.db.clone();
    let read = move || {
        let db = db.clone();
        async move { queries::list_tag_names(&mut db.conn().await?).await }
    };
    Ok(state
        .cache
        .get_or_refresh("tags:names", &options, read)
        .await?)
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

pub(super) async fn domain_of(
    conn: &mut Conn,
    valid: &Valid,
) -> Result<(Option<i64>, Option<String>), Error> {
    match &valid.url {
        Some(url) => Ok((
            Some(queries::upsert_domain(conn, url.domain()).await?),
            Some(url.url_key()),
        )),
        None => Ok((None, None)),
    }
}

pub(super) fn draft<'a>(
    valid: &'a Valid,
    domain_id: Option<i64>,
    url_key: Option<&'a str>,
) -> Draft<'a> {
    Draft {
        kind: valid.kind.as_str(),
        title: valid.title.as_str(),
        url: valid.url.as_ref().map(|u| u.as_str()),
        url_key,
        domain_id,
    }
}
