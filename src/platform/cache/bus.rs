//! Invalidations from instance to instance: Redis' publish and subscribe, or PostgreSQL's LISTEN and NOTIFY where there is
//! no Redis. Must not know what is cached.
//!
//! Each instance hears itself: a beat that does not come back tells that the line is dead, also where the other end is
//! merely frozen. What was said meanwhile is lost, so that the caches are dropped when the line is lost and again when it
//! is back.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use crate::platform::{db::Db, kv::Kv};

const CHANNEL: &str = "cache:messages";
const CHANNEL_POSTGRES: &str = "betternews_cache";
/// Between beats.
const BEAT_EVERY: Duration = Duration::from_secs(3);
/// Silence for longer than this is a lost line.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Between attempts to have the line back.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Longest message that PostgreSQL carries, in bytes; a longer one becomes [`Message::Everything`].
const NOTIFY_MAX: usize = 7_900;

/// What is not to be served any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Pages with one of these tags are outdated.
    Outdated(Vec<String>),
    /// Pages with one of these tags must not be seen again.
    Gone(Vec<String>),
    /// Values with this tag.
    Tag(String),
    /// Values and pages whose keys fit this pattern.
    Pattern(String),
    /// The value under this key.
    Key(String),
    /// All of it.
    Everything,
    /// Nothing: the line is alive.
    Beat,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    from: String,
    message: Message,
}

/// Who hears messages; it is called on the runtime's threads and must not block.
type Listener = Arc<dyn Fn(&Message) + Send + Sync>;

/// A cloneable line to the other instances.
#[derive(Clone)]
pub struct Bus {
    outbox: mpsc::UnboundedSender<Outgoing>,
    shared: Arc<Shared>,
    _tasks: Arc<[AbortOnDropHandle<()>; 2]>,
}

/// What is to be said, and whom it matters to that it was.
struct Outgoing {
    message: Message,
    done: Option<oneshot::Sender<()>>,
}

struct Shared {
    name: String,
    listener: OnceLock<Listener>,
    up: watch::Sender<bool>,
}

impl Shared {
    fn hear(&self, message: &Message) {
        if let Some(listener) = self.listener.get() {
            listener(message);
        }
    }

    /// Hears what others sent.
    fn receive(&self, payload: &[u8]) {
        match serde_json::from_slice::<Envelope>(payload) {
            Ok(envelope) if envelope.from == self.name => {}
            Ok(envelope) => self.hear(&envelope.message),
            // Another version's message: what it would have us drop is not known.
            Err(_) => self.hear(&Message::Everything),
        }
    }
}

enum Line {
    Redis(Kv),
    Postgres(Db),
}

impl Bus {
    /// Opens the line; must be called on the main runtime. `name` tells this instance from the others.
    pub fn open(kv: Option<&Kv>, db: &Db, name: String) -> Self {
        let (outbox, sent) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            name,
            listener: OnceLock::new(),
            up: watch::Sender::new(false),
        });
        let line = || kv.map_or_else(|| Line::Postgres(db.clone()), |kv| Line::Redis(kv.clone()));
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(send(line(), sent, Arc::clone(&shared)))),
            AbortOnDropHandle::new(tokio::spawn(listen(line(), Arc::clone(&shared)))),
        ];
        Self {
            outbox,
            shared,
            _tasks: Arc::new(tasks),
        }
    }

    /// Says who hears messages of other instances; the first caller only.
    pub fn listen(&self, listener: impl Fn(&Message) + Send + Sync + 'static) {
        if self.shared.listener.set(Arc::new(listener)).is_err() {
            tracing::error!("the cache's line has a listener already");
        }
    }

    /// Tells the other instances, soon and in order; never waits.
    pub fn tell(&self, message: Message) {
        // The task ends only with the last handle.
        let _ = self.outbox.send(Outgoing {
            message,
            done: None,
        });
    }

    /// Waits until all that was told before is said, but no longer than `within`; for who ends then.
    pub async fn drained(&self, within: Duration) -> bool {
        let (done, said) = oneshot::channel();
        let _ = self.outbox.send(Outgoing {
            message: Message::Beat,
            done: Some(done),
        });
        matches!(timeout(within, said).await, Ok(Ok(())))
    }

    /// Waits until messages come through, but no longer than `within`: what is cached before that is dropped then.
    pub async fn wait_up(&self, within: Duration) -> bool {
        let mut up = self.shared.up.subscribe();
        matches!(timeout(within, up.wait_for(|up| *up)).await, Ok(Ok(_)))
    }

    /// Whether messages come through.
    pub fn is_up(&self) -> bool {
        *self.shared.up.borrow()
    }
}

