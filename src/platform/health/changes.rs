//! When a check has changed for good (hysteresis), pure. Must not know who is told.

use std::collections::HashMap;

use super::{Seen, Status};

/// Equal results in a row that make a change: one bad moment is no news.
const EQUAL: u32 = 2;

/// A check that is not any more as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub check: String,
    /// How it was when that was last told.
    pub from: Status,
    /// How it is.
    pub to: Status,
    /// What it says.
    pub message: Option<String>,
}

/// What has been seen of each check, and what has been told.
#[derive(Debug, Default)]
pub struct Changes(HashMap<String, Course>);

#[derive(Debug)]
struct Course {
    told: Status,
    seen: Status,
    in_a_row: u32,
}

impl Changes {
    /// Takes in a result, and gives the change that it completes. Every check is taken to be well at first.
    pub fn see(&mut self, result: &Seen) -> Option<Change> {
        let course = self.0.entry(result.check.clone()).or_insert(Course {
            told: Status::Healthy,
            seen: Status::Healthy,
            in_a_row: 0,
        });
        course.in_a_row = if course.seen == result.status {
            course.in_a_row.saturating_add(1)
        } else {
            1
        };
        course.seen = result.status;
        if course.in_a_row < EQUAL || course.told == result.status {
            return None;
        }
        let from = std::mem::replace(&mut course.told, result.status);
        Some(Change {
            check: result.check.clone(),
            from,
            to: result.status,
            message: result.message.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Status; 3] = [Status::Healthy, Status::Degraded, Status::Unhealthy];

    fn seen(status: Status) -> Seen {
        Seen {
            check: "database".into(),
            status,
            message: None,
        }
    }

    #[test]
    fn s30_two_equal_results_are_a_change_and_it_is_told_once() {
        use Status::{Degraded as D, Healthy as H, Unhealthy as U};
        let mut changes = Changes::default();
        let told: Vec<_> = [H, U, H, U, U, U, D, U, H, H, D, D]
            .into_iter()
            .map(|status| changes.see(&seen(status)).map(|c| (c.from, c.to)))
            .collect();
        let mut expected = vec![None; 12];
        expected[4] = Some((H, U));
        expected[9] = Some((U, H));
        expected[11] = Some((H, D));
        assert_eq!(told, expected);
    }

    proptest! {
        #[test]
        fn s30_changes_are_a_chain_of_what_was_seen_twice(course in proptest::collection::vec(0..3_usize, 0..200)) {
            let mut changes = Changes::default();
            let (mut told, mut before) = (Status::Healthy, None);
            for status in course.into_iter().map(|at| ALL[at]) {
                if let Some(change) = changes.see(&seen(status)) {
                    prop_assert_eq!((change.from, change.to, before), (told, status, Some(status)));
                    prop_assert_ne!(change.from, change.to);
                    told = status;
                }
                before = Some(status);
            }
        }
    }
}
