//! Requests by route (S24): counts, and durations in histograms of fixed size. Must not know which routes there are.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, SecondsFormat, Utc};
use hdrhistogram::Histogram;
use serde::Serialize;

/// A request that takes longer is slow, unless another bound is set; in milliseconds.
const SLOW_MS: u64 = 1_000;
/// Durations are told apart up to this, in microseconds; longer ones count as this.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits of a duration: 1 % off at most, some 20 KiB a histogram.
const DIGITS: u8 = 2;
/// Most routes; further ones are one.
const ROUTES_MAX: usize = 300;
/// What they are called.
const OTHER: &str = "(other)";

/// Durations in microseconds.
type Durations = Histogram<u32>;

fn durations() -> Option<Durations> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok()
}

/// One route's counts. Minutes are counted apart, so that they can be stored.
struct Counts {
    total: u64,
    ok: u64,
    failed: u64,
    slow: u64,
    sum_us: u64,
    by_status: Vec<(u16, u64)>,
    durations: Option<Durations>,
    last: Option<DateTime<Utc>>,
    /// Requests in each second of the last minute, and which second that was.
    seconds: [(u64, u32); 60],
    minute: MinuteCounts,
}

#[derive(Default)]
struct MinuteCounts {
    total: u64,
    failed: u64,
    server_errors: u64,
    sum_us: u64,
    durations: Option<Durations>,
}

impl Counts {
    fn new() -> Self {
        Self {
            total: 0,
            ok: 0,
            failed: 0,
            slow: 0,
            sum_us: 0,
            by_status: Vec::new(),
            durations: durations(),
            last: None,
            seconds: [(0, 0); 60],
            minute: MinuteCounts {
                durations: durations(),
                ..MinuteCounts::default()
            },
        }
    }

    fn record(
        &mut self,
        status: u16,
        duration: Duration,
        is_slow: bool,
        at: DateTime<Utc>,
        second: u64,
    ) {
        let us = u64::try_from(duration.as_micros())
            .unwrap_or(LONGEST_US)
            .clamp(1, LONGEST_US);
        self.total += 1;
        let failed = status >= 400;
        if failed {
            self.failed += 1
        } else {
            self.ok += 1
        }
        self.slow += u64::from(is_slow);
        self.sum_us += us;
        match self.by_status.iter_mut().find(|(s, _)| *s == status) {
            Some((_, count)) => *count += 1,
            None => self.by_status.push((status, 1)),
        }
        self.last = Some(at);
        let slot = &mut self.seconds[(second % 60) as usize];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += 1;
        self.minute.total += 1;
        self.minute.failed += u64::from(failed);
        self.minute.server_errors += u64::from(status >= 500);
        self.minute.sum_us += us;
        for histogram in [&mut self.durations, &mut self.minute.durations]
            .into_iter()
            .flatten()
        {
            histogram.saturating_record(us);
        }
    }
}

/// A route's figures since the start or the last reset; durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStats {
    /// `METHOD:pattern`.
    pub route: String,
    /// Requests.
    pub total: u64,
    /// Below status 400.
    pub ok: u64,
    /// From status 400 on.
    pub failed: u64,
    /// Requests by status.
    pub by_status: std::collections::BTreeMap<u16, u64>,
    /// Shortest duration.
    pub min: f64,
    /// Mean duration.
    pub mean: f64,
    /// Half took no longer.
    pub median: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// Longest duration.
    pub max: f64,
    /// All durations together, in seconds.
    pub sum_seconds: f64,
    /// Requests a second, over the last minute.
    pub per_second: f64,
    /// Requests that took longer than the setting `metrics.slow`.
    pub slow: u64,
    /// When the last one was.
    pub last_seen: Option<String>,
}

/// What is stored of a route's minute; durations in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// `METHOD:pattern`.
    pub route: String,
    /// Requests.
    pub total: i64,
    /// From status 400 on.
    pub failed: i64,
    /// From status 500 on.
    pub server_errors: i64,
    /// Mean.
    pub mean_us: i64,
    /// 95 of 100 took no longer.
    pub p95_us: i64,
    /// 99 of 100 took no longer.
    pub p99_us: i64,
    /// Longest.
    pub max_us: i64,
}

type ByMethod = Vec<(&'static str, Arc<Mutex<Counts>>)>;

/// All routes.
pub struct Routes {
    by_pattern: RwLock<HashMap<Box<str>, ByMethod>>,
    slow_ms: AtomicU64,
    started: Instant,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            by_pattern: RwLock::default(),
            slow_ms: AtomicU64::new(SLOW_MS),
            started: Instant::now(),
        }
    }
}

/// The methods that are told apart; whatever else somebody sends is one.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"];
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("OTHER")
}

impl Routes {
    /// From now on a request is slow that takes longer than this.
    pub fn set_slow(&self, slow: Duration) {
        let ms = u64::try_from(slow.as_millis()).unwrap_or(u64::MAX);
        self.slow_ms.store(ms, Relaxed);
    }

    /// Counts one request; `pattern` is the route's, not the path that was asked for.
    pub fn record(
        &self,
        method: &str,
        pattern: &str,
        status: u16,
        duration: Duration,
        at: DateTime<Utc>,
    ) {
        let counts = self.counts(known(method), pattern);
        // From 1 on: 0 is "never" in the ring of seconds.
        let second = self.started.elapsed().as_secs() + 1;
        let is_slow = duration > Duration::from_millis(self.slow_ms.load(Relaxed));
        counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(status, duration, is_slow, at, second);
    }

