//! The shape of a demo site: when things were posted, how many points and comments each drew, who was there. All of it
//! follows from the options alone, post by post, so that nothing need be remembered. Must not know texts or rows.

use super::Options;
use super::rng::Rng;
use crate::news::posts::title::Kind;
use chrono::{DateTime, TimeDelta, Utc};

/// How far back a site goes, in seconds: four years.
const SPAN: f64 = 4.0 * 365.25 * 86_400.0;
/// How long people go on about a post, in seconds: two and a half days.
const LIFE: f64 = 2.5 * 86_400.0;
/// The time in which a post draws about two thirds of its points, in seconds.
const RIPENING: f64 = 5.0 * 3600.0;
/// Vote rows of a post at most; what is over is in `base_points`.
const MAX_VOTES: usize = 8;
/// No thread has more than so many times the mean, but the great one.
const MAX_THREAD: f64 = 60.0;
/// From so many comments and posts on, one thread is great.
const GREAT_FROM: (u64, u64) = (5_000, 10);

/// Sorts of chance, so that one never moves another.
pub mod stream {
    /// A post's points and kind.
    pub const POST: u64 = 1;
    /// A post's words.
    pub const TITLE: u64 = 2;
    /// A post's thread.
    pub const THREAD: u64 = 3;
    /// A user.
    pub const USER: u64 = 4;
    /// The paragraphs of a topic.
    pub const BANK: u64 = 5;
}

/// A post's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// What it is.
    pub kind: Kind,
    /// Index into `topics::TOPICS`.
    pub topic: usize,
    /// Index of its author.
    pub author: usize,
    /// Whether its author took it back.
    pub deleted: bool,
    /// Its first points.
    pub base_points: i32,
    /// How many voted; who they are is [`Plan::voters`].
    pub votes: usize,
    /// When.
    pub created_at: DateTime<Utc>,
    /// How many comments it has, deleted ones among them.
    pub comments: u64,
    /// How many users there were then.
    pub members: usize,
}

/// The plan, going through the posts from the oldest to the newest.
pub struct Plan {
    options: Options,
    /// The curve of growth: the larger, the more of the site is recent.
    growth: f64,
    great: Option<(u64, u64)>,
    cap: f64,
    weights: f64,
    /// What the posts so far would have of all comments.
    weight_so_far: f64,
    comments_so_far: u64,
    next: u64,
}

impl Plan {
    /// A plan for so much. Goes through all posts once to weigh them.
    pub fn new(options: &Options) -> Self {
        let posts = options.posts as f64;
        // Some 1,500 posts a day at most, as on the largest such sites; on a small site an eighth of all is of today.
        let today = (posts * 0.12).clamp(20.0, 1500.0).min(posts * 0.5).max(1.0);
        let growth = (86_400.0 / SPAN).ln() / (today / posts.max(2.0)).ln();
        let mut plan = Self {
            options: options.clone(),
            growth,
            great: None,
            cap: f64::INFINITY,
            weights: 0.0,
            weight_so_far: 0.0,
            comments_so_far: 0,
            next: 0,
        };
        if options.posts == 0 {
            return plan;
        }
        if options.comments >= GREAT_FROM.0 && options.posts >= GREAT_FROM.1 {
            // Fresh enough for the front page, old enough to have been talked about.
            let age = 16.0 * 3600.0 / SPAN;
            let index = (1.0 - age.powf(1.0 / growth)) * posts;
            let index = (to_count(index)).min(options.posts - 1);
            plan.great = Some((index, (options.comments / 40).clamp(520, 1500)));
        }
        let total: f64 = (0..options.posts).map(|index| plan.weight(index)).sum();
        plan.cap = MAX_THREAD * total / posts;
        plan.weights = (0..options.posts).map(|index| plan.weight(index)).sum();
        plan
    }

    /// The share of the comments that a post draws, relative to others.
    fn weight(&self, index: u64) -> f64 {
        if self.great.is_some_and(|(great, _)| great == index) {
            return 0.0;
        }
        let (kind, points, _) = self.drawn(index);
        let by_kind = match kind {
            Kind::Job => return 0.0,
            Kind::Ask | Kind::Poll => 2.5,
            Kind::Text => 1.3,
            Kind::Link | Kind::Show => 1.0,
        };
        let mood = Rng::new(self.options.seed, stream::POST, index + (1 << 40)).pareto(2.0);
        (by_kind * points.powf(0.8) * mood * self.ripeness(index)).min(self.cap)
    }

    /// What a post drew by chance: its kind, its points once ripe, and the chance for what follows.
    fn drawn(&self, index: u64) -> (Kind, f64, Rng) {
        let mut rng = Rng::new(self.options.seed, stream::POST, index);
        let is_great = self.great.is_some_and(|(great, _)| great == index);
        let kind = match rng.unit() {
            _ if is_great => Kind::Ask,
            ..0.77 => Kind::Link,
            ..0.85 => Kind::Ask,
            ..0.92 => Kind::Show,
            ..0.97 => Kind::Text,
            ..0.985 => Kind::Poll,
            _ => Kind::Job,
        };
        // Past some hundreds the front page changes faster than points can come.
        let drawn = 1.4 * rng.pareto(1.05);
        let points = if is_great {
            740.0
        } else if drawn > 300.0 {
            300.0 * (drawn / 300.0).powf(0.4)
        } else {
            drawn
        };
        let points = if kind == Kind::Job { 1.0 } else { points };
        (kind, points, rng)
    }

