//! Operators are told when a health check has changed (S30): one message each to the webhook, as a job. Must not know how
//! messages travel.

use actix_web::web::Data;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    platform::{
        health::changes::{Change, Changes},
        notify::{Webhook, webhook},
    },
    web::state::State,
};

/// Listens to the results of all checks until the token is cancelled; ends at once where nobody wants to be told.
///
/// # Errors
/// When the checks are gone.
pub async fn health_changes(
    state: Data<State>,
    instance: String,
    token: CancellationToken,
) -> Result<(), RecvError> {
    let Some(to) = &state.webhook else {
        token.cancelled().await;
        return Ok(());
    };
    let (mut results, mut changes) = (state.checks.listen(), Changes::default());
    loop {
        let result = tokio::select! {
            () = token.cancelled() => return Ok(()),
            result = results.recv() => result,
        };
        match result {
            Ok(result) => {
                if let Some(change) = changes.see(&result) {
                    tell(&state, &instance, to, &change).await;
                }
            }
            // Some results were missed; the next ones tell as much.
            Err(RecvError::Lagged(_)) => {}
            Err(closed) => return Err(closed),
        }
    }
}

/// As a job; where the database itself is what is not well, at once and once only.
async fn tell(state: &State, instance: &str, to: &Webhook, change: &Change) {
    let text = sentence(&state.settings.get().site_name, change);
    // What another instance sees may be otherwise, and overtakes nothing.
    let about = format!("{} {instance}", change.check);
    let queued = match state.db.conn().await {
        Ok(mut conn) => webhook::enqueue(&mut conn, &text, &about).await,
        Err(error) => Err(error),
    };
    if let Err(error) = queued {
        tracing::warn!(check.name = change.check, error = %error, "a change of health cannot be queued, so it is told at once");
        if let Err(failure) = to.send(&text).await {
            tracing::error!(
                check.name = change.check,
                error = failure.sentence,
                "nobody was told of a change of health"
            );
        }
    }
}

fn sentence(site: &str, change: &Change) -> String {
    let (check, from, to) = (&change.check, change.from.word(), change.to.word());
    let mut text = format!("{site}: {check} is {to} (was {from}).");
    if let Some(message) = &change.message {
        text.push(' ');
        text.push_str(message);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::health::Status;

    #[test]
    fn s30_a_change_is_told_in_a_sentence() {
        let mut change = Change {
            check: "redis".into(),
            from: Status::Healthy,
            to: Status::Degraded,
            message: Some("It is away.".into()),
        };
        assert_eq!(
            sentence("The Site", &change),
            "The Site: redis is degraded (was healthy). It is away."
        );
        change.message = None;
        assert_eq!(
            sentence("The Site", &change),
            "The Site: redis is degraded (was healthy)."
        );
    }
}
