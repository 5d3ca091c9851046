//! A thread out of its rows: flat rows in, rows in reading order out, with what a page needs to know about each one's
//! place. No recursion, so that no thread is too deep. Must not know the database or HTML.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A comment as far as its place in a thread is concerned.
pub trait Node {
    /// Its id, which no other row has.
    fn id(&self) -> i64;
    /// The comment it answers.
    fn parent_id(&self) -> Option<i64>;
    /// Its rank among its siblings under [`Sort::Best`]: see `comments::rank`.
    fn confidence(&self) -> f32;
    /// When it was written, in any unit that grows.
    fn written_at(&self) -> i64;
}

/// The order among siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The surest first, among equals the newer.
    #[default]
    Best,
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

impl Sort {
    /// The value of `?sort=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Newest => "newest",
            Self::Oldest => "oldest",
        }
    }

    /// Reads the value of `?sort=`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Best, Self::Newest, Self::Oldest]
            .into_iter()
            .find(|sort| sort.as_str() == text)
    }

    fn compare<N: Node>(self, a: &N, b: &N) -> Ordering {
        let age = || (a.written_at(), a.id()).cmp(&(b.written_at(), b.id()));
        match self {
            Self::Best => b
                .confidence()
                .total_cmp(&a.confidence())
                .then_with(|| b.id().cmp(&a.id())),
            Self::Newest => age().reverse(),
            Self::Oldest => age(),
        }
    }
}

/// A row in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch<N> {
    /// The row.
    pub node: N,
    /// How deep it stands among the rows given: 0 where its parent is not one of them.
    pub depth: usize,
    /// How many of the rows stand below it.
    pub descendants: usize,
    /// The sibling before it.
    pub previous: Option<i64>,
    /// The sibling after it.
    pub next: Option<i64>,
}

