//! Who looks: a plain struct that the accounts' middleware fills, and the one check of what they may do (S11). Must not
//! know SQL.

use std::{borrow::Cow, rc::Rc};

use actix_web::{HttpMessage, HttpRequest};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{context::Context, error::Error};

/// One permission: `action` on `resource` (`*` is any), where `condition` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission(pub String, pub String, pub Option<String>);

/// What a permission's condition is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Whose thing it is.
    pub owner: Option<i64>,
    /// Its other attributes by name, such as `("kind", "job")`.
    pub attributes: &'a [(&'a str, &'a str)],
}

impl Target<'_> {
    /// A thing that belongs to `owner`.
    pub fn of(owner: Option<i64>) -> Self {
        Self {
            owner,
            attributes: &[],
        }
    }
}

impl Permission {
    /// Whether this permission is about `action` on `resource`, whatever its condition.
    fn covers(&self, resource: &str, action: &str) -> bool {
        let matches = |pattern: &str, name: &str| pattern == "*" || pattern == name;
        matches(&self.0, resource) && matches(&self.1, action)
    }

    /// Whether this permission lets `viewer_id` do `action` on `resource` to `target`.
    fn allows(&self, viewer_id: i64, resource: &str, action: &str, target: &Target<'_>) -> bool {
        if !self.covers(resource, action) {
            return false;
        }
        match self.2.as_deref() {
            None => true,
            Some("own") => target.owner == Some(viewer_id),
            Some(condition) => condition
                .split_once('=')
                .is_some_and(|pair| target.attributes.contains(&pair)),
        }
    }
}

/// Why and until when someone may only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The moderator's words.
    pub reason: String,
    /// When it ends by itself; `None` is never.
    pub until: Option<DateTime<Utc>>,
}

/// The signed-in person behind a request.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Their account.
    pub id: i64,
    /// Their user name.
    pub name: String,
    /// Their karma.
    pub karma: i32,
    /// Unread things in the inbox.
    pub unread: i32,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// Whether lists are dense.
    pub compact: bool,
    /// Whether single-key shortcuts are on.
    pub shortcuts: bool,
    /// IANA name of their time zone.
    pub time_zone: String,
    /// When they joined.
    pub created_at: DateTime<Utc>,
    /// The rank of their highest role: 1 user, 2 moderator, 3 admin.
    pub rank: i16,
    /// All that their roles allow.
    pub permissions: Vec<Permission>,
    /// Set while they are banned.
    pub ban: Option<Ban>,
}

impl Viewer {
    /// Whether this person may do `action` on `resource` to `target`.
    pub fn may(&self, resource: &str, action: &str, target: &Target<'_>) -> bool {
        self.permissions
            .iter()
            .any(|p| p.allows(self.id, resource, action, target))
    }

    /// As [`Viewer::may`], but what is denied is logged and answered.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require(&self, resource: &str, action: &str, target: &Target<'_>) -> Result<(), Error> {
        self.allow(self.may(resource, action, target), resource, action)
    }

    /// Whether this person may do `action` on `resource` whatever the target.
    pub fn may_any(&self, resource: &str, action: &str) -> bool {
        self.permissions
            .iter()
            .any(|p| p.2.is_none() && p.covers(resource, action))
    }

    /// As [`Viewer::may_any`], but what is denied is logged and answered.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_any(&self, resource: &str, action: &str) -> Result<(), Error> {
        self.allow(self.may_any(resource, action), resource, action)
    }

    /// Whether this person may do `action` on `resource` to some target or other: who looks at the target decides.
    pub fn may_some(&self, resource: &str, action: &str) -> bool {
        self.permissions.iter().any(|p| p.covers(resource, action))
    }

    /// As [`Viewer::may_some`], but what is denied is logged and answered.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn require_some(&self, resource: &str, action: &str) -> Result<(), Error> {
        self.allow(self.may_some(resource, action), resource, action)
    }

    fn allow(&self, may: bool, resource: &str, action: &str) -> Result<(), Error> {
        if may {
            return Ok(());
        }
        let what = format!("{resource}.{action}");
        Err(self.denied(&what, "Your account may not do this."))
    }

    /// What somebody who may not do `what` is answered; it is logged.
    pub fn denied(&self, what: &str, sentence: impl Into<Cow<'static, str>>) -> Error {
        tracing::warn!(user.id = self.id, what, "denied");
        Error::Forbidden(sentence.into())
    }

    /// Refuses who may only read; it is logged.
    ///
    /// # Errors
    /// [`Error::Forbidden`] with the moderator's words.
    pub fn require_not_banned(&self) -> Result<(), Error> {
        let Some(ban) = &self.ban else {
            return Ok(());
        };
        let end = ban
            .until
            .map(|until| format!(" until {}", until.format("%-d %B %Y")))
            .unwrap_or_default();
        let sentence = format!("This account is banned{end}: {}", ban.reason);
        Err(self.denied("change while banned", sentence))
    }
}

