//! A02 and S11: the console, who may open it, finding people, setting roles; and `betternews admin` at the terminal.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use sqlx::{ConnectOptions, PgPool};

use crate::support::{Options, PASSWORD, TestSite};

#[sqlx::test]
async fn every_console_page_is_closed_to_who_lacks_the_permission(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let user = site.signed_up("alice").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    let admin = site.signed_up_as("boss", "admin").await;
    for path in [
        "/admin",
        "/admin/users",
        "/admin/users?q=a&role=moderator&state=banned",
        "/admin/users/alice",
    ] {
        assert!(
            site.visitor()
                .get(path)
                .await
                .expect_status(303)
                .location()
                .starts_with("/login?next="),
            "{path}"
        );
        user.get(path).await.expect_status(403);
        moderator.get(path).await.expect_status(403);
        admin.get(path).await.expect_status(200);
    }
    let forms = [
        (
            "/admin/users/alice/roles",
            vec![("roles", "moderator"), ("reason", "helps a lot")],
        ),
        ("/admin/users/alice/sessions/end", vec![]),
    ];
    for (path, fields) in &forms {
        site.visitor().post(path, fields).await.expect_status(303);
        user.post(path, fields).await.expect_status(403);
        moderator.post(path, fields).await.expect_status(403);
        admin
            .post_with_token(path, fields, "")
            .await
            .expect_status(403);
    }
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM user_roles").await,
        2,
        "nothing has changed"
    );
    assert!(
        user.get("/about").await.has(".menu summary"),
        "no session has ended"
    );
    for (path, fields) in &forms {
        admin.post(path, fields).await.expect_status(303);
    }
    assert!(!user.get("/about").await.has(".menu summary"));
    site.logged_in("alice")
        .await
        .get("/users/boss/ban")
        .await
        .expect_status(403);
    admin
        .get("/admin/users/nobody-here")
        .await
        .expect_status(404);
}

#[sqlx::test]
async fn people_are_found_by_name_role_and_state(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let admin = site.signed_up_as("boss", "admin").await;
    site.execute(
        "INSERT INTO users (username, name_key, imported)
         SELECT 'Pat-' || n, 'pat-' || n, true FROM generate_series(100, 219) n",
    )
    .await;
    site.execute("INSERT INTO users (username, name_key) VALUES ('a_b', 'a_b'), ('axb', 'axb')")
        .await;
    site.execute("UPDATE users SET banned_at = now(), ban_reason = 'spam' WHERE username IN ('axb', 'Pat-150')").await;
    let names = async |path: &str| admin.get(path).await.expect_status(200).texts("tbody th");
    assert_eq!(
        names("/admin/users?q=A_").await,
        ["a_b"],
        "what is typed is no pattern"
    );
    assert_eq!(
        names("/admin/users?q=PAT-15&state=banned").await,
        ["Pat-150"]
    );
    assert_eq!(names("/admin/users?role=admin").await, ["boss"]);
    assert_eq!(names("/admin/users?state=banned").await.len(), 2);
    assert!(names("/admin/users?q=%25").await.is_empty());
    assert!(names("/admin/users?q=zzz").await.is_empty());
    for start in ["/admin/users?q=pat", "/admin/users"] {
        let (mut seen, mut next) = (Vec::new(), Some(start.to_owned()));
        while let Some(path) = next {
            let page = admin.get(&path).await.expect_status(200);
            seen.extend(page.texts("tbody th"));
            next = page.attribute(".more a", "href");
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(all, seen.len(), "{start}: nobody twice");
        assert_eq!(all, if start.contains("q=") { 120 } else { 123 }, "{start}");
    }
    admin
        .get("/admin/users?after=nonsense")
        .await
        .expect_status(400);
}

#[sqlx::test]
async fn roles_are_set_with_a_reason_and_hold_at_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let admin = site.signed_up_as("boss", "admin").await;
    let alice = site.signed_up("alice").await;
    alice.get("/users/boss/ban").await.expect_status(403);
    let path = "/admin/users/alice/roles";
    let answer = admin
        .post(path, &[("roles", "moderator"), ("reason", "")])
        .await
        .expect_status(422);
    assert!(
        answer.has("input[value=moderator][checked]"),
        "what was ticked stays ticked"
    );
    admin
        .post(path, &[("roles", "emperor"), ("reason", "why not")])
        .await
        .expect_status(400);
    admin
        .post(path, &[("roles", "user"), ("reason", "why not")])
        .await
        .expect_status(400);
    admin
        .post(path, &[("roles", "moderator"), ("reason", "helps a lot")])
        .await
        .expect_status(303);
    site.signed_up("carol").await;
    alice.get("/users/carol/ban").await.expect_status(200);
    let page = admin.get("/admin/users/alice").await;
    assert!(page.has("input[value=moderator][checked]"));
    // Two roles at once; and none again.
    admin
        .post(
            path,
            &[
                ("roles", "moderator"),
                ("roles", "admin"),
                ("reason", "a second one"),
            ],
        )
        .await
        .expect_status(303);
    alice.get("/admin").await.expect_status(200);
    let log = "SELECT string_agg(type || ':' || (data->>'role'), ' ' ORDER BY id) FROM events WHERE stream = 'user-2'";
    assert_eq!(
        site.value::<String>(log).await,
        "RoleGranted:moderator RoleGranted:admin"
    );
    // An equal is not to be touched, but one may step down oneself.
    admin
        .post(path, &[("reason", "changed my mind")])
        .await
        .expect_status(403);
    alice
        .post(path, &[("reason", "too much work")])
        .await
        .expect_status(303);
    alice.get("/admin").await.expect_status(403);
    alice.get("/users/carol/ban").await.expect_status(403);
}

