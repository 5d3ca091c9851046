//! PostgreSQL's life as a child: made, restarted, killed, inherited, moved.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use betternews::platform::db::Db;
use betternews::platform::db::embedded::{Embedded, Options};
use betternews::platform::process::home::Home;
use betternews::platform::process::user;
use rustix::process::Signal;

use crate::folder::{Folder, eventually, open, signal};

const RECOVERY: Duration = Duration::from_secs(5);

async fn answers(db: &Db) -> bool {
    let Ok(mut conn) = db.conn().await else {
        return false;
    };
    sqlx::query("SELECT 1").execute(&mut conn).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_made_database_is_made_anew_and_what_it_holds_survives_a_stop() {
    let folder = Folder::new("life");
    // What an initdb that was killed leaves behind.
    let unfinished = folder.path.join("postgres.new");
    std::fs::create_dir_all(unfinished.join("base")).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15").unwrap();

    let started = Instant::now();
    let server = folder.postgres().await;
    println!("first start {:?}", started.elapsed());
    let db = open(&server).await;
    let mut conn = db.conn().await.unwrap();
    sqlx::query("CREATE TABLE kept (x int)")
        .execute(&mut conn)
        .await
        .unwrap();
    let settings: (String, String, String) = sqlx::query_as(
        "SELECT current_setting('server_encoding'), current_setting('listen_addresses'), lower('É')",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(settings, ("UTF8".into(), String::new(), "é".into()));
    drop(conn);
    db.close();
    let runtime = folder.home().runtime;
    assert_eq!(
        runtime.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    let stopping = Instant::now();
    server.stop().await.unwrap();
    println!("stop {:?}", stopping.elapsed());

    let started = Instant::now();
    let server = folder.postgres().await;
    println!("later start {:?}", started.elapsed());
    let db = open(&server).await;
    let mut conn = db.conn().await.unwrap();
    sqlx::query("SELECT x FROM kept")
        .execute(&mut conn)
        .await
        .unwrap();
    if user::is_root() {
        let owner = folder.path.join("postgres").metadata().unwrap().uid();
        assert_ne!(owner, 0);
    }
    drop(conn);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_back_within_seconds_and_nothing_committed_is_lost() {
    let folder = Folder::new("killed");
    let server = folder.postgres().await;
    let db = open(&server).await;
    assert!(answers(&db).await);
    let mut conn = db.conn().await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 1 AS x")
        .execute(&mut conn)
        .await
        .unwrap();
    drop(conn);
    let before = server.pid().await.unwrap();
    signal(before, Signal::KILL);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let took = eventually(RECOVERY, async || answers(&db).await).await;
    println!("back after {took:?}");
    assert_ne!(server.pid().await.unwrap(), before);
    // From here on no leftover connection costs anybody a failure.
    for _ in 0..20 {
        assert!(answers(&db).await);
    }
    let mut conn = db.conn().await.unwrap();
    sqlx::query("SELECT x FROM kept")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    drop(conn);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_uses_the_running_server_and_inherits_it() {
    let folder = Folder::new("shared");
    let (first, second) = tokio::join!(folder.postgres(), folder.postgres());
    let (holder, heir) = if first.pid().await.is_some() {
        (first, second)
    } else {
        (second, first)
    };
    assert!(holder.pid().await.is_some());
    assert!(heir.pid().await.is_none());
    let db = open(&heir).await;
    assert!(answers(&db).await);
    holder.stop().await.unwrap();
    eventually(RECOVERY, async || {
        heir.pid().await.is_some() && answers(&db).await
    })
    .await;
    heir.stop().await.unwrap();
}

/// Not a test by itself: the process that the next test starts, and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_holds_a_server_until_it_is_killed() {
    let Some(path) = std::env::var_os("BETTERNEWS_TEST_HOLD") else {
        return;
    };
    let home = Home::settle(path.as_ref()).unwrap();
    let options = Options {
        home,
        bin: None,
        max_connections: 10,
    };
    let server = Embedded::start(&options).await.unwrap();
    assert!(server.pid().await.is_some());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_left_behind_by_a_killed_process_is_taken_care_of() {
    let folder = Folder::new("leftover");
    let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "servers::a_process_that_holds_a_server_until_it_is_killed",
        ])
        .env("BETTERNEWS_TEST_HOLD", &folder.path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Its server answers: this one is not ours.
    let pid_file = folder.path.join("postgres/postmaster.pid");
    eventually(Duration::from_secs(20), async || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
    })
    .await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    let leftover: u32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();

    let started = Instant::now();
    let server = folder.postgres().await;
    println!("recovered in {:?}", started.elapsed());
    assert_ne!(server.pid().await.unwrap(), leftover);
    // Gone, or (where nobody inherits and reaps it) a zombie, which works nowhere.
    std::fs::read_link(format!("/proc/{leftover}/cwd")).unwrap_err();
    let db = open(&server).await;
    assert!(answers(&db).await);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_no_database_is_left_alone() {
    let folder = Folder::new("foreign");
    std::fs::create_dir_all(folder.path.join("postgres")).unwrap();
    std::fs::write(folder.path.join("postgres/precious"), "x").unwrap();
    let error = Embedded::start(&folder.options())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("holds no database"), "{error}");
    assert!(folder.path.join("postgres/precious").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_missing_version_are_named_not_touched() {
    let folder = Folder::new("version");
    std::fs::create_dir_all(folder.path.join("postgres")).unwrap();
    std::fs::write(folder.path.join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = Embedded::start(&folder.options())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("PostgreSQL 9") && error.contains("install"),
        "{error}"
    );
}

#[test]
fn as_root_below_a_closed_folder_the_data_go_elsewhere() {
    if !user::is_root() {
        return;
    }
    let closed = Folder::new("closed");
    std::fs::set_permissions(&closed.path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = closed.path.join("data");
    let home = Home::settle(&data).unwrap();
    assert_eq!(home.moved_from, Some(data.canonicalize().unwrap()));
    assert!(home.data.starts_with("/var/lib/betternews"));
    assert!(user::can_enter(home.account.as_ref().unwrap(), &home.data));
    assert_eq!(Home::settle(&data).unwrap().runtime, home.runtime);
    std::fs::remove_dir_all(&home.data).unwrap();
    std::fs::remove_dir_all(&home.runtime).unwrap();
}
