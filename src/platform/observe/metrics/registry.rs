//! Counters, gauges and histograms with labels (S26). Must not know what they count.
//!
//! Names and labels follow Prometheus' rules (its documentation, "Metric and label naming"); the caller holds a handle and
//! never looks it up again where that would cost.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Most sets of labels of one family; further ones are one, whose labels all say `other`.
const LABEL_SETS_MAX: usize = 200;
/// Upper bounds of a histogram's buckets in seconds: Prometheus' own defaults.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// How many there have been.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// How often a value fell into which bucket.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Mutex<Buckets>>);

#[derive(Clone, Debug, Default)]
struct Buckets {
    counts: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// One more value, in seconds.
    pub fn observe(&self, value: f64) {
        let at = BOUNDS
            .iter()
            .position(|bound| value <= *bound)
            .unwrap_or(BOUNDS.len());
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.counts[at] += 1;
        buckets.sum += value;
    }
}

#[derive(Clone, Debug)]
enum Metric {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket.
    Histogram,
}

impl Kind {
    /// The word of the exposition format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric's value at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Number(f64),
    /// Of a histogram: cumulative counts by upper bound (the last is infinite), and the sum.
    Buckets(Vec<(f64, u64)>, f64),
}

/// One metric with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values, in the order of the names.
    pub labels: Vec<(String, String)>,
    /// At this moment.
    pub value: Value,
}

/// All metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// As it is exposed.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its metrics.
    pub samples: Vec<Sample>,
}

type Labels = Vec<(String, String)>;

struct Members {
    help: &'static str,
    kind: Kind,
    metrics: HashMap<Labels, Metric>,
}

/// All families.
#[derive(Default)]
pub struct Registry(RwLock<BTreeMap<&'static str, Members>>);

impl Registry {
    /// The counter of this name and these labels, made if there is none.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Counter {
        match self.metric(name, help, Kind::Counter, labels) {
            Metric::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of this name and these labels, made if there is none.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.metric(name, help, Kind::Gauge, labels) {
            Metric::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram of this name and these labels, made if there is none.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Histogram {
        match self.metric(name, help, Kind::Histogram, labels) {
            Metric::Histogram(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    fn metric(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: &[(&str, &str)],
    ) -> Metric {
        let mut labels: Labels = labels
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        labels.sort();
        let mut families = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| Members {
            help,
            kind,
            metrics: HashMap::new(),
        });
        if !family.metrics.contains_key(&labels) && family.metrics.len() >= LABEL_SETS_MAX {
            for (_, value) in &mut labels {
                "other".clone_into(value);
            }
        }
        let made = family
            .metrics
            .entry(labels)
            .or_insert_with(|| match family.kind {
                Kind::Counter => Metric::Counter(Counter::default()),
                Kind::Gauge => Metric::Gauge(Gauge::default()),
                Kind::Histogram => Metric::Histogram(Histogram::default()),
            });
        made.clone()
    }

    /// All families by name, their metrics by labels.
    pub fn families(&self) -> Vec<Family> {
        let families = self.0.read().unwrap_or_else(PoisonError::into_inner);
        families
            .iter()
            .map(|(name, members)| {
                let mut samples: Vec<Sample> = members
                    .metrics
                    .iter()
                    .map(|(labels, metric)| sample(labels.clone(), metric))
                    .collect();
                samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                Family {
                    name,
                    help: members.help,
                    kind: members.kind,
                    samples,
                }
            })
            .collect()
    }
}

fn sample(labels: Labels, metric: &Metric) -> Sample {
    let value = match metric {
        Metric::Counter(counter) => Value::Number(counter.get() as f64),
        Metric::Gauge(gauge) => Value::Number(gauge.get()),
        Metric::Histogram(histogram) => {
            let buckets = histogram
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let mut total = 0;
            let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
            let counts = bounds.zip(buckets.counts).map(|(bound, count)| {
                total += count;
                (bound, total)
            });
            Value::Buckets(counts.collect(), buckets.sum)
        }
    };
    Sample { labels, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s26_labels_past_the_bound_are_counted_together() {
        let registry = Registry::default();
        for number in 0..LABEL_SETS_MAX + 100 {
            registry
                .counter("things_total", "Things.", &[("thing", &number.to_string())])
                .increment();
        }
        let family = &registry.families()[0];
        assert_eq!(family.samples.len(), LABEL_SETS_MAX + 1);
        let other = family
            .samples
            .iter()
            .find(|s| s.labels[0].1 == "other")
            .expect("the rest");
        assert_eq!(other.value, Value::Number(100.0));
    }

    #[test]
    fn s26_a_histogram_counts_cumulatively() {
        let registry = Registry::default();
        let histogram = registry.histogram("wait_seconds", "Waits.", &[]);
        for value in [0.001, 0.03, 0.03, 60.0] {
            histogram.observe(value);
        }
        let Value::Buckets(buckets, sum) = registry.families().remove(0).samples.remove(0).value
        else {
            panic!("a histogram")
        };
        assert_eq!(buckets[0], (0.005, 1));
        assert_eq!(buckets[3], (0.05, 3));
        assert_eq!(buckets[11], (f64::INFINITY, 4));
        assert!((sum - 60.061).abs() < 1e-9);
    }
}
