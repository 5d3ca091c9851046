//! P08: signing up, logging in, the one-time set-up, one's own settings; S12 and S13 where they guard these.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
use betternews::{accounts::setup, platform::limits::Class};
use sqlx::PgPool;

use crate::support::{Options, PASSWORD, TestSite, Visitor};

async fn limited(pool: PgPool) -> TestSite {
    let options = Options {
        environment: vec![
            ("FEATURE_RATE_LIMITING", "true".into()),
            ("TRUSTED_PROXIES", "127.0.0.1".into()),
        ],
        ..Options::default()
    };
    TestSite::start_with(pool, options).await
}

#[sqlx::test]
async fn someone_signs_up_logs_out_and_logs_in_again(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    visitor
        .get("/signup?next=%2Fsubmit")
        .await
        .expect_status(200);
    let fields = [
        ("username", "Alice"),
        ("email", "a@example.org"),
        ("password", PASSWORD),
        ("next", "/submit"),
    ];
    let answer = visitor.post("/signup", &fields).await.expect_status(303);
    assert_eq!(answer.location(), "/submit");
    let page = visitor.get("/about").await.expect_status(200);
    assert_eq!(page.text(".menu summary"), "Alice");
    assert!(page.text(".notice").contains("Welcome, Alice"));
    assert!(
        !visitor.get("/about").await.has(".notice"),
        "a sentence is said once"
    );
    for path in ["/login?next=%2Fnewest", "/signup?next=%2Fnewest"] {
        assert_eq!(
            visitor.get(path).await.expect_status(303).location(),
            "/newest",
            "{path}"
        );
    }

    assert_eq!(
        visitor
            .post("/logout", &[])
            .await
            .expect_status(303)
            .location(),
        "/"
    );
    let page = visitor.get("/about").await;
    assert!(!page.has(".menu summary"));
    assert!(page.text(".notice").contains("logged out"));

    visitor
        .log_in("aLICE", "not the password")
        .await
        .expect_status(422);
    assert!(!visitor.get("/about").await.has(".menu summary"));
    visitor.log_in("aLICE", PASSWORD).await.expect_status(303);
    assert_eq!(visitor.get("/about").await.text(".menu summary"), "Alice");
}

#[sqlx::test]
async fn a_form_comes_back_with_all_that_was_typed_but_the_password(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    visitor.get("/signup").await;
    let fields = [
        ("username", "a b"),
        ("email", "nowhere"),
        ("password", "1234567"),
        ("next", "/submit"),
    ];
    let answer = visitor.post("/signup", &fields).await.expect_status(422);
    assert_eq!(
        answer.attribute("#username", "value").as_deref(),
        Some("a b")
    );
    assert_eq!(
        answer.attribute("#email", "value").as_deref(),
        Some("nowhere")
    );
    assert_eq!(
        answer.attribute("input[name=next]", "value").as_deref(),
        Some("/submit")
    );
    assert_eq!(
        answer.texts(".field-error").len(),
        3,
        "all that is wrong at once"
    );
    assert!(!answer.body.contains("1234567"));
    for name in ["/login", "/signup"] {
        assert_eq!(visitor.get(name).await.header("cache-control"), "no-store");
    }
}

#[sqlx::test]
async fn a_name_that_is_taken_imported_or_kept_is_refused(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("Alice").await;
    site.execute("INSERT INTO users (username, name_key, imported) VALUES ('pg', 'pg', true)")
        .await;
    for name in ["alice", "ALICE", "PG", "Admin", "support"] {
        let visitor = site.visitor();
        visitor.get("/signup").await;
        let fields = [("username", name), ("email", ""), ("password", PASSWORD)];
        let answer = visitor.post("/signup", &fields).await.expect_status(422);
        assert!(
            answer.text("#username-error").contains("taken"),
            "{name}: {}",
            answer.text(".field-error")
        );
    }
    // Nobody logs in as someone imported, whatever they type.
    site.visitor().log_in("pg", "").await.expect_status(422);
}

#[sqlx::test]
async fn of_two_who_want_one_name_at_once_one_gets_it(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (one, other) = (site.visitor(), site.visitor());
    one.get("/signup").await;
    other.get("/signup").await;
    let wanted = [("username", "carol"), ("email", ""), ("password", PASSWORD)];
    let (first, second) =
        tokio::join!(one.post("/signup", &wanted), other.post("/signup", &wanted));
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 422]);
}

