//! Figures in Prometheus' text format (its documentation, "Exposition formats", 0.0.4). Must not know where they are from
//! beyond their names.

use std::fmt::{Display, Write};

use crate::{
    platform::{
        jobs::{self, KindStats},
        observe::metrics::{Family, Kind, RouteStats, Value},
        resilience::{breaker, dependencies::Status},
    },
    web::state::State,
};

/// A text being written; writing to a `String` cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let _ = writeln!(
            self.0,
            "# HELP {name} {help}\n# TYPE {name} {}",
            kind.word()
        );
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let mark = if at == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{mark}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// All figures, the routes' those that `wanted` takes.
pub(super) async fn text(state: &State, wanted: impl Fn(&str) -> bool) -> String {
    let mut text = Text(String::with_capacity(16 * 1_024));
    routes(&mut text, &state.metrics.routes().stats(wanted));
    system(&mut text, state);
    cache(&mut text, state).await;
    dependencies(&mut text, &state.dependencies.list());
    // Without the database its figures are missing, and not wrong.
    if let Ok(stats) = job_stats(state).await {
        jobs(&mut text, &stats);
    }
    for family in state.metrics.registry().families() {
        write_family(&mut text, &family);
    }
    text.0
}

fn routes(text: &mut Text, stats: &[RouteStats]) {
    let split = |route: &'_ RouteStats| {
        let (method, pattern) = route.route.split_once(':').unwrap_or(("", &route.route));
        (method.to_owned(), pattern.to_owned())
    };
    text.head(
        "http_requests_total",
        Kind::Counter,
        "Requests by route and status.",
    );
    for route in stats {
        let (method, pattern) = split(route);
        for (status, count) in &route.by_status {
            let labels = [
                ("method", &*method),
                ("route", &*pattern),
                ("status", &*status.to_string()),
            ];
            text.line("http_requests_total", &labels, count);
        }
    }
    let name = "http_request_duration_seconds";
    let _ = writeln!(
        text.0,
        "# HELP {name} Time to answer.\n# TYPE {name} summary"
    );
    for route in stats {
        let (method, pattern) = split(route);
        let base = [("method", &*method), ("route", &*pattern)];
        for (quantile, ms) in [
            ("0.5", route.median),
            ("0.95", route.p95),
            ("0.99", route.p99),
        ] {
            text.line(
                name,
                &[base[0], base[1], ("quantile", quantile)],
                ms / 1_000.0,
            );
        }
        text.line(
            "http_request_duration_seconds_sum",
            &base,
            route.sum_seconds,
        );
        text.line("http_request_duration_seconds_count", &base, route.total);
    }
    text.head(
        "http_slow_requests_total",
        Kind::Counter,
        "Requests that took longer than the setting metrics.slow.",
    );
    for route in stats {
        let (method, pattern) = split(route);
        text.line(
            "http_slow_requests_total",
            &[("method", &method), ("route", &pattern)],
            route.slow,
        );
    }
}

fn system(text: &mut Text, state: &State) {
    let sample = state.system.latest();
    let pool = state.db.status();
    let activity = state.activity.stats();
    text.one(
        "process_uptime_seconds",
        Kind::Gauge,
        "Since the start.",
        state.checks.uptime(),
    );
    text.one(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory the process holds.",
        sample.process_rss,
    );
    text.one(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "Memory the process has mapped.",
        sample.process_virtual,
    );
    text.one(
        "process_cpu_percent",
        Kind::Gauge,
        "Use of one core by the process.",
        sample.process_cpu_percent,
    );
    text.one(
        "system_cpu_percent",
        Kind::Gauge,
        "Use of all cores.",
        sample.cpu_percent,
    );
    text.one(
        "system_load1",
        Kind::Gauge,
        "Runnable processes, mean of a minute.",
        sample.load[0],
    );
    text.one(
        "system_load5",
        Kind::Gauge,
        "Runnable processes, mean of five minutes.",
        sample.load[1],
    );
    text.one(
        "system_load15",
        Kind::Gauge,
        "Runnable processes, mean of fifteen minutes.",
        sample.load[2],
    );
    text.one(
        "system_memory_total_bytes",
        Kind::Gauge,
        "Memory of the machine.",
        sample.memory_total,
    );
    text.one(
        "system_memory_used_bytes",
        Kind::Gauge,
        "Memory in use.",
        sample.memory_used,
    );
    text.one(
        "system_memory_free_bytes",
        Kind::Gauge,
        "Memory that can still be had.",
        sample.memory_free,
    );
    text.one(
        "runtime_lag_mean_seconds",
        Kind::Gauge,
        "How late timers are, mean.",
        sample.lag_mean_ms / 1_000.0,
    );
    text.one(
        "runtime_lag_max_seconds",
        Kind::Gauge,
        "How late timers are, at worst.",
        sample.lag_max_ms / 1_000.0,
    );
    text.one(
        "runtime_busy_ratio",
        Kind::Gauge,
        "Share of time that the threads work.",
        sample.busy,
    );
    text.one("runtime_tasks", Kind::Gauge, "Tasks alive.", sample.tasks);
    text.one(
        "database_connections",
        Kind::Gauge,
        "Open connections.",
        pool.open,
    );
    text.one(
        "database_connections_idle",
        Kind::Gauge,
        "Idle connections.",
        pool.idle,
    );
    text.one(
        "database_connections_waiting",
        Kind::Gauge,
        "Requests that wait for one.",
        pool.waiting,
    );
    text.one(
        "database_up",
        Kind::Gauge,
        "Whether the database answers.",
        u8::from(state.db.is_up()),
    );
    if let Some(kv) = &state.kv {
        text.one(
            "redis_up",
            Kind::Gauge,
            "Whether Redis answers.",
            u8::from(kv.is_up()),
        );
    }
    text.one(
        "activity_queued",
        Kind::Gauge,
        "Records that wait to be written.",
        activity.queued,
    );
    text.one(
        "activity_written_total",
        Kind::Counter,
        "Records written.",
        activity.written,
    );
    text.one(
        "activity_lost_total",
        Kind::Counter,
        "Records that did not fit into the queue.",
        activity.lost,
    );
}

