//! What the process counts (S24, S26): requests by route, and any counter, gauge or histogram a part of the program keeps.
//! Must not know routes, nor how figures are shown.
//!
//! **Architecture invariant:** memory is bounded whatever is asked for: labels and routes past their bounds are counted
//! together as `other`.

mod minutes;
mod registry;
mod routes;
mod store;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

pub use minutes::Minutes;
pub use registry::{Counter, Family, Gauge, Histogram, Kind, Registry, Sample, Value};
pub use routes::{Minute, RouteStats, Routes};
pub use store::{delete_old, insert};

/// A cloneable handle to all metrics of the process.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    registry: Registry,
    routes: Routes,
    /// Nothing is counted by route meanwhile.
    is_off: AtomicBool,
}

impl Metrics {
    /// Whether requests are counted by route.
    pub fn is_on(&self) -> bool {
        !self.0.is_off.load(Relaxed)
    }

    /// From now on they are, or are not.
    pub fn set_wanted(&self, wanted: bool) {
        self.0.is_off.store(!wanted, Relaxed);
    }

    /// Counters, gauges and histograms by name.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Requests by route.
    pub fn routes(&self) -> &Routes {
        &self.0.routes
    }
}