#[sqlx::test]
async fn while_sign_ups_are_closed_the_page_says_so(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let visitor = site.visitor();
    visitor.get("/login").await;
    site.execute("UPDATE settings SET value = '\"closed\"' WHERE key = 'signup.mode'")
        .await;
    site.state
        .settings
        .refresh(&site.state.db)
        .await
        .expect("the settings are read");
    let answer = visitor.get("/signup").await.expect_status(403);
    assert!(answer.body.contains("New accounts are not being taken"));
    let fields = [("username", "dave"), ("email", ""), ("password", PASSWORD)];
    visitor.post("/signup", &fields).await.expect_status(403);
    assert_eq!(site.value::<i64>("SELECT count(*) FROM users").await, 0);
}

#[sqlx::test]
async fn no_answer_tells_whether_an_account_or_address_exists(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("alice").await;
    site.execute("UPDATE users SET email = 'alice@example.org', email_verified_at = now()")
        .await;
    let visitor = site.visitor();
    let names = [
        "alice",
        "nobody-here",
        "alice@example.org",
        "nobody@example.org",
    ];
    let mut shortest = [Duration::MAX; 4];
    let mut pages = Vec::new();
    for _ in 0..6 {
        for (name, best) in names.iter().zip(&mut shortest) {
            let started = Instant::now();
            let answer = visitor
                .log_in(name, "a wrong password")
                .await
                .expect_status(422);
            *best = started.elapsed().min(*best);
            pages.push(answer.body.replace(name, "NAME"));
        }
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "one page for all of them");
    // Without a hash to check, an answer takes a tenth of the time.
    let (least, most) = (
        shortest.iter().min().expect("four"),
        shortest.iter().max().expect("four"),
    );
    assert!(*most < *least * 4, "the times tell: {shortest:?}");
    visitor
        .log_in("alice@example.org", PASSWORD)
        .await
        .expect_status(303);

    let other = site.visitor();
    other.get("/signup").await;
    let fields = [
        ("username", "mallory"),
        ("email", "alice@example.org"),
        ("password", PASSWORD),
    ];
    other.post("/signup", &fields).await.expect_status(303);
}

#[sqlx::test]
async fn s12_too_many_attempts_to_log_in_are_not_looked_at(pool: PgPool) {
    let site = limited(pool).await;
    site.signed_up("alice").await;
    let visitor = site.visitor();
    for _ in 0..5 {
        visitor
            .log_in("alice", "a wrong password")
            .await
            .expect_status(422);
    }
    let answer = visitor.log_in("alice", PASSWORD).await.expect_status(429);
    assert!(
        answer
            .header("retry-after")
            .parse::<u64>()
            .expect("seconds")
            <= 60
    );
    assert!(answer.body.contains("Try again in"));
    // Someone else's attempts do not lock Alice out where she is.
    let elsewhere = site.visitor();
    elsewhere.get("/login").await;
    let token = elsewhere.token();
    let fields = [
        ("username", "alice"),
        ("password", PASSWORD),
        ("csrf_token", token.as_str()),
    ];
    let request = elsewhere
        .client()
        .post(elsewhere.url("/login"))
        .header("x-forwarded-for", "192.0.2.7")
        .form(&fields);
    elsewhere.send(request).await.expect_status(303);
}

#[sqlx::test]
async fn s12_too_many_accounts_from_one_address_are_refused(pool: PgPool) {
    let site = limited(pool).await;
    for number in 0..site.state.limiter.rate(Class::Signup).max {
        site.signed_up(&format!("visitor-{number}")).await;
    }
    let visitor = site.visitor();
    visitor.get("/signup").await;
    let typo = [
        ("username", "late-one"),
        ("email", ""),
        ("password", "short"),
    ];
    visitor.post("/signup", &typo).await.expect_status(422);
    let fields = [
        ("username", "late-one"),
        ("email", ""),
        ("password", PASSWORD),
    ];
    visitor.post("/signup", &fields).await.expect_status(429);
}

