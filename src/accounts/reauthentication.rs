//! Before something grave is changed, whoever is signed in proves once more that it is they. Must not know what they are
//! about to change.

use actix_web::HttpRequest;

use super::{
    password::{self, Verdict},
    queries,
};
use crate::{
    platform::limits::Class,
    web::{
        context::Context, error::Error, form::FormErrors, middleware::limit, state::State,
        viewer::Viewer,
    },
};

/// Compares the `current_password` that was typed, and notes in `errors` if it is another.
///
/// # Errors
/// 429 for too many wrong guesses, 503 when too many passwords are being checked.
pub async fn check(
    request: &HttpRequest,
    state: &State,
    viewer: &Viewer,
    typed: &str,
    errors: &mut FormErrors,
) -> Result<(), Error> {
    let key = format!(
        "settings:{}:{}",
        viewer.id,
        Context::get(request).limit_address()
    );
    limit::spend(
        request,
        state,
        Class::LoginAccount,
        &[&key],
        "The current password was wrong several times, so this attempt was not looked at.",
    )
    .await?;
    let stored = queries::find_credentials_by_id(&mut state.db.conn().await?, viewer.id).await?;
    let stored = stored.and_then(|account| account.password_hash);
    match password::verify(typed.into(), stored).await? {
        Verdict::Wrong => errors.add(
            "current_password",
            "credentials",
            "This is not your current password.",
        ),
        Verdict::Right | Verdict::RightButOld => {
            state.limiter.forget(Class::LoginAccount, &key).await
        }
    }
    Ok(())
}
