//! S38 and P08: letters about accounts, through the forms, the job queue and a real SMTP conversation; and the webhook that
//! tells operators of trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use betternews::platform::health::{Check, Outcome};
use sqlx::PgPool;

use crate::{
    faults::postgres_proxy,
    support::{Mode, Options, Outside, PASSWORD, SmtpSink, TestSite, Visitor, eventually},
};

/// A site whose letters come to `sink`.
pub async fn site_with(pool: PgPool, sink: &SmtpSink) -> TestSite {
    let options = Options {
        environment: vec![
            ("SMTP_URL", sink.url()),
            ("MAIL_FROM", "News <news@example.org>".into()),
        ],
        ..Options::default()
    };
    TestSite::start_with(pool, options).await
}

/// Signs up with an address, and follows the letter's link.
pub async fn signed_up_and_confirmed(
    site: &TestSite,
    sink: &SmtpSink,
    name: &str,
    email: &str,
) -> Visitor {
    let visitor = signed_up(site, name, email).await;
    let link = link_in(sink, email, "/email/verify/").await;
    visitor.get(&link).await.expect_status(200);
    visitor.post(&link, &[]).await.expect_status(303);
    visitor
}

/// Signs up with an address.
pub async fn signed_up(site: &TestSite, name: &str, email: &str) -> Visitor {
    let visitor = site.visitor();
    visitor.get("/signup").await;
    let fields = [("username", name), ("email", email), ("password", PASSWORD)];
    visitor.post("/signup", &fields).await.expect_status(303);
    visitor
}

/// The path of the newest letter's link, once it has come.
pub async fn link_in(sink: &SmtpSink, to: &str, path: &str) -> String {
    let find = || {
        let letter = sink
            .letters()
            .into_iter()
            .rev()
            .find(|l| l.to == to && l.text().contains(path))?;
        let text = letter.text();
        let from = &text[text.find(path)?..];
        let end = from
            .find(|c: char| c.is_whitespace() || c == '"')
            .unwrap_or(from.len());
        Some(from[..end].to_owned())
    };
    eventually("a letter with a link", async || find().is_some()).await;
    find().expect("it has come")
}

#[sqlx::test]
async fn s38_p08_an_address_is_proven_by_the_link_in_its_letter(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let alice = signed_up(&site, "alice", "alice@example.org").await;
    let link = link_in(&sink, "alice@example.org", "/email/verify/").await;
    let letter = sink.letters().remove(0);
    for part in [
        "From: News <news@example.org>",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "Auto-Submitted",
    ] {
        assert!(
            letter.data.contains(part),
            "{part} is missing in\n{}",
            letter.data
        );
    }
    let page = alice.get("/settings/email").await.expect_status(200);
    assert!(page.text(".standing.slow").contains("not confirmed"));
    let kept: bool = site
        .value("SELECT count(*) = 1 FROM account_tokens WHERE octet_length(token_hash) = 32")
        .await;
    assert!(kept, "the token is kept as a hash");
    let queued: i64 = site
        .value("SELECT count(*) FROM jobs WHERE payload::text LIKE '%verify/%'")
        .await;
    assert_eq!(queued, 0, "no queue holds a link");

    // Another browser, without a session, as when the letter is read on the phone.
    let phone = site.visitor();
    let shown = phone.get(&link).await.expect_status(200);
    assert!(shown.body.contains("alice@example.org"));
    assert_eq!(shown.header("cache-control"), "no-store");
    assert!(
        !shown
            .attributes("a", "href")
            .iter()
            .any(|href| href.contains("verify")),
        "no link repeats the secret"
    );
    let proven = "SELECT email_verified_at IS NOT NULL FROM users WHERE username = 'alice'";
    assert!(!site.value::<bool>(proven).await, "a GET changes nothing");
    phone.post(&link, &[]).await.expect_status(303);
    assert!(site.value::<bool>(proven).await);
    phone.get(&link).await.expect_status(404);
    assert!(
        alice
            .get("/settings/email")
            .await
            .text(".standing.well")
            .contains("confirmed")
    );
}

