//! A comment as rows bring it, and as its reader may see it. Must not know SQL or requests.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    tree::{Branch, Node},
    views::{CommentItem, CommentState},
};
use crate::{
    news::votes::views::{Vote, VoteState, VoteTarget},
    web::viewer::{Target, Viewer},
};

/// How long its author may change a comment.
pub const EDIT_WINDOW: TimeDelta = TimeDelta::hours(6);

/// A comment with its text.
#[derive(Clone, Debug)]
pub struct CommentRow {
    /// Its id.
    pub id: i64,
    /// The post it is on.
    pub post_id: i64,
    /// The comment it answers.
    pub parent_id: Option<i64>,
    /// The top comment of its branch.
    pub root_id: i64,
    /// How deep it stands in its thread, 0 for a top comment.
    pub depth: i16,
    /// Who wrote it, unless an import did not say.
    pub author_id: Option<i64>,
    /// Their name.
    pub author: Option<String>,
    /// `live`, `deleted`, `removed` or `dead`.
    pub state: String,
    /// Votes, its author's not counted.
    pub votes: i32,
    /// The rank among siblings.
    pub confidence: f32,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub edited_at: Option<DateTime<Utc>>,
    /// Its text as safe HTML; empty once deleted.
    pub html: String,
    /// Whether the reader has voted for it.
    pub voted: bool,
    /// Comments in its branch, where a page of a thread was asked for.
    pub branch_size: Option<i64>,
    /// Whether no page follows, where one was asked for.
    pub is_last_page: Option<bool>,
}

impl Node for CommentRow {
    fn id(&self) -> i64 {
        self.id
    }

    fn parent_id(&self) -> Option<i64> {
        self.parent_id
    }

    fn confidence(&self) -> f32 {
        self.confidence
    }

    fn written_at(&self) -> i64 {
        self.created_at.timestamp_micros()
    }
}

/// Who reads a thread, and where.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The reader.
    pub viewer: Option<&'a Viewer>,
    /// The post's author, whose comments are marked.
    pub poster: Option<i64>,
    /// Whether the discussion takes more comments.
    pub open: bool,
    /// The moment of the request.
    pub now: DateTime<Utc>,
}

impl CommentRow {
    /// Whether it is to be read.
    pub fn is_live(&self) -> bool {
        self.state == "live"
    }

    /// Whether its author may still change it.
    pub fn is_editable(&self, now: DateTime<Utc>) -> bool {
        self.is_live() && now < self.created_at + EDIT_WINDOW
    }

