//! Structured logs (S44), for people or as JSON, to standard error. Must not know what is logged.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging for the whole process; a second call (as in tests) changes nothing. Directives that cannot be read
/// fall back to `info`. Line breaks in values are escaped by the formats, so that no line can be forged.
pub fn start(directives: &str, json: bool) {
    // Libraries' own news are not the operator's; an explicit directive for them still wins.
    let filter = EnvFilter::try_new(format!("sqlx=warn,actix_server=warn,{directives}"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let outcome = if json {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init()
    };
    if outcome.is_err() {
        tracing::debug!("logging has been started before");
    }
}
