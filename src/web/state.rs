//! What every handler can reach: handles to the platform, built once by `app.rs`. Must not know what they are used for.

use std::sync::Arc;

use crate::{
    config::Config,
    platform::{db::Db, kv::Kv, limits::Limiter, settings::Settings, shutdown::ShuttingDown},
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
    /// Whether the process is about to stop.
    pub shutting_down: ShuttingDown,
}
