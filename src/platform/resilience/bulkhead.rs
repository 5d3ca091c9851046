//! At most so many at once, the rest in a bounded queue by priority (S21): one slow dependency does not take all there
//! is. Must not know what waits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Who is let in first; within one priority it is who came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Priority {
    /// Somebody waits for the answer.
    High,
    /// Neither.
    #[default]
    Normal,
    /// Work in the background.
    Low,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Size {
    /// How many run at once, 1 or more.
    pub running: usize,
    /// How many wait.
    pub queued: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            running: 5,
            queued: 100,
        }
    }
}

/// A place in the queue; the smaller one is let in first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Priority, u64);

/// What became of somebody who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Runs at once.
    Running,
    /// Waits here; who had to make room for it is refused.
    Waiting(Place, Option<Place>),
    /// Is refused.
    Full,
}

/// The rules and the state; times are measured from any fixed moment.
#[derive(Clone, Debug)]
pub struct Queue {
    size: Size,
    running: usize,
    waiting: BTreeMap<Place, Duration>,
    next: u64,
    total: u64,
    refused: u64,
    waited: Duration,
}

impl Queue {
    /// An empty one.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            running: 0,
            waiting: BTreeMap::new(),
            next: 0,
            total: 0,
            refused: 0,
            waited: Duration::ZERO,
        }
    }

    /// Somebody comes. A full queue gives up its last place to a higher priority.
    pub fn enter(&mut self, priority: Priority, now: Duration) -> Entry {
        if self.running < self.size.running.max(1) && self.waiting.is_empty() {
            self.running += 1;
            self.total += 1;
            return Entry::Running;
        }
        let place = Place(priority, self.next);
        let mut displaced = None;
        if self.waiting.len() >= self.size.queued {
            self.refused += 1;
            match self.waiting.last_key_value() {
                Some((last, _)) if last.0 > priority => {
                    displaced = self.waiting.pop_last().map(|(last, _)| last)
                }
                _ => return Entry::Full,
            }
        }
        self.next += 1;
        self.waiting.insert(place, now);
        Entry::Waiting(place, displaced)
    }

    /// Somebody who ran has ended.
    pub fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Somebody who waited goes away.
    pub fn give_up(&mut self, place: Place) {
        self.waiting.remove(&place);
    }

    /// Who runs next, if there is room; it then counts as running.
    pub fn next(&mut self, now: Duration) -> Option<Place> {
        if self.running >= self.size.running.max(1) {
            return None;
        }
        let (place, since) = self.waiting.pop_first()?;
        self.waited += now.saturating_sub(since);
        self.running += 1;
        self.total += 1;
        Some(place)
    }
}

/// A bulkhead as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// How many may run and wait.
    pub size: Size,
    /// Running now.
    pub running: usize,
    /// Waiting now.
    pub queued: usize,
    /// Let in, since the start.
    pub total: u64,
    /// Refused since the queue was full, since the start.
    pub refused: u64,
    /// Mean time in the queue, in milliseconds; those who did not wait count as 0.
    pub mean_wait_ms: f64,
    /// Mean time of running, in milliseconds.
    pub mean_run_ms: f64,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many are waiting already")]
pub struct Full;

/// A cloneable bulkhead with a clock.
#[derive(Clone)]
pub struct Bulkhead(Arc<Shared>);

struct Shared {
    started: Instant,
    inside: Mutex<Inside>,
}

struct Inside {
    queue: Queue,
    /// Who waits, and how to tell them; one who is let in is handed their slot.
    waiters: HashMap<Place, oneshot::Sender<Slot>>,
    ended: u64,
    ran: Duration,
}

