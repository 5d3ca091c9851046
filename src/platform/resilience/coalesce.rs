//! Work that several ask for at once is done once (S23): equal work is shared, and lookups by id are gathered. Must not
//! know what the work is.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, sync::oneshot};

use crate::platform::cache::flight::{Flights, Turn};

/// The work broke (a panic, or the end of the process): nobody can have its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared work broke")]
pub struct Broken;

/// Single flight: while work for a key runs, all who ask wait for its one outcome. Nothing is kept after it.
#[derive(Clone)]
pub struct SingleFlight<V> {
    flights: Flights<V>,
    runtime: Handle,
}

impl<V: Clone + Send + Sync + 'static> SingleFlight<V> {
    /// Nothing runs yet. The work will run on this runtime, whoever begins it, and does not end with the thread of one of
    /// those who wait.
    pub fn on(runtime: Handle) -> Self {
        Self {
            flights: Flights::default(),
            runtime,
        }
    }

    /// The outcome of `work`, or of the equal work that runs already. It is a task of its own, so that it goes on when
    /// the one who began it goes away.
    ///
    /// # Errors
    /// [`Broken`] if it panicked.
    pub async fn run<F, Fut>(&self, key: &str, work: F) -> Result<V, Broken>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        let follow = match self.flights.join(key) {
            Turn::Follow(follow) => follow,
            Turn::Lead(lead) => {
                let (follow, work) = (lead.follow(), work());
                self.runtime.spawn(async move { lead.land(work.await) });
                follow
            }
        };
        follow.landed().await.ok_or(Broken)
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
    runtime: Handle,
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
            runtime: self.runtime.clone(),
        }
    }
}

impl<K, V, E> Batch<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Gathers what `lookup` looks up: it is given ids, each once, and gives what it finds. Must be called on the main
    /// runtime, where the lookups run.
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
            runtime: Handle::current(),
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
            self.runtime.spawn(self.clone().work());
        }
        told.await.map_err(|_| Broken)?.map_err(LookupError::Failed)
    }

    async fn work(self) {
        let mut end = End {
            pending: &self.pending,
            is_early: true,
        };
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
                    end.is_early = false;
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

/// When the gathering ends early (a panic, or its task is dropped), those who wait are told (their senders are dropped)
/// and the next begins anew.
struct End<'a, K, V, E> {
    pending: &'a Mutex<Pending<K, V, E>>,
    is_early: bool,
}

impl<K, V, E> Drop for End<'_, K, V, E> {
    fn drop(&mut self) {
        if self.is_early {
            let mut pending = lock(self.pending);
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
            SingleFlight::<usize>::on(Handle::current()),
            Arc::new(AtomicUsize::new(0)),
        );
        let ask = |key: &'static str| {
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
        assert_eq!(flights.flights.count(), 0);
        assert_eq!(ask("a").await, Ok(1));
    }

    #[tokio::test]
    async fn s23_work_outlives_who_began_it_and_a_panic_is_told() {
        let flights = SingleFlight::<u8>::on(Handle::current());
        let gate = Arc::new(Semaphore::new(0));
        let first = tokio::spawn({
            let (flights, gate) = (flights.clone(), gate.clone());
            async move {
                flights
                    .run("1", || async move { gate.acquire().await.map_or(0, |_| 7) })
                    .await
            }
        });
        while flights.flights.count() == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        let _ = first.await;
        let second = flights.run("1", || async { 9 });
        gate.add_permits(1);
        assert_eq!(second.await, Ok(7));
        assert_eq!(
            flights.run("2", || async { panic!("for the test") }).await,
            Err(Broken)
        );
        assert_eq!(flights.run("2", || async { 3 }).await, Ok(3));
    }

    #[test]
    fn s23_work_does_not_end_with_the_runtime_of_who_began_it() {
        let main = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let worker = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime")
        };
        let (flights, gate) = main.block_on(async {
            (
                SingleFlight::<u8>::on(Handle::current()),
                Arc::new(Semaphore::new(0)),
            )
        });
        let first = worker();
        let (begun, opened) = (flights.clone(), gate.clone());
        first.block_on(async move {
            let run = begun.run(
                "1",
                || async move { opened.acquire().await.map_or(0, |_| 7) },
            );
            assert!(run.now_or_never().is_none());
        });
        drop(first);
        let second = worker().block_on(async {
            let mut run = Box::pin(flights.run("1", || async { 9 }));
            assert!((&mut run).now_or_never().is_none(), "it still runs");
            gate.add_permits(1);
            run.await
        });
        assert_eq!(second, Ok(7));
    }

    #[test]
    fn s23_lookups_go_on_after_the_end_of_a_runtime_in_the_midst_of_one() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime")
        };
        let (first, second) = (runtime(), runtime());
        let mut batch = first.block_on(async {
            Batch::<u32, u32, ()>::new(|keys| async move {
                if keys.contains(&1) {
                    std::future::pending::<()>().await;
                }
                Ok(keys.into_iter().map(|key| (key, key)).collect())
            })
        });
        let asked = batch.clone();
        first.block_on(async move {
            tokio::spawn(async move { asked.load(1).await });
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        });
        assert!(lock(&batch.pending).running);
        drop(first);
        batch.runtime = second.handle().clone();
        assert_eq!(second.block_on(batch.load(2)), Ok(Some(2)));
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