/// What a program's key is good for; the permissions of its owner bound it besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read.
    Read,
    /// To submit, vote, discuss and change settings.
    Write,
    /// To look into the site's operation.
    Ops,
}

impl Scope {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Ops];

    /// The word in forms and in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Ops => "ops",
        }
    }

    /// What it allows, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Read => "Read what you can read.",
            Self::Write => "Submit, vote and discuss in your name.",
            Self::Ops => "Read figures and steer the caches.",
        }
    }
}

/// Who a request comes from, the one security context (S10): a guest or a person with their roles' permissions, the session
/// or the key they came with, and where they are. One is in the extensions of every request that passed the accounts' middleware.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The signed-in person, or `None` for a guest.
    pub viewer: Option<Rc<Viewer>>,
    /// What their form tokens are bound to: the hash of the session's token, in hexadecimal.
    pub session: Option<String>,
    /// What the program's key is good for that the request came with; `None` for a browser, whose session is good for
    /// all.
    pub scopes: Option<Vec<Scope>>,
    /// That key's number.
    pub token: Option<i64>,
    /// Address, agent and ids of the request; `None` where no middleware has run.
    pub context: Option<Rc<Context>>,
    /// The session store is away: who has a session is treated as a guest, and told so.
    pub sessions_away: bool,
}

impl Caller {
    /// The caller of `request`; a guest where no middleware has run.
    pub fn get(request: &HttpRequest) -> Rc<Self> {
        request
            .extensions()
            .get::<Rc<Self>>()
            .map(Rc::clone)
            .unwrap_or_default()
    }

    /// The signed-in person.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] for a guest.
    pub fn viewer(&self) -> Result<&Viewer, Error> {
        self.viewer.as_deref().ok_or(Error::LoginRequired)
    }

    /// Whether what the request came with is good for this.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a program's key that is not.
    pub fn require_scope(&self, scope: Scope) -> Result<(), Error> {
        match &self.scopes {
            Some(scopes) if !scopes.contains(&scope) => {
                let address = self
                    .context
                    .as_ref()
                    .map(|c| tracing::field::display(c.address));
                tracing::warn!(
                    user.id = self.id(),
                    token.id = self.token,
                    client.address = address,
                    what = scope.name(),
                    "denied"
                );
                Err(Error::forbidden(format!(
                    "This token may not do this: it lacks the scope {}.",
                    scope.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Whether this is an operator who may do `action`, with a key for it if it is a program.
    pub fn operates(&self, action: &str) -> bool {
        let has_scope = self
            .scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&Scope::Ops));
        has_scope
            && self
                .viewer
                .as_ref()
                .is_some_and(|viewer| viewer.may_any("ops", action))
    }

    /// The account's id, `None` for a guest.
    pub fn id(&self) -> Option<i64> {
        self.viewer.as_ref().map(|v| v.id)
    }
}

impl actix_web::FromRequest for Caller {
    type Error = Error;
    type Future = std::future::Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        std::future::ready(Ok(Self::clone(&Self::get(request))))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A person with the given permissions, for tests.
    pub(crate) fn viewer(id: i64, permissions: &[(&str, &str, Option<&str>)]) -> Viewer {
        Viewer {
            id,
            name: "alice".into(),
            karma: 1,
            unread: 0,
            theme: "system".into(),
            compact: false,
            shortcuts: true,
            time_zone: "UTC".into(),
            created_at: DateTime::UNIX_EPOCH,
            rank: 1,
            permissions: permissions
                .iter()
                .map(|(r, a, c)| Permission((*r).into(), (*a).into(), c.map(Into::into)))
                .collect(),
            ban: None,
        }
    }

    #[test]
    fn own_means_ones_own() {
        let alice = viewer(1, &[("post", "edit", Some("own"))]);
        assert!(alice.may("post", "edit", &Target::of(Some(1))));
        assert!(!alice.may("post", "edit", &Target::of(Some(2))));
        assert!(
            !alice.may("post", "edit", &Target::of(None)),
            "an imported post without author is nobody's"
        );
        assert!(!alice.may("comment", "edit", &Target::of(Some(1))));
        assert!(!alice.may_any("post", "edit"));
        assert!(alice.may_some("post", "edit") && !alice.may_some("post", "pin"));
    }

    #[test]
    fn a_wildcard_is_any_and_an_attribute_must_be_equal() {
        let admin = viewer(1, &[("*", "*", None)]);
        assert!(admin.may("anything", "at all", &Target::default()));
        let recruiter = viewer(2, &[("post", "pin", Some("kind=job"))]);
        let job = Target {
            owner: None,
            attributes: &[("kind", "job")],
        };
        assert!(recruiter.may("post", "pin", &job));
        assert!(!recruiter.may("post", "pin", &Target::default()));
        assert!(
            recruiter
                .require("post", "pin", &Target::default())
                .is_err()
        );
    }
}