#[sqlx::test]
async fn p08_a_new_address_wants_the_password_and_the_old_one_stays_until_it_is_proven(
    pool: PgPool,
) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let alice = signed_up_and_confirmed(&site, &sink, "alice", "old@example.org").await;
    let fields = [
        ("email", "new@example.org"),
        ("current_password", "not this one"),
    ];
    alice.get("/settings/email").await;
    let refused = alice
        .post("/settings/email", &fields)
        .await
        .expect_status(422);
    assert_eq!(
        refused.attribute("#email", "value").as_deref(),
        Some("new@example.org"),
        "nothing typed is lost"
    );
    let fields = [("email", "new@example.org"), ("current_password", PASSWORD)];
    alice
        .post("/settings/email", &fields)
        .await
        .expect_status(303);
    let link = link_in(&sink, "new@example.org", "/email/verify/").await;
    let address = "SELECT email FROM users WHERE username = 'alice'";
    assert_eq!(site.value::<String>(address).await, "old@example.org");
    alice.get(&link).await.expect_status(200);
    alice.post(&link, &[]).await.expect_status(303);
    assert_eq!(site.value::<String>(address).await, "new@example.org");
    eventually("the old address is told", async || {
        sink.letters()
            .iter()
            .any(|l| l.to == "old@example.org" && l.data.contains("has been changed"))
    })
    .await;
}

#[sqlx::test]
async fn p08_an_address_belongs_to_the_account_that_proves_it_first(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let mallory = signed_up(&site, "mallory", "shared@example.org").await;
    let early = link_in(&sink, "shared@example.org", "/email/verify/").await;
    // The same answer as for any other address: nobody learns whose it is.
    let alice = signed_up(&site, "alice", "Shared@example.org").await;
    let link = link_in(&sink, "Shared@example.org", "/email/verify/").await;
    alice.get(&link).await;
    alice.post(&link, &[]).await.expect_status(303);
    mallory.get(&early).await;
    mallory.post(&early, &[]).await.expect_status(409);
}

#[sqlx::test]
async fn p08_a_forgotten_password_is_replaced_once_and_every_session_ends(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let alice = signed_up_and_confirmed(&site, &sink, "alice", "alice@example.org").await;
    let guest = site.visitor();
    let mut answers = Vec::new();
    for typed in ["alice", "nobody-at-all", "stranger@example.org"] {
        guest.get("/password/forgot").await.expect_status(200);
        let answer = guest
            .post("/password/forgot", &[("username", typed)])
            .await
            .expect_status(303);
        answers.push((
            answer.location(),
            guest.get("/login").await.text("[role=status]"),
        ));
    }
    assert!(
        answers.iter().all(|a| *a == answers[0]),
        "known or not, the answer is the same: {answers:?}"
    );
    assert!(!answers[0].1.is_empty(), "and it says what happens next");
    let link = link_in(&sink, "alice@example.org", "/password/reset/").await;
    assert!(
        sink.letters().iter().all(|l| l.to == "alice@example.org"),
        "strangers get no letter"
    );

    guest.get(&link).await.expect_status(200);
    guest
        .post(&link, &[("new_password", "short")])
        .await
        .expect_status(422);
    guest
        .post(&link, &[("new_password", "a wholly new secret")])
        .await
        .expect_status(303);
    assert!(
        !alice.get("/settings/profile").await.status.is_success(),
        "her session has ended"
    );
    guest.get(&link).await.expect_status(404);
    let login = async |password| {
        let visitor = site.visitor();
        visitor.get("/login").await;
        visitor
            .post("/login", &[("username", "alice"), ("password", password)])
            .await
            .status
            .as_u16()
    };
    assert_eq!(login(PASSWORD).await, 422);
    assert_eq!(login("a wholly new secret").await, 303);
    eventually("she is told", async || {
        sink.letters().iter().any(|l| l.data.contains("password"))
    })
    .await;
}

