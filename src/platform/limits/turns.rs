//! Turns: of those who come too fast under one key, one goes on each second. Must not know what they want.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

/// Between two who go on.
const PAUSE: Duration = Duration::from_secs(1);
/// Nobody waits longer for their turn to begin; whoever would is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most keys for which somebody waits.
const KEYS: u64 = 10_000;

/// In this process alone: on several instances so many go on at once.
#[derive(Clone)]
pub(super) struct Turns(Cache<String, Arc<Mutex<()>>>);

impl Default for Turns {
    fn default() -> Self {
        let idle = PATIENCE + PAUSE;
        Self(
            Cache::builder()
                .max_capacity(KEYS)
                .time_to_idle(idle * 2)
                .build(),
        )
    }
}

impl Turns {
    /// Waits for a turn, in the order of coming.
    ///
    /// # Errors
    /// The time after which it is worth coming again.
    pub(super) async fn take(&self, key: &str) -> Result<(), Duration> {
        let line = self.0.get_with_by_ref(key, Arc::default);
        let Ok(_turn) = timeout(PATIENCE, line.lock()).await else {
            return Err(PATIENCE);
        };
        sleep(PAUSE).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_goes_on_each_second_and_too_many_are_sent_away() {
        let turns = Turns::default();
        let began = Instant::now();
        let taken = futures_util::future::join_all((0..10).map(|_| turns.take("a"))).await;
        let passed = taken.iter().filter(|turn| turn.is_ok()).count();
        assert!((5..=6).contains(&passed), "{passed}");
        assert!(began.elapsed() >= PAUSE * 5);
        let began = Instant::now();
        assert!(turns.take("b").await.is_ok(), "another's line is another");
        assert_eq!(began.elapsed(), PAUSE);
    }
}
