//! What is written down of what is done: the activity log's names (S15), the audit and the checked settings (S33), and
//! events that lose nothing (S37).

use std::process::{Command, Output};

use betternews::{
    accounts::setup,
    platform::{
        jobs::{self, NewJob},
        resilience::rules::Rules,
        settings,
    },
};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    admin::betternews,
    mail::{link_in, signed_up, signed_up_and_confirmed, site_with},
    resilience::{preview, with_outside},
    support::{PASSWORD, SmtpSink, TestSite, Visitor, eventually},
};

/// Someone who has become the administrator by the one-time link.
async fn set_up(site: &TestSite) -> Visitor {
    let token = setup::ensure(&site.state.db)
        .await
        .expect("an answer")
        .expect("nobody is an administrator yet");
    let operator = site.visitor();
    operator
        .get(&format!("/setup?token={token}"))
        .await
        .expect_status(200);
    let fields = [
        ("token", token.as_str()),
        ("username", "olga"),
        ("password", PASSWORD),
    ];
    operator.post("/setup", &fields).await.expect_status(303);
    operator
}

/// Sends a form, and expects to be led on.
async fn done(who: &Visitor, path: &str, fields: &[(&str, &str)]) {
    who.post(path, fields).await.expect_status(303);
}

/// What a person does with their own account; gives the number of the key that they made.
async fn use_own_account(site: &TestSite, sink: &SmtpSink, alice: &Visitor) -> i64 {
    done(alice, "/settings/profile", &[("about", "Likes trees.")]).await;
    done(alice, "/settings/preferences", &[("theme", "dark")]).await;
    done(alice, "/theme", &[("theme", "light")]).await;
    let token = [("name", "a script"), ("scopes", "read"), ("days", "30")];
    alice
        .post("/settings/tokens", &token)
        .await
        .expect_status(200);
    let token: i64 = site.value("SELECT id FROM api_tokens").await;
    done(alice, &format!("/settings/tokens/{token}/end"), &[]).await;
    let address = [("email", "new@example.org"), ("current_password", PASSWORD)];
    done(alice, "/settings/email", &address).await;
    done(alice, "/settings/email/resend", &[]).await;
    let password = [
        ("current_password", PASSWORD),
        ("new_password", "an entirely new one"),
    ];
    done(alice, "/settings/password", &password).await;
    let elsewhere = site.visitor();
    elsewhere
        .log_in("alice", "an entirely new one")
        .await
        .expect_status(303);
    let page = alice.get("/settings/sessions").await.expect_status(200);
    let other = page
        .attributes("form", "action")
        .into_iter()
        .rfind(|action| action.starts_with("/settings/sessions/") && action.ends_with("/end"))
        .expect("the other session can be ended");
    done(alice, &other, &[]).await;
    done(alice, "/settings/sessions/end-others", &[]).await;
    done(alice, "/logout", &[]).await;
    for name in ["alice", "nobody-here"] {
        alice
            .log_in(name, "not the password")
            .await
            .expect_status(422);
    }
    alice.get("/password/forgot").await.expect_status(200);
    done(alice, "/password/forgot", &[("username", "alice")]).await;
    let link = link_in(sink, "alice@example.org", "/password/reset/").await;
    alice.get(&link).await.expect_status(200);
    done(alice, &link, &[("new_password", PASSWORD)]).await;
    token
}