async fn send(line: Line, mut outbox: mpsc::UnboundedReceiver<Outgoing>, shared: Arc<Shared>) {
    let mut lost = false;
    loop {
        let (message, done) = match timeout(BEAT_EVERY, outbox.recv()).await {
            Ok(Some(outgoing)) => (outgoing.message, outgoing.done),
            Ok(None) => return,
            Err(_) => (Message::Beat, None),
        };
        // What was not said cannot be said again: with the first word that comes through, the others drop all.
        let message = if lost { Message::Everything } else { message };
        let matters = !matches!(message, Message::Beat);
        let envelope = Envelope {
            from: shared.name.clone(),
            message,
        };
        let Ok(payload) = serde_json::to_string(&envelope) else {
            continue;
        };
        let sent = match &line {
            Line::Redis(kv) => kv
                .publish(CHANNEL, payload.as_bytes())
                .await
                .map(drop)
                .map_err(|error| error.to_string()),
            Line::Postgres(db) => notify(db, &shared.name, payload)
                .await
                .map_err(|error| error.to_string()),
        };
        lost = sent.is_err() && matters;
        match (sent, done) {
            (Ok(()), Some(done)) => drop(done.send(())),
            (Ok(()), None) => {}
            (Err(error), _) => tracing::debug!(
                error,
                "an invalidation was not sent: the others drop all later"
            ),
        }
    }
}

async fn notify(db: &Db, name: &str, mut payload: String) -> sqlx::Result<()> {
    if payload.len() > NOTIFY_MAX {
        let everything = Envelope {
            from: name.to_owned(),
            message: Message::Everything,
        };
        payload = serde_json::to_string(&everything).unwrap_or_default();
    }
    sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL_POSTGRES, payload)
        .execute(&mut db.conn().await?)
        .await?;
    Ok(())
}

async fn listen(line: Line, shared: Arc<Shared>) {
    loop {
        let outcome = match &line {
            Line::Redis(kv) => hear_redis(kv, &shared).await,
            Line::Postgres(db) => hear_postgres(db, &shared).await,
        };
        if shared.up.send_replace(false) {
            tracing::warn!(
                reason = outcome,
                "the line between the instances' caches is lost: they are dropped"
            );
            shared.hear(&Message::Everything);
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// The line is there: what was said before is lost.
fn begin(shared: &Shared) {
    shared.hear(&Message::Everything);
    shared.up.send_replace(true);
}

async fn hear_redis(kv: &Kv, shared: &Shared) -> String {
    let mut subscription = match kv.subscribe(CHANNEL).await {
        Ok(subscription) => subscription,
        Err(error) => return error.to_string(),
    };
    begin(shared);
    loop {
        match timeout(SILENCE_MAX, subscription.next()).await {
            Ok(Some(payload)) => shared.receive(&payload),
            Ok(None) => return "the connection was closed".to_owned(),
            Err(_) => return "silence".to_owned(),
        }
    }
}

async fn hear_postgres(db: &Db, shared: &Shared) -> String {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(db.connect_options().clone());
    let listening = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL_POSTGRES).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = match timeout(SILENCE_MAX, listening).await {
        Ok(Ok(listener)) => listener,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "no answer".to_owned(),
    };
    begin(shared);
    loop {
        match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => shared.receive(notification.payload().as_bytes()),
            Ok(Ok(None)) => return "the connection was closed".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "silence".to_owned(),
        }
    }
}
