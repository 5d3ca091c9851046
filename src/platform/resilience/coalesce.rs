//! Work that several ask for at once is done once (S23): equal work is shared, and lookups by id are gathered. Must not
//! know what the work is.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::oneshot;

/// The work broke (a panic): nobody can have its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared work broke")]
pub struct Broken;

type Running<V> = Shared<BoxFuture<'static, Result<V, Broken>>>;
type Flights<K, V> = Arc<Mutex<HashMap<K, Running<V>>>>;

/// Single flight: while work for a key runs, all who ask wait for its one outcome. Nothing is kept after it.
pub struct SingleFlight<K, V>(Flights<K, V>);

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The outcome of `work`, or of the equal work that runs already. It is a task of its own, so that it goes on when
    /// the one who began it goes away.
    ///
    /// # Errors
    /// [`Broken`] if it panicked.
    pub async fn run<F, Fut>(&self, key: K, work: F) -> Result<V, Broken>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let running = {
            let mut flights = lock(&self.0);
            match flights.get(&key) {
                Some(running) => running.clone(),
                None => {
                    let landing = Landing {
                        flights: self.0.clone(),
                        key: key.clone(),
                    };
                    let work = work();
                    let task = tokio::spawn(async move {
                        let _landing = landing;
                        work.await
                    });
                    let running = task.map(|ended| ended.map_err(|_| Broken)).boxed().shared();
                    flights.insert(key, running.clone());
                    running
                }
            }
        };
        running.await
    }

    /// How many run now.
    pub fn running(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Takes a flight off the list when its work ends, also by a panic.
struct Landing<K: Eq + Hash, V> {
    flights: Flights<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let landed = lock(&self.flights).remove(&self.key);
        // Outside the lock: it may be the last holder of the outcome.
        drop(landed);
    }
}

/// Why a lookup gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError<E> {
    /// What the lookup of many said.
    #[error(transparent)]
    Failed(E),
    /// It broke (a panic).
    #[error(transparent)]
    Broken(#[from] Broken),
}

type Lookup<K, V, E> = dyn Fn(Vec<K>) -> BoxFuture<'static, Result<HashMap<K, V>, E>> + Send + Sync;
type Answer<V, E> = Result<Option<V>, E>;

/// Gathers lookups by id: the first is made at once, those that come while it runs are made together after it. So nobody
/// waits for company, and under load a hundred lookups are two.
pub struct Batch<K, V, E> {
    lookup: Arc<Lookup<K, V, E>>,
    pending: Arc<Mutex<Pending<K, V, E>>>,
}

/// Most ids in one lookup.
const BATCH_MAX: usize = 500;

struct Pending<K, V, E> {
    running: bool,
    waiting: HashMap<K, Vec<oneshot::Sender<Answer<V, E>>>>,
}

impl<K, V, E> Clone for Batch<K, V, E> {
    fn clone(&self) -> Self {
        Self {
            lookup: self.lookup.clone(),
            pending: self.pending.clone(),
        }
    }
}

impl<K, V, E> Batch<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Gathers what `lookup` looks up: it is given ids, each once, and gives what it finds.
    pub fn new<F, Fut>(lookup: F) -> Self
    where
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
    {
        Self {
            lookup: Arc::new(move |keys| lookup(keys).boxed()),
            pending: Arc::new(Mutex::new(Pending {
                running: false,
                waiting: HashMap::new(),
            })),
        }
    }

    /// What there is for one id.
    ///
    /// # Errors
    /// [`LookupError`], for all who were in the same lookup.
    pub async fn load(&self, key: K) -> Result<Option<V>, LookupError<E>> {
        let (tell, told) = oneshot::channel();
        let begin = {
            let mut pending = lock(&self.pending);
            pending.waiting.entry(key).or_default().push(tell);
            !std::mem::replace(&mut pending.running, true)
        };
        if begin {
            tokio::spawn(self.clone().work());
        }
        told.await.map_err(|_| Broken)?.map_err(LookupError::Failed)
    }

    async fn work(self) {
        let _end = End(&self.pending);
        loop {
            let mut batch = HashMap::new();
            {
                let mut pending = lock(&self.pending);
                let keys: Vec<K> = pending.waiting.keys().take(BATCH_MAX).cloned().collect();
                for key in keys {
                    pending
                        .waiting
                        .remove_entry(&key)
                        .map(|(key, waiting)| batch.insert(key, waiting));
                }
                if batch.is_empty() {
                    pending.running = false;
                    return;
                }
            }
            let mut found = (self.lookup)(batch.keys().cloned().collect()).await;
            for (key, waiting) in batch {
                let answer = match &mut found {
                    Ok(found) => Ok(found.remove(&key)),
                    Err(error) => Err(error.clone()),
                };
                for tell in waiting {
                    // Whoever went away needs no answer.
                    let _ = tell.send(answer.clone());
                }
            }
        }
    }
}

