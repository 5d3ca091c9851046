//! `/settings/tokens`: keys for programs; and the same on `/api/v1/auth/tokens`. Must not know what they are used for.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::{
    accounts::{
        tokens::{self, MOST, NAME_MAX, New, Row, queries},
        views::{SettingsTokensPage, TokenItem},
    },
    platform::db::Conn,
    web::{
        activity,
        context::Context,
        envelope,
        error::Error,
        form::{Form, FormErrors},
        page::Page,
        render,
        state::State,
        viewer::{Caller, Scope, Viewer},
    },
};

/// For how many days a key may be made; 0 is for good.
const DAYS: [i32; 4] = [30, 90, 365, 0];

/// What a person fills in.
#[derive(Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    days: i32,
}

impl TokenForm {
    /// What is offered: a token that may do little, and ends.
    fn fresh() -> Self {
        Self {
            name: String::new(),
            scopes: vec![Scope::Read.name().to_owned()],
            days: DAYS[1],
        }
    }
}

/// `GET /settings/tokens`
///
/// # Errors
/// As the database said.
pub async fn list(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let viewer = offered(&request, &state, &caller)?;
    let rows = queries::list(&mut state.db.conn().await?, viewer.id).await?;
    render::page(
        &request,
        &page(
            &request,
            viewer,
            rows,
            TokenForm::fresh(),
            None,
            FormErrors::default(),
        ),
    )
}

/// `POST /settings/tokens`: the key is shown on the page that answers, and never again.
///
/// # Errors
/// As the database said.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<TokenForm>,
) -> Result<HttpResponse, Error> {
    let viewer = offered(&request, &state, &caller)?;
    let mut conn = state.db.conn().await?;
    let rows = queries::list(&mut conn, viewer.id).await?;
    let errors = mistakes(&form, viewer, rows.len());
    if !errors.is_empty() {
        return render::invalid(&request, &page(&request, viewer, rows, form, None, errors));
    }
    let token = make(&mut conn, viewer, &form).await?;
    let rows = queries::list(&mut conn, viewer.id).await?;
    activity::did(&request, "token.create", "user", viewer.id);
    render::page(
        &request,
        &page(
            &request,
            viewer,
            rows,
            TokenForm::fresh(),
            Some(token),
            FormErrors::default(),
        ),
    )
}

/// Who looks, if keys are for them.
fn offered<'a>(
    request: &HttpRequest,
    state: &State,
    caller: &'a Caller,
) -> Result<&'a Viewer, Error> {
    let viewer = caller.viewer()?;
    if state.is_on(tokens::FLAG, Some(viewer), Context::get(request).now) {
        return Ok(viewer);
    }
    Err(Error::forbidden(
        "Tokens are not offered to your account just now.",
    ))
}

fn mistakes(form: &TokenForm, viewer: &Viewer, held: usize) -> FormErrors {
    let mut errors = FormErrors::default();
    let length = form.name.trim().chars().count();
    if !(1..=NAME_MAX).contains(&length) {
        errors.add(
            "name",
            "length",
            "Give it a name of 1 to 60 characters, such as what it is for.",
        );
    }
    let scopes = tokens::scopes(&form.scopes);
    if scopes.is_empty() || scopes.len() != form.scopes.len() {
        errors.add("scopes", "choice", "Choose what it may do.");
    }
    if scopes.contains(&Scope::Ops) && !may_operate(viewer) {
        errors.add(
            "scopes",
            "permission",
            "Your account may not look into the site's operation, so neither may its tokens.",
        );
    }
    if !DAYS.contains(&form.days) {
        errors.add("days", "choice", "Choose one of the times.");
    }
    if held >= MOST {
        errors.add(
            "",
            "count",
            "An account has at most 50 tokens. End some first.",
        );
    }
    errors
}

fn may_operate(viewer: &Viewer) -> bool {
    viewer.may_any("ops", "read")
}

/// `POST /settings/tokens/{id}/end`
///
/// # Errors
/// 404 for a key that is not one's own.
pub async fn end(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    if !queries::delete(&mut state.db.conn().await?, viewer.id, *id).await? {
        return Err(Error::NotFound);
    }
    activity::did(&request, "token.end", "token", *id);
    Ok(render::see_other_saying(
        &state,
        "/settings/tokens",
        "That token has ended.",
    ))
}

/// `GET /api/v1/auth/tokens`: one's own keys.
///
/// # Errors
/// 401 for a guest.
pub async fn list_json(state: Data<State>, caller: Caller) -> Result<HttpResponse, Error> {
    let rows = queries::list(&mut state.db.conn().await?, caller.viewer()?.id).await?;
    let tokens: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "id": row.id,
                "name": row.name,
                "scopes": row.scopes,
                "created_at": row.created_at,
                "expires_at": row.expires_at,
                "last_used_at": row.last_used_at,
            })
        })
        .collect();
    Ok(envelope::success(&tokens))
}

/// `POST /api/v1/auth/tokens` (name, scopes, days): makes a key; it stands in the answer, and is not to be had again.
///
/// # Errors
/// 400 with each field that is wrong; 403 for a key: what one key is bounded by, one that it made would not be.
pub async fn create_json(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<TokenForm>,
) -> Result<HttpResponse, Error> {
    let viewer = offered(&request, &state, &caller)?;
    if caller.scopes.is_some() {
        return Err(viewer.denied(
            "token.create",
            "A token cannot make tokens: log in for that.",
        ));
    }
    let mut conn = state.db.conn().await?;
    let held = queries::list(&mut conn, viewer.id).await?.len();
    let errors = mistakes(&form, viewer, held);
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let token = make(&mut conn, viewer, &form).await?;
    Ok(envelope::created(&json!({ "token": token })))
}

async fn make(conn: &mut Conn, viewer: &Viewer, form: &TokenForm) -> Result<String, Error> {
    let new = New {
        name: form.name.trim(),
        scopes: &form.scopes,
        days: (form.days > 0).then_some(form.days),
    };
    let token = tokens::make(conn, viewer.id, &new).await?;
    tracing::info!(user.id = viewer.id, "API token made");
    Ok(token)
}

/// `DELETE /api/v1/auth/tokens/{id}`
///
/// # Errors
/// 404 for a key that is not one's own.
pub async fn end_json(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    if !queries::delete(&mut state.db.conn().await?, caller.viewer()?.id, *id).await? {
        return Err(Error::NotFound);
    }
    activity::did(&request, "token.end", "token", *id);
    Ok(envelope::success(&json!({ "id": *id })))
}

fn page(
    request: &HttpRequest,
    viewer: &Viewer,
    rows: Vec<Row>,
    form: TokenForm,
    made: Option<String>,
    errors: FormErrors,
) -> SettingsTokensPage {
    let now = Context::get(request).now;
    SettingsTokensPage {
        page: Page::of(request, "Tokens"),
        tokens: rows.into_iter().map(|row| item(row, now)).collect(),
        made,
        name: form.name,
        scopes: Scope::ALL
            .into_iter()
            .filter(|scope| *scope != Scope::Ops || may_operate(viewer))
            .map(|scope| {
                (
                    scope.name(),
                    scope.meaning(),
                    form.scopes.iter().any(|name| name == scope.name()),
                )
            })
            .collect(),
        days: DAYS.map(|days| (days, days == form.days)).to_vec(),
        errors,
    }
}

fn item(row: Row, now: DateTime<Utc>) -> TokenItem {
    TokenItem {
        id: row.id,
        name: row.name,
        scopes: row.scopes.join(", "),
        created_at: row.created_at,
        is_over: row.expires_at.is_some_and(|at| at <= now),
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    }
}