    fn vote_state(&self, viewer: Option<&Viewer>) -> VoteState {
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

    /// The comment as a view shows it. Who has no right to it never gets the text of what is not to be read.
    pub fn into_item(self, reading: Reading<'_>) -> CommentItem {
        let Reading { viewer, now, .. } = reading;
        let target = Target::of(self.author_id);
        let may = |action: &str| {
            viewer.is_some_and(|v| v.ban.is_none() && v.may("comment", action, &target))
        };
        let own = viewer.is_some_and(|v| Some(v.id) == self.author_id);
        let live = self.is_live();
        let state = match self.state.as_str() {
            "live" => CommentState::Live,
            "deleted" => CommentState::Deleted,
            _ => CommentState::Removed,
        };
        CommentItem {
            id: self.id,
            parent_id: self.parent_id,
            depth: usize::try_from(self.depth).unwrap_or(0),
            vote: Vote {
                target: VoteTarget::Comment(self.id),
                points: i64::from(self.votes) + 1,
                state: self.vote_state(viewer),
            },
            is_by_poster: self.author_id.is_some() && self.author_id == reading.poster,
            is_new: false,
            can_reply: live && reading.open && viewer.is_none_or(|v| v.ban.is_none()),
            can_edit: own && may("edit") && self.is_editable(now),
            can_delete: own && may("delete") && live,
            can_remove: may("remove") && live && !own,
            can_restore: may("restore") && self.state == "removed" && !own,
            html: if live || (state == CommentState::Removed && may("restore")) {
                self.html
            } else {
                String::new()
            },
            author: self.author,
            created_at: self.created_at,
            edited_at: self.edited_at,
            state,
            continues: 0,
            replies: 0,
            closes: 0,
        }
    }
}

/// Deepest level, counted from the page's own top, that is shown on one page; what is deeper continues on the page of
/// the comment above it.
const LEVELS: usize = 24;

/// Branches in reading order as a view shows them, cut below the 24th level; what is gone and has nothing living below it is
/// left out, unless the reader could bring it back.
pub fn items(branches: Vec<Branch<CommentRow>>, reading: Reading<'_>) -> Vec<CommentItem> {
    let restores = reading
        .viewer
        .is_some_and(|v| v.may_any("comment", "restore"));
    let kept = kept(&branches, restores);
    branches
        .into_iter()
        .zip(kept)
        .filter(|(branch, kept)| *kept && branch.depth <= LEVELS)
        .map(|(branch, _)| {
            let continues = if branch.depth == LEVELS {
                branch.descendants
            } else {
                0
            };
            let mut item = branch.node.into_item(reading);
            item.continues = i64::try_from(continues).unwrap_or(i64::MAX);
            item
        })
        .collect()
}

/// Which branches are shown: the living, and what has something shown below it. One pass from the end, since replies
/// stand behind what they answer.
fn kept(branches: &[Branch<CommentRow>], restores: bool) -> Vec<bool> {
    let deepest = branches.iter().map(|b| b.depth).max().unwrap_or(0);
    let mut shown_below = vec![false; deepest + 2];
    let mut kept = vec![false; branches.len()];
    for (index, branch) in branches.iter().enumerate().rev() {
        let below = std::mem::take(&mut shown_below[branch.depth + 1]);
        kept[index] =
            below || branch.node.is_live() || (restores && branch.node.state != "deleted");
        shown_below[branch.depth] |= kept[index];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::comments::tree::{Sort, arrange};

    fn row(id: i64, parent_id: Option<i64>, state: &str) -> CommentRow {
        CommentRow {
            id,
            post_id: 1,
            parent_id,
            root_id: 1,
            depth: 0,
            author_id: None,
            author: None,
            state: state.into(),
            votes: 0,
            confidence: 0.0,
            created_at: DateTime::UNIX_EPOCH,
            edited_at: None,
            html: "text".into(),
            voted: false,
            branch_size: None,
            is_last_page: None,
        }
    }

    fn shown(rows: Vec<CommentRow>) -> Vec<i64> {
        let reading = Reading {
            viewer: None,
            poster: None,
            open: true,
            now: DateTime::UNIX_EPOCH,
        };
        items(arrange(rows, Sort::Oldest), reading)
            .iter()
            .map(|item| item.id)
            .collect()
    }

    #[test]
    fn what_is_gone_stays_only_where_something_living_stands_below_it() {
        let rows = vec![
            row(1, None, "deleted"),
            row(2, Some(1), "removed"),
            row(3, Some(2), "live"),
            row(4, Some(1), "deleted"),
            row(5, None, "deleted"),
            row(6, Some(5), "dead"),
            row(7, None, "live"),
        ];
        assert_eq!(shown(rows), [1, 2, 3, 7]);
    }

    #[test]
    fn a_guest_never_gets_the_text_of_what_was_removed() {
        let reading = Reading {
            viewer: None,
            poster: None,
            open: true,
            now: DateTime::UNIX_EPOCH,
        };
        let rows = vec![row(1, None, "removed"), row(2, Some(1), "live")];
        let items = items(arrange(rows, Sort::Oldest), reading);
        assert_eq!(items[0].html, "");
        assert_eq!(items[1].html, "text");
    }

    #[test]
    fn deep_branches_continue_elsewhere() {
        let rows = (1..=40)
            .map(|id| row(id, (id > 1).then_some(id - 1), "live"))
            .collect();
        let reading = Reading {
            viewer: None,
            poster: None,
            open: true,
            now: DateTime::UNIX_EPOCH,
        };
        let items = items(arrange(rows, Sort::Oldest), reading);
        assert_eq!(items.len(), LEVELS + 1);
        assert_eq!(items.last().map(|i| i.continues), Some(40 - 25));
    }
}
