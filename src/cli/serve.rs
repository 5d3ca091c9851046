//! `betternews serve`: starts the databases where it must, then the site, and runs until it is told to stop. Must not
//! know requests.

use std::process::ExitCode;

use super::say;
use crate::{
    accounts::setup,
    app::{self, Application},
    config::Config,
    platform::shutdown::{Shutdown, Signals, TOTAL},
};

/// Runs the site. Exit 0 when everything was put down in order, 1 otherwise; a start that fails undoes what it began.
pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let mut shutdown = Shutdown::new();
    let started = tokio::select! {
        started = start(config, &mut shutdown) => started,
        _ = signals.next() => Err(anyhow::anyhow!("stopped while starting")),
    };
    let application = match started {
        Ok(application) => application,
        Err(error) => {
            shutdown.run(TOTAL, async { signals.next().await }).await;
            return Err(error);
        }
    };
    let outcome = application.run_until_stopped(signals, shutdown).await?;
    Ok(if outcome.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn start(mut config: Config, shutdown: &mut Shutdown) -> anyhow::Result<Application> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let databases = app::connect(&config, shutdown).await?;
    if config.secret_keys.is_empty() {
        config.secret_keys = vec![app::kept_secret(&config)?];
    }
    let application = Application::build(config, databases, shutdown).await?;
    let http = &application.state().config.http;
    let address = match http.bind.ip() {
        ip if ip.is_unspecified() => format!("127.0.0.1:{}", application.port()),
        ip => std::net::SocketAddr::new(ip, application.port()).to_string(),
    };
    say(&format!("BetterNews listens on http://{address}"));
    let state = application.state();
    if let Some(token) = setup::ensure(&state.db).await? {
        let link = state.config.http.absolute(&format!("/setup?token={token}"));
        say(&format!(
            "There is no administrator yet. Make one here, once: {link}"
        ));
    }
    Ok(application)
}
