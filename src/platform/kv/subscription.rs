//! Messages between instances through Redis. Must not know what they say.

use std::pin::Pin;

use deadpool_redis::redis::{Msg, cmd};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::{Error, Kv};

/// What comes in on one channel, over a connection of its own.
pub struct Subscription(Pin<Box<dyn Stream<Item = Msg> + Send>>);

impl Subscription {
    /// The next message; `None` once the connection is lost. A frozen Redis is silent: who has to notice sends messages
    /// to themselves.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0
            .next()
            .await
            .map(|message| message.get_payload_bytes().to_vec())
    }
}

impl Kv {
    /// Listens to a channel; its full name is [`Kv::key`] of `channel`.
    ///
    /// # Errors
    /// As any call, within the same time.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        let name = self.key(channel);
        let subscribing = async {
            let mut connection = self.inner.client.get_async_pubsub().await?;
            connection.subscribe(name).await?;
            Ok(Subscription(Box::pin(connection.into_on_message())))
        };
        timeout(self.inner.timeout, subscribing)
            .await
            .unwrap_or_else(|_| Err(Error::Unavailable("no subscription in time".to_owned())))
    }

    /// Sends a message to all who listen to `channel`, and says how many there are.
    ///
    /// # Errors
    /// As any call.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<u64, Error> {
        self.query(cmd("PUBLISH").arg(self.key(channel)).arg(message))
            .await
    }
}