async fn cache(text: &mut Text, state: &State) {
    let (pages, values) = (state.pages.stats(), state.cache.stats(false).await);
    let both = [
        (
            "pages",
            pages.hits,
            pages.misses,
            pages.keys,
            pages.memory_bytes,
        ),
        (
            "values",
            values.hits,
            values.misses,
            values.keys,
            values.memory_bytes,
        ),
    ];
    type Read = fn(&(&str, u64, u64, u64, u64)) -> u64;
    let families: [(&str, Kind, &str, Read); 4] = [
        ("cache_hits_total", Kind::Counter, "Found good.", |c| c.1),
        ("cache_misses_total", Kind::Counter, "Not found.", |c| c.2),
        ("cache_keys", Kind::Gauge, "Kept in this process.", |c| c.3),
        (
            "cache_memory_bytes",
            Kind::Gauge,
            "Bytes that they take, roughly.",
            |c| c.4,
        ),
    ];
    for (name, kind, help, read) in families {
        text.head(name, kind, help);
        for one in &both {
            text.line(name, &[("cache", one.0)], read(one));
        }
    }
}

fn dependencies(text: &mut Text, list: &[Status]) {
    let mut family = |name: &str, kind, help, read: fn(&Status) -> Option<f64>| {
        text.head(name, kind, help);
        for one in list {
            if let Some(value) = read(one) {
                text.line(name, &[("dependency", &one.name)], value);
            }
        }
    };
    family(
        "circuit_breaker_state",
        Kind::Gauge,
        "0 is closed, 1 half-open, 2 open.",
        |one| {
            Some(match one.breaker.state {
                breaker::State::Closed => 0.0,
                breaker::State::HalfOpen => 1.0,
                breaker::State::Open => 2.0,
            })
        },
    );
    family(
        "circuit_breaker_failure_ratio",
        Kind::Gauge,
        "Share of calls that failed of late.",
        |one| Some(one.breaker.failure_rate),
    );
    family(
        "circuit_breaker_refused_total",
        Kind::Counter,
        "Calls that an open breaker refused.",
        |one| Some(one.breaker.refused as f64),
    );
    family(
        "dependency_calls_ok_total",
        Kind::Counter,
        "Calls that went well.",
        |one| Some(one.breaker.successes as f64),
    );
    family(
        "dependency_calls_failed_total",
        Kind::Counter,
        "Calls that failed.",
        |one| Some(one.breaker.failures as f64),
    );
    family("bulkhead_running", Kind::Gauge, "Calls that run.", |one| {
        one.bulkhead.map(|bulkhead| bulkhead.running as f64)
    });
    family(
        "bulkhead_queued",
        Kind::Gauge,
        "Calls that wait for others to end.",
        |one| one.bulkhead.map(|bulkhead| bulkhead.queued as f64),
    );
    family(
        "bulkhead_refused_total",
        Kind::Counter,
        "Calls that a full queue refused.",
        |one| one.bulkhead.map(|bulkhead| bulkhead.refused as f64),
    );
    family(
        "dependency_attempts_total",
        Kind::Counter,
        "Attempts, first ones included.",
        |one| one.retries.map(|retries| retries.attempts as f64),
    );
    family(
        "dependency_retries_total",
        Kind::Counter,
        "Attempts after the first.",
        |one| one.retries.map(|retries| retries.retried as f64),
    );
}

async fn job_stats(state: &State) -> sqlx::Result<Vec<KindStats>> {
    jobs::stats(&mut state.db.conn().await?).await
}

fn jobs(text: &mut Text, stats: &[KindStats]) {
    text.head("jobs", Kind::Gauge, "Jobs by kind and state.");
    for one in stats {
        for (state, count) in [
            ("queued", one.queued),
            ("running", one.running),
            ("dead", one.dead),
        ] {
            text.line("jobs", &[("kind", &one.kind), ("state", state)], count);
        }
    }
}

fn write_family(text: &mut Text, family: &Family) {
    text.head(family.name, family.kind, family.help);
    for sample in &family.samples {
        let labels: Vec<(&str, &str)> = sample
            .labels
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        match &sample.value {
            Value::Number(number) => text.line(family.name, &labels, number),
            Value::Buckets(buckets, sum) => {
                for (bound, count) in buckets {
                    let bound = if bound.is_finite() {
                        bound.to_string()
                    } else {
                        "+Inf".to_owned()
                    };
                    let with_bound: Vec<(&str, &str)> =
                        labels.iter().copied().chain([("le", &*bound)]).collect();
                    text.line(&format!("{}_bucket", family.name), &with_bound, count);
                }
                text.line(&format!("{}_sum", family.name), &labels, sum);
                text.line(
                    &format!("{}_count", family.name),
                    &labels,
                    buckets.last().map_or(0, |(_, n)| *n),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s26_labels_are_escaped() {
        let mut text = Text(String::new());
        text.line("a_total", &[("route", "say \"hi\"\\\n")], 1);
        assert_eq!(text.0, "a_total{route=\"say \\\"hi\\\"\\\\\\n\"} 1\n");
    }
}
