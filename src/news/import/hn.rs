//! Hacker News' items: one JSON object into one row to be staged. Takes the shape of the HN API v0 and of Algolia's
//! `items`, which name the same things differently. Must not know the database's ids.

use crate::news::posts::link::SiteUrl;
use crate::news::posts::title::{kind_of, single_spaced};
use crate::platform::db::copy::Rows;
use crate::web::{markup, sanitise};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// Columns of a staged row: see `queries::create_stage`.
pub const COLUMNS: i16 = 15;

/// Scores beyond this are not believed: a vote must still fit above them.
const MAX_POINTS: i64 = 100_000_000;

/// An item or a user, as any of the shapes has it.
#[derive(Deserialize)]
struct Raw {
    id: Option<Id>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(alias = "author")]
    by: Option<String>,
    #[serde(alias = "created_at_i", alias = "created")]
    time: Option<i64>,
    title: Option<String>,
    url: Option<String>,
    #[serde(alias = "about")]
    text: Option<String>,
    #[serde(alias = "points", alias = "karma")]
    score: Option<i64>,
    #[serde(alias = "parent_id")]
    parent: Option<i64>,
    poll: Option<i64>,
    #[serde(default)]
    dead: Option<bool>,
    #[serde(default)]
    deleted: Option<bool>,
}

/// Items are numbered, users are named.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Name(String),
}

/// What an item is to the import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A story, a job or a poll.
    Post,
    /// An answer to a post or to another.
    Comment,
    /// One of a poll's answers.
    Option,
    /// A user's own record.
    User,
}

impl Kind {
    /// Its name in the stage.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Comment => "comment",
            Self::Option => "option",
            Self::User => "user",
        }
    }
}

/// An item, read and converted.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// HN's number; 0 for users, who have none.
    pub hn_id: i64,
    /// Its author, or the user.
    pub name: Option<String>,
    /// What it answers, or the poll it belongs to.
    pub parent: Option<i64>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// `posts.state` or `comments.state`.
    pub state: &'static str,
    /// `posts.kind`.
    pub post_kind: &'static str,
    /// Score or karma; `None` where the shape has none.
    pub points: Option<i32>,
    /// The title in plain text, empty where there is none.
    pub title: String,
    /// Where it leads.
    pub url: Option<SiteUrl>,
    /// Whether it had a URL that cannot be kept.
    pub odd_url: bool,
    /// The text as markdown.
    pub source: String,
    /// The text as safe HTML.
    pub html: String,
}

/// Reads one object. `None` is one that is no item (a wrapper around items, a part of one).
///
/// # Errors
/// Says in plain words what is wrong with it.
pub fn parse(json: &[u8], nested: bool) -> Result<Option<Item>, String> {
    let raw: Raw = serde_json::from_slice(json).map_err(|error| plain(&error))?;
    let Some(id) = raw.id else {
        return if nested {
            Ok(None)
        } else {
            Err("it has no id".to_owned())
        };
    };
    let (hn_id, user) = match (id, &raw.kind) {
        (Id::Number(number), _) => (number, None),
        (Id::Name(name), None) => (0, Some(name)),
        (Id::Name(name), Some(_)) => (
            name.parse().map_err(|_| "its id is no number".to_owned())?,
            None,
        ),
    };
    let kind = match (&user, raw.kind.as_deref()) {
        (Some(_), _) => Kind::User,
        (None, Some("story" | "job" | "poll")) => Kind::Post,
        (None, Some("comment")) => Kind::Comment,
        (None, Some("pollopt")) => Kind::Option,
        (None, Some(_)) => return Err("its type is unknown".to_owned()),
        (None, None) if raw.parent.is_some() => Kind::Comment,
        (None, None) if raw.title.is_some() => Kind::Post,
        (None, None) => return Err("it has no type".to_owned()),
    };
    if kind != Kind::User && hn_id <= 0 {
        return Err("its id is no positive number".to_owned());
    }
    let parent = if kind == Kind::Option {
        raw.poll.or(raw.parent)
    } else {
        raw.parent
    };
    if parent.is_none() && matches!(kind, Kind::Comment | Kind::Option) {
        return Err("it has no parent".to_owned());
    }
    let created_at = raw
        .time
        .filter(|time| (0..=253_402_300_799).contains(time))
        .and_then(|time| DateTime::from_timestamp(time, 0))
        .ok_or("it has no time, or one out of range")?;

    let source = raw
        .text
        .as_deref()
        .map(markup::from_html)
        .unwrap_or_default();
    let html = if source.is_empty() {
        String::new()
    } else {
        markup::render(&source)
    };
    let title = raw
        .title
        .as_deref()
        .map(|title| single_spaced(&sanitise::text(&markup::decode_entities(title))))
        .unwrap_or_default();
    let typed = raw
        .url
        .as_deref()
        .map(str::trim)
        .filter(|url| !url.is_empty());
    let url = typed.and_then(|url| SiteUrl::parse(&markup::decode_entities(url)).ok());
    let name = user.or(raw.by).filter(|name| !name.is_empty());
    // Algolia says of a deleted comment only that nothing is left of it.
    let emptied = kind == Kind::Comment && name.is_none() && source.is_empty();
    let post_kind = match raw.kind.as_deref() {
        Some("job") => "job",
        Some("poll") => "poll",
        _ => kind_of(&title, url.is_some()).as_str(),
    };
    Ok(Some(Item {
        kind,
        hn_id,
        name,
        parent,
        created_at,
        state: match (
            raw.deleted.unwrap_or(false) || emptied,
            raw.dead.unwrap_or(false),
        ) {
            (true, _) => "deleted",
            (false, true) => "dead",
            (false, false) => "live",
        },
        post_kind,
        points: raw
            .score
            .and_then(|score| i32::try_from(score.clamp(-MAX_POINTS, MAX_POINTS)).ok()),
        title,
        odd_url: typed.is_some() && url.is_none(),
        url,
        source,
        html,
    }))
}

