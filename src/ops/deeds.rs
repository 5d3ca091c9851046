//! Writing down what an operator has done by a request: in the activity log and in the audit. Must not know what it was.

use actix_web::HttpRequest;

use crate::{
    platform::audit::{self, Change, Who},
    web::{activity, context::Context, error::Error, state::State, viewer::Caller},
};

/// Names the deed for the activity log, and writes the change into the audit.
///
/// # Errors
/// [`Error::Unavailable`] where it cannot be written down; it is done all the same.
pub(super) async fn note(
    request: &HttpRequest,
    state: &State,
    deed: (&'static str, &'static str),
    change: Change<'_>,
) -> Result<(), Error> {
    let (action, resource) = deed;
    activity::did(request, action, resource, None);
    let (caller, context) = (Caller::get(request), Context::get(request));
    let who = Who {
        actor_id: caller.id(),
        request_id: &context.id,
    };
    audit::record(&mut state.db.conn().await?, who, change).await?;
    Ok(())
}
