//! What every handler can reach: handles to the platform, built once by `app`. Must not know what they are used for.

use std::sync::Arc;

use crate::{
    config::Config,
    platform::{
        activity::Activity,
        cache::Cache,
        db::Db,
        fetch::Fetcher,
        flags::Flags,
        health::Checks,
        kv::Kv,
        limits::Limiter,
        notify::{Mailer, Webhook},
        observe::{metrics::Metrics, system::System},
        resilience::dependencies::Dependencies,
        settings::Settings,
        shutdown::ShuttingDown,
        tasks::Tasks,
    },
};

use super::{cache::Pages, session::Store, signing::Keys};

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
    /// Guests' finished pages.
    pub pages: Pages,
    /// Values that are computed once.
    pub cache: Cache,
    /// Who requested what.
    pub activity: Activity,
    /// What is counted.
    pub metrics: Metrics,
    /// The machine and the process.
    pub system: System,
    /// Whether each part is well.
    pub checks: Checks,
    /// Limits on requests.
    pub limiter: Limiter,
    /// What signs cookies and form tokens.
    pub keys: Keys,
    /// Everything outside that is depended on.
    pub dependencies: Dependencies,
    /// Requests to addresses that somebody else has chosen.
    pub fetcher: Fetcher,
    /// The site's live settings.
    pub settings: Settings,
    /// The live feature flags.
    pub flags: Flags,
    /// The way out for letters.
    pub mailer: Mailer,
    /// Where operators are told of trouble, if they want to be.
    pub webhook: Option<Webhook>,
    /// Background tasks.
    pub tasks: Tasks,
    /// Whether the process is about to stop.
    pub shutting_down: ShuttingDown,
}
