//! Asks the database whether it is there. Must not know what for.

use std::time::Duration;

use sqlx::Error;

use super::Db;

impl Db {
    /// Asks the server for a row of its own, within `limit`, connecting included.
    ///
    /// # Errors
    /// As any query; the deadline when it does not answer in time.
    pub async fn ping(&self, limit: Duration) -> Result<(), Error> {
        let mut conn = self.conn_with_deadline(limit).await?;
        sqlx::query!("SELECT 1 AS one").fetch_one(&mut conn).await?;
        Ok(())
    }
}
