//! Rate limits (S12) by GCRA (the generic cell rate algorithm, ITU-T I.371): one number a key. Changes, the API and
//! everything about accounts count in Redis, so that all instances count together, and in the process while Redis is
//! away; reading counts in each process alone ([`Limiter::admit`]), because a round trip would cost more than a page.
//! Must not know requests.

mod class; // what is counted
mod sketch; // by address, in a fraction of a microsecond
mod turns; // one after the other

use std::{
    hash::Hash,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use deadpool_redis::redis::{self, Script};
use moka::{ops::compute::Op, sync::Cache};

use self::{sketch::Sketch, turns::Turns};
use super::{flags::Flags, kv::Kv, settings::Settings};
pub use class::Class;

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

/// How a key stands after it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How many there may be in one window.
    pub limit: u32,
    /// How many may follow at once.
    pub remaining: u32,
    /// When all may follow at once again.
    pub reset: Duration,
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

/// [`gcra`], and how the key stands after it.
fn decide(
    arrival: Option<Duration>,
    now: Duration,
    rate: Rate,
) -> Result<(Duration, Decision), Duration> {
    let next = gcra(arrival, now, rate)?;
    Ok((next, standing(next - now, rate)))
}

/// How a key stands whose arrival time lies `ahead` of now.
fn standing(ahead: Duration, rate: Rate) -> Decision {
    let left = rate.window.saturating_sub(ahead).as_nanos() / rate.interval().as_nanos().max(1);
    Decision {
        limit: rate.max,
        remaining: u32::try_from(left).unwrap_or(u32::MAX),
        reset: ahead,
    }
}

/// The same in Redis for several keys, atomically and by Redis' own clock: one too many for any is too many for all, and
/// then none is counted. Answers two numbers in microseconds: the time to wait, or 0 and how far the furthest arrival
/// time lies ahead.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local window, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
        local nexts, longest, ahead = {}, 0, 0
        for i, key in ipairs(KEYS) do
            local arrival = math.max(tonumber(redis.call('GET', key) or now), now)
            nexts[i] = arrival + interval
            longest = math.max(longest, nexts[i] - window - now)
            ahead = math.max(ahead, nexts[i] - now)
        end
        if longest > 0 then return {longest, 0} end
        for i, key in ipairs(KEYS) do
            redis.call('SET', key, string.format('%.0f', nexts[i]), 'PX', math.ceil((nexts[i] - now) / 1000))
        end
        return {0, ahead}
        ",
    )
});

/// Most keys counted in the process; the least used are forgotten first.
const LOCAL_KEYS: u64 = 100_000;

const QUARTER: u64 = 900;
const HOUR: u64 = 3_600;
/// So many times as often as from one address, somebody may fail to log in to an account from all addresses together.
const EVERYWHERE: u32 = 10;

/// Counts requests against the rates of their classes.
#[derive(Clone)]
pub struct Limiter {
    kv: Option<Kv>,
    local: Cache<String, Duration>,
    reads: Arc<Sketch>,
    turns: Turns,
    started: Instant,
    enabled: bool,
    write: Rate,
    settings: Settings,
    flags: Flags,
}

impl Limiter {
    /// A limiter; `write` is the rate of [`Class::Write`] and [`Class::Api`], the others are settings. It refuses nothing
    /// where it is not `enabled`, or while the flag `rate_limiting` is off.
    pub fn new(
        kv: Option<Kv>,
        enabled: bool,
        write: Rate,
        settings: Settings,
        flags: Flags,
    ) -> Self {
        Self {
            kv,
            local: Cache::builder()
                .max_capacity(LOCAL_KEYS)
                .time_to_idle(Duration::from_secs(HOUR))
                .build(),
            reads: Arc::new(Sketch::new()),
            turns: Turns::default(),
            started: Instant::now(),
            enabled,
            write,
            settings,
            flags,
        }
    }

    /// Whether anything is refused at all.
    pub fn is_on(&self) -> bool {
        self.enabled && self.flags.is_on("rate_limiting", None)
    }

    /// The rate of a class.
    pub fn rate(&self, class: Class) -> Rate {
        let settings = self.settings.get();
        let rate = |max, seconds| Rate {
            max,
            window: Duration::from_secs(seconds),
        };
        match class {
            Class::Read => rate(settings.limit_reads, QUARTER),
            Class::Write | Class::Api => self.write,
            Class::Search => rate(settings.limit_searches, QUARTER),
            Class::LoginAddress => rate(settings.limit_logins, 60),
            Class::LoginAccount => rate(settings.limit_logins_account, HOUR),
            Class::LoginEverywhere => rate(
                settings.limit_logins_account.saturating_mul(EVERYWHERE),
                HOUR,
            ),
            Class::Signup => rate(settings.limit_signups, HOUR),
            Class::Letter => rate(settings.limit_letters, HOUR),
        }
    }

