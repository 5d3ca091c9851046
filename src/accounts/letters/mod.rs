//! Letters about accounts (P08), as jobs: prove an address, choose a new password, know of a change. Must not know the
//! pages that the links lead to beyond their addresses.
//!
//! A link's token is made when its letter is written, so that no queue and no table ever holds it; and a reset is queued
//! whether or not there is such an account, so that asking takes the same time.

pub mod queries;

use actix_web::web::Data;
use serde_json::json;
use sqlx::PgExecutor;

use self::queries::{Addressee, Purpose};
use crate::{
    platform::jobs::{self, Failure, Job, Limits, NewJob, Registry},
    web::{
        letter::{Action, Draft},
        signing::{random_token, token_hash},
        state::State,
    },
};

/// Asks the owner of a new address to prove it. `{user_id}`
pub const VERIFY_EMAIL: &str = "accounts.verify_email";
/// Sends the way to a new password to whoever has a proven address. `{typed}`
pub const RESET_PASSWORD: &str = "accounts.reset_password";
/// Tells someone that their account has been changed. `{user_id, what, to}`
pub const TELL_CHANGE: &str = "accounts.tell_change";

/// A change that its owner is told of by mail (ASVS 5.0, 6.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new password.
    Password,
    /// Another address; told to the old one.
    Email {
        /// The old one.
        old: &'a str,
    },
}

/// Says who writes the letters.
pub fn register(registry: &mut Registry, state: &Data<State>) {
    // A link that arrives hours after it was asked for is of no use.
    let soon = Limits {
        attempts: 6,
        ..Limits::default()
    };
    on(
        registry,
        state,
        VERIFY_EMAIL,
        Limits::default(),
        verify_email,
    );
    on(registry, state, RESET_PASSWORD, soon, reset_password);
    on(registry, state, TELL_CHANGE, Limits::default(), tell_change);
}

fn on<F, Fut>(
    registry: &mut Registry,
    state: &Data<State>,
    kind: &'static str,
    limits: Limits,
    write: F,
) where
    F: Fn(Data<State>, Job) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let state = state.clone();
    registry.on(kind, limits, move |job| write(state.clone(), job));
}

/// Queues the letter by which an account's new address is proven.
///
/// # Errors
/// What the database said.
pub async fn ask_verification(db: impl PgExecutor<'_>, user_id: i64) -> sqlx::Result<()> {
    let key = user_id.to_string();
    let job = NewJob::new(VERIFY_EMAIL, json!({ "user_id": user_id })).unique(&key);
    jobs::enqueue(db, &job).await.map(drop)
}

/// Queues the letter with the way to a new password, whether or not anyone has this name or address.
///
/// # Errors
/// What the database said.
pub async fn ask_reset(db: impl PgExecutor<'_>, typed: &str) -> sqlx::Result<()> {
    let key = typed.to_lowercase();
    let job = NewJob::new(RESET_PASSWORD, json!({ "typed": typed })).unique(&key);
    jobs::enqueue(db, &job).await.map(drop)
}

/// Queues the letter that tells of a change.
///
/// # Errors
/// What the database said.
pub async fn ask_telling(
    db: impl PgExecutor<'_>,
    user_id: i64,
    change: Change<'_>,
) -> sqlx::Result<()> {
    let payload = match change {
        Change::Password => json!({ "user_id": user_id, "what": "password" }),
        Change::Email { old } => json!({ "user_id": user_id, "what": "email", "to": old }),
    };
    jobs::enqueue(db, &NewJob::new(TELL_CHANGE, payload))
        .await
        .map(drop)
}