/// What serde says, without its position in a line that was cut out of another.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    format!("it is not an item: {text}")
}

impl Item {
    /// Adds the row to be staged; `seq` is its place among all that were read.
    pub fn stage(&self, seq: i64, rows: &mut Rows) {
        let key = self.url.as_ref().map(SiteUrl::url_key);
        rows.row()
            .put(seq)
            .put(self.kind.as_str())
            .put(self.hn_id)
            .put(self.name.as_deref())
            .put(self.parent)
            .put(self.created_at)
            .put(self.state)
            .put(self.post_kind)
            .put(self.points)
            .put(self.title.as_str())
            .put(self.url.as_ref().map(SiteUrl::as_str))
            .put(key.as_deref())
            .put(self.url.as_ref().map(SiteUrl::domain))
            .put(self.source.as_str())
            .put(self.html.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(json: &str) -> Item {
        parse(json.as_bytes(), false).unwrap().unwrap()
    }

    #[test]
    fn both_shapes_are_one_item() {
        let v0 = item(
            r#"{"id":8,"type":"story","by":"ann","time":1160418111,"title":"A &amp; &#34;B&#34;","url":"Http://www.Example.com/x?utm_source=hn","score":57,"kids":[9],"descendants":1}"#,
        );
        let algolia = item(
            r#"{"id":8,"created_at":"2006-10-09T18:21:51.000Z","created_at_i":1160418111,"type":"story","author":"ann","title":"A &amp; &#34;B&#34;","url":"Http://www.Example.com/x?utm_source=hn","text":null,"points":57,"parent_id":null,"story_id":8,"children":[null],"options":[]}"#,
        );
        assert_eq!(v0, algolia);
        assert_eq!(
            (v0.title.as_str(), v0.points, v0.post_kind, v0.state),
            ("A & \"B\"", Some(57), "link", "live")
        );
        assert_eq!(
            v0.url.map(|url| url.to_string()).as_deref(),
            Some("http://www.example.com/x")
        );
    }

    #[test]
    fn what_is_missing_is_made_up_for_or_said() {
        let deleted =
            item(r#"{"deleted":true,"id":11127626,"kids":[1],"time":1455817451,"type":"story"}"#);
        assert_eq!(
            (deleted.state, deleted.title.as_str(), deleted.name),
            ("deleted", "", None)
        );
        let emptied = item(
            r#"{"id":5,"created_at_i":1,"type":"comment","author":null,"text":null,"parent_id":3}"#,
        );
        assert_eq!(emptied.state, "deleted");
        let odd = item(
            r#"{"id":5,"time":1,"type":"story","by":"ann","title":"x","url":"ftp://example.com","score":99999999999}"#,
        );
        assert!(odd.odd_url && odd.url.is_none());
        assert_eq!(odd.points, Some(100_000_000));
        for (json, fault) in [
            ("{}", "it has no id"),
            (r#"{"id":1,"time":1}"#, "it has no type"),
            (
                r#"{"id":1,"type":"story"}"#,
                "it has no time, or one out of range",
            ),
            (r#"{"id":1,"type":"comment","time":1}"#, "it has no parent"),
            (
                r#"{"id":-1,"type":"story","time":1}"#,
                "its id is no positive number",
            ),
            (r#"{"id":1,"type":"x","time":1}"#, "its type is unknown"),
        ] {
            assert_eq!(parse(json.as_bytes(), false), Err(fault.to_owned()));
        }
        assert_eq!(parse(b"{}", true), Ok(None));
    }

    #[test]
    fn a_user_has_a_name_for_an_id() {
        let user = item(
            r#"{"id":"ann","created":1160418092,"karma":155,"about":"I <i>write</i>.","submitted":[8]}"#,
        );
        assert_eq!(
            (
                user.kind,
                user.name.as_deref(),
                user.points,
                user.source.as_str()
            ),
            (Kind::User, Some("ann"), Some(155), "I *write*.")
        );
    }
}
