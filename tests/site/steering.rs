//! S33, S34 and the console's pages A06, A07, A08 and A10: what an operator changes while the site runs.

use std::time::Duration;

use betternews::platform::{
    activity,
    cache::Options as Kept,
    health::checks,
    jobs::{self, NewJob},
};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{PASSWORD, TestSite, eventually};

#[sqlx::test]
async fn s33_a_setting_is_changed_live_on_every_instance_and_audited(pool: PgPool) {
    let one = TestSite::start_without_redis(pool.clone()).await;
    let two = TestSite::start_without_redis(pool).await;
    let operator = one.signed_up_as("olga", "admin").await;
    let guest = one.visitor();
    guest.get("/about").await.expect_status(200);
    let page = operator.get("/admin/settings").await.expect_status(200);
    assert_eq!(page.text("h1"), "Every setting has its default");
    operator
        .get("/admin/settings/site.name")
        .await
        .expect_status(200);
    operator
        .post("/admin/settings/site.name", &[("value", "Elsewhere")])
        .await
        .expect_status(303);
    for who in [&operator, &guest] {
        let title = who.get("/about").await.text("title");
        assert!(title.contains("Elsewhere"), "{title}");
    }
    eventually("the other instance has heard", async || {
        two.visitor()
            .get("/about")
            .await
            .text("title")
            .contains("Elsewhere")
    })
    .await;
    let audit = operator.get("/admin/audit?subject=setting:").await;
    let rows = audit.texts("tbody tr");
    assert_eq!(rows.len(), 1);
    for part in ["olga", "setting:site.name", "BetterNews", "Elsewhere"] {
        assert!(rows[0].contains(part), "{part} in {}", rows[0]);
    }
    operator
        .post("/admin/settings/site.name/reset", &[])
        .await
        .expect_status(303);
    let page = operator.get("/admin/settings/site.name").await;
    assert_eq!(
        page.texts("tbody tr").len(),
        2,
        "its history stands with it"
    );
    operator
        .get("/admin/settings/no.such")
        .await
        .expect_status(404);
}

#[sqlx::test]
async fn s33_a_value_out_of_its_bounds_is_told_and_not_kept(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    operator.get("/admin/settings/limits.signups").await;
    let told = operator
        .post("/admin/settings/limits.signups", &[("value", "0")])
        .await
        .expect_status(422);
    assert!(told.text("#value-error").contains("1 to 1000"));
    assert_eq!(told.attribute("#value", "value").as_deref(), Some("0"));
    // Its default, and rules that change nothing, are the default.
    operator
        .post("/admin/settings/limits.signups", &[("value", "20")])
        .await
        .expect_status(303);
    operator.get("/admin/settings/resilience.mail").await;
    for nothing in ["", "{}"] {
        operator
            .post("/admin/settings/resilience.mail", &[("value", nothing)])
            .await
            .expect_status(303);
    }
    let kept: i64 = site
        .value("SELECT count(*) FROM settings WHERE key IN ('limits.signups', 'resilience.mail')")
        .await;
    assert_eq!(kept, 0);
    let audit = operator.get("/admin/audit?subject=setting:").await;
    assert!(!audit.has("tbody tr"), "nothing has changed");
}

