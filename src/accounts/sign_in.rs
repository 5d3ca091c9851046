//! Begins and ends the session behind a request. Must not know how someone has proved who they are.

use actix_identity::Identity;
use actix_session::SessionExt;
use actix_web::{HttpMessage, HttpRequest};

use crate::web::{
    context::Context,
    error::Error,
    session::{PENDING_TOKEN, Record, TokenHash},
    state::State,
    viewer::Caller,
};

/// Signs `user_id` in: a new session with a token of its own, whatever cookie the browser came with; the session that it
/// had before is ended. Gives the new session's name.
///
/// # Errors
/// [`Error::Unavailable`] when sessions cannot be kept now; then nobody is signed in.
pub async fn begin(
    request: &HttpRequest,
    state: &State,
    user_id: i64,
    remember: bool,
) -> Result<TokenHash, Error> {
    let context = Context::get(request);
    let caller = Caller::get(request);
    if let (Some(old_id), Some(old)) = (caller.id(), session_of(&caller)) {
        state.sessions.end(old_id, old).await?;
    }
    let record = Record::new(
        user_id,
        remember,
        &context.agent,
        context.address,
        context.now,
        &state.sessions.lifetimes(),
    );
    let token = state.sessions.begin(&record).await?;
    let name = TokenHash::of(&token);
    request
        .get_session()
        .insert(PENDING_TOKEN, token)
        .map_err(|e| Error::Internal(e.into()))?;
    Identity::login(&request.extensions(), user_id.to_string())
        .map_err(|e| Error::Internal(e.into()))?;
    tracing::info!(user.id = user_id, "signed in");
    Ok(name)
}

/// Ends the session behind this request and takes its cookie away.
///
/// # Errors
/// [`Error::Unavailable`] when the store is away: a session that cannot be ended is not said to be.
pub async fn end(request: &HttpRequest, state: &State) -> Result<(), Error> {
    let caller = Caller::get(request);
    if let (Some(user_id), Some(session)) = (caller.id(), session_of(&caller)) {
        state.sessions.end(user_id, session).await?;
    }
    request.get_session().purge();
    Ok(())
}

/// The name of the session that a request came with.
pub fn session_of(caller: &Caller) -> Option<TokenHash> {
    caller.session.as_deref().and_then(TokenHash::parse)
}
