//! A thread: who answers whom, and when. Must not know texts or rows.

use super::plan::{Plan, Post};
use super::rng::Rng;
use chrono::{DateTime, Utc};

/// A comment's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Index of what it answers, within the thread.
    pub parent: Option<usize>,
    /// Index of the top comment of its branch.
    pub root: usize,
    /// How deep.
    pub depth: i16,
    /// Index of its author.
    pub author: usize,
    /// How many voted for it.
    pub votes: usize,
    /// Whether its author took it back.
    pub deleted: bool,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Comments from which on two people may not let go of each other.
const ARGUED_FROM: usize = 80;
/// How long such an argument goes on.
const ARGUMENT: usize = 56;

/// Makes the thread of a post, its comments in the order of time. `eagerness` is the mean of votes on a comment, about.
pub fn thread(plan: &Plan, post: &Post, eagerness: f64, rng: &mut Rng) -> Vec<Comment> {
    let times = plan.comment_times(post, rng);
    let argument =
        (times.len() >= ARGUED_FROM && (times.len() >= 500 || rng.chance(0.2))).then(|| {
            let first = 4 + rng.below(12);
            first..first + ARGUMENT
        });
    let mut thread: Vec<Comment> = Vec::with_capacity(times.len());
    for (at, created_at) in times.into_iter().enumerate() {
        let argues = argument
            .as_ref()
            .is_some_and(|argument| argument.contains(&at));
        let parent = if argues
            && argument
                .as_ref()
                .is_some_and(|argument| argument.start < at)
        {
            Some(at - 1)
        } else {
            answered(at, rng)
        };
        let author = author(&thread, post, parent, argues, rng);
        let deleted = rng.chance(0.008);
        let popular = 1.0 - at as f64 / (at as f64 + 40.0);
        let votes = ((rng.pareto(1.6) - 1.0) * eagerness * (0.4 + popular)) as usize;
        let (root, depth) = parent.map_or((at, 0), |parent| {
            (thread[parent].root, thread[parent].depth + 1)
        });
        thread.push(Comment {
            parent,
            root,
            depth,
            author,
            votes: votes.min(30).min(post.members - 1),
            deleted,
            created_at,
        });
    }
    thread
}

/// What a comment answers: the post, one of the latest comments, or any.
fn answered(at: usize, rng: &mut Rng) -> Option<usize> {
    match rng.unit() {
        _ if at == 0 => None,
        ..0.3 => None,
        ..0.65 => Some(at - 1 - rng.below(at.min(6))),
        _ => Some(rng.below(at)),
    }
}

/// In an argument the two take turns; elsewhere the author of the post answers now and then, and nobody themselves.
fn author(
    thread: &[Comment],
    post: &Post,
    parent: Option<usize>,
    argues: bool,
    rng: &mut Rng,
) -> usize {
    let parent_author = parent.map(|parent| thread[parent].author);
    if argues
        && let Some(before) = parent.and_then(|parent| thread[parent].parent)
        && Some(thread[before].author) != parent_author
    {
        return thread[before].author;
    }
    if parent_author.is_some_and(|author| author != post.author) && rng.chance(0.12) {
        return post.author;
    }
    let someone = Plan::someone(post.members, rng);
    if Some(someone) == parent_author {
        (someone + 1) % post.members
    } else {
        someone
    }
}