#[sqlx::test]
async fn s33_thresholds_and_times_are_settings_that_hold_at_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let alice = site.signed_up("alice").await;
    let page = operator.get("/admin/settings").await.expect_status(200);
    assert!(page.texts("th.group").contains(&"Health".to_owned()));
    let set = async |key: &str, value: &str| {
        let address = format!("/admin/settings/{key}");
        operator.get(&address).await.expect_status(200);
        operator
            .post(&address, &[("value", value)])
            .await
            .expect_status(303);
    };

    // S30: a disk that is more than 1 % full is degraded from the next look on.
    let disk = async || {
        let report = operator.get("/health").await.body;
        let report: Value = serde_json::from_str(&report).expect("a report");
        report["checks"]["disk"]["status"].clone()
    };
    let check = async || {
        let settings = site.state.settings.clone();
        let folder = std::env::temp_dir();
        site.state.checks.register(checks::disk(folder, settings));
        disk().await
    };
    set("health.disk_unhealthy", "100").await;
    set("health.disk_degraded", "100").await;
    assert_eq!(check().await, "healthy");
    set("health.disk_degraded", "1").await;
    assert_eq!(check().await, "degraded");

    // S24: a password takes longer than a millisecond, and less than a minute.
    let slow = async || {
        let stats = site.state.metrics.routes().stats(|_| true);
        stats.iter().map(|route| route.slow).sum::<u64>()
    };
    set("metrics.slow", "60000").await;
    let before = slow().await;
    site.visitor()
        .log_in("alice", PASSWORD)
        .await
        .expect_status(303);
    assert_eq!(slow().await, before);
    set("metrics.slow", "1").await;
    site.visitor()
        .log_in("alice", PASSWORD)
        .await
        .expect_status(303);
    assert!(slow().await > before);

    // S17: what is kept from now on, is kept so long.
    set("cache.ttl", "7").await;
    let cache = &site.state.cache;
    cache.set("a thing", &1, &Kept::default()).await;
    let left = cache.ttl("a thing").await.expect("kept");
    assert!(left <= Duration::from_secs(7), "{left:?}");

    // S08: a session that has not been used for longer is over, though it began under longer lifetimes.
    let lives = async || alice.get("/settings/profile").await.status == 200;
    assert!(lives().await);
    set("sessions.hours", "1").await;
    assert!(lives().await);
    let store = &site.state.sessions;
    let user: i64 = site
        .value("SELECT id FROM users WHERE username = 'alice'")
        .await;
    let later = Utc::now() + TimeDelta::minutes(61);
    assert!(store.list(user, later).await.expect("listed").is_empty());
    assert!(
        !store
            .list(user, Utc::now())
            .await
            .expect("listed")
            .is_empty()
    );

    // S15: what is older goes.
    set("activity.keep", "1").await;
    sqlx::query("SELECT activity_ensure_month(now() - interval '25 hours')")
        .execute(&site.pool)
        .await
        .expect("a month");
    sqlx::query(
        "INSERT INTO activity (at, action, method, route, path, status, duration_us, address, agent, request_id)
         VALUES (now() - interval '25 hours', 'old', 'GET', '/', '/', 200, 1, '192.0.2.1', '', '')",
    )
    .execute(&site.pool)
    .await
    .expect("a row");
    activity::maintain(&site.state.db, &site.state.settings, Utc::now())
        .await
        .expect("the upkeep");
    let old: i64 = site
        .value("SELECT count(*) FROM activity WHERE action = 'old'")
        .await;
    assert_eq!(old, 0);

    // S22: when a dependency is said not to be well.
    set("resilience.mail", r#"{"health":{"warning_errors":0.5}}"#).await;
    let rules = site
        .state
        .dependencies
        .find("mail")
        .and_then(|mail| mail.rules);
    assert_eq!(rules.expect("rules").health.warning_errors, 0.5);
}

#[sqlx::test]
async fn s33_sign_ups_close_at_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    operator.get("/admin/settings/signup.mode").await;
    operator
        .post("/admin/settings/signup.mode", &[("value", "invite")])
        .await
        .expect_status(422);
    operator
        .post("/admin/settings/signup.mode", &[("value", "closed")])
        .await
        .expect_status(303);
    site.visitor().get("/signup").await.expect_status(403);
}

#[sqlx::test]
async fn s33_the_console_pages_are_closed_to_all_but_operators(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let user = site.signed_up("alice").await;
    let moderator = site.signed_up_as("mona", "moderator").await;
    for path in [
        "/admin/settings",
        "/admin/settings/site.name",
        "/admin/flags",
        "/admin/flags/caching",
        "/admin/audit",
        "/admin/jobs",
    ] {
        site.visitor().get(path).await.expect_status(303);
        user.get(path).await.expect_status(403);
        moderator.get(path).await.expect_status(403);
    }
    user.post("/admin/settings/site.name", &[("value", "Mine")])
        .await
        .expect_status(403);
    user.post("/admin/flags", &[("name", "mine")])
        .await
        .expect_status(403);
}

#[sqlx::test]
async fn s34_a_flag_is_made_given_conditions_tried_and_deleted(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    site.signed_up("alice").await;
    operator.get("/admin/flags").await.expect_status(200);
    operator
        .post("/admin/flags", &[("name", "Not a name")])
        .await
        .expect_status(422);
    operator
        .post(
            "/admin/flags",
            &[("name", "polls"), ("description", "Polls")],
        )
        .await
        .expect_status(303);
    operator
        .post("/admin/flags", &[("name", "polls")])
        .await
        .expect_status(422);
    assert!(!site.state.flags.is_on("polls", None), "a new one is off");
    let unconfirmed = [("is_on", "1"), ("confirm", "poll")];
    operator
        .post("/admin/flags/polls", &unconfirmed)
        .await
        .expect_status(422);
    let fields = [
        ("is_on", "1"),
        ("segments", "staff"),
        ("segments", "new"),
        ("users", "alice, olga"),
        ("confirm", "polls"),
    ];
    operator
        .post("/admin/flags/polls", &fields)
        .await
        .expect_status(303);
    let tried = |answer: crate::support::Answer| answer.text(".outcome");
    let alice = tried(operator.get("/admin/flags/polls?user=Alice").await);
    assert!(alice.contains("It is on"), "{alice}");
    site.execute("UPDATE users SET created_at = now() - interval '1 year'")
        .await;
    let alice = tried(operator.get("/admin/flags/polls?user=alice").await);
    assert!(alice.contains("none of the flag's groups"), "{alice}");
    let nobody = tried(operator.get("/admin/flags/polls?user=nobody").await);
    assert!(nobody.contains("nobody called"), "{nobody}");
    assert!(
        !site.state.flags.is_on("polls", None),
        "a guest is nobody in particular"
    );
    assert!(
        !site.state.flags.is_on("unheard_of", None),
        "unknown is off"
    );
    let told = operator
        .post(
            "/admin/flags/polls",
            &[("users", "ghost"), ("confirm", "polls")],
        )
        .await
        .expect_status(422);
    assert!(told.text("#users-error").contains("ghost"));
    operator
        .post("/admin/flags/caching/delete", &[("confirm", "caching")])
        .await
        .expect_status(404);
    operator
        .post("/admin/flags/polls/delete", &[("confirm", "polls")])
        .await
        .expect_status(303);
    let audit = operator.get("/admin/audit?subject=flag:polls").await;
    assert_eq!(audit.texts("tbody tr").len(), 3, "made, set, deleted");
}