#[sqlx::test]
async fn s12_guesses_at_the_current_password_are_limited(pool: PgPool) {
    let site = limited(pool).await;
    let alice = site.signed_up("alice").await;
    let fields = [
        ("current_password", "a wrong one"),
        ("new_password", "an entirely new one"),
    ];
    for _ in 0..10 {
        alice
            .post("/settings/password", &fields)
            .await
            .expect_status(422);
    }
    alice
        .post("/settings/password", &fields)
        .await
        .expect_status(429);
}

#[sqlx::test]
async fn next_leads_nowhere_but_here(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("alice").await;
    for evil in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
    ] {
        let visitor = site.visitor();
        visitor.get("/login").await;
        let fields = [
            ("username", "alice"),
            ("password", PASSWORD),
            ("next", evil),
        ];
        assert_eq!(
            visitor
                .post("/login", &fields)
                .await
                .expect_status(303)
                .location(),
            "/",
            "{evil}"
        );
        let again = format!("/login?next={}", evil.replace('/', "%2F"));
        assert_eq!(
            visitor.get(&again).await.expect_status(303).location(),
            "/",
            "{evil}"
        );
    }
}

/// S13: every way to send a form that this site's page was not asked for.
#[sqlx::test]
async fn s13_a_form_without_its_own_token_does_nothing(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    guest.get("/signup").await;
    let guest_token = guest.token();
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let fields = [("about", "changed")];
    let path = "/settings/profile";
    for (token, why) in [
        ("", "missing"),
        (bob.token().as_str(), "another session's"),
        (guest_token.as_str(), "a guest's"),
    ] {
        alice
            .post_with_token(path, &fields, token)
            .await
            .expect_status(403);
        assert_eq!(
            site.value::<i64>("SELECT count(*) FROM user_bodies").await,
            0,
            "{why}"
        );
    }
    let stale = alice.token();
    alice.post("/logout", &[]).await.expect_status(303);
    alice.log_in("alice", PASSWORD).await.expect_status(303);
    alice
        .post_with_token(path, &fields, &stale)
        .await
        .expect_status(403);
    alice.get("/about").await;
    let own = alice.token();
    let send = |name: &'static str, value: &'static str| {
        let form = [("about", "changed"), ("csrf_token", own.as_str())];
        alice.send(
            alice
                .client()
                .post(alice.url(path))
                .header(name, value)
                .form(&form),
        )
    };
    send("sec-fetch-site", "cross-site")
        .await
        .expect_status(403);
    send("sec-fetch-site", "same-site").await.expect_status(403);
    send("origin", "https://evil.example")
        .await
        .expect_status(403);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM user_bodies").await,
        0
    );
    send("sec-fetch-site", "same-origin")
        .await
        .expect_status(303);
    // A guest's form needs its cookie, and the cookie its form.
    let other = site.visitor();
    let login = [("username", "alice"), ("password", PASSWORD)];
    other
        .post_with_token("/login", &login, &guest_token)
        .await
        .expect_status(403);
    other
        .post_with_token("/login", &login, "")
        .await
        .expect_status(403);
}

async fn set_up(visitor: &Visitor, token: &str, name: &str) -> u16 {
    let fields = [
        ("token", token),
        ("username", name),
        ("email", ""),
        ("password", PASSWORD),
    ];
    visitor.post("/setup", &fields).await.status.as_u16()
}

#[sqlx::test]
async fn the_one_time_link_makes_the_administrator_once(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let first = setup::ensure(&site.state.db)
        .await
        .expect("asked")
        .expect("there is no administrator");
    let token = setup::ensure(&site.state.db)
        .await
        .expect("asked")
        .expect("there is no administrator");
    let (one, other) = (site.visitor(), site.visitor());
    one.get("/setup").await.expect_status(403);
    one.get("/setup?token=nonsense").await.expect_status(403);
    one.get(&format!("/setup?token={first}"))
        .await
        .expect_status(403);
    for visitor in [&one, &other] {
        let answer = visitor
            .get(&format!("/setup?token={token}"))
            .await
            .expect_status(200);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let stored: Vec<u8> = site.value("SELECT token_hash FROM setup_tokens").await;
    assert_ne!(stored, token.as_bytes(), "only a hash is kept");
    let (first, second) =
        tokio::join!(set_up(&one, &token, "one"), set_up(&other, &token, "other"));
    let mut statuses = [first, second];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403], "one of two");
    let admins = "SELECT count(*) FROM user_roles WHERE role_id = 3";
    assert_eq!(site.value::<i64>(admins).await, 1);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM events WHERE type = 'RoleGranted'")
            .await,
        1
    );
    assert_eq!(setup::ensure(&site.state.db).await.expect("asked"), None);
    let winner = if first == 303 { &one } else { &other };
    winner.get("/admin").await.expect_status(200);
}

