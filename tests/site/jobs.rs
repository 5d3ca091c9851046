//! S39: jobs on a real database, done by workers as the application starts them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use betternews::platform::{
    db::{Db, Options},
    jobs::{self, Failure, Job, Limits, NewJob, Registry, Runner},
    tasks::Tasks,
};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::support::{TestSite, eventually};

/// What the handlers of a test saw: the attempts at each job.
type Seen = Arc<Mutex<BTreeMap<i64, u32>>>;

async fn db(pool: &PgPool) -> Db {
    let mut options = Options::with_connect_options((*pool.connect_options()).clone());
    options.max_connections = 4;
    Db::connect(&options)
        .await
        .expect("the test's database answers")
}

/// Kinds: `count` notes that it ran, `fail` always fails, `panic` panics the first time, `slow` takes for ever.
fn registry(seen: &Seen) -> Registry {
    let mut registry = Registry::new();
    let limits = Limits {
        attempts: 2,
        time: Duration::from_secs(60),
        ..Limits::default()
    };
    let note = |seen: &Seen| {
        let seen = Arc::clone(seen);
        move |job: &Job| {
            *seen
                .lock()
                .expect("no panic before")
                .entry(job.id)
                .or_default() += 1
        }
    };
    let counted = note(seen);
    registry.on("count", limits, move |job| {
        counted(&job);
        async { Ok(()) }
    });
    let counted = note(seen);
    registry.on("fail", limits, move |job| {
        counted(&job);
        async { Err(Failure::again("the far end is away")) }
    });
    registry.on("never", limits, |_| async {
        Err(Failure::never("there is no such address"))
    });
    registry.on("panic", limits, |job| async move {
        assert!(job.attempt > 1, "on purpose");
        Ok(())
    });
    registry.on("slow", limits, |_| std::future::pending());
    registry
}

async fn state(pool: &PgPool, id: i64) -> (String, i32) {
    sqlx::query_as("SELECT state, attempts FROM jobs WHERE id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .expect("the job")
}

async fn until_state(pool: &PgPool, id: i64, wanted: &str) {
    eventually(wanted, async || state(pool, id).await.0 == wanted).await;
}

async fn written(db: &Db, kind: &str) -> i64 {
    let mut conn = db.conn().await.expect("a connection");
    jobs::enqueue(&mut conn, &NewJob::new(kind, json!({})))
        .await
        .expect("written")
        .expect("not unique")
}

/// As if the pause were over.
async fn hasten(pool: &PgPool, id: i64) {
    sqlx::query("UPDATE jobs SET run_at = now() WHERE id = $1")
        .bind(id)
        .execute(pool)
        .await
        .expect("hastened");
}

#[sqlx::test]
async fn s39_a_job_is_written_with_its_cause_or_not_at_all(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    Runner::start(db.clone(), registry(&seen), &tasks, 2);
    let mut conn = db.conn().await.expect("a connection");
    conn.begin().await.expect("begun");
    jobs::enqueue(&mut conn, &NewJob::new("count", json!({})))
        .await
        .expect("written");
    conn.rollback().await.expect("rolled back");
    conn.begin().await.expect("begun");
    let kept = jobs::enqueue(&mut conn, &NewJob::new("count", json!({ "secret": 1 })))
        .await
        .expect("written");
    conn.commit().await.expect("committed");
    until_state(&pool, kept.expect("written"), "done").await;
    assert_eq!(seen.lock().expect("no panic").len(), 1);
    let payload: serde_json::Value = sqlx::query_scalar("SELECT payload FROM jobs")
        .fetch_one(&pool)
        .await
        .expect("one job");
    assert_eq!(payload, json!({}), "what a done job was about is forgotten");
    tasks.stop().await;
}

#[sqlx::test]
async fn s39_a_failed_job_comes_again_later_is_given_up_and_can_be_run_again(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    let runner = Runner::start(db.clone(), registry(&seen), &tasks, 2);
    let id = written(&db, "fail").await;
    eventually("one attempt", async || {
        state(&pool, id).await == ("queued".into(), 1)
    })
    .await;
    let pause: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM run_at - now())::float8 FROM jobs WHERE id = $1",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .expect("a pause");
    assert!(
        (1.0..=5.0).contains(&pause),
        "the first pause is half to all of 5 s, not {pause}"
    );
    hasten(&pool, id).await;
    runner.wake();
    until_state(&pool, id, "dead").await;
    let error: String = sqlx::query_scalar("SELECT last_error FROM jobs")
        .fetch_one(&pool)
        .await
        .expect("an error");
    assert_eq!(error, "the far end is away");
    let mut conn = db.conn().await.expect("a connection");
    assert!(jobs::run_now(&mut conn, id).await.expect("run now"));
    eventually("a third attempt", async || {
        seen.lock().expect("no panic")[&id] == 3
    })
    .await;
    let hopeless = written(&db, "never").await;
    until_state(&pool, hopeless, "dead").await;
    assert_eq!(
        state(&pool, hopeless).await.1,
        1,
        "what cannot help is not tried again"
    );
    tasks.stop().await;
}

#[sqlx::test]
async fn s39_a_job_that_panics_leaves_the_workers_alive(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    Runner::start(db.clone(), registry(&seen), &tasks, 1);
    let shaky = written(&db, "panic").await;
    eventually("the panic is noted", async || {
        state(&pool, shaky).await == ("queued".into(), 1)
    })
    .await;
    let sound = written(&db, "count").await;
    until_state(&pool, sound, "done").await;
    hasten(&pool, shaky).await;
    until_state(&pool, shaky, "done").await;
    tasks.stop().await;
}

