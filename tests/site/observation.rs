//! What the site notes and tells of itself: the activity log (S15), metrics (S24-S26), health (S30).

use std::time::{Duration, Instant};

use betternews::platform::{
    activity,
    cache::Options as Kept,
    health::{Check, Outcome, checks},
    observe::metrics::{self, Minutes},
    resilience::breaker::Forced,
};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::{
    faults::postgres_proxy,
    resilience::set,
    support::{Mode, Options, Outside, TestSite, Visitor, eventually},
};

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e} in {body}"))
}

/// Waits until the activity log holds `count` rows.
async fn logged(site: &TestSite, count: i64) {
    let started = Instant::now();
    loop {
        let found: i64 = site.value("SELECT count(*) FROM activity").await;
        if found >= count {
            assert_eq!(found, count, "each request once");
            return;
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{found} of {count}: {:?}",
            site.state.activity.stats()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test]
async fn s15_every_request_is_logged_with_who_and_what_and_no_secret(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    guest
        .get("/top?period=day&token=s3cret")
        .await
        .expect_status(200);
    guest
        .get("/top?token=s3cret&period=day")
        .await
        .expect_status(200);
    guest.get("/nowhere").await.expect_status(404);
    guest.get("/health/live").await.expect_status(200);
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("A thing to look at", "https://example.org/", "", "")
        .await;
    site.state
        .activity
        .flush(site.state.db.clone(), std::time::Duration::from_secs(5))
        .await
        .expect("the log is written");
    logged(&site, 7).await;
    let (route, query, status, user): (String, String, i16, Option<i64>) = sqlx::query_as(
        "SELECT route, query, status, user_id FROM activity WHERE path = '/top' ORDER BY at LIMIT 1",
    )
    .fetch_one(&site.pool)
    .await
    .expect("a row");
    assert_eq!(
        (&*route, &*query, status, user),
        ("/top", "period=day&token=***", 200, None)
    );
    let kept: i64 = site
        .value("SELECT count(*) FROM activity WHERE action = 'GET /top'")
        .await;
    assert_eq!(kept, 2, "a kept page is a request, too, of the same route");
    let (resource, resource_id, user): (String, i64, Option<i64>) = sqlx::query_as(
        "SELECT resource, resource_id, user_id FROM activity WHERE action = 'post.create'",
    )
    .fetch_one(&site.pool)
    .await
    .expect("a row");
    assert_eq!(
        (&*resource, resource_id, user.is_some()),
        ("post", id, true)
    );
    let whole: i64 = site
        .value("SELECT count(*) FROM activity WHERE address = '127.0.0.1' AND length(request_id) > 8 AND duration_us > 0")
        .await;
    assert_eq!(whole, 7);
    assert_eq!(
        site.value::<i64>(
            "SELECT count(*) FROM activity WHERE route = '(unknown)' AND status = 404"
        )
        .await,
        1
    );
}

#[sqlx::test]
async fn s15_full_batches_are_written_at_once_and_none_is_lost_while_postgres_is_away(
    pool: PgPool,
) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        postgres: Some(through),
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let guest = site.visitor();
    guest.get("/about").await.expect_status(200);
    proxy.set(Mode::Refuse);
    for _ in 0..249 {
        guest.get("/about").await.expect_status(200);
    }
    proxy.set(Mode::Pass);
    // Two full batches come by themselves; the rest waits for more or for its time.
    let started = Instant::now();
    while site.state.activity.stats().written < 200 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            site.state.activity.stats()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    logged(&site, 250).await;
    assert_eq!(site.state.activity.stats().lost, 0);
}

#[sqlx::test]
async fn s15_old_rows_go_by_the_month_and_old_addresses_are_shortened(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let now = Utc::now();
    for (days, address) in [
        (1, "203.0.113.77"),
        (40, "203.0.113.77"),
        (40, "2001:db8:1:2:3::4"),
        (130, "203.0.113.77"),
    ] {
        let at = now - TimeDelta::days(days);
        sqlx::query("SELECT activity_ensure_month($1)")
            .bind(at)
            .execute(&site.pool)
            .await
            .expect("a month");
        sqlx::query(
            "INSERT INTO activity (at, action, method, route, path, status, duration_us, address, agent, request_id)
             VALUES ($1, 'test', 'GET', '/', '/', 200, 1, $2::inet, '', '')",
        )
        .bind(at)
        .bind(address)
        .execute(&site.pool)
        .await
        .expect("a row");
    }
    activity::maintain(&site.state.db, &site.state.settings, now)
        .await
        .expect("the upkeep");
    let addresses: Vec<String> =
        sqlx::query_scalar("SELECT address::text FROM activity WHERE action = 'test' ORDER BY at DESC, family(address)")
            .fetch_all(&site.pool)
            .await
            .expect("rows");
    assert_eq!(
        addresses,
        ["203.0.113.77/32", "203.0.113.0/24", "2001:db8:1::/48"]
    );
    let months: i64 = site
        .value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'activity'::regclass")
        .await;
    assert!(
        (3..=5).contains(&months),
        "{months}: the month of 130 days ago is dropped, the next one is there"
    );
}

#[sqlx::test]
async fn s24_routes_are_counted_by_pattern_and_unknown_ones_together(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("op", "admin").await;
    let guest = site.visitor();
    for number in 0..40 {
        guest
            .get(&format!("/nowhere/{number}"))
            .await
            .expect_status(404);
        guest
            .get(&format!("/posts/{}", 1_000 + number))
            .await
            .expect_status(404);
    }
    for _ in 0..5 {
        guest.get("/newest").await.expect_status(200);
    }
    guest.get("/metrics").await.expect_status(401);
    site.signed_up("alice")
        .await
        .get("/metrics")
        .await
        .expect_status(403);
    let ask = |path: &str| {
        operator
            .client()
            .get(operator.url(path))
            .header("accept", "application/json")
    };
    let metrics = json(&operator.send(ask("/metrics")).await.expect_status(200).body);
    for key in [
        "timestamp",
        "routes",
        "system",
        "cache",
        "alerts",
        "circuitBreakers",
    ] {
        assert!(metrics.get(key).is_some(), "{key}");
    }
    let route = |name: &str| {
        let all = metrics["routes"].as_array().expect("routes");
        all.iter()
            .find(|r| r["route"] == name)
            .unwrap_or_else(|| panic!("{name} in {all:?}"))
            .clone()
    };
    let newest = route("GET:/newest");
    assert_eq!(
        (newest["total"].as_u64(), newest["ok"].as_u64()),
        (Some(5), Some(5)),
        "kept pages are counted"
    );
    assert!(
        newest["p99"].as_f64() >= newest["median"].as_f64()
            && newest["perSecond"].as_f64() > Some(0.0)
    );
    let posts = route("GET:/posts/{id}");
    assert_eq!(
        (posts["failed"].as_u64(), posts["byStatus"]["404"].as_u64()),
        (Some(40), Some(40))
    );
    assert_eq!(route("GET:(unknown)")["total"], 40);
    assert!(metrics["system"]["sample"]["memoryTotal"].as_u64() > Some(0));
    let breakers = metrics["circuitBreakers"].as_array().expect("a list");
    let links = breakers
        .iter()
        .find(|one| one["name"] == "links")
        .expect("listed");
    assert_eq!(
        (&links["state"], &links["failureRate"], &links["refused"]),
        (&Value::from("closed"), &Value::from(0.0), &Value::from(0))
    );
    assert!(links["bulkhead"]["queued"].is_u64() && links["retries"]["retried"].is_u64());
    let one = json(&operator.send(ask("/metrics?route=/newest")).await.body);
    assert_eq!(one["routes"].as_array().map(Vec::len), Some(1));
}

#[sqlx::test]
async fn s26_prometheus_gets_well_formed_text(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.state
        .metrics
        .registry()
        .counter("things_total", "Things.", &[("kind", "a \"b\"")])
        .add(3);
    site.state
        .metrics
        .registry()
        .histogram("wait_seconds", "Waits.", &[])
        .observe(0.2);
    site.visitor().get("/newest").await;
    site.execute("INSERT INTO jobs (kind) VALUES ('later')")
        .await;
    let operator = site.signed_up_as("op", "admin").await;
    let answer = operator.get("/metrics").await.expect_status(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let text = &answer.body;
    for line in [
        "# TYPE http_requests_total counter",
        "http_requests_total{method=\"GET\",route=\"/newest\",status=\"200\"} 1",
        "http_request_duration_seconds_count{method=\"GET\",route=\"/newest\"} 1",
        "things_total{kind=\"a \\\"b\\\"\"} 3",
        "wait_seconds_bucket{le=\"0.25\"} 1",
        "wait_seconds_bucket{le=\"+Inf\"} 1",
        "database_up 1",
        "circuit_breaker_state{dependency=\"links\"} 0",
        "circuit_breaker_state{dependency=\"redis\"} 0",
        "dependency_calls_failed_total{dependency=\"links\"} 0",
        "bulkhead_running{dependency=\"mail\"} 0",
        "dependency_retries_total{dependency=\"links\"} 0",
        "jobs{kind=\"later\",state=\"queued\"} 1",
        "jobs{kind=\"later\",state=\"dead\"} 0",
        "# TYPE system_load5 gauge",
        "# TYPE system_load15 gauge",
        "# TYPE system_memory_free_bytes gauge",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let value = line.rsplit_once(' ').expect("a value").1;
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[sqlx::test]
async fn s24_metrics_are_off_when_they_are_switched_off(pool: PgPool) {
    let options = Options {
        environment: vec![
            ("FEATURE_METRICS", "false".to_owned()),
            ("FEATURE_MONITORING", "false".to_owned()),
        ],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let operator = site.signed_up_as("op", "admin").await;
    operator.get("/metrics").await.expect_status(404);
    assert!(site.state.metrics.routes().stats(|_| true).is_empty());
}

#[sqlx::test]
async fn s30_health_tells_operators_what_each_check_found_and_others_only_how_it_is(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    let plain = json(&guest.get("/health").await.expect_status(200).body);
    for check in [
        "database",
        "redis",
        "memory",
        "disk",
        "jobs",
        "dependencies",
    ] {
        assert!(plain["checks"][check]["status"].is_string(), "{check}");
        assert!(
            plain["checks"][check].get("details").is_none()
                && plain["checks"][check].get("duration").is_none()
        );
    }
    assert_eq!(plain["summary"]["total"], 6);
    assert!(plain["uptime"].as_f64() > Some(0.0) && plain["timestamp"].is_string());
    let member = json(
        &site
            .signed_up("alice")
            .await
            .get("/health")
            .await
            .expect_status(200)
            .body,
    );
    assert!(member["checks"]["database"].get("details").is_none());
    let operator = site.signed_up_as("op", "admin").await;
    let details = json(&operator.get("/health").await.expect_status(200).body);
    let database = &details["checks"]["database"];
    assert!(
        database["details"]["latencyMs"].is_number()
            && database["duration"].is_number()
            && database["lastCheck"].is_string()
    );
    let services = json(&guest.get("/api/health").await.expect_status(200).body);
    let services = services["services"].as_array().expect("services");
    assert!(
        services.iter().any(|s| s["service"] == "database"
            && s["status"] == "healthy"
            && s["details"].is_null())
    );
}

#[sqlx::test]
async fn s30_a_failed_critical_check_is_503_and_any_other_only_degrades(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    site.state.checks.register(Check::new("mail", || async {
        Outcome::unhealthy("No server answers.")
    }));
    let report = json(&guest.get("/health").await.expect_status(200).body);
    assert_eq!(
        (&report["status"], &report["checks"]["mail"]["status"]),
        (&Value::from("degraded"), &Value::from("degraded"))
    );
    guest.get("/health/ready").await.expect_status(200);
    site.state
        .checks
        .register(Check::new("frozen", std::future::pending).critical());
    let started = Instant::now();
    let report = json(&guest.get("/health").await.expect_status(503).body);
    assert_eq!(
        (&report["status"], &report["summary"]["unhealthy"]),
        (&Value::from("unhealthy"), &Value::from(1))
    );
    guest.get("/health/ready").await.expect_status(503);
    assert!(started.elapsed() < Duration::from_secs(5), "nothing hangs");
    guest.get("/health/live").await.expect_status(200);
}

#[sqlx::test]
async fn s30_the_operators_own_addresses_are_asked_and_strangers_make_none_be_asked_again(
    pool: PgPool,
) {
    let outside = Outside::start().await;
    let urls = format!(
        "{}, {} http://127.0.0.1:1/",
        outside.url("/page"),
        outside.url("/there")
    );
    let options = Options {
        environment: vec![("HEALTH_URLS", urls)],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let operator = site.signed_up_as("op", "admin").await;
    let ask = async |who: &Visitor| json(&who.get("/health").await.expect_status(200).body);
    eventually("all have been asked", async || {
        ask(&operator).await["checks"]["url-3"]["details"]["message"]
            == "127.0.0.1 cannot be reached."
    })
    .await;
    let details = ask(&operator).await;
    let of = |name: &str| details["checks"][name].clone();
    assert_eq!(of("url-1")["status"], "healthy");
    assert_eq!(of("url-1")["details"]["host"], "127.0.0.1");
    assert_eq!(
        (&of("url-2")["status"], &of("url-2")["details"]["message"]),
        (
            &Value::from("degraded"),
            &Value::from("127.0.0.1 answers 302.")
        )
    );
    assert_eq!(details["status"], "degraded");
    let guest = site.visitor();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1_500) {
        assert!(
            ask(&guest).await["checks"]["url-1"]
                .get("details")
                .is_none()
        );
    }
    assert_eq!((outside.hits("/page"), outside.hits("/there")), (1, 1));
}

#[sqlx::test]
async fn s30_jobs_that_pile_up_and_an_open_breaker_degrade(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("op", "admin").await;
    let message = async |check: &'static str| {
        let report = json(&operator.get("/health").await.expect_status(200).body);
        report["checks"][check]["details"]["message"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(message("jobs").await, None);
    site.execute(
        "INSERT INTO jobs (kind, run_at) VALUES ('nobodys', now() - interval '7 minutes')",
    )
    .await;
    site.state.checks.register(checks::jobs(
        site.state.db.clone(),
        site.state.settings.clone(),
    ));
    eventually("it is noticed", async || {
        message("jobs").await.as_deref() == Some("A job has waited for 7 minutes.")
    })
    .await;
    site.state.dependencies.force("links", Some(Forced::Open));
    eventually("it is noticed", async || {
        message("dependencies").await.as_deref() == Some("Not called at present: links.")
    })
    .await;
}

#[sqlx::test]
async fn s30_a_mail_server_is_asked_and_its_loss_degrades(pool: PgPool) {
    let options = Options {
        environment: vec![("SMTP_URL", "smtp://127.0.0.1:1".to_owned())],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    eventually("it is noticed", async || {
        let report = json(&site.visitor().get("/health").await.expect_status(200).body);
        report["checks"]["mail"]["status"] == "degraded"
    })
    .await;
}

#[sqlx::test]
async fn s30_whoever_shows_a_key_that_is_none_is_told_as_plainly_as_anybody(pool: PgPool) {
    let options = Options {
        environment: vec![("FEATURE_RATE_LIMITING", "true".to_owned())],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let guest = site.visitor();
    let plain = async |name: &'static str, value: &'static str| {
        let request = guest.client().get(guest.url("/health"));
        let answer = guest.send(request.header(name, value)).await;
        let report = json(&answer.expect_status(200).body);
        assert!(report["checks"]["database"]["status"].is_string());
        assert!(report["checks"]["database"].get("details").is_none());
    };
    plain("authorization", "Bearer nonsense").await;
    plain("authorization", "nonsense").await;
    plain("cookie", "session=nonsense").await;
    set(&site, "site.members_only", Value::from(true)).await;
    site.state.pages.clear();
    guest.get("/").await.expect_status(303);
    plain("cookie", "session=nonsense").await;
    guest.get("/health").await.expect_status(200);
    guest.get("/api/health").await.expect_status(200);
    set(&site, "limits.reads", Value::from(3)).await;
    for _ in 0..10 {
        plain("authorization", "Bearer nonsense").await;
    }
    guest.get("/about").await.expect_status(429);
    plain("cookie", "session=nonsense").await;
}

#[sqlx::test]
async fn s24_minutes_of_routes_are_stored_once_the_database_is_there_and_dropped_in_time(
    pool: PgPool,
) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        postgres: Some(through),
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    site.visitor().get("/newest").await;
    let minutes = Minutes::new("test".into());
    let (routes, now) = (site.state.metrics.routes(), Utc::now());
    proxy.set(Mode::Refuse);
    minutes.take(routes, now);
    assert!(minutes.write(&site.state.db).await.is_err());
    proxy.set(Mode::Pass);
    site.visitor().get("/newest").await;
    minutes.take(routes, now);
    eventually("what waited is written", async || {
        minutes.write(&site.state.db).await.is_ok()
    })
    .await;
    let stored =
        "SELECT coalesce(sum(total), 0)::bigint FROM route_minutes WHERE route = 'GET:/newest'";
    assert_eq!(site.value::<i64>(stored).await, 2, "each minute once");
    minutes.write(&site.state.db).await.expect("nothing waits");
    assert_eq!(site.value::<i64>(stored).await, 2);
    site.visitor().get("/newest").await;
    let old = Minutes::new("another".into());
    old.take(routes, now - TimeDelta::days(31));
    old.write(&site.state.db).await.expect("written");
    assert_eq!(site.value::<i64>(stored).await, 3);
    let mut conn = site.state.db.conn().await.expect("a connection");
    metrics::delete_old(&mut conn, 30).await.expect("dropped");
    assert_eq!(site.value::<i64>(stored).await, 2);
}

#[sqlx::test]
async fn s15_s24_what_a_process_has_noted_is_written_before_it_ends(pool: PgPool) {
    let (mut child, address, _) = crate::traces::started(&pool, &[]).await;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(betternews::platform::tls::client().expect("TLS"))
        .no_proxy()
        .build()
        .expect("a client");
    for _ in 0..7 {
        let answer = client.get(format!("{address}/newest")).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }
    let id = child.id().expect("it runs").to_string();
    let killed = tokio::process::Command::new("kill").arg(&id).status().await;
    assert!(killed.expect("kill").success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await;
    assert!(ended.expect("in time").expect("ended").success());
    for counted in [
        "SELECT count(*) FROM activity WHERE route = '/newest'",
        "SELECT sum(total)::bigint FROM route_minutes WHERE route = 'GET:/newest'",
    ] {
        let count: i64 = sqlx::query_scalar(counted)
            .fetch_one(&pool)
            .await
            .expect("a count");
        assert_eq!(count, 7, "{counted}");
    }
}

#[sqlx::test]
async fn s24_an_operator_has_the_routes_counted_anew(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    site.visitor().get("/newest").await;
    let counted = async || {
        let request = operator
            .client()
            .get(operator.url("/metrics?route=/newest"))
            .header("accept", "application/json");
        let answer = operator.send(request).await.expect_status(200);
        serde_json::from_str::<Value>(&answer.body).expect("JSON")["routes"].clone()
    };
    let before = counted().await;
    assert_eq!(before[0]["key"], "GET:/newest");
    assert_eq!(before[0]["tags"][0], "page");
    assert!(before[0]["version"].is_null());
    let reset = async |who: &Visitor| {
        let request = who
            .client()
            .delete(who.url("/metrics"))
            .header("x-csrf-token", who.token());
        who.send(request).await
    };
    let alice = site.signed_up("alice").await;
    reset(&alice).await.expect_status(403);
    operator.get("/about").await;
    reset(&operator).await.expect_status(200);
    assert_eq!(counted().await, Value::Array(Vec::new()));
    let audit = operator.get("/admin/audit?subject=metrics:routes").await;
    assert_eq!(audit.texts("tbody tr").len(), 1);
}

#[sqlx::test]
async fn s25_the_machine_and_the_process_are_told(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    site.state.system.sample();
    let request = operator
        .client()
        .get(operator.url("/metrics"))
        .header("accept", "application/json");
    let answer = operator.send(request).await.expect_status(200);
    let told: Value = serde_json::from_str(&answer.body).expect("JSON");
    let (system, sample) = (&told["system"], &told["system"]["sample"]);
    for part in [
        "memoryTotal",
        "memoryUsed",
        "memoryFree",
        "processRss",
        "tasks",
    ] {
        assert!(sample[part].as_u64() > Some(0), "{part} in {sample}");
    }
    for part in ["cpuPercent", "lagMeanMs", "lagMaxMs", "busy", "queuedTasks"] {
        assert!(sample[part].is_number(), "{part} in {sample}");
    }
    assert_eq!(sample["load"].as_array().map(Vec::len), Some(3));
    let (rss, heap) = (&sample["processRss"], &sample["allocatorResident"]);
    assert!(
        heap.as_u64() > Some(0) && heap.as_u64() <= rss.as_u64(),
        "{sample}"
    );
    assert!(system["database"]["max"].is_number() && system["activity"]["queued"].is_number());
}

#[sqlx::test]
async fn s26_what_parts_of_the_program_count_is_told_in_both_forms(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let operator = site.signed_up_as("olga", "admin").await;
    let alice = site.signed_up("alice").await;
    alice.get("/metrics").await.expect_status(403);
    alice
        .post_with_token("/theme", &[("theme", "dark")], "forged")
        .await
        .expect_status(403);
    site.execute("INSERT INTO jobs (kind) VALUES ('sweep')")
        .await;
    eventually("the job is done and counted", async || {
        let text = operator.get("/metrics").await.expect_status(200).body;
        [
            "job_attempts_total{kind=\"sweep\",outcome=\"done\"} 1",
            "job_duration_seconds_count{kind=\"sweep\"} 1",
            "requests_denied_total 1",
            "requests_forged_total 1",
        ]
        .iter()
        .all(|line| text.lines().any(|l| l == *line))
    })
    .await;
    let request = operator
        .client()
        .get(operator.url("/metrics"))
        .header("accept", "application/json");
    let answer = operator.send(request).await.expect_status(200);
    let told: Value = serde_json::from_str(&answer.body).expect("JSON");
    let denied = told["counted"].as_array().and_then(|all| {
        all.iter()
            .find(|one| one["name"] == "requests_denied_total")
    });
    assert_eq!(denied.expect("counted")["samples"][0]["value"], 1.0);
}

#[sqlx::test]
async fn s34_s26_the_flags_of_caching_and_metrics_hold_at_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (cache, routes) = (&site.state.cache, site.state.metrics.routes());
    let kept = async || {
        cache.set("a thing", &1, &Kept::default()).await;
        cache.get::<i64>("a thing").await
    };
    let requests = || routes.stats(|route| route == "GET:/about").len();
    assert_eq!(kept().await, Some(1));
    site.execute("UPDATE flags SET is_on = false WHERE name IN ('caching', 'metrics')")
        .await;
    site.state.steer().await.expect("read anew");
    assert_eq!(kept().await, None);
    site.visitor().get("/about").await.expect_status(200);
    assert_eq!(requests(), 0);
    site.execute("UPDATE flags SET is_on = true").await;
    site.state.steer().await.expect("read anew");
    assert_eq!(kept().await, Some(1));
    site.visitor().get("/about").await.expect_status(200);
    assert_eq!(requests(), 1);
}

#[sqlx::test]
async fn s30_whoever_watches_is_never_limited_and_not_in_the_activity_log(pool: PgPool) {
    let options = Options {
        environment: vec![
            ("FEATURE_RATE_LIMITING", "true".into()),
            ("RATE_LIMIT_MAX", "3".into()),
        ],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let (guest, alice) = (site.visitor(), site.signed_up("alice").await);
    for who in [&guest, &alice] {
        for _ in 0..6 {
            for path in ["/api/health", "/health"] {
                let answer = who.get(path).await.expect_status(200);
                assert!(!answer.headers.contains_key("ratelimit-limit"), "{path}");
            }
        }
    }
    site.state
        .activity
        .flush(site.state.db.clone(), Duration::from_secs(5))
        .await
        .expect("written");
    let noted: i64 = site
        .value("SELECT count(*) FROM activity WHERE path LIKE '%health%'")
        .await;
    assert_eq!(noted, 0);
}

#[test]
fn s30_a_wrong_address_among_health_urls_is_told_by_config_check_and_no_key_is_printed() {
    let check = |urls: &str, webhook: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_betternews"))
            .args(["config", "check"])
            .env_clear()
            .env("HEALTH_URLS", urls)
            .env("ALERT_WEBHOOK_URL", webhook)
            .output()
            .expect("the binary runs")
    };
    let good = check(
        "https://example.org/health http://10.0.0.7:9000/",
        "https://hooks.example.org/services/hunter2",
    );
    assert!(good.status.success());
    let bad = check("example.org/health", "hooks.example.org/services/hunter2");
    assert_eq!(bad.status.code(), Some(1));
    for output in [good, bad] {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains("hunter2"), "{said}");
        if !output.status.success() {
            assert!(said.contains("HEALTH_URLS") && said.contains("ALERT_WEBHOOK_URL"));
        }
    }
}
