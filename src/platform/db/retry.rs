//! Transactions that the database asked to be made again (S19): serialization failures, deadlocks, a connection that was
//! lost before COMMIT. Must not know what is written.

use std::time::Duration;

use sqlx::Error;

use super::{Conn, error::Trouble};

/// Attempts in all.
const ATTEMPTS: u32 = 3;
/// Longest pause before the second attempt, doubled for the third; the pause is random, so that two who collided part.
const PAUSE: Duration = Duration::from_millis(20);

impl Conn {
    /// Runs `work` within a transaction, commits it, and does both again where the database says that it may succeed
    /// then; `work` must change nothing but the database. An `Err` of `work` rolls back. Where `work` has ended the
    /// transaction itself, nothing is left to commit.
    ///
    /// A connection lost during COMMIT leaves open whether the changes were kept, and is not tried again: the form's
    /// nonce settles what its sender does about it.
    ///
    /// # Errors
    /// What `work` or the database said last.
    pub async fn transaction<T, E>(
        &mut self,
        mut work: impl AsyncFnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        let mut failed = 0;
        loop {
            let outcome = self.attempt(&mut work).await;
            failed += 1;
            if outcome.is_ok() || !self.is_worth_another(failed).await {
                return outcome;
            }
        }
    }

    /// Runs one statement, and again where the database says that it may succeed then. It stands alone (no transaction is
    /// open) and has the same effect if it is made twice, since it may have been made when its connection was lost.
    ///
    /// # Errors
    /// What the statement or the database said last.
    pub async fn idempotent<T, E>(
        &mut self,
        mut statement: impl AsyncFnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        let mut failed = 0;
        loop {
            let outcome = statement(self).await;
            failed += 1;
            if outcome.is_ok() || !self.is_worth_another(failed).await {
                return outcome;
            }
        }
    }

    async fn attempt<T, E>(
        &mut self,
        work: &mut impl AsyncFnMut(&mut Self) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<Error>,
    {
        self.begin().await?;
        let outcome = work(self).await;
        if self.is_in_transaction() {
            match &outcome {
                Ok(_) => self.commit().await?,
                // Where this fails too, the connection is closed, which rolls back as well.
                Err(_) => drop(self.undo().await),
            }
        }
        outcome
    }

    /// Whether what failed is worth another attempt; the connection is then ready for it.
    async fn is_worth_another(&mut self, failed: u32) -> bool {
        let Some(trouble) = self.take_trouble().filter(|_| failed < ATTEMPTS) else {
            return false;
        };
        let pause = PAUSE.mul_f64(rand::random::<f64>() * f64::from(failed));
        tracing::info!(trouble = ?trouble, failed, "a transaction is made again");
        tokio::time::sleep(pause).await;
        match trouble {
            Trouble::Conflict => !self.is_in_transaction() || self.undo().await.is_ok(),
            Trouble::Lost => self.reconnect().await.is_ok(),
        }
    }
}