#[sqlx::test]
async fn p08_a_link_to_a_new_password_runs_out_after_an_hour(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    signed_up_and_confirmed(&site, &sink, "alice", "alice@example.org").await;
    let guest = site.visitor();
    guest.get("/password/forgot").await;
    guest
        .post("/password/forgot", &[("username", "ALICE@example.org")])
        .await
        .expect_status(303);
    let link = link_in(&sink, "alice@example.org", "/password/reset/").await;
    let within: bool = site
        .value("SELECT expires_at BETWEEN now() + interval '59 minutes' AND now() + interval '1 hour' FROM account_tokens")
        .await;
    assert!(within);
    site.execute("UPDATE account_tokens SET expires_at = now() - interval '1 second'")
        .await;
    guest.get(&link).await.expect_status(404);
    guest
        .post(&link, &[("new_password", "a wholly new secret")])
        .await
        .expect_status(404);
}

#[sqlx::test]
async fn s38_a_mail_server_that_says_later_loses_no_letter(pool: PgPool) {
    let sink = SmtpSink::start().await;
    sink.refuse(1);
    let site = site_with(pool, &sink).await;
    signed_up(&site, "alice", "alice@example.org").await;
    eventually("the attempt has failed", async || {
        site.value::<i64>("SELECT count(*) FROM jobs WHERE state = 'queued' AND attempts = 1 AND last_error LIKE '%later%'")
            .await
            == 1
    })
    .await;
    assert!(sink.letters().is_empty());
    site.execute("UPDATE jobs SET run_at = now()").await;
    link_in(&sink, "alice@example.org", "/email/verify/").await;
}

#[sqlx::test]
async fn s38_a_mail_server_that_does_not_want_us_keeps_the_letter_and_one_that_refuses_it_ends_it(
    pool: PgPool,
) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    let failures = || {
        let mail = site.state.dependencies.find("mail").expect("listed");
        mail.breaker.failures
    };
    let jobs = async |state: &'static str, said: &'static str| {
        sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM jobs WHERE state = $1 AND last_error LIKE '%' || $2 || '%'",
        )
        .bind(state)
        .bind(said)
        .fetch_one(&site.pool)
        .await
        .expect("a count")
    };
    sink.refuse_with("535 5.7.8 username and password not accepted", 1);
    signed_up(&site, "alice", "alice@example.org").await;
    eventually("it waits for another attempt", async || {
        jobs("queued", "not accepted").await == 1
    })
    .await;
    let later = "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE state = 'queued'";
    site.execute(later).await;
    sink.refuse_with("554 5.7.1 Relay access denied", 1);
    signed_up(&site, "bob", "bob@example.org").await;
    eventually("this one, too", async || {
        jobs("queued", "Relay access").await == 1
    })
    .await;
    site.execute(later).await;
    assert_eq!(failures(), 2, "that is the mail server's fault");
    sink.refuse_with("550 5.1.1 no such user here", 1);
    signed_up(&site, "carol", "carol@example.org").await;
    eventually("it is given up", async || {
        jobs("dead", "no such user").await == 1
    })
    .await;
    assert_eq!(failures(), 2, "that is nobody's fault");
    site.execute("UPDATE jobs SET run_at = now() WHERE state = 'queued'")
        .await;
    link_in(&sink, "alice@example.org", "/email/verify/").await;
    link_in(&sink, "bob@example.org", "/email/verify/").await;
}

