//! What the process counts (S24, S26): requests by route, and any counter, gauge or histogram a part of the program keeps.
//! Must not know routes, nor how figures are shown.
//!
//! **Architecture invariant:** memory is bounded whatever is asked for: labels and routes past their bounds are counted
//! together as `other`.

mod registry;
mod routes;
mod store;

use std::sync::Arc;

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
}

impl Metrics {
    /// Counters, gauges and histograms by name.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Requests by route.
    pub fn routes(&self) -> &Routes {
        &self.0.routes
    }
}