/// Puts rows in reading order: each is followed by its replies, siblings are in the order of `sort`.
///
/// A row whose parent is not among them is a root. Takes O(n log n) time for n rows. Rows that answer each other in a
/// circle, which the database cannot hold, are left out.
pub fn arrange<N: Node>(rows: Vec<N>, sort: Sort) -> Vec<Branch<N>> {
    let index: HashMap<i64, usize> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| (row.id(), at))
        .collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by(|&a, &b| sort.compare(&rows[a], &rows[b]));

    // Sorted once over all, each family's children come out sorted: linked lists of first child and next sibling.
    let parent = |at: usize| rows[at].parent_id().and_then(|id| index.get(&id).copied());
    let mut first_root = None;
    let mut first_child = vec![None; rows.len()];
    let mut next = vec![None; rows.len()];
    let mut previous = vec![None; rows.len()];
    for &at in order.iter().rev() {
        let first = match parent(at) {
            Some(parent) => &mut first_child[parent],
            None => &mut first_root,
        };
        next[at] = first.replace(at);
        if let Some(next) = next[at] {
            previous[next] = Some(at);
        }
    }

    let mut walk = Vec::with_capacity(rows.len());
    let mut waiting: Vec<(usize, usize)> = first_root.map(|at| (at, 0)).into_iter().collect();
    while let Some((at, depth)) = waiting.pop() {
        walk.push((at, depth));
        waiting.extend(next[at].map(|sibling| (sibling, depth)));
        waiting.extend(first_child[at].map(|child| (child, depth + 1)));
    }

    let mut descendants = vec![0; rows.len()];
    for &(at, _) in walk.iter().rev() {
        if let Some(parent) = parent(at) {
            descendants[parent] += descendants[at] + 1;
        }
    }

    let ids: Vec<i64> = rows.iter().map(Node::id).collect();
    let mut rows: Vec<Option<N>> = rows.into_iter().map(Some).collect();
    walk.into_iter()
        .filter_map(|(at, depth)| {
            Some(Branch {
                node: rows[at].take()?,
                depth,
                descendants: descendants[at],
                previous: previous[at].map(|at: usize| ids[at]),
                next: next[at].map(|at: usize| ids[at]),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Row {
        id: i64,
        parent_id: Option<i64>,
        confidence: f32,
        written_at: i64,
    }

    impl Node for Row {
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
            self.written_at
        }
    }

    fn row(id: i64, parent_id: Option<i64>, confidence: f32) -> Row {
        Row {
            id,
            parent_id,
            confidence,
            written_at: id * 10,
        }
    }

    fn ids(branches: &[Branch<Row>]) -> Vec<i64> {
        branches.iter().map(|branch| branch.node.id).collect()
    }

    #[test]
    fn replies_follow_what_they_answer() {
        let rows = || {
            vec![
                row(5, Some(2), 0.9),
                row(1, None, 0.2),
                row(4, Some(1), 0.5),
                row(2, None, 0.8),
                row(3, Some(1), 0.5),
            ]
        };
        assert_eq!(ids(&arrange(rows(), Sort::Best)), [2, 5, 1, 4, 3]);
        assert_eq!(ids(&arrange(rows(), Sort::Oldest)), [1, 3, 4, 2, 5]);
        let newest = arrange(rows(), Sort::Newest);
        assert_eq!(ids(&newest), [2, 5, 1, 4, 3]);
        assert_eq!(
            (newest[2].descendants, newest[2].previous, newest[2].next),
            (2, Some(2), None)
        );
        assert_eq!(
            (newest[3].depth, newest[3].previous, newest[3].next),
            (1, None, Some(3))
        );
    }

    #[test]
    fn a_thread_of_any_depth_is_read() {
        let rows = (1..=200_000)
            .map(|id| row(id, (id > 1).then(|| id - 1), 0.4))
            .collect();
        let branches = arrange(rows, Sort::Best);
        assert_eq!(branches.len(), 200_000);
        assert_eq!(
            (branches[0].descendants, branches[199_999].depth),
            (199_999, 199_999)
        );
    }

    #[test]
    fn a_branch_alone_begins_at_its_top() {
        let branches = arrange(vec![row(7, Some(3), 0.4), row(9, Some(7), 0.4)], Sort::Best);
        assert_eq!(
            (branches[0].node.id, branches[0].depth, branches[1].depth),
            (7, 0, 1)
        );
    }

    proptest! {
        #[test]
        fn every_row_comes_out_once_and_in_its_place(parents in prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, 0u8..5), 0..120), shuffle in any::<u64>(), which in 0usize..3) {
            let sort = [Sort::Best, Sort::Newest, Sort::Oldest][which];
            let mut rows: Vec<Row> = parents.iter().enumerate().map(|(at, (parent, root, rank))| {
                let parent = (at > 0 && *root > 0).then(|| parent.index(at) as i64 + 1);
                row(at as i64 + 1, parent, f32::from(*rank))
            }).collect();
            rows.sort_by_key(|row| (row.id as u64).wrapping_mul(shuffle | 1));
            let branches = arrange(rows.clone(), sort);
            prop_assert_eq!(branches.len(), rows.len());
            let place: HashMap<i64, usize> = branches.iter().enumerate().map(|(at, branch)| (branch.node.id, at)).collect();
            prop_assert_eq!(place.len(), rows.len());
            for (at, branch) in branches.iter().enumerate() {
                let below = branches[at + 1..].iter().take_while(|below| below.depth > branch.depth).count();
                prop_assert_eq!(below, branch.descendants);
                if let Some(parent) = branch.node.parent_id {
                    let parent_at = place[&parent];
                    prop_assert!(parent_at < at && at <= parent_at + branches[parent_at].descendants);
                    prop_assert_eq!(branch.depth, branches[parent_at].depth + 1);
                }
                if let Some(next) = branch.next {
                    let next = &branches[place[&next]];
                    prop_assert_eq!(place[&next.node.id], at + branch.descendants + 1);
                    prop_assert_eq!(next.previous, Some(branch.node.id));
                    prop_assert_eq!(next.node.parent_id, branch.node.parent_id);
                    prop_assert!(sort.compare(&branch.node, &next.node).is_lt());
                }
            }
        }
    }
}