#[sqlx::test]
async fn the_last_administrator_stays(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let one = site.signed_up_as("one", "admin").await;
    one.post("/admin/users/one/roles", &[("reason", "enough of it")])
        .await
        .expect_status(409);
    one.get("/admin").await.expect_status(200);
    let two = site.signed_up_as("two", "admin").await;
    // Both step down at once: one of them is the last.
    let (first, second) = tokio::join!(
        one.post("/admin/users/one/roles", &[("reason", "enough of it")]),
        two.post("/admin/users/two/roles", &[("reason", "enough of it")]),
    );
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM user_roles WHERE role_id = 3")
            .await,
        1
    );
}

#[sqlx::test]
async fn the_first_page_says_what_needs_its_operator(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let admin = site.signed_up_as("boss", "admin").await;
    site.execute(
        "INSERT INTO settings (key, value) VALUES ('site.contact', '\"ops@example.org\"')",
    )
    .await;
    site.state
        .settings
        .refresh(&site.state.db)
        .await
        .expect("read");
    let page = admin.get("/admin").await.expect_status(200);
    assert_eq!(
        page.text("h1"),
        "One thing needs you.",
        "limits are off in the tests: {:?}",
        page.texts(".findings li")
    );
    assert!(page.texts(".findings li")[0].contains("Rate limits are off"));
    assert!(page.body.contains("One person has joined"));
    assert_eq!(page.texts("tbody tr")[0], "Users11");
}

/// Runs the program against the database of a test.
pub fn betternews(pool: &PgPool, arguments: &[&str], input: &str) -> Output {
    let url = pool.connect_options().to_url_lossy().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_betternews"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", url)
        .env("SECRET_KEY", "a secret for the tests that is long enough")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes())
        .expect("written");
    child.wait_with_output().expect("it ends")
}

#[sqlx::test]
async fn the_terminal_makes_administrators_and_sets_passwords(pool: PgPool) {
    let create = |password: &str| {
        betternews(
            &pool,
            &[
                "admin",
                "create",
                "--username",
                "Boss",
                "--email",
                "b@example.org",
                "--password-stdin",
            ],
            password,
        )
    };
    let weak = create("password\n");
    assert_eq!(weak.status.code(), Some(1), "{weak:?}");
    let made = create(&format!("{PASSWORD}\n"));
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(
        create("another password of some length\n").status.code(),
        Some(1),
        "the name is taken"
    );
    let misused = betternews(&pool, &["admin", "create", "--username", "other"], "");
    assert_eq!(
        misused.status.code(),
        Some(2),
        "no password on the command line"
    );

    // The command line runs without Redis here, so the site does too: both must look in one place.
    let options = Options {
        without_redis: true,
        ..Options::default()
    };
    let site = TestSite::start_with(pool.clone(), options).await;
    let boss = site.logged_in("boss").await;
    boss.get("/admin").await.expect_status(200);
    let reset = betternews(
        &pool,
        &["admin", "reset-password", "boss", "--password-stdin"],
        "an entirely new one\n",
    );
    assert_eq!(reset.status.code(), Some(0), "{reset:?}");
    assert!(
        !boss.get("/about").await.has(".menu summary"),
        "logged out everywhere"
    );
    site.visitor()
        .log_in("boss", PASSWORD)
        .await
        .expect_status(422);
    site.visitor()
        .log_in("boss", "an entirely new one")
        .await
        .expect_status(303);
    let nobody = betternews(
        &pool,
        &["admin", "reset-password", "nobody-here", "--password-stdin"],
        "an entirely new one\n",
    );
    assert_eq!(nobody.status.code(), Some(1));
    let rebuilt = betternews(&pool, &["events", "rebuild"], "");
    assert!(
        String::from_utf8_lossy(&rebuilt.stdout)
            .contains("2 events read; everything was as they tell"),
        "{rebuilt:?}"
    );
}
