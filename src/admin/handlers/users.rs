//! `/admin/users`: finding people, their roles and sessions. Must not know how roles are kept.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::who;
use crate::{
    accounts::{
        standing::{
            self,
            queries::{Role, find_subject},
            roles::{self, ADMIN, Change},
        },
        viewers,
        views::AccountState,
    },
    admin::{
        queries::{self, Filter, Listed},
        views::{RoleChoice, UserRow, UsersIndexPage, UsersShowPage},
    },
    news::{moderation::model::Reason, outdated},
    platform::{audit, db::Conn},
    web::{
        activity, chrome,
        context::Context,
        error::Error,
        form::{Form, FormErrors, Query},
        page::{Page, Place},
        paging::{self, Cursor, Key},
        render,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// The list's name in cursors.
const LIST: &str = "users";
/// Users on one page.
const PAGE: i64 = 50;
/// Longest beginning of a name that is looked for, in characters.
const PREFIX_MAX: usize = 40;

/// What to look for.
#[derive(Deserialize)]
pub struct UsersQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

/// `GET /admin/users`
///
/// # Errors
/// 400 for a cursor that this site has not made.
pub async fn index(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<UsersQuery>,
) -> Result<HttpResponse, Error> {
    let cursor = match query.after.as_str() {
        "" => None,
        text => Some(Cursor::parse(LIST, text)?),
    };
    let prefix: String = query.q.trim().chars().take(PREFIX_MAX).collect();
    let filter = Filter {
        prefix: &prefix,
        role: &query.role,
        banned: query.state == "banned",
        after: cursor.map(|c| (c.key.as_time(), c.id)),
    };
    let mut conn = state.db.conn().await?;
    let roles = standing::queries::list_roles(&mut conn).await?;
    let rows = queries::list_users(&mut conn, filter, PAGE + 1).await?;
    drop(conn);
    let (rows, has_more) = paging::split(rows, PAGE);
    let rank = cursor.map_or(0, |c| c.rank);
    let more = rows.last().filter(|_| has_more).map(|last| {
        let cursor = Cursor {
            key: Key::time(last.created_at),
            id: last.id,
            rank: rank + PAGE,
        };
        let parameters = [
            ("q", prefix.as_str()),
            ("role", query.role.as_str()),
            ("state", query.state.as_str()),
            ("after", &cursor.to_text(LIST)),
        ];
        paging::address("/admin/users", &parameters)
    });
    let now = Context::get(&request).now;
    let page = UsersIndexPage {
        page: Page::of(&request, "Users").at(Place::Console),
        verdict: verdict(&rows, has_more || cursor.is_some(), &filter),
        query: prefix.clone(),
        role: query.role,
        state: query.state,
        roles: roles.into_iter().map(|role| role.name).collect(),
        users: rows.into_iter().map(|row| user_row(row, now)).collect(),
        more,
    };
    render::page(&request, &page)
}

fn verdict(rows: &[Listed], is_part: bool, filter: &Filter<'_>) -> String {
    let whose = match (
        filter.prefix.is_empty() && filter.role.is_empty(),
        filter.banned,
    ) {
        (true, false) => "joined",
        (_, true) => "banned",
        (false, false) => "that fit",
    };
    match (rows.len(), is_part) {
        (0, _) => "Nobody fits".to_owned(),
        (_, true) if whose == "joined" => "Users, the newest first".to_owned(),
        (count, true) => format!("{count} users {whose}, and there are more"),
        (1, false) => "One user".to_owned(),
        (count, false) => format!("{count} users"),
    }
}

fn user_row(row: Listed, now: DateTime<Utc>) -> UserRow {
    let banned = row.banned_at.is_some() && row.banned_until.is_none_or(|until| until > now);
    let state = if banned {
        AccountState::Banned {
            until: row.banned_until,
            reason: row.ban_reason.unwrap_or_default(),
        }
    } else if row.imported {
        AccountState::Imported
    } else {
        AccountState::Active
    };
    UserRow {
        name: row.username,
        roles: row.roles,
        karma: row.karma.into(),
        created_at: row.created_at,
        last_active_at: row.last_active_at,
        state,
    }
}

/// `GET /admin/users/{name}`
///
/// # Errors
/// 404 for nobody, 503 while sessions cannot be counted.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let page = page(&request, &state, &mut conn, caller.viewer()?, &name, None).await?;
    render::page(&request, &page)
}

/// What the operator fills in.
#[derive(Deserialize)]
pub struct RolesForm {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    reason: String,
}

/// `POST /admin/users/{name}/roles`
///
/// # Errors
/// 403 for someone of one's own rank or above, 409 for the last administrator, 404 for nobody.
pub async fn set_roles(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    Form(form): Form<RolesForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    let reason = match Reason::parse(&form.reason) {
        Ok(reason) => reason,
        Err(sentence) => {
            let mut errors = FormErrors::default();
            errors.add("reason", "length", sentence);
            let page = page(
                &request,
                &state,
                &mut conn,
                viewer,
                &name,
                Some((form, errors)),
            )
            .await?;
            return render::invalid(&request, &page);
        }
    };
    let subject = find_subject(&mut conn, &name)
        .await?
        .ok_or(Error::NotFound)?;
    let context = Context::get(&request);
    let change = Change {
        actor: Some(viewer.id),
        reason: reason.as_str(),
        request_id: &context.id,
    };
    conn.begin().await?;
    // Until the commit nobody else changes a role, so that "before" is what was changed.
    standing::queries::lock_roles(&mut conn).await?;
    let before = role_names(&mut conn, subject.id).await?;
    let changed = roles::set(&mut conn, viewer, subject.id, &form.roles, change).await?;
    if changed > 0 {
        let after = role_names(&mut conn, subject.id).await?;
        let change = audit::Change {
            subject: &format!("user:{}", subject.id),
            action: "set roles",
            before: Some(before),
            after: Some(after),
        };
        audit::record(&mut conn, who(&request).as_who(), change).await?;
    }
    conn.commit().await?;
    viewers::forget(&state.cache, subject.id).await;
    outdated::moderation(&state.pages, Some(subject.id));
    activity::did(&request, "user.set_roles", "user", subject.id);
    let said = match changed {
        0 => format!("{} has these roles already.", subject.username),
        _ => format!("The roles of {} are set.", subject.username),
    };
    // Who lays down their own last role cannot come back to the console.
    let back = if subject.id == viewer.id {
        "/users"
    } else {
        "/admin/users"
    };
    let back = format!("{back}/{}", chrome::encode(&subject.username));
    Ok(render::see_other_saying(&state, &back, &said))
}

/// The roles of an account as the audit keeps them: their names, or nothing.
async fn role_names(conn: &mut Conn, user_id: i64) -> sqlx::Result<Value> {
    let held = standing::queries::list_roles_of(conn, user_id).await?;
    let names: Vec<String> = held.into_iter().map(|role| role.name).collect();
    Ok(if names.is_empty() {
        Value::Null
    } else {
        names.join(", ").into()
    })
}

/// `POST /admin/users/{name}/sessions/end`
///
/// # Errors
/// 403 for someone of one's own rank or above, 404 for nobody, 503 while sessions cannot be ended.
pub async fn end_sessions(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let subject = find_subject(&mut state.db.conn().await?, &name)
        .await?
        .ok_or(Error::NotFound)?;
    standing::require_above(viewer, subject.rank)?;
    let ended = state.sessions.end_all(subject.id, None).await?;
    activity::did(&request, "session.end_all", "user", subject.id);
    let change = audit::Change {
        subject: &format!("user:{}", subject.id),
        action: "end sessions",
        before: Some(json!({ "sessions": ended })),
        after: Some(json!({ "sessions": 0 })),
    };
    audit::record(&mut state.db.conn().await?, who(&request).as_who(), change).await?;
    tracing::info!(
        user.id = viewer.id,
        target.id = subject.id,
        sessions = ended,
        "sessions ended by an operator"
    );
    let said = format!("{} is logged out everywhere.", subject.username);
    let back = format!("/admin/users/{}", chrome::encode(&subject.username));
    Ok(render::see_other_saying(&state, &back, &said))
}

/// The page of one user, with what was typed where a form is shown again.
async fn page(
    request: &HttpRequest,
    state: &State,
    conn: &mut Conn,
    viewer: &Viewer,
    name: &str,
    typed: Option<(RolesForm, FormErrors)>,
) -> Result<UsersShowPage, Error> {
    let now = Context::get(request).now;
    let subject = find_subject(&mut *conn, name)
        .await?
        .ok_or(Error::NotFound)?;
    let row = queries::find_user(&mut *conn, subject.id)
        .await?
        .ok_or(Error::NotFound)?;
    let details = queries::get_details(&mut *conn, subject.id).await?;
    let roles = standing::queries::list_roles(conn).await?;
    let sessions = state.sessions.list(subject.id, now).await?;
    let held = typed
        .as_ref()
        .map_or(&row.roles, |(form, _)| &form.roles)
        .clone();
    let (reason, errors) = typed
        .map(|(form, errors)| (form.reason, errors))
        .unwrap_or_default();
    let is_below = viewer.rank > subject.rank;
    let is_banned = subject.is_banned(now);
    let target = Target::of(Some(subject.id));
    Ok(UsersShowPage {
        page: Page::of(request, row.username.as_str()).at(Place::Console),
        user: user_row(row, now),
        email: details.email,
        post_count: details.post_count.into(),
        comment_count: details.comment_count.into(),
        session_count: i64::try_from(sessions.len()).unwrap_or(i64::MAX),
        roles: roles
            .into_iter()
            .map(|role| role_choice(role, &held))
            .collect(),
        reason,
        errors,
        can_ban: is_below && !is_banned && viewer.may("user", "ban", &target),
        can_unban: is_below && is_banned && viewer.may("user", "unban", &target),
        can_end_sessions: is_below && !sessions.is_empty() && viewer.may("session", "end", &target),
    })
}

fn role_choice(role: Role, held: &[String]) -> RoleChoice {
    let description = match role.name.as_str() {
        "moderator" => "Removes and restores posts and comments, bans and unbans people.",
        ADMIN => "May do everything, this console included.",
        _ => "A role of this site's own.",
    };
    RoleChoice {
        is_held: held.contains(&role.name),
        description: description.to_owned(),
        name: role.name,
    }
}