/// When the gathering ends by a panic, those who wait are told (their senders are dropped) and the next begins anew.
struct End<'a, K, V, E>(&'a Mutex<Pending<K, V, E>>);

impl<K, V, E> Drop for End<'_, K, V, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut pending = lock(self.0);
            pending.running = false;
            pending.waiting.clear();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn s23_equal_work_is_done_once_and_again_afterwards() {
        let (flights, made) = (
            SingleFlight::<&str, usize>::default(),
            Arc::new(AtomicUsize::new(0)),
        );
        let ask = |key| {
            let (flights, made) = (flights.clone(), made.clone());
            async move {
                flights
                    .run(key, || async move {
                        tokio::task::yield_now().await;
                        made.fetch_add(1, Ordering::Relaxed)
                    })
                    .await
            }
        };
        let all = join_all((0..500).map(|_| ask("a"))).await;
        assert!(all.iter().all(|outcome| *outcome == Ok(0)));
        assert_eq!(flights.running(), 0);
        assert_eq!(ask("a").await, Ok(1));
    }

    #[tokio::test]
    async fn s23_work_outlives_who_began_it_and_a_panic_is_told() {
        let flights = SingleFlight::<u8, u8>::default();
        let gate = Arc::new(Semaphore::new(0));
        let first = tokio::spawn({
            let (flights, gate) = (flights.clone(), gate.clone());
            async move {
                flights
                    .run(1, || async move { gate.acquire().await.map_or(0, |_| 7) })
                    .await
            }
        });
        while flights.running() == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let _ = first.await;
        let second = flights.run(1, || async { 9 });
        gate.add_permits(1);
        assert_eq!(second.await, Ok(7));
        assert_eq!(
            flights.run(2, || async { panic!("for the test") }).await,
            Err(Broken)
        );
        assert_eq!(flights.run(2, || async { 3 }).await, Ok(3));
    }

    #[tokio::test]
    async fn s23_lookups_that_come_meanwhile_are_one() {
        let lookups = Arc::new(Mutex::new(Vec::new()));
        let seen = lookups.clone();
        let batch = Batch::<u32, u32, &str>::new(move |mut keys| {
            keys.sort_unstable();
            lock(&seen).push(keys.clone());
            async move {
                tokio::task::yield_now().await;
                match keys.contains(&13) {
                    true => Err("thirteen"),
                    false => Ok(keys
                        .into_iter()
                        .filter(|key| *key < 100)
                        .map(|key| (key, key * 2))
                        .collect()),
                }
            }
        });
        assert_eq!(batch.load(1).await, Ok(Some(2)));
        let many = join_all((0..10).chain([5, 100]).map(|key| batch.load(key))).await;
        assert_eq!(many[5], Ok(Some(10)));
        assert_eq!(many[10], Ok(Some(10)), "the same id twice");
        assert_eq!(many[11], Ok(None));
        let made = std::mem::take(&mut *lock(&lookups));
        assert_eq!(made, [vec![1], vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100]]);
        assert_eq!(batch.load(13).await, Err(LookupError::Failed("thirteen")));
    }
}
