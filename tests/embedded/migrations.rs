//! Migrations and seeds against a real server.

use betternews::platform::db::migrate::{self, Applied, Error};

use crate::folder::{Folder, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_start_at_once_migrate_once_and_a_newer_schema_is_refused() {
    let folder = Folder::new("migrate");
    let server = folder.postgres().await;
    let db = open(&server).await;
    let (one, two) = tokio::join!(migrate::run(&db), migrate::run(&db));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.migrations + two.migrations > 0 && one.seeds + two.seeds > 0);
    assert!(
        one.migrations == 0 || two.migrations == 0,
        "{one:?} {two:?}"
    );
    assert!(one.seeds == 0 || two.seeds == 0, "{one:?} {two:?}");
    assert_eq!(migrate::run(&db).await.unwrap(), Applied::default());

    let mut conn = db.conn().await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, $1, true, '', 0)";
    sqlx::query(newer)
        .bind("expand something")
        .execute(&mut conn)
        .await
        .unwrap();
    migrate::run(&db).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET description = 'contract' WHERE version = 9999")
        .execute(&mut conn)
        .await
        .unwrap();
    let error = migrate::run(&db).await.unwrap_err();
    assert!(matches!(error, Error::Newer { found: 9999, .. }), "{error}");
    sqlx::raw_sql(
        "DELETE FROM _sqlx_migrations WHERE version = 9999;
         UPDATE _sqlx_seeds SET checksum = '' WHERE version = (SELECT min(version) FROM _sqlx_seeds)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let error = migrate::run(&db).await.unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    drop(conn);
    server.stop().await.unwrap();
}
