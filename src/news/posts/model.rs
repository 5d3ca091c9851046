//! A post as rows bring it, and as its reader may see it. Must not know SQL or requests.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    title::slug,
    views::{PostItem, PostState},
};
use crate::{
    news::votes::views::{Vote, VoteState, VoteTarget},
    web::viewer::Viewer,
};

/// How long its author may change a post after submitting it.
pub const EDIT_WINDOW: TimeDelta = TimeDelta::hours(6);

/// A post as lists show it.
#[derive(Clone, Debug)]
pub struct PostCard {
    /// Its id.
    pub id: i64,
    /// Its title; empty once its author has deleted it.
    pub title: String,
    /// The link, if it is one.
    pub url: Option<String>,
    /// The link's domain.
    pub domain: Option<String>,
    /// Who posted it, unless an import did not say.
    pub author_id: Option<i64>,
    /// Their name.
    pub author: Option<String>,
    /// `live`, `deleted`, `removed` or `dead`.
    pub state: String,
    /// Base points and votes.
    pub points: i32,
    /// Living comments.
    pub comment_count: i32,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    /// When the last living comment was written.
    pub active_at: Option<DateTime<Utc>>,
    /// The hot rank.
    pub hot: f64,
    /// Tags' names.
    pub tags: Vec<String>,
    /// Whether the reader has voted for it.
    pub voted: bool,
}

/// A post with what only its own page shows.
#[derive(Clone, Debug)]
pub struct Post {
    /// As lists show it.
    pub card: PostCard,
    /// `link`, `text`, `ask` …
    pub kind: String,
    /// Whether nobody may comment any more.
    pub locked: bool,
    /// When it was last changed.
    pub edited_at: Option<DateTime<Utc>>,
    /// Its text in markdown, as typed; empty without one.
    pub source: String,
    /// The same as safe HTML.
    pub html: String,
    /// What the page behind the link says of itself, if it was found.
    pub link_description: Option<String>,
    /// Why a moderator has removed it, if one has.
    pub removal_reason: Option<String>,
}

/// The state of a post or comment in the words of views.
pub fn post_state(state: &str) -> PostState {
    match state {
        "live" => PostState::Live,
        "deleted" => PostState::Deleted,
        _ => PostState::Removed,
    }
}

/// What a permission's condition may be held against in a post, besides whose it is: `kind=job`, `state=live`,
/// `domain=example.org`, `tag=rust`.
pub fn attributes<'a>(
    kind: &'a str,
    state: &'a str,
    domain: Option<&'a str>,
    tags: &'a [String],
) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("kind", kind), ("state", state)];
    all.extend(domain.map(|name| ("domain", name)));
    all.extend(tags.iter().map(|name| ("tag", name.as_str())));
    all
}

/// A post's canonical path, `/posts/{id}/{slug}`.
pub fn path(id: i64, title: &str) -> String {
    format!("/posts/{id}/{}", slug(title))
}

impl PostCard {
    /// Whether it is to be read.
    pub fn is_live(&self) -> bool {
        self.state == "live"
    }

    /// The title, or what stands for it.
    pub fn heading(&self) -> &str {
        match self.state.as_str() {
            "live" => &self.title,
            "deleted" => "[deleted]",
            _ => "[removed by a moderator]",
        }
    }

    /// Its canonical path; what is not to be read is not spelt out in its address either.
    pub fn path(&self) -> String {
        path(self.id, if self.is_live() { &self.title } else { "" })
    }

    /// What the reader may do about its points.
    pub fn vote_state(&self, viewer: Option<&Viewer>) -> VoteState {
        match viewer {
            _ if !self.is_live() => VoteState::Fixed,
            None => VoteState::Guest,
            Some(viewer) if self.author_id == Some(viewer.id) || viewer.ban.is_some() => {
                VoteState::Fixed
            }
            Some(_) if self.voted => VoteState::On,
            Some(_) => VoteState::Off,
        }
    }

    /// The post as a view shows it, with its running number if the list has one.
    pub fn into_item(self, viewer: Option<&Viewer>, rank: Option<i64>) -> PostItem {
        PostItem {
            rank,
            path: self.path(),
            vote: Vote {
                target: VoteTarget::Post(self.id),
                points: self.points.into(),
                state: self.vote_state(viewer),
            },
            state: post_state(&self.state),
            id: self.id,
            url: self.url,
            title: self.title,
            domain: self.domain,
            tags: self.tags,
            author: self.author,
            created_at: self.created_at,
            comment_count: self.comment_count.into(),
            new_comment_count: 0,
        }
    }
}

impl Post {
    /// See [`attributes`].
    pub fn attributes(&self) -> Vec<(&str, &str)> {
        let card = &self.card;
        attributes(&self.kind, &card.state, card.domain.as_deref(), &card.tags)
    }

    /// Whether its author may still change it.
    pub fn is_editable(&self, now: DateTime<Utc>) -> bool {
        self.card.is_live() && now < self.card.created_at + EDIT_WINDOW
    }
}
