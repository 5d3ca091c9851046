//! `betternews admin`: accounts from the terminal, for who has no other way in. Must not know HTTP; passwords come by
//! standard input only, never as an argument that others on the machine could read.

use std::io::Read;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::say;
use crate::{
    accounts::{
        lifecycle,
        new_account::{self, NewAccount, TAKEN},
        password::{self, NewPassword},
        queries,
        standing::{
            self,
            roles::{self, ADMIN, Change},
        },
    },
    app::Databases,
    platform::settings::Settings,
    web::session::Store,
};

/// Accounts from the terminal.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Make an administrator.
    Create(Create),
    /// Give an account another password; it is logged out everywhere.
    ResetPassword(ResetPassword),
}

/// The new administrator.
#[derive(Args)]
pub(super) struct Create {
    /// User name: 2 to 30 letters, digits, - and _.
    #[arg(long)]
    username: String,
    /// E-mail address; may be left out.
    #[arg(long, default_value = "")]
    email: String,
    /// Read the password from standard input (one line).
    #[arg(long, required = true)]
    password_stdin: bool,
}

/// Whose password, and where it comes from.
#[derive(Args)]
pub(super) struct ResetPassword {
    /// User name.
    username: String,
    /// Read the password from standard input (one line).
    #[arg(long, required = true)]
    password_stdin: bool,
}

pub(super) async fn run(command: &Command, databases: &Databases) -> anyhow::Result<()> {
    match command {
        Command::Create(create) => self::create(create, databases).await,
        Command::ResetPassword(reset) => reset_password(reset, databases).await,
    }
}

async fn create(create: &Create, databases: &Databases) -> anyhow::Result<()> {
    let typed = read_password()?;
    let site_name = site_name(databases).await?;
    let account = NewAccount::parse(&create.username, &create.email, &typed, &site_name).map_err(
        |errors| {
            let sentences: Vec<String> = errors.0.into_iter().map(|e| e.message).collect();
            anyhow::anyhow!(sentences.join("\n"))
        },
    )?;
    let hash = password::hash(account.password.clone()).await?;
    let mut conn = databases.db.conn().await?;
    conn.begin().await?;
    let user_id =
        match queries::insert(&mut conn, &account.username, account.email.as_ref(), &hash).await {
            Ok(id) => id,
            Err(error) if new_account::is_taken(&error) => bail!(TAKEN),
            Err(error) => return Err(error.into()),
        };
    let change = Change {
        actor: None,
        reason: "made at the terminal",
        request_id: "",
    };
    lifecycle::signed_up(&mut conn, user_id, None, "").await?;
    roles::grant(&mut conn, user_id, ADMIN, change).await?;
    // The one-time link is for a site that has no administrator.
    queries::delete_setup_token(&mut conn).await?;
    conn.commit().await?;
    say(&format!("{} is an administrator now.", account.username));
    Ok(())
}

async fn reset_password(reset: &ResetPassword, databases: &Databases) -> anyhow::Result<()> {
    let typed = read_password()?;
    let site_name = site_name(databases).await?;
    let subject = standing::queries::find_subject(&mut databases.db.conn().await?, &reset.username)
        .await?
        .with_context(|| format!("nobody is called {}", reset.username))?;
    let new =
        NewPassword::parse(&typed, &[&subject.username, &site_name]).map_err(anyhow::Error::msg)?;
    let hash = password::hash(new).await?;
    if !queries::set_password(&mut databases.db.conn().await?, subject.id, &hash).await? {
        bail!(
            "{} was brought by an import and cannot log in",
            subject.username
        );
    }
    let ended = Store::new(databases.kv.as_ref(), &databases.db, Settings::default())
        .end_all(subject.id, None)
        .await
        .context("the password is set, but open sessions could not be ended")?;
    say(&format!(
        "{} has a new password; sessions ended: {ended}.",
        subject.username
    ));
    Ok(())
}

async fn site_name(databases: &Databases) -> anyhow::Result<String> {
    let settings = Settings::default();
    settings.refresh(&databases.db).await?;
    Ok(settings.get().site_name.clone())
}

/// The first line of standard input, whole but for its end.
fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    // More than any password, and little enough to hold.
    std::io::stdin()
        .take(64 * 1024)
        .read_to_string(&mut text)
        .context("the password on standard input is not UTF-8 text")?;
    let line = text.split('\n').next().unwrap_or_default();
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}