async fn verify_email(state: Data<State>, job: Job) -> Result<(), Failure> {
    let user_id = job.number("user_id")?;
    let mut conn = state.db.conn().await?;
    let Some(to) = queries::find_unproven(&mut conn, user_id).await? else {
        return Ok(());
    };
    let token = random_token(32);
    queries::replace_token(&mut conn, &to, Purpose::VerifyEmail, &token_hash(&token)).await?;
    drop(conn);
    let site = state.settings.get().site_name.clone();
    let letter = Draft {
        paragraphs: vec![
            format!("Hello {},", to.username),
            format!("{site} was given this address for your account. Please confirm that it is yours."),
        ],
        action: Some(Action {
            label: "Confirm this address".to_owned(),
            url: state.config.http.absolute(&format!("/email/verify/{token}")),
        }),
        closing: vec![
            "The link works once, within 24 hours. If this is not your account, leave this letter be: nothing happens \
             without you."
                .to_owned(),
        ],
        ..letter(&state, format!("Confirm your address for {site}"))
    };
    Ok(state.mailer.send(&to.email, &letter.finish()?).await?)
}

async fn reset_password(state: Data<State>, job: Job) -> Result<(), Failure> {
    let mut conn = state.db.conn().await?;
    let Some(to) = queries::find_by_name_or_email(&mut conn, job.text("typed")?).await? else {
        return Ok(());
    };
    // One made since this was asked for is this job's own, from an attempt that was cut off: its letter may not have left.
    if queries::has_fresh_token(
        &mut conn,
        to.user_id,
        Purpose::ResetPassword,
        job.created_at,
    )
    .await?
    {
        tracing::info!(
            user.id = to.user_id,
            "a letter with a link has just been sent, so no other follows"
        );
        return Ok(());
    }
    let token = random_token(32);
    queries::replace_token(&mut conn, &to, Purpose::ResetPassword, &token_hash(&token)).await?;
    drop(conn);
    let site = state.settings.get().site_name.clone();
    let letter = Draft {
        paragraphs: vec![
            format!("Hello {},", to.username),
            format!("Somebody, most likely you, has asked for a new password for your account on {site}."),
        ],
        action: Some(Action {
            label: "Choose a new password".to_owned(),
            url: state.config.http.absolute(&format!("/password/reset/{token}")),
        }),
        closing: vec![
            "The link works once, within one hour. If you did not ask for it, leave this letter be: your password stays \
             as it is."
                .to_owned(),
        ],
        ..letter(&state, format!("A new password for {site}"))
    };
    Ok(state.mailer.send(&to.email, &letter.finish()?).await?)
}

async fn tell_change(state: Data<State>, job: Job) -> Result<(), Failure> {
    let user_id = job.number("user_id")?;
    let Some(to) = queries::find_proven(&mut state.db.conn().await?, user_id).await? else {
        return Ok(());
    };
    let site = state.settings.get().site_name.clone();
    let (email, subject, sentence) = match job.text("what")? {
        "password" => (
            to.email.as_str(),
            format!("Your password on {site} has been changed"),
            "The password of your account has just been changed, and every other session has ended.",
        ),
        _ => (
            job.text("to")?,
            format!("Your address on {site} has been changed"),
            "Your account has just been given another e-mail address, and this one is no longer used for it.",
        ),
    };
    let letter = Draft {
        paragraphs: vec![format!("Hello {},", to.username), sentence.to_owned()],
        closing: vec![match &state.settings.get().site_contact {
            Some(contact) => format!("If that was not you, write to {contact}."),
            None => {
                "If that was not you, choose a new password at once, or tell whoever runs the site."
                    .to_owned()
            }
        }],
        ..letter(&state, subject)
    };
    Ok(state.mailer.send(email, &letter.finish()?).await?)
}

fn letter(state: &State, subject: String) -> Draft {
    Draft {
        site_name: state.settings.get().site_name.clone(),
        site_url: state.config.http.absolute("/"),
        subject,
        paragraphs: Vec::new(),
        action: None,
        closing: Vec::new(),
    }
}

/// Whose working link `token` is.
///
/// # Errors
/// What the database said.
pub async fn find_link(
    db: impl PgExecutor<'_>,
    purpose: Purpose,
    token: &str,
) -> sqlx::Result<Option<Addressee>> {
    queries::find_token(db, purpose, &token_hash(token)).await
}