    fn counts(&self, method: &'static str, pattern: &str) -> Arc<Mutex<Counts>> {
        let find = |methods: &ByMethod| {
            methods
                .iter()
                .find(|(m, _)| *m == method)
                .map(|(_, c)| Arc::clone(c))
        };
        {
            let routes = self
                .by_pattern
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(counts) = routes.get(pattern).and_then(find) {
                return counts;
            }
        }
        let mut routes = self
            .by_pattern
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let full = routes.len() >= ROUTES_MAX && !routes.contains_key(pattern);
        let methods = routes
            .entry(if full { OTHER } else { pattern }.into())
            .or_default();
        find(methods).unwrap_or_else(|| {
            let counts = Arc::new(Mutex::new(Counts::new()));
            methods.push((method, Arc::clone(&counts)));
            counts
        })
    }

    fn each<T>(&self, mut work: impl FnMut(String, &mut Counts) -> Option<T>) -> Vec<T> {
        let routes = self
            .by_pattern
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for (pattern, methods) in &*routes {
            for (method, counts) in methods {
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                found.extend(work(format!("{method}:{pattern}"), &mut counts));
            }
        }
        found
    }

    /// Figures of every route that `wanted` takes, by name.
    pub fn stats(&self, wanted: impl Fn(&str) -> bool) -> Vec<RouteStats> {
        let second = self.started.elapsed().as_secs() + 1;
        let window = second.min(60);
        let mut stats =
            self.each(|route, counts| wanted(&route).then(|| stats(route, counts, second, window)));
        stats.sort_by(|a, b| a.route.cmp(&b.route));
        stats
    }

    /// Takes what was counted since the last call, for those routes that were asked for.
    pub fn take_minute(&self) -> Vec<Minute> {
        self.each(|route, counts| {
            let minute = &mut counts.minute;
            if minute.total == 0 {
                return None;
            }
            let at = |quantile: f64| {
                minute
                    .durations
                    .as_ref()
                    .map_or(0, |h| to_i64(h.value_at_quantile(quantile)))
            };
            let taken = Minute {
                route,
                total: to_i64(minute.total),
                failed: to_i64(minute.failed),
                server_errors: to_i64(minute.server_errors),
                mean_us: to_i64(minute.sum_us / minute.total),
                p95_us: at(0.95),
                p99_us: at(0.99),
                max_us: minute.durations.as_ref().map_or(0, |h| to_i64(h.max())),
            };
            let mut kept = minute.durations.take();
            if let Some(histogram) = &mut kept {
                histogram.reset();
            }
            *minute = MinuteCounts {
                durations: kept,
                ..MinuteCounts::default()
            };
            Some(taken)
        })
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.by_pattern
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn stats(route: String, counts: &Counts, second: u64, window: u64) -> RouteStats {
    let ms = |us: u64| us as f64 / 1_000.0;
    let at = |quantile: f64| {
        counts
            .durations
            .as_ref()
            .map_or(0.0, |h| ms(h.value_at_quantile(quantile)))
    };
    let recent: u32 = counts
        .seconds
        .iter()
        .filter(|(s, _)| *s + 60 > second)
        .map(|(_, n)| n)
        .sum();
    RouteStats {
        route,
        total: counts.total,
        ok: counts.ok,
        failed: counts.failed,
        by_status: counts.by_status.iter().copied().collect(),
        min: counts.durations.as_ref().map_or(0.0, |h| ms(h.min())),
        mean: if counts.total == 0 {
            0.0
        } else {
            ms(counts.sum_us) / counts.total as f64
        },
        median: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: counts.durations.as_ref().map_or(0.0, |h| ms(h.max())),
        sum_seconds: counts.sum_us as f64 / 1_000_000.0,
        per_second: f64::from(recent) / window as f64,
        slow: counts.slow,
        last_seen: counts
            .last
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s24_a_route_is_summed_up_within_a_percent() {
        let routes = Routes::default();
        for ms in 1..=1_000 {
            let status = if ms <= 900 { 200 } else { 503 };
            routes.record(
                "GET",
                "/posts/{id}",
                status,
                Duration::from_millis(ms * 2),
                Utc::now(),
            );
        }
        let stats = routes.stats(|_| true);
        let route = &stats[0];
        assert_eq!(
            (
                route.route.as_str(),
                route.total,
                route.ok,
                route.failed,
                route.slow
            ),
            ("GET:/posts/{id}", 1_000, 900, 100, 500)
        );
        assert_eq!(route.by_status[&503], 100);
        for (value, expected) in [
            (route.median, 1_000.0),
            (route.p95, 1_900.0),
            (route.p99, 1_980.0),
            (route.max, 2_000.0),
            (route.mean, 1_001.0),
        ] {
            assert!(
                (value - expected).abs() / expected < 0.01,
                "{value} is not {expected}"
            );
        }
        assert!(route.per_second >= 1_000.0 / 60.0);
        let minute = routes.take_minute();
        assert_eq!((minute[0].total, minute[0].server_errors), (1_000, 100));
        assert!(routes.take_minute().is_empty(), "a minute is taken once");
        assert_eq!(routes.stats(|_| true)[0].total, 1_000);
    }

    #[test]
    fn s24_routes_and_methods_are_bounded() {
        let routes = Routes::default();
        for number in 0..ROUTES_MAX * 2 {
            routes.record(
                "GET",
                &format!("/{number}"),
                200,
                Duration::ZERO,
                Utc::now(),
            );
            routes.record(&format!("M{number}"), "/", 405, Duration::ZERO, Utc::now());
        }
        let stats = routes.stats(|_| true);
        assert!(stats.len() <= ROUTES_MAX + 3, "{}", stats.len());
        assert_eq!(
            stats
                .iter()
                .find(|s| s.route == "OTHER:/")
                .expect("one")
                .total,
            2 * ROUTES_MAX as u64
        );
        assert!(stats.iter().any(|s| s.route == "GET:(other)"));
    }
}