impl Bulkhead {
    /// An empty one.
    pub fn new(size: Size) -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            inside: Mutex::new(Inside {
                queue: Queue::new(size),
                waiters: HashMap::new(),
                ended: 0,
                ran: Duration::ZERO,
            }),
        }))
    }

    /// Waits for a slot, which is given back when dropped. Whoever stops waiting loses their place.
    ///
    /// # Errors
    /// [`Full`] at once; and for one who waits, when a higher priority takes the last place.
    pub async fn enter(&self, priority: Priority) -> Result<Slot, Full> {
        let (place, handed, displaced) = {
            let mut inside = self.inside();
            match inside.queue.enter(priority, self.0.started.elapsed()) {
                Entry::Running => return Ok(self.slot()),
                Entry::Full => return Err(Full),
                Entry::Waiting(place, displaced) => {
                    let (hand, handed) = oneshot::channel();
                    inside.waiters.insert(place, hand);
                    (
                        place,
                        handed,
                        displaced.and_then(|place| inside.waiters.remove(&place)),
                    )
                }
            }
        };
        drop(displaced);
        let _waiting = Waiting {
            bulkhead: self,
            place,
        };
        handed.await.map_err(|_| Full)
    }

    /// Other sizes from now on; who runs goes on.
    pub fn resize(&self, size: Size) {
        self.inside().queue.size = size;
        self.let_in();
    }

    /// The figures as they are now.
    pub fn stats(&self) -> Stats {
        let inside = self.inside();
        let queue = &inside.queue;
        let mean = |time: Duration, count: u64| {
            if count == 0 {
                0.0
            } else {
                time.as_secs_f64() * 1_000.0 / count as f64
            }
        };
        Stats {
            size: queue.size,
            running: queue.running,
            queued: queue.waiting.len(),
            total: queue.total,
            refused: queue.refused,
            mean_wait_ms: mean(queue.waited, queue.total),
            mean_run_ms: mean(inside.ran, inside.ended),
        }
    }

    fn slot(&self) -> Slot {
        Slot {
            bulkhead: self.clone(),
            began: Instant::now(),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands slots to those whose turn it is. A slot whose taker has just gone away comes back by being dropped, so that
    /// nothing is handed over while the lock is held.
    fn let_in(&self) {
        loop {
            let hand = {
                let mut inside = self.inside();
                let Some(place) = inside.queue.next(self.0.started.elapsed()) else {
                    return;
                };
                inside.waiters.remove(&place)
            };
            match hand {
                Some(hand) => drop(hand.send(self.slot())),
                None => self.inside().queue.leave(),
            }
        }
    }
}

/// Leave to run; given back when dropped.
pub struct Slot {
    bulkhead: Bulkhead,
    began: Instant,
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut inside = self.bulkhead.inside();
            inside.queue.leave();
            inside.ended += 1;
            inside.ran += self.began.elapsed();
        }
        self.bulkhead.let_in();
    }
}

struct Waiting<'a> {
    bulkhead: &'a Bulkhead,
    place: Place,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inside = self.bulkhead.inside();
        inside.queue.give_up(self.place);
        inside.waiters.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    proptest! {
        #[test]
        fn s21_bounds_hold_and_the_best_place_is_next(steps in proptest::collection::vec((0..3_u8, 0..3_usize), 0..400)) {
            let size = Size { running: 3, queued: 4 };
            let mut queue = Queue::new(size);
            let mut waiting: Vec<Place> = Vec::new();
            for (step, which) in steps {
                match step {
                    0 => match queue.enter(PRIORITIES[which], Duration::ZERO) {
                        Entry::Running => {}
                        Entry::Full => {
                            prop_assert_eq!(waiting.len(), size.queued);
                            prop_assert!(waiting.iter().all(|place| place.0 <= PRIORITIES[which]));
                        }
                        Entry::Waiting(place, displaced) => {
                            if let Some(displaced) = displaced {
                                prop_assert!(place < displaced, "room is made for what matters more");
                                waiting.retain(|place| *place != displaced);
                            }
                            waiting.push(place);
                        }
                    },
                    1 => {
                        queue.leave();
                        if let Some(place) = queue.next(Duration::ZERO) {
                            prop_assert_eq!(Some(&place), waiting.iter().min());
                            waiting.retain(|other| *other != place);
                        }
                    }
                    _ if which < waiting.len() => queue.give_up(waiting.remove(which)),
                    _ => {}
                }
                prop_assert!(queue.running <= size.running && queue.waiting.len() <= size.queued);
                prop_assert_eq!(queue.waiting.len(), waiting.len());
            }
        }
    }

    #[tokio::test]
    async fn s21_who_matters_more_runs_first_and_who_goes_away_blocks_nobody() {
        let bulkhead = Bulkhead::new(Size {
            running: 1,
            queued: 2,
        });
        let first = bulkhead.enter(Priority::Low).await.expect("room");
        let (order, mut ran) = tokio::sync::mpsc::unbounded_channel();
        let spawn = |priority: Priority| {
            let (bulkhead, order) = (bulkhead.clone(), order.clone());
            tokio::spawn(async move {
                let slot = bulkhead.enter(priority).await;
                let _ = order.send((priority, slot.is_ok()));
            })
        };
        let queued = async |count| {
            while bulkhead.stats().queued < count {
                tokio::task::yield_now().await;
            }
        };
        let low = spawn(Priority::Low);
        queued(1).await;
        let gone = spawn(Priority::High);
        queued(2).await;
        gone.abort();
        let _ = gone.await;
        let high = spawn(Priority::High);
        queued(2).await;
        assert!(
            bulkhead.enter(Priority::Low).await.is_err(),
            "the queue is bounded"
        );
        drop(first);
        low.await.expect("no panic");
        high.await.expect("no panic");
        assert_eq!(ran.recv().await, Some((Priority::High, true)));
        assert_eq!(ran.recv().await, Some((Priority::Low, true)));
        let stats = bulkhead.stats();
        assert_eq!(
            (stats.running, stats.queued, stats.total, stats.refused),
            (0, 0, 3, 1)
        );
    }
}
