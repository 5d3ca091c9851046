//! The databases that a site runs on: those that are configured, else the embedded ones. Must not know the site.

use std::{io::Write, os::unix::fs::OpenOptionsExt, time::Duration};

use anyhow::Context as _;
use secrecy::SecretString;

use crate::{
    config::Config,
    platform::{
        db::{self, Db},
        kv::{self, Kv},
        process::home::Home,
        shutdown::{Shutdown, Stage},
    },
    web::signing::random_token,
};

/// Time for an embedded database to stop.
const CHILD_LIMIT: Duration = Duration::from_secs(20);

/// The databases a site runs on.
pub struct Databases {
    /// PostgreSQL.
    pub db: Db,
    /// Redis, where there is one.
    pub kv: Option<Kv>,
}

/// Reaches the databases of the configuration. Where none is configured, the embedded ones are started, and `shutdown`
/// learns how to stop them.
///
/// # Errors
/// What is in the way, in a sentence for the operator.
pub async fn connect(config: &Config, shutdown: &mut Shutdown) -> anyhow::Result<Databases> {
    let wanted = &config.databases;
    let (url, redis_url) = match &wanted.database_url {
        Some(url) => (url.clone(), wanted.redis_url.clone()),
        None => embedded(config, shutdown).await?,
    };
    let mut options = db::Options::new(&url).context("DATABASE_URL cannot be read")?;
    options.max_connections = wanted.max_connections;
    let db = Db::connect(&options)
        .await
        .context("the database cannot be reached")?;
    let kv = redis_url
        .map(|url| {
            let mut options = kv::Options::new(url);
            options.prefix.clone_from(&wanted.redis_prefix);
            Kv::open(&options).context("REDIS_URL cannot be read")
        })
        .transpose()?;
    if kv.is_none() {
        tracing::info!("without Redis: sessions live in PostgreSQL, limits count in this process");
    }
    Ok(Databases { db, kv })
}

/// Starts PostgreSQL, and Redis unless one is configured, side by side; gives their URLs.
async fn embedded(
    config: &Config,
    shutdown: &mut Shutdown,
) -> anyhow::Result<(SecretString, Option<SecretString>)> {
    let wanted = &config.databases;
    let home = Home::settle(&wanted.data_dir)?;
    let options = db::embedded::Options {
        home: home.clone(),
        bin: wanted.pg_bin.clone(),
        max_connections: wanted.max_connections,
    };
    let redis = async {
        match wanted.redis_url {
            Some(_) => Ok(None),
            None => kv::embedded::Embedded::start(&home).await,
        }
    };
    let (postgres, redis) = tokio::join!(db::embedded::Embedded::start(&options), redis);
    let redis_url = match redis {
        Ok(Some(redis)) => {
            let url = redis.url().clone();
            shutdown.register("redis", Stage::Children, CHILD_LIMIT, move || redis.stop());
            Some(url)
        }
        Ok(None) => wanted.redis_url.clone(),
        Err(error) => {
            tracing::warn!(error = %error, "the embedded Redis does not start");
            None
        }
    };
    let postgres = postgres?;
    let url = postgres.url().clone();
    shutdown.register("postgres", Stage::Children, CHILD_LIMIT, move || {
        postgres.stop()
    });
    Ok((url, redis_url))
}

/// The secret of a development site: made once, kept in the data folder, readable by its owner only.
///
/// # Errors
/// When it can be neither read nor written.
pub fn kept_secret(config: &Config) -> anyhow::Result<SecretString> {
    let folder = &config.databases.data_dir;
    let path = folder.join("secret_key");
    if let Ok(secret) = std::fs::read_to_string(&path)
        && secret.trim().len() >= 32
    {
        return Ok(secret.trim().to_owned().into());
    }
    let secret = random_token(48);
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
        })
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| {
            format!(
                "no secret can be kept in {}; set SECRET_KEY",
                path.display()
            )
        })?;
    Ok(secret.into())
}