#[sqlx::test]
async fn s34_a_flag_is_switched_on_every_instance_and_notes_when_it_was_asked_for(pool: PgPool) {
    let one = TestSite::start_without_redis(pool.clone()).await;
    let two = TestSite::start_without_redis(pool).await;
    let operator = one.signed_up_as("olga", "admin").await;
    assert!(two.state.flags.is_on("docs", None));
    operator.get("/admin/flags/docs").await;
    operator
        .post("/admin/flags/docs", &[("confirm", "docs")])
        .await
        .expect_status(303);
    eventually("the other instance has heard", async || {
        !two.state.flags.is_on("docs", None)
    })
    .await;
    two.state
        .flags
        .note_asked(&two.state.db)
        .await
        .expect("noted");
    let asked: bool = one
        .value("SELECT evaluated_at > now() - interval '1 minute' FROM flags WHERE name = 'docs'")
        .await;
    assert!(asked);
}

#[sqlx::test]
async fn s39_the_console_shows_jobs_and_runs_and_deletes_them(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let mut conn = site.state.db.conn().await.expect("a connection");
    let job = NewJob::new("accounts.verify_email", json!({}));
    let id = jobs::enqueue(&mut conn, &job)
        .await
        .expect("written")
        .expect("not unique");
    drop(conn);
    eventually("it is given up", async || {
        site.value::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'")
            .await
            == 1
    })
    .await;
    let page = operator
        .get("/admin/jobs?state=dead")
        .await
        .expect_status(200);
    assert_eq!(page.text("h1"), "One job was given up");
    assert!(page.body.contains("the payload has no number user_id"));
    assert!(page.body.contains("17 * * * *"), "schedules are shown");
    operator
        .post(&format!("/admin/jobs/{id}/run"), &[])
        .await
        .expect_status(303);
    eventually("it is given up again", async || {
        site.value::<bool>("SELECT state = 'dead' AND attempts = 1 FROM jobs")
            .await
    })
    .await;
    operator
        .post(&format!("/admin/jobs/{id}/delete"), &[])
        .await
        .expect_status(303);
    operator
        .post(&format!("/admin/jobs/{id}/run"), &[])
        .await
        .expect_status(404);
    operator
        .post("/admin/jobs/schedules/sweep/run", &[])
        .await
        .expect_status(303);
    eventually("it is swept", async || {
        site.value::<i64>("SELECT count(*) FROM jobs WHERE kind = 'sweep' AND state = 'done'")
            .await
            == 1
    })
    .await;
    let audit = operator.get("/admin/audit?actor=olga").await;
    assert_eq!(audit.texts("tbody tr").len(), 3);
}

#[sqlx::test]
async fn s04_a_site_for_members_leads_guests_to_log_in(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let guest = site.visitor();
    guest.get("/").await.expect_status(200);
    guest.get("/?access=private").await.expect_status(303);
    let api = guest.get("/api/v1/nothing?access=private").await;
    assert_eq!(api.expect_status(401).header("www-authenticate"), "Bearer");
    operator.get("/?access=private").await.expect_status(200);
    operator.get("/admin/settings/site.members_only").await;
    operator
        .post("/admin/settings/site.members_only", &[("value", "1")])
        .await
        .expect_status(303);
    guest.get("/").await.expect_status(303);
    let led = guest.get("/newest").await.expect_status(303);
    assert_eq!(led.location(), "/login?next=%2Fnewest");
    for open in [
        "/login",
        "/signup",
        "/about",
        "/guidelines",
        "/password/forgot",
    ] {
        guest.get(open).await.expect_status(200);
    }
    guest.get("/login").await;
    guest.log_in("olga", PASSWORD).await.expect_status(303);
    guest.get("/newest").await.expect_status(200);
}