#[sqlx::test]
async fn p08_a_reset_that_was_cut_off_after_its_link_was_made_is_sent_all_the_same(pool: PgPool) {
    let sink = SmtpSink::start().await;
    let site = site_with(pool, &sink).await;
    signed_up_and_confirmed(&site, &sink, "alice", "alice@example.org").await;
    let resets = || {
        let letters = sink.letters();
        letters
            .iter()
            .filter(|letter| letter.text().contains("/password/reset/"))
            .count()
    };
    // As it is left by a process that ended in the midst of the first attempt: a link, and a job that begins again.
    site.execute(
        "WITH asked AS (
             INSERT INTO jobs (kind, payload, created_at)
             VALUES ('accounts.reset_password', '{\"typed\": \"alice\"}', now() - interval '10 seconds'))
         INSERT INTO account_tokens (token_hash, user_id, purpose, email, created_at, expires_at)
         SELECT sha256('cut off'), id, 'reset_password', email, now() - interval '5 seconds', now() + interval '1 hour'
           FROM users
          WHERE username = 'alice'",
    )
    .await;
    eventually("the letter comes", async || resets() == 1).await;
    let guest = site.visitor();
    guest.get("/password/forgot").await;
    guest
        .post("/password/forgot", &[("username", "alice")])
        .await
        .expect_status(303);
    eventually("the second one is done", async || {
        site.value::<i64>(
            "SELECT count(*) FROM jobs WHERE kind = 'accounts.reset_password' AND state = 'done'",
        )
        .await
            == 2
    })
    .await;
    assert_eq!(
        resets(),
        1,
        "two letters within two minutes are one too many"
    );
}

#[sqlx::test]
async fn s38_without_a_mail_server_a_development_site_keeps_letters_for_its_operator(pool: PgPool) {
    let site = TestSite::start(pool).await;
    signed_up(&site, "alice", "alice@example.org").await;
    eventually("a letter is kept", async || {
        site.state.mailer.outbox().is_some_and(|l| !l.is_empty())
    })
    .await;
    site.signed_up("bob")
        .await
        .get("/dev/outbox")
        .await
        .expect_status(403);
    let operator = site.signed_up_as("olga", "admin").await;
    let page = operator.get("/dev/outbox").await.expect_status(200);
    assert!(page.body.contains("alice@example.org") && page.body.contains("/email/verify/"));
}

#[sqlx::test]
async fn s38_without_a_mail_server_a_production_site_says_so(pool: PgPool) {
    let options = Options {
        environment: vec![
            ("APP_ENV", "production".into()),
            ("SECRET_KEY", "0123456789abcdef0123456789abcdef".into()),
            ("BASE_URL", "http://127.0.0.1".into()),
        ],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let guest = site.visitor();
    let page = guest.get("/password/forgot").await.expect_status(200);
    assert!(page.text(".intro").contains("cannot send mail") && !page.has("input[name=username]"));
    let alice = signed_up(&site, "alice", "alice@example.org").await;
    assert!(
        alice
            .get("/settings/email")
            .await
            .body
            .contains("cannot send mail")
    );
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM jobs WHERE kind LIKE 'accounts.%'")
            .await,
        0
    );
    let operator = site.signed_up_as("olga", "admin").await;
    operator.get("/dev/outbox").await.expect_status(404);
}

/// A site that tells its operators of trouble at `/hook` of an outside.
async fn site_with_webhook(pool: PgPool, options: Options) -> (TestSite, Outside) {
    let outside = Outside::start().await;
    let options = Options {
        environment: vec![("ALERT_WEBHOOK_URL", outside.url("/hook"))],
        outside: vec![outside.port],
        ..options
    };
    (TestSite::start_with(pool, options).await, outside)
}