/// What an operator does in the console; gives the number of a job.
async fn operate(site: &TestSite, olga: &Visitor) -> i64 {
    done(olga, "/admin/settings/site.name", &[("value", "Elsewhere")]).await;
    done(olga, "/admin/settings/site.name/reset", &[]).await;
    done(olga, "/admin/flags", &[("name", "polls")]).await;
    done(olga, "/admin/flags/polls", &[("confirm", "polls")]).await;
    done(olga, "/admin/flags/polls/delete", &[("confirm", "polls")]).await;
    let roles = [("roles", "moderator"), ("reason", "helps a lot")];
    done(olga, "/admin/users/alice/roles", &roles).await;
    done(olga, "/admin/users/alice/sessions/end", &[]).await;
    done(olga, "/admin/jobs/schedules/sweep/run", &[]).await;
    drop_tag(olga, "lists").await;
    let mut conn = site.state.db.conn().await.expect("a connection");
    let job = NewJob::new("accounts.verify_email", json!({}));
    let job = jobs::enqueue(&mut conn, &job)
        .await
        .expect("written")
        .expect("not unique");
    drop(conn);
    let given_up = async || {
        site.value::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'")
            .await
            == 1
    };
    eventually("it is given up", given_up).await;
    done(olga, &format!("/admin/jobs/{job}/run"), &[]).await;
    eventually("it is given up again", given_up).await;
    done(olga, &format!("/admin/jobs/{job}/delete"), &[]).await;
    job
}

async fn drop_tag(operator: &Visitor, tag: &str) {
    operator.get("/about").await.expect_status(200);
    let request = operator
        .client()
        .delete(operator.url(&format!("/cache/tag/{tag}")))
        .header("x-csrf-token", operator.token());
    operator.send(request).await.expect_status(200);
}

#[sqlx::test]
async fn s15_what_is_done_stands_in_the_activity_log_under_the_name_its_handler_gave(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let olga = set_up(&site).await;
    let alice = signed_up_and_confirmed(&site, &sink, "alice", "alice@example.org").await;
    let token = use_own_account(&site, &sink, &alice).await;
    done(&site.visitor(), "/theme", &[("theme", "dark")]).await;
    site.logged_in("alice").await;
    let job = operate(&site, &olga).await;
    let by_name = |name: &'static str| {
        sqlx::query_scalar::<_, i64>("SELECT id FROM users WHERE username = $1")
            .bind(name)
            .fetch_one(&site.pool)
    };
    let olga = by_name("olga").await.expect("her number");
    let alice = by_name("alice").await.expect("her number");
    site.state
        .activity
        .flush(site.state.db.clone(), std::time::Duration::from_secs(5))
        .await
        .expect("the log is written");
    let expected: [(&str, &str, Option<i64>, i64); 33] = [
        ("user.set_up", "user", Some(olga), 1),
        ("user.sign_up", "user", Some(alice), 1),
        ("email.verify", "user", Some(alice), 1),
        ("profile.edit", "user", Some(alice), 1),
        ("preferences.set", "user", Some(alice), 1),
        ("preferences.set_theme", "user", Some(alice), 1),
        ("token.create", "user", Some(alice), 1),
        ("token.end", "token", Some(token), 1),
        ("email.set", "user", Some(alice), 1),
        ("email.ask", "user", Some(alice), 1),
        ("password.set", "user", Some(alice), 1),
        ("session.login", "user", Some(alice), 2),
        ("session.end", "user", Some(alice), 1),
        ("session.end_others", "user", Some(alice), 1),
        ("session.logout", "user", Some(alice), 1),
        ("session.login_failed", "user", Some(alice), 1),
        ("session.login_failed", "user", None, 1),
        ("password.ask", "user", None, 1),
        ("password.reset", "user", Some(alice), 1),
        ("setting.set", "setting", None, 1),
        ("setting.reset", "setting", None, 1),
        ("flag.create", "flag", None, 1),
        ("flag.set", "flag", None, 1),
        ("flag.delete", "flag", None, 1),
        ("user.set_roles", "user", Some(alice), 1),
        ("session.end_all", "user", Some(alice), 1),
        ("schedule.run", "schedule", None, 1),
        ("cache.delete", "cache", None, 1),
        ("job.run", "job", Some(job), 1),
        ("job.delete", "job", Some(job), 1),
        // A guest's theme is a cookie: nothing is done, and the log says what was asked.
        ("POST /theme", "", None, 1),
        ("GET /setup", "", None, 1),
        ("POST /login", "", None, 0),
    ];
    for (action, resource, id, times) in expected {
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM activity
              WHERE action = $1 AND coalesce(resource, '') = $2 AND resource_id IS NOT DISTINCT FROM $3",
        )
        .bind(action)
        .bind(resource)
        .bind(id)
        .fetch_one(&site.pool)
        .await
        .expect("counted");
        assert_eq!(found, times, "{action} of {resource} {id:?}");
    }
}

