//! The plan with its texts as rows for `COPY`, chunk by chunk, made on a thread of its own. Must not know SQL beyond the
//! names of columns.

use super::bank::{Bank, Text};
use super::chunk::{Batch, CHUNK, COPY_USER_BODIES, COPY_USERS, Chunk, batch, body};
use super::plan::{Plan, Post, stream};
use super::rng::Rng;
use super::thread::{Comment, thread};
use super::topics::TOPICS;
use super::words::{HOST_KINDS, HOSTS, NAME_FIRST, NAME_SECOND};
use super::{Options, grammar};
use crate::news::posts::title::{Kind, slug};
use crate::platform::db::copy::Rows;
use crate::web::markup::render;
use std::collections::HashMap;

/// A tag of the site.
#[derive(Debug, Clone)]
pub struct Tag {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub name: String,
    /// What it adds to a post's rank.
    pub modifier: f64,
}

/// What is there already, and where new ids begin.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The first user's id.
    pub users: i64,
    /// The first post's id.
    pub posts: i64,
    /// The first comment's id.
    pub comments: i64,
    /// Ids of [`domains`], in order.
    pub domains: Vec<i64>,
    /// The site's tags.
    pub tags: Vec<Tag>,
}

/// What adds up over all posts and comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By user: living posts, living comments, points beyond the first that their posts came with, votes they got.
    pub users: Vec<[i32; 4]>,
    /// Living posts by tag id.
    pub tags: HashMap<i32, i32>,
    /// Vote rows.
    pub votes: u64,
}

/// The domains that posts lead to.
pub fn domains() -> Vec<String> {
    HOST_KINDS
        .iter()
        .flat_map(|kind| {
            HOSTS
                .iter()
                .map(move |host| format!("{host}{kind}.example"))
        })
        .collect()
}

/// Other names than their own, of users whose own are taken.
pub type Renamed = HashMap<usize, String>;

/// The name of a user; no two have the same.
pub fn username(user: usize) -> String {
    let (firsts, seconds) = (NAME_FIRST.len(), NAME_SECOND.len());
    // 1009 is prime to the number of pairs: neighbours in the list are strangers by name.
    let pair = user * 1009 % (firsts * seconds);
    let separator = ["", "_", "-"][pair % 3];
    let (first, second) = (NAME_FIRST[pair / seconds], NAME_SECOND[pair % seconds]);
    match user / (firsts * seconds) {
        0 => format!("{first}{separator}{second}"),
        round => format!("{first}{separator}{second}{}", round + 1),
    }
}

/// Makes the rows.
pub struct Maker {
    options: Options,
    ground: Ground,
    bank: Bank,
    domains: Vec<String>,
    eagerness: f64,
}

impl Maker {
    /// Prepares the texts.
    pub fn new(options: Options, ground: Ground) -> Self {
        let paragraphs = usize::try_from((options.posts + options.comments) / 60)
            .unwrap_or(usize::MAX)
            .clamp(12, 400);
        let eagerness = if options.comments <= 200_000 {
            1.0
        } else {
            0.3
        };
        Self {
            bank: Bank::new(options.seed, paragraphs),
            options,
            ground,
            domains: domains(),
            eagerness,
        }
    }

    fn thread(&self, plan: &Plan, index: u64, post: &Post) -> (Vec<Comment>, Rng) {
        let mut rng = Rng::new(self.options.seed, stream::THREAD, index);
        (thread(plan, post, self.eagerness, &mut rng), rng)
    }

