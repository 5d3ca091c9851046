//! The machine and the process (S25): what they use, and whether the runtimes keep up. Must not know requests.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use sysinfo::{
    CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind,
};
use tokio::runtime::{Handle, RuntimeMetrics};

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(30);
/// Between two looks at how late a timer is.
const TICK: Duration = Duration::from_millis(200);

/// One look at the machine and the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Of all cores, in percent.
    pub cpu_percent: f32,
    /// Runnable processes, mean of 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// The machine's memory, in bytes.
    pub memory_total: u64,
    /// What is used of it.
    pub memory_used: u64,
    /// What can still be had.
    pub memory_free: u64,
    /// The same, in percent of the total.
    pub memory_percent: f64,
    /// What the process holds, in bytes.
    pub process_rss: u64,
    /// What it has mapped, in bytes.
    pub process_virtual: u64,
    /// What the allocator holds of that: memory of no file, in bytes; 0 where the system does not tell (Linux does, as
    /// `RssAnon`).
    pub allocator_resident: u64,
    /// The process's use of one core, in percent.
    pub process_cpu_percent: f32,
    /// How late timers were, in milliseconds: mean since the last sample, over all runtimes.
    pub lag_mean_ms: f64,
    /// The latest.
    pub lag_max_ms: f64,
    /// Share of the time that the runtimes' threads were at work, 0 to 1.
    pub busy: f64,
    /// Tasks alive in the runtimes.
    pub tasks: usize,
    /// Tasks waiting in the runtimes' common queues.
    pub queued_tasks: usize,
}

#[derive(Debug, Default)]
struct Lag {
    count: AtomicU64,
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

struct Watched {
    runtime: RuntimeMetrics,
    busy: Duration,
    since: Instant,
}

/// A cloneable view of the machine and the process.
#[derive(Clone)]
pub struct System(Arc<Inner>);

struct Inner {
    machine: Mutex<sysinfo::System>,
    lag: Lag,
    runtimes: Mutex<Vec<Watched>>,
    latest: RwLock<Sample>,
}

impl Default for System {
    fn default() -> Self {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_cpu_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        Self(Arc::new(Inner {
            machine: Mutex::new(sysinfo::System::new_with_specifics(wanted)),
            lag: Lag::default(),
            runtimes: Mutex::default(),
            latest: RwLock::default(),
        }))
    }
}

impl System {
    /// Watches the runtime that this is called on: how busy it is, and how late its timers are.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + 'static {
        let runtime = Handle::current().metrics();
        let busy = total_busy(&runtime);
        let watched = Watched {
            runtime,
            busy,
            since: Instant::now(),
        };
        self.0
            .runtimes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(watched);
        let shared = Arc::downgrade(&self.0);
        async move {
            loop {
                let started = Instant::now();
                tokio::time::sleep(TICK).await;
                // Timers are good to a millisecond; what is more is waiting.
                let late = started
                    .elapsed()
                    .saturating_sub(TICK + Duration::from_millis(1));
                let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                shared.lag.count.fetch_add(1, Relaxed);
                shared.lag.sum_us.fetch_add(late, Relaxed);
                shared.lag.max_us.fetch_max(late, Relaxed);
            }
        }
    }

    /// Takes a sample; blocks for some milliseconds, so that it belongs on a blocking thread.
    pub fn sample(&self) -> Sample {
        let mut machine = self
            .0
            .machine
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        machine.refresh_cpu_usage();
        machine.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let own = Pid::from_u32(std::process::id());
        machine.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[own]),
            false,
            ProcessRefreshKind::nothing()
                .with_cpu()
                .with_memory()
                .without_tasks(),
        );
        let load = sysinfo::System::load_average();
        let (total, free) = (machine.total_memory(), machine.available_memory());
        let used = total.saturating_sub(free);
        let process = machine.process(own);
        let (lag_mean_ms, lag_max_ms) = self.take_lag();
        let (busy, tasks, queued_tasks) = self.take_runtimes();
        let sample = Sample {
            at: chrono::Utc::now().timestamp_millis(),
            cpu_percent: machine.global_cpu_usage(),
            load: [load.one, load.five, load.fifteen],
            memory_total: total,
            memory_used: used,
            memory_free: free,
            memory_percent: if total == 0 {
                0.0
            } else {
                used as f64 * 100.0 / total as f64
            },
            process_rss: process.map_or(0, sysinfo::Process::memory),
            process_virtual: process.map_or(0, sysinfo::Process::virtual_memory),
            allocator_resident: anonymous(),
            process_cpu_percent: process.map_or(0.0, sysinfo::Process::cpu_usage),
            lag_mean_ms,
            lag_max_ms,
            busy,
            tasks,
            queued_tasks,
        };
        *self
            .0
            .latest
            .write()
            .unwrap_or_else(PoisonError::into_inner) = sample.clone();
        sample
    }

    /// The newest sample; all zero before the first.
    pub fn latest(&self) -> Sample {
        self.0
            .latest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn take_lag(&self) -> (f64, f64) {
        let lag = &self.0.lag;
        let (count, sum) = (lag.count.swap(0, Relaxed), lag.sum_us.swap(0, Relaxed));
        let max = lag.max_us.swap(0, Relaxed);
        (
            if count == 0 {
                0.0
            } else {
                sum as f64 / count as f64 / 1_000.0
            },
            max as f64 / 1_000.0,
        )
    }

    fn take_runtimes(&self) -> (f64, usize, usize) {
        let mut runtimes = self
            .0
            .runtimes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (mut busy, mut whole, mut tasks, mut queued) = (0.0, 0.0, 0, 0);
        for watched in runtimes.iter_mut() {
            let now = total_busy(&watched.runtime);
            busy += now.saturating_sub(watched.busy).as_secs_f64();
            whole += watched.since.elapsed().as_secs_f64() * watched.runtime.num_workers() as f64;
            (watched.busy, watched.since) = (now, Instant::now());
            tasks += watched.runtime.num_alive_tasks();
            queued += watched.runtime.global_queue_depth();
        }
        (
            if whole > 0.0 {
                (busy / whole).min(1.0)
            } else {
                0.0
            },
            tasks,
            queued,
        )
    }
}

/// The process's resident memory that no file stands behind, in bytes (proc_pid_status(5)).
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1_024
}

fn total_busy(runtime: &RuntimeMetrics) -> Duration {
    (0..runtime.num_workers())
        .map(|worker| runtime.worker_total_busy_duration(worker))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s25_a_sample_tells_of_the_machine_and_the_process() {
        let system = System::default();
        let watch = tokio::spawn(system.watch());
        tokio::time::sleep(TICK * 2).await;
        let sample = system.sample();
        assert!(sample.memory_total > 0 && sample.memory_used <= sample.memory_total);
        assert!(sample.process_rss > 0 && sample.tasks > 0);
        assert_eq!(system.latest(), sample);
        watch.abort();
    }
}
