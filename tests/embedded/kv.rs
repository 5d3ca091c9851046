//! Redis: started, killed, frozen, absent.

use std::time::{Duration, Instant};

use betternews::platform::kv::embedded::Embedded;
use betternews::platform::kv::{self, Kv};
use deadpool_redis::redis::{self, Script};
use rustix::process::Signal;

use crate::folder::{Folder, eventually, signal};

const BOUND: Duration = Duration::from_millis(300);

async fn ping(kv: &Kv) -> Result<String, kv::Error> {
    kv.query(&redis::cmd("PING")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_what_it_was_told_and_its_absence_costs_little() {
    let folder = Folder::new("redis");
    let home = folder.home();
    let started = Instant::now();
    let server = Embedded::start(&home).await.unwrap().unwrap();
    println!("start {:?}", started.elapsed());
    let mut options = kv::Options::new(server.url().clone());
    options.prefix = "test:".into();
    let kv = Kv::open(&options).unwrap();
    let key = kv.key("greeting");
    assert_eq!(key, "test:greeting");
    kv.query::<()>(redis::cmd("SET").arg(&key).arg("hello"))
        .await
        .unwrap();
    let script = Script::new("return redis.call('GET', KEYS[1]) .. ARGV[1]");
    let said: String = kv
        .eval(&script, |s| {
            s.key(&key).arg("!");
        })
        .await
        .unwrap();
    assert_eq!(said, "hello!");
    let refused = kv
        .query::<()>(redis::cmd("LPUSH").arg(&key).arg(1))
        .await
        .unwrap_err();
    assert!(!refused.is_unavailable(), "{refused}");

    // Frozen: bounded at first, then at once.
    let pid = server.pid().await.unwrap();
    signal(pid, Signal::STOP);
    let call = Instant::now();
    ping(&kv).await.unwrap_err();
    assert!(call.elapsed() < BOUND, "{:?}", call.elapsed());
    eventually(Duration::from_secs(1), async || !kv.is_up()).await;
    let call = Instant::now();
    for _ in 0..100 {
        assert!(ping(&kv).await.unwrap_err().is_unavailable());
    }
    assert!(
        call.elapsed() < Duration::from_millis(50),
        "{:?}",
        call.elapsed()
    );
    assert!(kv.last_failure().is_some());
    signal(pid, Signal::CONT);
    println!(
        "thawed after {:?}",
        eventually(Duration::from_secs(2), async || ping(&kv).await.is_ok()).await
    );

    // Killed: back by itself, with what it held.
    tokio::time::sleep(Duration::from_millis(1100)).await; // appendfsync everysec
    signal(pid, Signal::KILL);
    eventually(Duration::from_secs(2), async || ping(&kv).await.is_err()).await;
    println!(
        "back after {:?}",
        eventually(Duration::from_secs(5), async || ping(&kv).await.is_ok()).await
    );
    let kept: String = kv.query(redis::cmd("GET").arg(&key)).await.unwrap();
    assert_eq!(kept, "hello");

    // Stopped, and started again.
    server.stop().await.unwrap();
    assert!(ping(&kv).await.unwrap_err().is_unavailable());
    let server = Embedded::start(&home).await.unwrap().unwrap();
    eventually(Duration::from_secs(2), async || ping(&kv).await.is_ok()).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_never_was_stops_no_start() {
    let kv = Kv::open(&kv::Options::new("redis://127.0.0.1:1/".to_owned().into())).unwrap();
    let call = Instant::now();
    assert!(ping(&kv).await.unwrap_err().is_unavailable());
    assert!(call.elapsed() < BOUND);
    assert!(Kv::open(&kv::Options::new("nonsense".to_owned().into())).is_err());
}