#[sqlx::test]
async fn s38_s18_operators_are_told_by_webhook_when_a_check_fails_and_when_it_is_well_again(
    pool: PgPool,
) {
    let (site, outside) = site_with_webhook(pool, Options::default()).await;
    let is_well = Arc::new(AtomicBool::new(false));
    let looked_at = is_well.clone();
    let check = Check::new("the <thing>", move || {
        let is_well = looked_at.load(Ordering::SeqCst);
        std::future::ready(if is_well {
            Outcome::healthy()
        } else {
            Outcome::unhealthy("It broke & stays so.")
        })
    });
    let check = check.paced(Duration::from_secs(1), Duration::from_millis(20));
    site.state.checks.register(check.critical());
    eventually("the receiver was busy", async || {
        site.value::<i64>("SELECT count(*) FROM jobs WHERE kind = 'webhook' AND state = 'queued' AND attempts = 1 AND last_error = 'status 503'")
            .await
            == 1
    })
    .await;
    let webhook = site.state.dependencies.find("webhook").expect("listed");
    assert_eq!(webhook.breaker.failures, 1);
    site.execute("UPDATE jobs SET run_at = now()").await;
    eventually("it is told", async || !outside.taken().is_empty()).await;
    is_well.store(true, Ordering::SeqCst);
    eventually("the end is told, too", async || outside.taken().len() == 2).await;
    assert_eq!(
        outside.taken(),
        [
            r#"{"text":"BetterNews: the &lt;thing&gt; is unhealthy (was healthy). It broke &amp; stays so."}"#,
            r#"{"text":"BetterNews: the &lt;thing&gt; is healthy (was unhealthy)."}"#,
        ],
        "each change once, however often the check ran"
    );
}

#[sqlx::test]
async fn s38_s30_the_last_word_to_operators_is_how_it_is_now(pool: PgPool) {
    let (site, outside) = site_with_webhook(pool, Options::default()).await;
    let is_well = Arc::new(AtomicBool::new(false));
    let looked_at = is_well.clone();
    let check = Check::new("thing", move || {
        let is_well = looked_at.load(Ordering::SeqCst);
        std::future::ready(if is_well {
            Outcome::healthy()
        } else {
            Outcome::unhealthy("It broke.")
        })
    });
    let check = check.paced(Duration::from_secs(1), Duration::from_millis(20));
    site.state.checks.register(check.critical());
    let waits =
        "SELECT count(*) FROM jobs WHERE kind = 'webhook' AND state = 'queued' AND attempts = 1";
    eventually("the receiver was busy", async || {
        site.value::<i64>(waits).await == 1
    })
    .await;
    is_well.store(true, Ordering::SeqCst);
    eventually("the end is told", async || !outside.taken().is_empty()).await;
    // The first word is tried again only now.
    site.execute("UPDATE jobs SET run_at = now() WHERE kind = 'webhook'")
        .await;
    let left = "SELECT count(*) FROM jobs WHERE kind = 'webhook' AND state <> 'done'";
    eventually("no word waits", async || site.value::<i64>(left).await == 0).await;
    let taken = outside.taken();
    assert_eq!(
        taken.len(),
        1,
        "what is over is not told any more: {taken:?}"
    );
    assert!(taken[0].contains("thing is healthy"), "{taken:?}");
    // As a version wrote them that did not say what they are about.
    site.execute(
        r#"INSERT INTO jobs (kind, payload) VALUES ('webhook', '{"text": "An older word."}')"#,
    )
    .await;
    eventually("an older word is told", async || outside.taken().len() == 2).await;
}

#[sqlx::test]
async fn s38_s30_a_database_that_is_away_is_told_all_the_same(pool: PgPool) {
    let (through, proxy) = postgres_proxy(&pool).await;
    let options = Options {
        postgres: Some(through),
        ..Options::default()
    };
    let (site, outside) = site_with_webhook(pool, options).await;
    let guest = site.visitor();
    // The receiver is busy once.
    let hello = site.state.webhook.as_ref().expect("it is set");
    assert!(hello.send("Hello.").await.is_err());
    proxy.set(Mode::Refuse);
    let told = |what: &str| outside.taken().iter().any(|text| text.contains(what));
    eventually("its loss is told", async || {
        guest.get("/health").await;
        told("database is unhealthy (was healthy)")
    })
    .await;
    proxy.set(Mode::Pass);
    eventually("its return is told", async || {
        guest.get("/health").await;
        told("database is healthy (was unhealthy)")
    })
    .await;
}
