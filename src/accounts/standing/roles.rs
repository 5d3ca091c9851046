//! Giving and taking roles (S11). Must not know pages; whoever calls has checked the permission and holds the transaction.

use serde_json::json;

use super::{ROLE_GRANTED, ROLE_REVOKED, meta, queries, require_above};
use crate::{
    platform::db::Conn,
    web::{error::Error, viewer::Viewer},
};

/// The role that may do everything.
pub const ADMIN: &str = "admin";

/// Who changes a role, and why.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who; `None` is the site itself or its operator at the terminal.
    pub actor: Option<i64>,
    /// Why, in their words.
    pub reason: &'a str,
    /// The request that it came by.
    pub request_id: &'a str,
}

/// Gives a role, by an event and its projection; inside the caller's transaction.
///
/// # Errors
/// [`Error::Conflict`] if the account changes at the same time.
pub async fn grant(
    conn: &mut Conn,
    user_id: i64,
    role: &str,
    change: Change<'_>,
) -> Result<(), Error> {
    append(conn, user_id, ROLE_GRANTED, role, change).await?;
    queries::insert_role(conn, user_id, role).await?;
    Ok(())
}

/// Takes a role away, by an event and its projection; inside the caller's transaction.
///
/// # Errors
/// As [`grant`].
pub async fn revoke(
    conn: &mut Conn,
    user_id: i64,
    role: &str,
    change: Change<'_>,
) -> Result<(), Error> {
    append(conn, user_id, ROLE_REVOKED, role, change).await?;
    queries::delete_role(conn, user_id, role).await?;
    Ok(())
}

async fn append(
    conn: &mut Conn,
    user_id: i64,
    kind: &str,
    role: &str,
    change: Change<'_>,
) -> Result<(), Error> {
    let data = json!({ "role": role, "reason": change.reason });
    let meta = meta(change.actor, change.request_id);
    super::append(conn, user_id, kind, data, meta).await
}

/// Makes the roles of an account those named in `wanted`, and says how many changed. Roles that do not exist, or that
/// nobody is given (`user`), are refused. Inside the caller's transaction.
///
/// # Errors
/// [`Error::Forbidden`] for acting on someone of one's own rank or above (one may lay down one's own roles), and for
/// giving a role above one's own; [`Error::Conflict`] for the last administrator's role.
pub async fn set(
    conn: &mut Conn,
    viewer: &Viewer,
    user_id: i64,
    wanted: &[String],
    change: Change<'_>,
) -> Result<usize, Error> {
    queries::lock_roles(&mut *conn).await?;
    let subject = queries::lock_subject(conn, user_id)
        .await?
        .ok_or(Error::NotFound)?;
    let roles = queries::list_roles(&mut *conn).await?;
    let held = queries::list_roles_of(&mut *conn, user_id).await?;
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !roles.iter().any(|role| role.name == **name))
    {
        return Err(Error::BadRequest(
            format!("There is no role {unknown:?} to give.").into(),
        ));
    }
    let is_wanted = |name: &str| wanted.iter().any(|w| w == name);
    let gained: Vec<_> = roles
        .iter()
        .filter(|r| is_wanted(&r.name) && !held.contains(r))
        .collect();
    let lost: Vec<_> = held.iter().filter(|r| !is_wanted(&r.name)).collect();
    if gained.is_empty() && lost.is_empty() {
        return Ok(0);
    }
    let lays_down_own = subject.id == viewer.id && gained.is_empty();
    if !lays_down_own {
        require_above(viewer, subject.rank)?;
    }
    if gained.iter().any(|role| role.rank > viewer.rank) {
        return Err(Error::forbidden("You cannot give a role above your own."));
    }
    for role in &lost {
        if role.name == ADMIN && queries::count_holders(&mut *conn, ADMIN).await? < 2 {
            return Err(Error::Conflict(
                "This is the last administrator: make another one first.".into(),
            ));
        }
        revoke(conn, user_id, &role.name, change).await?;
    }
    for role in &gained {
        grant(conn, user_id, &role.name, change).await?;
    }
    Ok(gained.len() + lost.len())
}