#[sqlx::test]
async fn an_old_hash_is_made_anew_at_the_next_login(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("alice").await;
    let old = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(1_024, 1, 1, None).expect("valid"),
    );
    let hash = old
        .hash_password(PASSWORD.as_bytes())
        .expect("hashed")
        .to_string();
    sqlx::query("UPDATE users SET password_hash = $1")
        .bind(&hash)
        .execute(&site.pool)
        .await
        .expect("set");
    site.visitor()
        .log_in("alice", "wrong all the same")
        .await
        .expect_status(422);
    assert_eq!(
        site.value::<String>("SELECT password_hash FROM users")
            .await,
        hash
    );
    site.visitor()
        .log_in("alice", PASSWORD)
        .await
        .expect_status(303);
    let new: String = site.value("SELECT password_hash FROM users").await;
    assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
    site.visitor()
        .log_in("alice", PASSWORD)
        .await
        .expect_status(303);
}

#[sqlx::test]
async fn a_profile_and_preferences_are_kept(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    alice
        .post("/settings/profile", &[("about", "I like *Rust*\n<script>")])
        .await
        .expect_status(303);
    assert_eq!(
        alice.get("/settings/profile").await.text("#about"),
        "I like *Rust* <script>"
    );
    let html: String = site.value("SELECT html FROM user_bodies").await;
    assert!(
        html.contains("<em>Rust</em>") && !html.contains("<script>"),
        "{html}"
    );
    let long = "x".repeat(4_001);
    let answer = alice
        .post("/settings/profile", &[("about", &long)])
        .await
        .expect_status(422);
    assert_eq!(answer.text("#about"), long, "nothing typed is lost");

    let wanted = [
        ("theme", "dark"),
        ("compact", "1"),
        ("time_zone", "Europe/Berlin"),
    ];
    alice
        .post("/settings/preferences", &wanted)
        .await
        .expect_status(303);
    let page = alice.get("/settings/preferences").await;
    assert_eq!(
        page.attribute("html", "data-theme").as_deref(),
        Some("dark")
    );
    assert_eq!(
        page.attribute("html", "data-density").as_deref(),
        Some("compact")
    );
    assert_eq!(
        page.attribute("html", "data-shortcuts").as_deref(),
        Some("off")
    );
    assert_eq!(page.text("#time_zone option[selected]"), "Europe/Berlin");
    let bad = [("theme", "pink"), ("time_zone", "Europe/Atlantis")];
    let answer = alice
        .post("/settings/preferences", &bad)
        .await
        .expect_status(422);
    assert_eq!(answer.texts(".errors li").len(), 2);
}

#[sqlx::test]
async fn a_theme_is_a_cookie_for_guests_and_a_preference_for_members(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    let action = guest
        .get("/about")
        .await
        .attribute("form.theme", "action")
        .expect("the footer's form");
    let form = [("theme", "dark")];
    let answer = guest
        .send(guest.client().post(guest.url(&action)).form(&form))
        .await
        .expect_status(303);
    assert_eq!(answer.location(), "/about");
    assert_eq!(
        guest
            .get("/about")
            .await
            .attribute("html", "data-theme")
            .as_deref(),
        Some("dark")
    );
    guest
        .post("/theme", &[("theme", "pink")])
        .await
        .expect_status(400);

    let alice = site.signed_up("alice").await;
    alice
        .post_with_token("/theme", &form, "")
        .await
        .expect_status(403);
    alice.post("/theme", &form).await.expect_status(303);
    assert_eq!(
        site.value::<String>("SELECT theme FROM users").await,
        "dark"
    );
}