    /// Counts one request of any kind for an address or an account, in this process alone and in a fraction of a microsecond; `None`
    /// while limits are off.
    ///
    /// # Errors
    /// The time to wait, when it is one too many; then it does not count.
    pub fn admit(&self, key: &impl Hash) -> Result<Option<Decision>, Duration> {
        if !self.is_on() {
            return Ok(None);
        }
        self.reads.check(key, self.rate(Class::Read)).map(Some)
    }

    /// Counts one of `class` for `key`.
    ///
    /// # Errors
    /// As [`Limiter::check_all`].
    pub async fn check(&self, class: Class, key: &str) -> Result<Option<Decision>, Duration> {
        self.check_all(class, &[key]).await
    }

    /// Counts one of `class` for each of `keys`; `None` while limits are off, else how the one stands that has least
    /// left.
    ///
    /// # Errors
    /// The time to wait, when it is one too many for any; then it counts for none.
    pub async fn check_all(
        &self,
        class: Class,
        keys: &[&str],
    ) -> Result<Option<Decision>, Duration> {
        if !self.is_on() {
            return Ok(None);
        }
        let rate = self.rate(class);
        let names: Vec<String> = keys
            .iter()
            .map(|key| format!("limit:{class:?}:{key}"))
            .collect();
        if let Some(kv) = &self.kv {
            let answer = kv
                .eval::<(i64, i64)>(&SCRIPT, |script| {
                    for name in &names {
                        script.key(kv.key(name));
                    }
                    script
                        .arg(rate.window.as_micros() as i64)
                        .arg(rate.interval().as_micros() as i64);
                })
                .await;
            match answer {
                Ok((0, ahead)) => {
                    return Ok(Some(standing(
                        Duration::from_micros(ahead.unsigned_abs()),
                        rate,
                    )));
                }
                Ok((wait, _)) => return Err(Duration::from_micros(wait.unsigned_abs())),
                Err(error) => tracing::debug!(error = %error, "limits count in the process"),
            }
        }
        self.check_local(names, rate).map(Some)
    }

    fn check_local(&self, names: Vec<String>, rate: Rate) -> Result<Decision, Duration> {
        let now = self.started.elapsed();
        for name in &names {
            gcra(self.local.get(name), now, rate)?;
        }
        let mut least: Option<Decision> = None;
        for name in names {
            let mut outcome = Err(Duration::ZERO);
            self.local.entry(name).and_compute_with(|entry| {
                outcome = decide(entry.map(|e| e.into_value()), now, rate);
                match &outcome {
                    Ok((next, _)) => Op::Put(*next),
                    Err(_) => Op::Nop,
                }
            });
            let (_, decision) = outcome?;
            least = Some(
                least
                    .filter(|least| least.remaining <= decision.remaining)
                    .unwrap_or(decision),
            );
        }
        least.ok_or(Duration::ZERO)
    }

    /// Counts one of `class` for `key`; what is one too many waits for its turn instead of being refused: for each key one
    /// goes on each second, so that a flood is slow for who sends it, and nobody else is locked out.
    ///
    /// # Errors
    /// The time to wait, where so many wait already that the turn would not come soon.
    pub async fn take_turn(&self, class: Class, key: &str) -> Result<(), Duration> {
        match self.check(class, key).await {
            Ok(_) => Ok(()),
            Err(_) => self.turns.take(&format!("{class:?}:{key}")).await,
        }
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

    fn limiter(enabled: bool, write: Rate) -> Limiter {
        Limiter::new(
            None,
            enabled,
            write,
            Settings::default(),
            Flags::with_on(&["rate_limiting"]),
        )
    }

    #[tokio::test]
    async fn keys_and_classes_do_not_share_a_count() {
        let limiter = limiter(true, rate(1, 60));
        assert!(limiter.check(Class::Write, "a").await.is_ok());
        assert!(limiter.check(Class::Write, "a").await.is_err());
        assert!(limiter.check(Class::Write, "b").await.is_ok());
        assert!(limiter.check(Class::LoginAddress, "a").await.is_ok());
        limiter.forget(Class::Write, "a").await;
        assert!(limiter.check(Class::Write, "a").await.is_ok());
    }

    #[tokio::test]
    async fn switched_off_it_refuses_nothing() {
        let limiter = limiter(false, rate(1, 60));
        for _ in 0..10 {
            assert!(limiter.check(Class::Write, "a").await.is_ok());
        }
    }

    #[tokio::test]
    async fn one_too_many_for_one_key_counts_for_none() {
        let limiter = limiter(true, rate(2, 60));
        let first = limiter
            .check_all(Class::Write, &["address", "user"])
            .await
            .expect("the first")
            .expect("on");
        assert_eq!((first.limit, first.remaining), (2, 1));
        limiter
            .check(Class::Write, "address")
            .await
            .expect("the second from here");
        assert!(
            limiter
                .check_all(Class::Write, &["user", "address"])
                .await
                .is_err()
        );
        let user = limiter
            .check(Class::Write, "user")
            .await
            .expect("one is left")
            .expect("on");
        assert_eq!(user.remaining, 0);
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
