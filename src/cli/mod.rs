//! The command line: one file a subcommand. Must not know HTTP.
//!
//! Exit status: 0 done, 1 failed (the reason stands on standard error), 2 misused.

mod admin;
mod check;
mod db;
mod events;
mod healthcheck;
mod import;
mod migrate;
mod roles;
mod seed;
mod serve;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::{
    app::{self, Databases},
    config::Config,
    platform::{
        observe::{log, otlp::Exporter},
        shutdown::{Shutdown, TOTAL},
    },
};

/// Self-hosted community news.
#[derive(Parser)]
#[command(name = "betternews", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the site (the default).
    Serve,
    /// Bring the database's schema and seeds up to date.
    Migrate,
    /// Bring posts, comments and users here from another site.
    #[command(subcommand)]
    Import(import::Command),
    /// Accounts from the terminal.
    #[command(subcommand)]
    Admin(admin::Command),
    /// What each role may do.
    #[command(subcommand)]
    Roles(roles::Command),
    /// About the events.
    #[command(subcommand)]
    Events(events::Command),
    /// Fill the site with invented content.
    #[command(subcommand)]
    Seed(seed::Command),
    /// Compare every stored counter with the rows it counts.
    Verify,
    /// About the database.
    #[command(subcommand)]
    Db(db::Command),
    /// About the configuration.
    #[command(subcommand)]
    Config(check::Command),
    /// Ask a running site whether it is ready; for a container's health check.
    Healthcheck,
}

/// Parses the arguments and runs what they name.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments.command.unwrap_or(Command::Serve)) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let config = Config::from_env()?;
    if let Command::Config(command) = command {
        check::run(&command, &config);
        return Ok(ExitCode::SUCCESS);
    }
    if matches!(command, Command::Healthcheck) {
        return healthcheck::run(&config);
    }
    if let Command::Db(command) = command {
        return db::run(&command, &config).map(|()| ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let exporter = config
        .log
        .otlp_endpoint
        .as_ref()
        .map(|endpoint| {
            Exporter::new(
                endpoint,
                config.environment.name(),
                runtime.handle().clone(),
            )
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")
        })
        .transpose()?;
    log::start(
        &config.log.filter,
        config.log.format == crate::config::LogFormat::Json,
        exporter.as_ref(),
    );
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve => serve::run(config).await,
            Command::Migrate => {
                with_databases(config, async |databases| migrate::run(&databases.db).await).await
            }
            Command::Import(command) => {
                with_schema(config, async |databases| {
                    import::run(&command, &databases.db).await
                })
                .await
            }
            Command::Admin(command) => {
                with_schema(config, async |databases| {
                    admin::run(&command, &databases).await
                })
                .await
            }
            Command::Roles(command) => {
                with_schema(config, async |databases| {
                    roles::run(&command, &databases).await
                })
                .await
            }
            Command::Events(command) => {
                with_schema(config, async |databases| {
                    events::run(&command, &databases.db).await
                })
                .await
            }
            Command::Seed(command) => {
                with_schema(config, async |databases| {
                    seed::run(&command, &databases.db).await
                })
                .await
            }
            Command::Verify => {
                with_schema(config, async |databases| verify::run(&databases.db).await).await
            }
            Command::Config(_) | Command::Db(_) | Command::Healthcheck => Ok(ExitCode::SUCCESS),
        }
    });
    if let Some(Err(error)) = exporter.map(|exporter| exporter.stop()) {
        complain(&format!(
            "the last traces did not reach the collector: {error}"
        ));
    }
    outcome
}

/// Runs a command that needs the databases, starting the embedded ones where they are not running, and puts down
/// whatever was started, also when the command fails.
async fn with_databases(
    config: Config,
    command: impl AsyncFnOnce(Databases) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut shutdown = Shutdown::new();
    let outcome = match app::connect(&config, &mut shutdown).await {
        Ok(databases) => {
            tokio::select! {
                outcome = command(databases) => outcome,
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            }
        }
        Err(error) => Err(error),
    };
    shutdown.run(TOTAL, std::future::pending::<()>()).await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// As [`with_databases`], with the schema brought up to date first.
async fn with_schema(
    config: Config,
    command: impl AsyncFnOnce(Databases) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    with_databases(config, async |databases| {
        crate::platform::db::migrate::run(&databases.db).await?;
        command(databases).await
    })
    .await
}

/// Says something to the person at the terminal.
#[expect(clippy::print_stdout, reason = "this is the command line's own output")]
pub(crate) fn say(sentence: &str) {
    println!("{sentence}");
}

/// Says what is wrong to the person at the terminal.
#[expect(clippy::print_stderr, reason = "this is the command line's own output")]
fn complain(sentence: &str) {
    eprintln!("betternews: {}", sentence.trim_end());
}
