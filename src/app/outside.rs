//! The ways out: dependencies and their guards, the client for strangers' addresses, mail. Must not know the site's pages.

use std::sync::Arc;

use anyhow::Context as _;

use crate::{
    config::{Config, Environment},
    platform::{
        fetch::{self, Fetcher, address::Allowance},
        kv::Kv,
        notify::{Mailer, Webhook, mail, webhook},
        resilience::{dependencies::Dependencies, rules::Rules},
    },
    routes,
};

/// The registry, with what guards itself and with the breakers of routes.
pub(super) fn dependencies(kv: Option<&Kv>) -> Dependencies {
    let dependencies = Dependencies::default();
    if let Some(kv) = kv {
        dependencies.add("redis", Arc::new(kv.clone()));
    }
    dependencies.register(routes::LINK_PREVIEW, Rules::default());
    dependencies
}

/// What the site calls itself where it asks.
pub(super) fn agent(config: &Config) -> String {
    format!(
        "BetterNews/{} (+{})",
        env!("CARGO_PKG_VERSION"),
        config.http.base_url
    )
}

/// The client for addresses that somebody else has chosen.
pub(super) fn fetcher(config: &Config) -> anyhow::Result<Fetcher> {
    let options = fetch::Options {
        agent: agent(config),
        allowance: Allowance {
            loopback_ports: config.outside.loopback_ports.clone(),
            ..Allowance::default()
        },
    };
    Fetcher::new(&options).context("requests to the outside cannot be made")
}

/// Where operators are told of trouble, if they want to be.
pub(super) fn webhook(
    config: &Config,
    fetcher: &Fetcher,
    dependencies: &Dependencies,
) -> Option<Webhook> {
    let url = config.outside.alert_webhook_url.clone()?;
    let dependency = dependencies.register(webhook::DEPENDENCY, webhook::rules());
    Some(Webhook::new(url, fetcher.clone(), dependency))
}

/// The way out for letters: the mail server; an outbox to read on a development site without one; else none.
pub(super) fn mailer(config: &Config, site_name: &str) -> anyhow::Result<Mailer> {
    let way = match (&config.mail.smtp_url, config.environment) {
        (Some(url), _) => mail::Way::Smtp(url.clone()),
        (None, Environment::Development) => mail::Way::Outbox,
        (None, _) => mail::Way::Off,
    };
    if matches!(way, mail::Way::Off) {
        tracing::warn!(
            "SMTP_URL is not set: no mail leaves, so nobody can confirm an address or reset a password by mail"
        );
    }
    let from = match &config.mail.from {
        Some(from) => from.clone(),
        None => {
            let host = config.http.base_url.domain().unwrap_or("localhost");
            let address = format!("noreply@{host}")
                .parse()
                .context("MAIL_FROM is not set, and BASE_URL gives none")?;
            lettre::message::Mailbox::new(Some(site_name.to_owned()), address)
        }
    };
    Mailer::new(&way, from).context("SMTP_URL")
}
