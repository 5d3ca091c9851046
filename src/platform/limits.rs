//! Rate limits by GCRA (the generic cell rate algorithm, ITU-T I.371): one number a key, in Redis so that all instances
//! count together, in the process while Redis is away. Must not know requests.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use deadpool_redis::redis::{self, Script};
use moka::{ops::compute::Op, sync::Cache};

use super::kv::Kv;

/// What is counted; each class has its own rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Any change, by address.
    Write,
    /// Attempts to log in, by address.
    LoginAddress,
    /// Failed attempts to log in, by account and address together, so that strangers lock nobody out.
    LoginAccount,
    /// New accounts, by address.
    Signup,
}

/// So many in such a time, all at once or spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub max: u32,
    /// In which time.
    pub window: Duration,
}

impl Rate {
    /// The time that one costs.
    fn interval(self) -> Duration {
        self.window / self.max.max(1)
    }
}

/// The decision of GCRA at `now`, both times measured from any fixed moment: the new "theoretical arrival time" if the
/// request conforms.
///
/// # Errors
/// The time to wait, if it does not.
pub fn gcra(arrival: Option<Duration>, now: Duration, rate: Rate) -> Result<Duration, Duration> {
    let arrival = arrival.unwrap_or(now).max(now);
    let next = arrival + rate.interval();
    let allowed_at = next.saturating_sub(rate.window);
    if allowed_at <= now {
        Ok(next)
    } else {
        Err(allowed_at - now)
    }
}

/// The same in Redis, atomically and by Redis' own clock. Answers 0, or the microseconds to wait.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local window, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
        local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
        local nxt = arrival + interval
        local wait = nxt - window - now
        if wait > 0 then return wait end
        redis.call('SET', KEYS[1], string.format('%.0f', nxt), 'PX', math.ceil((nxt - now) / 1000))
        return 0
        ",
    )
});

/// Most keys counted in the process; the least used are forgotten first.
const LOCAL_KEYS: u64 = 100_000;

/// Counts requests against the rates of their classes.
#[derive(Clone)]
pub struct Limiter {
    kv: Option<Kv>,
    local: Cache<String, Duration>,
    started: Instant,
    enabled: bool,
    write: Rate,
}

impl Limiter {
    /// A limiter; `write` is the rate of [`Class::Write`].
    pub fn new(kv: Option<Kv>, enabled: bool, write: Rate) -> Self {
        Self {
            kv,
            local: Cache::builder()
                .max_capacity(LOCAL_KEYS)
                .time_to_idle(Duration::from_secs(3_600))
                .build(),
            started: Instant::now(),
            enabled,
            write,
        }
    }

    /// The rate of a class (SPEC S12).
    pub fn rate(&self, class: Class) -> Rate {
        let rate = |max, seconds| Rate {
            max,
            window: Duration::from_secs(seconds),
        };
        match class {
            Class::Write => self.write,
            Class::LoginAddress => rate(5, 60),
            Class::LoginAccount => rate(10, 3_600),
            Class::Signup => rate(20, 3_600),
        }
    }

    /// Counts one of `class` for `key`.
    ///
    /// # Errors
    /// The time to wait, when it is one too many; then it does not count.
    pub async fn check(&self, class: Class, key: &str) -> Result<(), Duration> {
        if !self.enabled {
            return Ok(());
        }
        let rate = self.rate(class);
        let name = format!("limit:{class:?}:{key}");
        if let Some(kv) = &self.kv {
            let answer = kv
                .eval::<i64>(&SCRIPT, |script| {
                    script
                        .key(kv.key(&name))
                        .arg(rate.window.as_micros() as i64)
                        .arg(rate.interval().as_micros() as i64);
                })
                .await;
            match answer {
                Ok(0) => return Ok(()),
                Ok(wait) => return Err(Duration::from_micros(wait.unsigned_abs())),
                Err(error) => tracing::debug!(error = %error, "limits count in the process"),
            }
        }
        self.check_local(name, rate)
    }

    fn check_local(&self, name: String, rate: Rate) -> Result<(), Duration> {
        let now = self.started.elapsed();
        let mut refused = None;
        self.local.entry(name).and_compute_with(|entry| {
            match gcra(entry.map(|e| e.into_value()), now, rate) {
                Ok(next) => Op::Put(next),
                Err(wait) => {
                    refused = Some(wait);
                    Op::Nop
                }
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// Forgets what was counted for a key: a person who got their password right has proved themselves.
    pub async fn forget(&self, class: Class, key: &str) {
        let name = format!("limit:{class:?}:{key}");
        self.local.invalidate(&name);
        if let Some(kv) = &self.kv {
            let deleted = kv.query::<i64>(redis::cmd("DEL").arg(kv.key(&name))).await;
            if let Err(error) = deleted {
                tracing::debug!(error = %error, "a limit's count stays in Redis");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(max: u32, seconds: u64) -> Rate {
        Rate {
            max,
            window: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_burst_of_the_whole_rate_passes_and_no_more() {
        let rate = rate(5, 60);
        let mut arrival = None;
        for _ in 0..5 {
            arrival = Some(gcra(arrival, Duration::ZERO, rate).expect("within the burst"));
        }
        assert_eq!(
            gcra(arrival, Duration::ZERO, rate),
            Err(Duration::from_secs(12))
        );
        assert!(
            gcra(arrival, Duration::from_secs(12), rate).is_ok(),
            "one each twelve seconds after that"
        );
    }

    #[tokio::test]
    async fn keys_and_classes_do_not_share_a_count() {
        let limiter = Limiter::new(None, true, rate(1, 60));
        assert!(limiter.check(Class::Write, "a").await.is_ok());
        assert!(limiter.check(Class::Write, "a").await.is_err());
        assert!(limiter.check(Class::Write, "b").await.is_ok());
        assert!(limiter.check(Class::LoginAddress, "a").await.is_ok());
        limiter.forget(Class::Write, "a").await;
        assert!(limiter.check(Class::Write, "a").await.is_ok());
    }

    #[tokio::test]
    async fn switched_off_it_refuses_nothing() {
        let limiter = Limiter::new(None, false, rate(1, 60));
        for _ in 0..10 {
            assert!(limiter.check(Class::Write, "a").await.is_ok());
        }
    }

    proptest! {
        /// In any stretch of one window, at most twice the rate passes (a full burst, then the steady flow).
        #[test]
        fn no_stretch_of_time_sees_more_than_its_share(steps in proptest::collection::vec(0_u64..4_000, 1..300), max in 1_u32..20) {
            let rate = rate(max, 10);
            let (mut now, mut arrival, mut passed) = (Duration::ZERO, None, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                match gcra(arrival, now, rate) {
                    Ok(next) => { arrival = Some(next); passed.push(now); }
                    Err(wait) => prop_assert!(wait <= rate.window),
                }
            }
            for (i, start) in passed.iter().enumerate() {
                let within = passed[i..].iter().filter(|t| **t < *start + rate.window).count();
                prop_assert!(within <= 2 * max as usize);
            }
        }
    }
}
