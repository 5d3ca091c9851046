//! `betternews roles`: what each role may do (S11), as data. Must not know HTTP.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::say;
use crate::{
    accounts::{
        standing::{queries, roles::ADMIN},
        viewers,
    },
    app::Databases,
    platform::{
        audit::{self, Change, Who},
        cache::{Cache, bus::Bus},
        db::Conn,
        settings::Settings,
    },
    web::signing::random_token,
};

/// How long running instances may take to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// What each role may do.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Show every role with its rank and what it may do.
    List,
    /// Let a role do something; it holds at once.
    Grant(Permission),
    /// Take that away again; it holds at once.
    Revoke(Permission),
}

/// A role's permission.
#[derive(Args)]
pub(super) struct Permission {
    /// The role, such as moderator.
    role: String,
    /// What is acted on, such as post; * is anything.
    resource: String,
    /// What is done to it, such as remove; * is anything.
    action: String,
    /// Where only: `own`, or an attribute and its value, such as kind=job, tag=rust, domain=example.org, state=live.
    #[arg(long = "if", value_name = "CONDITION")]
    condition: Option<String>,
}

pub(super) async fn run(command: &Command, databases: &Databases) -> anyhow::Result<()> {
    let (permission, is_granted) = match command {
        Command::List => return list(&mut databases.db.conn().await?).await,
        Command::Grant(permission) => (permission, true),
        Command::Revoke(permission) => (permission, false),
    };
    permission.check()?;
    let words = permission.words();
    let is_everything = permission.role == ADMIN
        && permission.resource == "*"
        && permission.action == "*"
        && permission.condition.is_none();
    if is_everything && !is_granted {
        bail!("{ADMIN} keeps this: without it nobody could give it back in the console");
    }
    let mut conn = databases.db.conn().await?;
    conn.begin().await?;
    let role = queries::find_role(&mut conn, &permission.role)
        .await?
        .with_context(|| format!("there is no role {}", permission.role))?;
    let of_role = queries::Permission {
        resource: permission.resource.clone(),
        action: permission.action.clone(),
        condition: permission.condition.clone(),
    };
    let is_changed = if is_granted {
        queries::insert_permission(&mut conn, role, &of_role).await?
    } else {
        queries::delete_permission(&mut conn, role, &of_role).await?
    };
    if !is_changed {
        say(&format!("Nothing to do: {words}."));
        return Ok(conn.rollback().await?);
    }
    let who = Who {
        actor_id: None,
        request_id: "",
    };
    let change = Change {
        subject: &format!("role:{}", permission.role),
        action: if is_granted { "grant" } else { "revoke" },
        before: (!is_granted).then(|| json!(words)),
        after: is_granted.then(|| json!(words)),
    };
    audit::record(&mut conn, who, change).await?;
    conn.commit().await?;
    tell_instances(databases).await;
    say(&format!(
        "{}: {words}.",
        if is_granted { "Granted" } else { "Revoked" }
    ));
    Ok(())
}

impl Permission {
    fn check(&self) -> anyhow::Result<()> {
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        for (name, text) in [("resource", &self.resource), ("action", &self.action)] {
            if text != "*" && !is_word(text) {
                bail!("{text:?} is no {name}: a word in small letters, or *");
            }
        }
        match self.condition.as_deref() {
            None | Some("own") => Ok(()),
            Some(condition) => match condition.split_once('=') {
                Some((attribute, value)) if is_word(attribute) && !value.is_empty() => Ok(()),
                _ => bail!("{condition:?} is no condition: own, or attribute=value"),
            },
        }
    }

    fn words(&self) -> String {
        words(&self.resource, &self.action, self.condition.as_deref())
    }
}

fn words(resource: &str, action: &str, condition: Option<&str>) -> String {
    let condition = condition.map(|c| format!(" if {c}")).unwrap_or_default();
    format!("{resource} {action}{condition}")
}

async fn list(conn: &mut Conn) -> anyhow::Result<()> {
    for (role, rank, permissions) in queries::list_permissions(conn).await? {
        say(&format!("{role} (rank {rank})"));
        for one in permissions {
            let text = words(&one.resource, &one.action, one.condition.as_deref());
            say(&format!("    {text}"));
        }
    }
    Ok(())
}

/// What running instances keep of people is worth nothing any more. Who is not reached believes it for a minute at most.
async fn tell_instances(databases: &Databases) {
    let bus = Bus::open(databases.kv.as_ref(), &databases.db, random_token(9));
    let cache = Cache::new(databases.kv.clone(), bus.clone(), Settings::default(), true);
    viewers::forget_all(&cache).await;
    if !bus.drained(TOLD_WITHIN).await {
        say("Running instances were not reached: there it holds within a minute.");
    }
}