    /// Adds everything up without making texts: users come first, and come with their counters.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            users: vec![[0; 4]; usize::try_from(self.options.users).unwrap_or(0)],
            ..Tally::default()
        };
        let mut plan = Plan::new(&self.options);
        let mut index = 0;
        while let Some(post) = plan.next() {
            let user = &mut tally.users[post.author];
            user[0] += i32::from(!post.deleted);
            user[2] += post.base_points - 1;
            user[3] += i32::try_from(post.votes).unwrap_or(0);
            tally.votes += post.votes as u64;
            if !post.deleted {
                for tag in self.tags(index, &post) {
                    *tally.tags.entry(tag.id).or_default() += 1;
                }
            }
            for comment in self.thread(&plan, index, &post).0 {
                let user = &mut tally.users[comment.author];
                user[1] += i32::from(!comment.deleted);
                user[3] += i32::try_from(comment.votes).unwrap_or(0);
                tally.votes += comment.votes as u64;
            }
            index += 1;
        }
        tally
    }

    /// The users with their counters. `rename` gives another name to those whose own is taken.
    pub fn users(
        &self,
        tally: &Tally,
        rename: &Renamed,
        hand_over: &mut impl FnMut(Batch) -> bool,
    ) -> bool {
        let plan = Plan::new(&self.options);
        let mut numbered = tally.users.iter().enumerate().peekable();
        while numbered.peek().is_some() {
            let (mut users, mut bodies) = (Rows::new(8), Rows::new(4));
            for (user, &[posts, comments, gain, votes]) in numbered.by_ref().take(CHUNK) {
                let id = self.ground.users + id(user);
                let name = name_of(user, rename);
                users
                    .row()
                    .put(id)
                    .put(name.as_str())
                    .put(name.to_ascii_lowercase().as_str());
                users
                    .put(1 + gain)
                    .put(1 + gain + votes)
                    .put(posts)
                    .put(comments)
                    .put(plan.joined_at(user));
                let mut rng = Rng::new(self.options.seed, stream::USER, user as u64 + (1 << 40));
                if rng.chance(0.08) {
                    let (text, _) = self.bank.text(rng.below(TOPICS.len()), None, &mut rng);
                    body(&mut bodies, id, &text);
                }
            }
            if !(hand_over(batch(COPY_USERS, users, 0))
                && hand_over(batch(COPY_USER_BODIES, bodies, 0)))
            {
                return false;
            }
        }
        true
    }

    /// Posts with all that hangs on them, by the users of [`Self::users`].
    pub fn posts(&self, rename: &Renamed, hand_over: &mut impl FnMut(Batch) -> bool) -> bool {
        let mut plan = Plan::new(&self.options);
        let mut chunk = Chunk::new();
        let mut index = 0;
        let mut next_comment = self.ground.comments;
        while let Some(post) = plan.next() {
            let (thread, mut rng) = self.thread(&plan, index, &post);
            self.post(&mut chunk, &plan, (index, &post), &thread, rename);
            self.comments(
                &mut chunk,
                &plan,
                (index, &post),
                (&thread, next_comment),
                rename,
                &mut rng,
            );
            next_comment += id(thread.len());
            index += 1;
            chunk.items[0] += 1;
            chunk.items[1] += thread.len() as u64;
            if chunk.is_full() && !std::mem::replace(&mut chunk, Chunk::new()).hand_over(hand_over)
            {
                return false;
            }
        }
        chunk.hand_over(hand_over)
    }

    fn post(
        &self,
        chunk: &mut Chunk,
        plan: &Plan,
        (index, post): (u64, &Post),
        thread: &[Comment],
        rename: &Renamed,
    ) {
        let mut rng = Rng::new(self.options.seed, stream::TITLE, index);
        let topic = &TOPICS[post.topic];
        let title = grammar::title(post.kind, topic, &mut rng);
        let id = self.ground.posts + id_of(index);
        let leads = match post.kind {
            Kind::Link => true,
            Kind::Show | Kind::Job => rng.chance(0.8),
            Kind::Text | Kind::Ask | Kind::Poll => false,
        };
        let (domain, url) = if leads {
            // A few sites are posted again and again.
            let domain = ((rng.unit() * rng.unit()) * self.domains.len() as f64) as usize;
            (
                Some(self.ground.domains[domain]),
                Some(format!("{}/{}-{index}", self.domains[domain], slug(&title))),
            )
        } else {
            (None, None)
        };
        let tags = self.tags(index, post);
        let living = thread.iter().filter(|comment| !comment.deleted);
        chunk
            .posts
            .row()
            .put(id)
            .put(self.ground.users + id_of(post.author as u64))
            .put(domain)
            .put(post.kind.as_str())
            .put(if post.deleted { "deleted" } else { "live" })
            .put(post.base_points)
            .put(i32::try_from(post.votes).unwrap_or(0))
            .put(i32::try_from(living.clone().count()).unwrap_or(i32::MAX))
            .put(tags.iter().map(|tag| tag.modifier).sum::<f64>())
            .put(post.created_at)
            .put(living.map(|comment| comment.created_at).max())
            .put(title.as_str())
            .put(url.as_ref().map(|url| format!("https://{url}")).as_deref())
            .put(url.as_deref())
            .put(name_of(post.author, rename).as_str());
        let mut names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
        names.sort_unstable();
        chunk.posts.put(names.as_slice());
        for tag in tags {
            chunk.tags.row().put(id).put(tag.id).put(post.created_at);
        }
        if !leads || rng.chance(0.06) {
            let (mut text, _) = self.bank.text(post.topic, None, &mut rng);
            if post.kind == Kind::Poll {
                text.source = format!(
                    "{}\n\n{}",
                    grammar::sentence(topic, &mut rng),
                    grammar::answers(topic, &mut rng)
                );
                text.html = render(&text.source);
            }
            body(&mut chunk.post_bodies, id, &text);
        }
        for voter in Plan::voters(post.votes, post.author, post.members, &mut rng) {
            let at = plan.soon_after(post.created_at, &mut rng);
            chunk
                .post_votes
                .row()
                .put(id)
                .put(self.ground.users + id_of(voter as u64))
                .put(at);
        }
    }

    fn comments(
        &self,
        chunk: &mut Chunk,
        plan: &Plan,
        (index, post): (u64, &Post),
        (thread, first): (&[Comment], i64),
        rename: &Renamed,
        rng: &mut Rng,
    ) {
        let mut openings = Vec::with_capacity(thread.len());
        let post_id = self.ground.posts + id_of(index);
        for (at, comment) in thread.iter().enumerate() {
            let id = first + id(at);
            chunk
                .comments
                .row()
                .put(id)
                .put(post_id)
                .put(comment.parent.map(|parent| first + self::id(parent)))
                .put(first + self::id(comment.root))
                .put(self.ground.users + self::id(comment.author))
                .put(comment.depth)
                .put(if comment.deleted { "deleted" } else { "live" })
                .put(i32::try_from(comment.votes).unwrap_or(0))
                .put(comment.created_at)
                .put(name_of(comment.author, rename).as_str());
            let (text, opening) = self.bank.text(
                post.topic,
                comment.parent.map(|parent| openings[parent]),
                rng,
            );
            openings.push(opening);
            body(
                &mut chunk.comment_bodies,
                id,
                &if comment.deleted {
                    Text::default()
                } else {
                    text
                },
            );
            chunk.comment_bodies.put(post_id);
            for voter in Plan::voters(comment.votes, comment.author, post.members, rng) {
                let voted_at = plan.soon_after(comment.created_at, rng);
                chunk
                    .comment_votes
                    .row()
                    .put(id)
                    .put(self.ground.users + self::id(voter))
                    .put(voted_at);
            }
        }
    }

    /// The tags of a post, five at most, those of the site that fit.
    fn tags(&self, index: u64, post: &Post) -> Vec<&Tag> {
        let mut rng = Rng::new(self.options.seed, stream::TITLE, index + (1 << 40));
        let topic = &TOPICS[post.topic];
        let mut names = vec![topic.tag];
        names.extend(topic.also.iter().copied().filter(|_| rng.chance(0.35)));
        match post.kind {
            Kind::Ask => names.push("ask"),
            Kind::Show => names.push("show"),
            Kind::Link | Kind::Text | Kind::Job | Kind::Poll => {}
        }
        names
            .iter()
            .filter_map(|name| self.ground.tags.iter().find(|tag| tag.name == *name))
            .collect()
    }
}

fn name_of(user: usize, rename: &Renamed) -> String {
    rename.get(&user).cloned().unwrap_or_else(|| username(user))
}

fn id(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn id_of(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::posts::link::SiteUrl;
    use std::collections::HashSet;

    #[test]
    fn no_two_users_have_one_name() {
        let names: HashSet<String> = (0..20_000).map(username).collect();
        assert_eq!(names.len(), 20_000);
        assert!(names.iter().all(|name| {
            name.len() <= 40
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        }));
    }

    #[test]
    fn a_url_is_its_key_with_a_scheme() {
        for domain in domains() {
            let key = format!("{domain}/a-title-17");
            let url = SiteUrl::parse(&format!("https://{key}")).unwrap();
            assert_eq!(
                (url.url_key(), url.domain(), url.as_str()),
                (
                    key.clone(),
                    domain.as_str(),
                    format!("https://{key}").as_str()
                )
            );
        }
    }
}
