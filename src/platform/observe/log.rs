//! Structured logs (S44), for people or as JSON, to standard error. Must not know what is logged.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::otlp::Exporter;

/// Starts logging, and exporting spans where there is an exporter, for the whole process; a second call (as in tests)
/// changes nothing. Directives that cannot be read fall back to `info`. Line breaks in values are escaped by the formats,
/// so that no line can be forged.
pub fn start(directives: &str, json: bool, exporter: Option<&Exporter>) {
    // Libraries' own news are not the operator's; an explicit directive for them still wins.
    let filter = EnvFilter::try_new(format!("sqlx=warn,actix_server=warn,{directives}"))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = if json {
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed()
    } else {
        fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed()
    };
    // Without an exporter the filter stands before everything, so that what nobody wants is not even built.
    let outcome = match exporter {
        None => tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .try_init(),
        Some(exporter) => tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(exporter.layer())
            .try_init(),
    };
    if outcome.is_err() {
        tracing::debug!("logging has been started before");
    }
}
