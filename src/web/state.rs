//! What every handler can reach: handles to the platform, built once by `app.rs`. Must not know what they are used for.

use std::sync::Arc;

use crate::{
    config::Config,
    platform::{
        db::Db, flags::Flags, kv::Kv, limits::Limiter, notify::Mailer, settings::Settings,
        shutdown::ShuttingDown, tasks::Tasks,
    },
};

use super::{session::Store, signing::Keys};

/// One per process, shared by all workers as `web::Data<State>`.
pub struct State {
    /// As it was read at the start.
    pub config: Arc<Config>,
    /// PostgreSQL.
    pub db: Db,
    /// Redis, where there is one.
    pub kv: Option<Kv>,
    /// Where sessions live.
    pub sessions: Store,
    /// Limits on requests.
    pub limiter: Limiter,
    /// What signs cookies and form tokens.
    pub keys: Keys,
    /// The site's live settings.
    pub settings: Settings,
    /// The live feature flags.
    pub flags: Flags,
    /// The way out for letters.
    pub mailer: Mailer,
    /// Background tasks.
    pub tasks: Tasks,
    /// Whether the process is about to stop.
    pub shutting_down: ShuttingDown,
}