#[sqlx::test]
async fn s39_one_key_is_one_job_until_it_is_done(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    let mut conn = db.conn().await.expect("a connection");
    let job = NewJob::new("count", json!({})).unique("post-1");
    let first = jobs::enqueue(&mut conn, &job)
        .await
        .expect("asked")
        .expect("written");
    assert_eq!(jobs::enqueue(&mut conn, &job).await.expect("asked"), None);
    let other = NewJob::new("count", json!({})).unique("post-2");
    assert!(
        jobs::enqueue(&mut conn, &other)
            .await
            .expect("asked")
            .is_some()
    );
    drop(conn);
    Runner::start(db.clone(), registry(&seen), &tasks, 2);
    until_state(&pool, first, "done").await;
    let mut conn = db.conn().await.expect("a connection");
    assert!(
        jobs::enqueue(&mut conn, &job)
            .await
            .expect("asked")
            .is_some()
    );
    drop(conn);
    tasks.stop().await;
}

#[sqlx::test]
async fn s39_two_instances_share_the_work_and_do_each_job_once(pool: PgPool) {
    let (seen, tasks) = (Seen::default(), Tasks::new());
    let (one, two) = (db(&pool).await, db(&pool).await);
    for _ in 0..60 {
        written(&one, "count").await;
    }
    Runner::start(one, registry(&seen), &tasks, 3);
    Runner::start(two, registry(&seen), &tasks, 3);
    eventually("all are done", async || {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state <> 'done'")
            .fetch_one(&pool)
            .await
            .expect("a count");
        open == 0
    })
    .await;
    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.len(), 60);
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

#[sqlx::test]
async fn s39_a_periodic_job_is_written_by_one_instance(pool: PgPool) {
    let (seen, tasks) = (Seen::default(), Tasks::new());
    sqlx::query("INSERT INTO job_schedules (kind, pattern, next_at) VALUES ('count', '17 3 * * *', now() - interval '1 minute')")
        .execute(&pool)
        .await
        .expect("a schedule that is due");
    for _ in 0..3 {
        let mut registry = registry(&seen);
        registry.cron("count", "17 3 * * *").expect("a pattern");
        Runner::start(db(&pool).await, registry, &tasks, 1);
    }
    eventually("it ran", async || seen.lock().expect("no panic").len() == 1).await;
    tasks.stop().await;
    let (jobs, late): (i64, bool) =
        sqlx::query_as("SELECT (SELECT count(*) FROM jobs), next_at <= now() FROM job_schedules")
            .fetch_one(&pool)
            .await
            .expect("one schedule");
    assert_eq!((jobs, late), (1, false));
}

#[sqlx::test]
async fn s39_the_job_of_a_worker_that_died_is_begun_again(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    let left = written(&db, "count").await;
    sqlx::query(
        "UPDATE jobs SET state = 'running', attempts = 1, run_at = now() - interval '1 second'",
    )
    .execute(&pool)
    .await
    .expect("a lease that has run out");
    Runner::start(db, registry(&seen), &tasks, 1);
    until_state(&pool, left, "done").await;
    assert_eq!(state(&pool, left).await.1, 2);
    tasks.stop().await;
}

#[sqlx::test]
async fn s39_a_kind_with_a_bound_leaves_the_other_workers_to_others(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    let mut registry = registry(&seen);
    let (gate, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, inside, peak) = (gate.clone(), Arc::new(AtomicUsize::new(0)), most.clone());
    let limits = Limits {
        at_once: 2,
        ..Limits::default()
    };
    registry.on("narrow", limits, move |_| {
        let (open, inside, peak) = (open.clone(), inside.clone(), peak.clone());
        async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            let _ = open.acquire().await;
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let mut narrow = Vec::new();
    for _ in 0..6 {
        narrow.push(written(&db, "narrow").await);
    }
    Runner::start(db.clone(), registry, &tasks, 4);
    until_state(&pool, narrow[1], "running").await;
    let other = written(&db, "count").await;
    until_state(&pool, other, "done").await;
    gate.add_permits(6);
    for id in narrow {
        until_state(&pool, id, "done").await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
    tasks.stop().await;
}

#[sqlx::test]
async fn s32_jobs_at_work_when_the_process_ends_are_given_back(pool: PgPool) {
    let (db, seen, tasks) = (db(&pool).await, Seen::default(), Tasks::new());
    let runner = Runner::start(db.clone(), registry(&seen), &tasks, 2);
    let id = written(&db, "slow").await;
    until_state(&pool, id, "running").await;
    let stopped = tokio::time::timeout(Duration::from_millis(300), tasks.stop()).await;
    assert!(stopped.is_err(), "it never ends");
    runner.release().await.expect("released");
    assert_eq!(
        state(&pool, id).await,
        ("queued".into(), 0),
        "the attempt does not count"
    );
}

#[sqlx::test]
async fn s39_what_has_run_out_is_swept_by_a_periodic_job_of_the_site(pool: PgPool) {
    let site = TestSite::start_without_redis(pool).await;
    site.signed_up("alice").await;
    site.execute("UPDATE sessions SET expires_at = now() - interval '1 day'")
        .await;
    site.execute(
        "UPDATE job_schedules SET next_at = now() - interval '1 minute' WHERE kind = 'sweep'",
    )
    .await;
    site.execute("INSERT INTO jobs (kind) VALUES ('sweep')")
        .await;
    eventually("the session is swept", async || {
        site.value::<i64>("SELECT count(*) FROM sessions").await == 0
    })
    .await;
}