    /// Age in seconds.
    fn age(&self, index: u64) -> f64 {
        let left = 1.0 - (index as f64 + 0.5) / self.options.posts.max(1) as f64;
        SPAN * left.powf(self.growth)
    }

    fn ripeness(&self, index: u64) -> f64 {
        1.0 - (-self.age(index) / RIPENING).exp()
    }

    /// How many users there were when a post was made: a fifth at the start, all at the end.
    fn members(&self, index: u64) -> usize {
        let share = 0.2 + 0.8 * (index as f64 + 1.0) / self.options.posts as f64;
        to_index(self.options.users as f64 * share)
            .clamp(2, to_index(self.options.users as f64).max(2))
    }

    /// When a user joined: before anyone of them can have posted.
    pub fn joined_at(&self, user: usize) -> DateTime<Utc> {
        let mut rng = Rng::new(self.options.seed, stream::USER, user as u64);
        // The first two may be needed from the start.
        let share = if user < 2 {
            0.0
        } else {
            user as f64 / self.options.users as f64
        };
        let index = to_count(((share - 0.2) / 0.8).max(0.0) * self.options.posts as f64);
        let index = index
            .min(self.options.posts.saturating_sub(1))
            .saturating_sub(1);
        let earlier = rng.unit()
            * if share <= 0.2 {
                90.0 * 86_400.0
            } else {
                86_400.0
            };
        let before = self.age(index) + 3600.0 + earlier;
        self.options.now - seconds(before)
    }

    /// Someone of so many users: a few of the eldest do most, many do something.
    pub fn someone(members: usize, rng: &mut Rng) -> usize {
        let chosen = if rng.chance(0.25) {
            rng.unit()
        } else {
            rng.unit().powi(2)
        };
        to_index(chosen * members as f64).min(members.saturating_sub(1))
    }

    /// The voters of something: distinct, and never its author.
    pub fn voters(
        votes: usize,
        author: usize,
        members: usize,
        rng: &mut Rng,
    ) -> impl Iterator<Item = usize> + use<> {
        let first = rng.below(members);
        (0..members)
            .map(move |step| (first + step) % members)
            .filter(move |&user| user != author)
            .take(votes)
    }

    /// The times of so many comments, in order, from just after the post until people lost interest or it is now.
    pub fn comment_times(&self, post: &Post, rng: &mut Rng) -> Vec<DateTime<Utc>> {
        let room = ((self.options.now - post.created_at).num_milliseconds() as f64 / 1000.0)
            .clamp(0.001, LIFE);
        let mut times: Vec<f64> = (0..post.comments)
            .map(|_| room * rng.unit().powf(2.2))
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        times
            .into_iter()
            .map(|after| post.created_at + seconds(after))
            .collect()
    }

    /// A time between then and now, sooner rather than later.
    pub fn soon_after(&self, then: DateTime<Utc>, rng: &mut Rng) -> DateTime<Utc> {
        let room = ((self.options.now - then).num_milliseconds() as f64 / 1000.0).clamp(0.0, LIFE);
        then + seconds(room * rng.unit().powi(2))
    }
}

impl Iterator for Plan {
    type Item = Post;

    fn next(&mut self) -> Option<Post> {
        let index = self.next;
        if index >= self.options.posts {
            return None;
        }
        self.next += 1;
        let great = self.great.filter(|&(great, _)| great == index);
        let shared = self.options.comments - self.great.map_or(0, |(_, comments)| comments);
        // Rounded as a running sum, the parts add up to the whole.
        self.weight_so_far += self.weight(index);
        let due = if self.next == self.options.posts {
            shared
        } else {
            to_count(shared as f64 * (self.weight_so_far / self.weights).min(1.0))
        };
        let comments = great.map_or_else(
            || due.max(self.comments_so_far) - self.comments_so_far,
            |(_, comments)| comments,
        );
        if great.is_none() {
            self.comments_so_far += comments;
        }
        let (kind, points, mut rng) = self.drawn(index);
        let members = self.members(index);
        let gained = to_index((points - 1.0).max(0.0) * self.ripeness(index));
        let votes = gained.min(MAX_VOTES).min(members - 1);
        Some(Post {
            kind,
            topic: rng.below(super::topics::TOPICS.len()),
            author: Self::someone(members, &mut rng),
            deleted: great.is_none() && rng.chance(0.005),
            base_points: 1 + i32::try_from(gained - votes).unwrap_or(i32::MAX),
            votes,
            created_at: self.options.now - seconds(self.age(index)),
            comments,
            members,
        })
    }
}

/// To the millisecond: what `powf` gives may differ in its last bits between machines.
fn seconds(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds * 1000.0) as i64)
}

fn to_count(number: f64) -> u64 {
    number as u64
}

fn to_index(number: f64) -> usize {
    number as usize
}