#[sqlx::test]
async fn s33_roles_sessions_and_cache_deletes_stand_in_the_audit(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let alice = site.signed_up("alice").await;
    let roles = [("roles", "moderator"), ("reason", "helps a lot")];
    done(&operator, "/admin/users/alice/roles", &roles).await;
    // Once more changes nothing, and there is nothing to write down.
    done(&operator, "/admin/users/alice/roles", &roles).await;
    done(&operator, "/admin/users/alice/sessions/end", &[]).await;
    assert!(!alice.get("/about").await.has(".menu summary"));
    drop_tag(&operator, "lists").await;
    operator
        .post("/dependencies/links/open", &[])
        .await
        .expect_status(200);
    let audit = operator.get("/admin/audit").await.expect_status(200);
    let rows = audit.texts("tbody tr");
    let expected: [&[&str]; 4] = [
        &["olga", "dependency:links", "force", "open"],
        &["olga", "cache:tag/lists", "delete", "pages:", "nothing"],
        &[
            "olga",
            "user:2",
            "end sessions",
            "sessions: 1",
            "sessions: 0",
        ],
        &["olga", "user:2", "set roles", "nothing", "moderator"],
    ];
    assert_eq!(rows.len(), expected.len(), "{rows:?}");
    for (row, parts) in rows.iter().zip(expected) {
        for part in parts {
            assert!(row.contains(part), "{part} in {row}");
        }
    }
}

