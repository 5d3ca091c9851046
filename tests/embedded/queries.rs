//! What a connection and the pool do when time runs out, the server freezes, or a caller goes away.

use std::time::{Duration, Instant};

use betternews::platform::db::{self, Conn, Db, is_deadline, is_unavailable};
use futures_util::TryStreamExt;
use rustix::process::Signal;
use sqlx::postgres::PgExecutor;

use crate::folder::{Folder, eventually, family, open, signal};

async fn backend(executor: impl PgExecutor<'_>) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(executor)
        .await
        .unwrap()
}

async fn count(conn: &mut Conn) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&mut *conn)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_returns_only_when_nothing_is_open_on_it() {
    let folder = Folder::new("conn");
    let server = folder.postgres().await;
    let mut options = db::Options::new(server.url()).unwrap();
    options.max_connections = 1;
    let db = Db::connect(&options).await.unwrap();

    let mut conn = db.conn().await.unwrap();
    sqlx::query("CREATE TABLE notes (id int CONSTRAINT notes_pkey PRIMARY KEY)")
        .execute(&mut conn)
        .await
        .unwrap();
    let first = backend(&mut conn).await;
    drop(conn);
    let mut conn = db.conn().await.unwrap();
    assert_eq!(backend(&mut conn).await, first, "returned and used again");

    // Committed, and the connection still returns.
    conn.begin().await.unwrap();
    assert!(matches!(conn.begin().await, Err(sqlx::Error::BeginFailed)));
    sqlx::query("INSERT INTO notes VALUES (1)")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    drop(conn);

    // A statement that failed: the transaction cannot be committed by mistake, the connection lives on.
    let mut conn = db.conn().await.unwrap();
    assert_eq!(backend(&mut conn).await, first);
    let twice = sqlx::query("INSERT INTO notes VALUES (1)")
        .execute(&mut conn)
        .await
        .unwrap_err();
    assert!(!is_unavailable(&twice));
    conn.begin().await.unwrap();
    sqlx::query("INSERT INTO notes VALUES (2)")
        .execute(&mut conn)
        .await
        .unwrap();
    sqlx::query("INSERT INTO notes VALUES (1)")
        .execute(&mut conn)
        .await
        .unwrap_err();
    conn.commit().await.unwrap_err();
    assert_eq!(count(&mut conn).await, 1);
    drop(conn);

    // Dropped in the middle of a transaction: rolled back, closed.
    let mut conn = db.conn().await.unwrap();
    assert_eq!(backend(&mut conn).await, first);
    conn.begin().await.unwrap();
    sqlx::query("INSERT INTO notes VALUES (3)")
        .execute(&mut conn)
        .await
        .unwrap();
    drop(conn);
    let mut conn = db.conn().await.unwrap();
    let second = backend(&mut conn).await;
    assert_ne!(second, first);
    assert_eq!(count(&mut conn).await, 1);

    // Cancelled in the middle of a query: closed.
    let cancelled = tokio::time::timeout(
        Duration::from_millis(50),
        sqlx::query("SELECT pg_sleep(1)").execute(&mut conn),
    );
    cancelled.await.unwrap_err();
    drop(conn);
    let mut conn = db.conn().await.unwrap();
    let third = backend(&mut conn).await;
    assert_ne!(third, second);

    // A stream read half: closed; one read to its end: returned.
    let mut rows = sqlx::query("SELECT generate_series(1, 100000)").fetch(&mut conn);
    rows.try_next().await.unwrap().unwrap();
    drop(rows);
    drop(conn);
    let mut conn = db.conn().await.unwrap();
    let fourth = backend(&mut conn).await;
    assert_ne!(fourth, third);
    let rows = sqlx::query("SELECT generate_series(1, 100000)")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    assert_eq!(rows.len(), 100_000);
    drop(conn);
    assert_eq!(backend(&mut db.conn().await.unwrap()).await, fourth);

    // No free connection: an error within the time to acquire one.
    let conn = db.conn().await.unwrap();
    let started = Instant::now();
    let error = db.conn().await.unwrap_err();
    assert!(is_unavailable(&error) && started.elapsed() < Duration::from_millis(1300));
    drop(conn);
    assert!(db.is_up());
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_is_used_up_is_an_error_and_the_next_request_is_served() {
    let folder = Folder::new("deadline");
    let server = folder.postgres().await;
    let db = open(&server).await;

    let started = Instant::now();
    let mut conn = db
        .conn_with_deadline(Duration::from_millis(300))
        .await
        .unwrap();
    let error = sqlx::query("SELECT pg_sleep(10)")
        .fetch_all(&mut conn)
        .await
        .unwrap_err();
    assert!(is_deadline(&error) && is_unavailable(&error), "{error}");
    let error = sqlx::query("SELECT 1")
        .execute(&mut conn)
        .await
        .unwrap_err();
    assert!(is_deadline(&error), "it stays used up: {error}");
    drop(conn);
    assert!(started.elapsed() < Duration::from_millis(600));
    backend(&mut db.conn().await.unwrap()).await;

    // The whole request counts, not each query.
    let mut conn = db
        .conn_with_deadline(Duration::from_millis(300))
        .await
        .unwrap();
    let started = Instant::now();
    let error = loop {
        match sqlx::query("SELECT pg_sleep(0.05)")
            .execute(&mut conn)
            .await
        {
            Ok(_) => assert!(started.elapsed() < Duration::from_secs(1)),
            Err(error) => break error,
        }
    };
    assert!(is_deadline(&error));
    drop(conn);

    // Work that is allowed longer is not cut off by the server, and leaves no trace in the pool.
    let mut conn = db
        .conn_with_deadline(Duration::from_secs(20))
        .await
        .unwrap();
    sqlx::query("SELECT pg_sleep(2.2)")
        .execute(&mut conn)
        .await
        .unwrap();
    let pid = backend(&mut conn).await;
    drop(conn);
    let mut conn = db.conn().await.unwrap();
    assert_eq!(backend(&mut conn).await, pid);
    let limit: String = sqlx::query_scalar("SHOW statement_timeout")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(limit, "2s");
    drop(conn);
    assert!(db.is_up());
    server.stop().await.unwrap();
}

/// Freezes these processes, holds every request to two seconds, thaws them, and expects recovery.
async fn freeze(db: &Db, processes: &[u32]) {
    for pid in processes {
        signal(*pid, Signal::STOP);
    }
    let until = Instant::now() + Duration::from_secs(5);
    let mut tasks = Vec::new();
    while Instant::now() < until {
        let db = db.clone();
        tasks.push(tokio::spawn(async move {
            let started = Instant::now();
            let outcome = async {
                let mut conn = db.conn().await?;
                sqlx::query("SELECT 1").execute(&mut conn).await
            }
            .await;
            (started.elapsed(), outcome)
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut slowest = Duration::ZERO;
    for task in tasks {
        let (took, outcome) = task.await.unwrap();
        slowest = slowest.max(took);
        if let Err(error) = outcome {
            assert!(is_unavailable(&error), "{error}");
        }
    }
    println!("slowest while frozen {slowest:?}, up: {}", db.is_up());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for pid in processes {
        signal(*pid, Signal::CONT);
    }
    let took = eventually(Duration::from_secs(5), async || match db.conn().await {
        Ok(mut conn) => sqlx::query("SELECT 1").execute(&mut conn).await.is_ok(),
        Err(_) => false,
    })
    .await;
    println!("recovered after {took:?}");
    for _ in 0..20 {
        backend(&mut db.conn().await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_two_seconds_at_most_and_is_back_when_it_thaws() {
    let folder = Folder::new("frozen");
    let server = folder.postgres().await;
    let db = open(&server).await;
    eventually(Duration::from_secs(2), async || db.status().idle == 10).await;
    let postmaster = server.pid().await.unwrap();
    freeze(&db, &family(postmaster)).await;
    // The postmaster alone: those connected go on.
    freeze(&db, &[postmaster]).await;
    db.close();
    server.stop().await.unwrap();
}
