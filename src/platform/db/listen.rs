//! Hears what other sessions say by `NOTIFY`. Must not know what the channels are for.

use std::time::Duration;

use sqlx::{
    Error,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::time::timeout;

use super::Db;

/// A listener that has heard nothing for so long connects anew: a connection that died silently looks just as quiet.
const RENEW: Duration = Duration::from_secs(300);

/// Calls `hear` with the name of a channel for each notification on it, and with `None` whenever the connection is new,
/// since what was said before was missed. Notifications arrive after the commit of who sent them.
///
/// # Errors
/// When the connection is lost; call it again then. It never ends otherwise.
pub async fn listen(db: &Db, channels: &[&str], hear: impl Fn(Option<&str>)) -> Result<(), Error> {
    loop {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(5))
            .connect_lazy_with(db.connect_options().clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen_all(channels.iter().copied()).await?;
        hear(None);
        while let Ok(heard) = timeout(RENEW, listener.try_recv()).await {
            match heard? {
                Some(notification) => hear(Some(notification.channel())),
                None => return Err(Error::PoolClosed),
            }
        }
    }
}