#[sqlx::test]
async fn s33_the_rules_of_a_dependency_are_changed_in_the_console_on_every_instance(pool: PgPool) {
    let (site, outside) = with_outside(pool.clone()).await;
    let other = TestSite::start_without_redis(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    for status in site.state.dependencies.list() {
        let key = format!("resilience.{}", status.name);
        assert_eq!(
            settings::find(&key).is_some(),
            status.rules.is_some(),
            "{key}: whatever has rules can be changed in the console"
        );
    }
    let path = "/admin/settings/resilience.links";
    operator.get(path).await.expect_status(200);
    let changes = r#"{"retry":{"attempts":1}}"#;
    done(&operator, path, &[("value", changes)]).await;
    preview(&operator, &outside.url("/flaky"))
        .await
        .expect_status(503);
    assert_eq!(outside.hits("/flaky"), 1, "three are built in");
    let rules_of = |site: &TestSite| {
        site.state
            .dependencies
            .find("links")
            .and_then(|status| status.rules)
            .expect("it has rules")
    };
    eventually("the other instance has heard", async || {
        rules_of(&other).retry.attempts == 1
    })
    .await;

    for (nonsense, told) in [
        ("once", "no JSON"),
        ("7", "an object"),
        (r#"{"braeker":{"reset":1}}"#, "braeker"),
        (r#"{"retry":{"attempts":1000}}"#, "retry.attempts is 1000"),
        (r#"{"breaker":{"reset":-1}}"#, "between 0 and 86400"),
    ] {
        let answer = operator
            .post(path, &[("value", nonsense)])
            .await
            .expect_status(422);
        let error = answer.text("#value-error");
        assert!(error.contains(told), "{told} in {error}");
        assert_eq!(answer.text("#value"), nonsense, "what was typed is kept");
    }
    assert_eq!(rules_of(&site).retry.attempts, 1, "nothing has changed");
    let history = operator.get(path).await.texts("tbody tr");
    assert_eq!(history.len(), 1);
    assert!(history[0].contains("olga") && history[0].contains("attempts"));
    done(&operator, &format!("{path}/reset"), &[]).await;
    assert_eq!(rules_of(&site), Rules::default());
}

#[sqlx::test]
async fn s37_what_stands_without_an_event_gets_one_and_a_rebuild_loses_nothing(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool.clone(), &sink).await;
    signed_up_and_confirmed(&site, &sink, "alice", "alice@example.org").await;
    signed_up(&site, "bob", "").await;
    site.execute("INSERT INTO user_roles SELECT u.id, r.id FROM users u, roles r WHERE u.username = 'alice' AND r.name = 'moderator'").await;
    site.execute("UPDATE users SET banned_at = now(), ban_reason = 'spam' WHERE username = 'bob'")
        .await;
    let rebuild = |arguments: &[&str]| {
        let all: Vec<&str> = ["events", "rebuild"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let output = betternews(&pool, &all, "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let standing = "SELECT concat_ws(' ',
            (SELECT string_agg(user_id || ':' || role_id, ' ' ORDER BY user_id, role_id) FROM user_roles),
            (SELECT string_agg(id || ':' || banned_at || ':' || ban_reason, ' ') FROM users WHERE banned_at IS NOT NULL))";
    let before: String = site.value(standing).await;
    let said = rebuild(&[]);
    assert!(
        said.contains("3 events read") && said.contains("2 roles and bans stood without an event"),
        "{said}"
    );
    assert_eq!(
        site.value::<String>(standing).await,
        before,
        "nothing is lost"
    );
    assert!(rebuild(&[]).contains("5 events read; everything was as they tell"));
    let told = "SELECT string_agg(type, ' ' ORDER BY stream, version) FROM events";
    assert_eq!(
        site.value::<String>(told).await,
        "UserSignedUp EmailVerified RoleRecorded UserSignedUp BanRecorded"
    );

    site.execute("DELETE FROM user_roles WHERE user_id = 1")
        .await;
    site.execute("UPDATE users SET banned_at = NULL, ban_reason = NULL")
        .await;
    let said = rebuild(&["--stream", "user:1"]);
    assert!(
        said.contains("3 events read") && said.contains("0 bans, 1 roles"),
        "{said}"
    );
    let banned = "SELECT count(*) FROM users WHERE banned_at IS NOT NULL";
    assert_eq!(
        site.value::<i64>(banned).await,
        0,
        "bob's stream was not asked for"
    );
    assert!(rebuild(&["--stream", "user-2"]).contains("1 bans, 0 roles"));
    assert_eq!(site.value::<String>(standing).await, before);
    let misused = betternews(&pool, &["events", "rebuild", "--stream", "alice"], "");
    assert_eq!(misused.status.code(), Some(2), "{misused:?}");
}

fn config_check(environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_betternews"))
        .args(["config", "check"])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs")
}

#[test]
fn s33_config_check_names_all_that_is_wrong_at_once_and_what_is_not_used_yet() {
    let wrong = [
        ("BIND", "nowhere"),
        ("LOG_LEVEL", "loud"),
        ("RUST_LOG", "info,betternews=loud"),
        ("CLIENT_IP_HEADER", "X Real IP"),
        ("SMTP_URL", "smtp://user:swordfish@"),
        ("DATABASE_MAX_CONNECTIONS", "many"),
        ("FEATURE_METRICS", "perhaps"),
        ("TRUSTED_PROXIES", "10.0.0.0/99"),
    ];
    let output = config_check(&wrong);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("8 problems"), "{told}");
    for (name, _) in wrong {
        assert!(
            told.lines().any(|line| line.trim().starts_with(name)),
            "{name} in {told}"
        );
    }
    assert!(!told.contains("swordfish"), "no secret is printed");

    let unused = [
        ("DATABASE_REPLICA_URLS", "postgres://replica/news"),
        ("FEATURE_DOCS", "true"),
        ("RUST_LOG", "info,sqlx=warn"),
        (
            "SMTP_URL",
            "smtp://user:swordfish@mail.example.org:587?tls=required",
        ),
    ];
    let output = config_check(&unused);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    for name in ["DATABASE_REPLICA_URLS", "FEATURE_DOCS"] {
        let warning = format!("Warning: {name} is set, but not used yet.");
        assert!(said.contains(&warning), "{warning} in {said}");
    }
    assert!(said.contains("well formed") && !said.contains("swordfish"));
}
