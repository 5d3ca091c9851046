//! P15's core: removing, restoring, banning, the public log, and S37: the projections follow from the events.

use betternews::news::{
    moderation::rebuild::{Rebuilt, rebuild},
    verify,
};
use sqlx::PgPool;

use crate::support::{TestSite, Visitor};

const WHY: [(&str, &str); 1] = [("reason", "off topic here")];

async fn rebuilt(site: &TestSite) -> Rebuilt {
    let mut connection = site.pool.acquire().await.expect("a connection");
    rebuild(&mut connection).await.expect("rebuilt")
}

/// Every counter is what its rows say, and the projections are what the events tell.
async fn is_consistent(site: &TestSite) {
    let mut connection = site.pool.acquire().await.expect("a connection");
    let drift = verify::verify(&mut connection, |_| {})
        .await
        .expect("verified");
    let drift: Vec<_> = drift
        .iter()
        .filter(|d| d.rows > 0)
        .map(|d| d.counter)
        .collect();
    assert!(drift.is_empty(), "{drift:?}");
    assert!(rebuilt(site).await.is_clean());
}

async fn submitted(author: &Visitor, title: &str) -> i64 {
    author
        .submit_post(title, "", "A text that is long enough.", "rust, web")
        .await
}

#[sqlx::test]
async fn a_removed_post_leaves_the_lists_and_comes_back(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    let post = submitted(&alice, "Something off topic").await;
    alice.comment(post, None, "A comment under it.").await;
    let page = moderator
        .get(&format!("/posts/{post}/remove"))
        .await
        .expect_status(200);
    assert_eq!(page.text(".subject"), "Something off topic");
    let answer = moderator
        .post(&format!("/posts/{post}/remove"), &[("reason", "  no")])
        .await
        .expect_status(422);
    assert!(answer.text("#reason-error").contains("at least 3"));
    moderator
        .post(&format!("/posts/{post}/remove"), &WHY)
        .await
        .expect_status(303);
    assert!(
        !site
            .visitor()
            .get("/newest")
            .await
            .body
            .contains("Something off topic")
    );
    is_consistent(&site).await;
    assert_eq!(
        site.value::<i32>("SELECT post_count FROM users WHERE username = 'alice'")
            .await,
        0
    );
    assert_eq!(
        site.value::<i32>("SELECT post_count FROM tags WHERE name = 'rust'")
            .await,
        0
    );

    let log = site
        .visitor()
        .get("/moderation/log")
        .await
        .expect_status(200);
    assert!(
        log.text(".log li")
            .contains("mod1 removed the post Something off topic"),
        "{}",
        log.text(".log li")
    );
    assert_eq!(log.text(".log .reason"), "off topic here");
    moderator
        .post(&format!("/posts/{post}/remove"), &WHY)
        .await
        .expect_status(409);

    moderator
        .post(&format!("/posts/{post}/restore"), &WHY)
        .await
        .expect_status(303);
    assert!(
        site.visitor()
            .get("/newest")
            .await
            .body
            .contains("Something off topic")
    );
    assert_eq!(
        site.visitor()
            .get("/moderation/log")
            .await
            .texts(".log li")
            .len(),
        2
    );
    is_consistent(&site).await;
}

#[sqlx::test]
async fn a_removed_comment_keeps_its_replies_and_the_counts_follow(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    let post = submitted(&alice, "Something to discuss").await;
    let first = bob.comment(post, None, "The first comment.").await;
    alice.comment(post, Some(first), "A reply to it.").await;
    let last = bob
        .comment(post, None, "The last comment, which is rude.")
        .await;
    let page = moderator
        .get(&format!("/comments/{last}/remove"))
        .await
        .expect_status(200);
    assert!(page.text(".subject").contains("which is rude"));
    for comment in [last, first] {
        moderator
            .post(&format!("/comments/{comment}/remove"), &WHY)
            .await
            .expect_status(303);
        is_consistent(&site).await;
    }
    let page = site.visitor().get(&format!("/posts/{post}/x")).await;
    let page = if page.status == 301 {
        site.visitor().get(&page.location()).await
    } else {
        page
    };
    assert!(page.body.contains("A reply to it.") && !page.body.contains("The first comment."));
    assert_eq!(
        site.value::<i32>("SELECT comment_count FROM users WHERE username = 'bob'")
            .await,
        0
    );
    let active = "SELECT p.active_at = c.created_at FROM posts p JOIN comments c ON c.post_id = p.id AND c.state = 'live'
                   WHERE p.author_id IS NOT NULL";
    assert!(
        site.value::<bool>(active).await,
        "active is as old as the last living comment"
    );
    moderator
        .post(&format!("/comments/{first}/restore"), &WHY)
        .await
        .expect_status(303);
    moderator
        .post(&format!("/comments/{first}/restore"), &WHY)
        .await
        .expect_status(409);
    is_consistent(&site).await;
    let log = site.visitor().get("/moderation/log").await;
    assert!(
        log.text(".log li")
            .contains("mod1 restored a comment on Something to discuss")
    );
}

#[sqlx::test]
async fn what_is_not_a_moderators_to_decide_stays(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let one = site.signed_up_as("mod1", "moderator").await;
    let two = site.signed_up_as("mod2", "moderator").await;
    let admin = site.signed_up_as("boss", "admin").await;
    // What its author deleted is not put back.
    let deleted = submitted(&alice, "Taken back by its author").await;
    alice
        .post(&format!("/posts/{deleted}/delete"), &[])
        .await
        .expect_status(303);
    one.post(&format!("/posts/{deleted}/restore"), &WHY)
        .await
        .expect_status(403);
    one.post(&format!("/posts/{deleted}/remove"), &WHY)
        .await
        .expect_status(409);
    // One's own may be removed, but not restored, by oneself; nobody touches an equal's.
    let own = submitted(&one, "A moderator's own post").await;
    two.post(&format!("/posts/{own}/remove"), &WHY)
        .await
        .expect_status(403);
    one.post(&format!("/posts/{own}/remove"), &WHY)
        .await
        .expect_status(303);
    one.post(&format!("/posts/{own}/restore"), &WHY)
        .await
        .expect_status(403);
    two.post(&format!("/posts/{own}/restore"), &WHY)
        .await
        .expect_status(403);
    admin
        .post(&format!("/posts/{own}/restore"), &WHY)
        .await
        .expect_status(303);
    for name in ["mod1", "mod2", "boss"] {
        one.post(&format!("/users/{name}/ban"), &WHY)
            .await
            .expect_status(403);
    }
    one.post("/users/nobody-here/ban", &WHY)
        .await
        .expect_status(404);
    one.post("/posts/999999/remove", &WHY)
        .await
        .expect_status(404);
    one.post("/comments/999999/remove", &WHY)
        .await
        .expect_status(404);
    is_consistent(&site).await;
}

#[sqlx::test]
async fn s11_only_moderators_keep_order(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = submitted(&alice, "Something to be left alone").await;
    let comment = alice.comment(post, None, "Words to be left alone.").await;
    let paths = [
        format!("/posts/{post}/remove"),
        format!("/posts/{post}/restore"),
        format!("/comments/{comment}/remove"),
        format!("/comments/{comment}/restore"),
        "/users/alice/ban".to_owned(),
        "/users/alice/unban".to_owned(),
    ];
    for path in &paths {
        assert!(
            site.visitor()
                .get(path)
                .await
                .expect_status(303)
                .location()
                .starts_with("/login?next="),
            "{path}"
        );
        bob.get(path).await.expect_status(403);
        bob.post(path, &WHY).await.expect_status(403);
        // Not even one's own, without the role.
        alice.post(path, &WHY).await.expect_status(403);
    }
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM moderation_log")
            .await,
        0
    );
}

#[sqlx::test]
async fn s37_of_two_moderators_at_once_the_second_is_told(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let one = site.signed_up_as("mod1", "moderator").await;
    let two = site.signed_up_as("mod2", "moderator").await;
    let post = submitted(&alice, "Something off topic").await;
    let comment = alice.comment(post, None, "A comment off topic.").await;
    for path in [
        format!("/comments/{comment}/remove"),
        format!("/posts/{post}/remove"),
        "/users/alice/ban".to_owned(),
    ] {
        let (first, second) = tokio::join!(one.post(&path, &WHY), two.post(&path, &WHY));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 409], "{path}");
    }
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM moderation_log")
            .await,
        3
    );
    is_consistent(&site).await;
}

#[sqlx::test]
async fn who_is_banned_reads_and_no_more(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("mallory").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    let post = submitted(&moderator, "Something to vote for").await;
    let form = moderator.get("/users/mallory/ban").await.expect_status(200);
    assert!(form.has("#days"));
    for days in ["0", "soon", "4000"] {
        let fields = [("reason", "spam again"), ("days", days)];
        let answer = moderator
            .post("/users/mallory/ban", &fields)
            .await
            .expect_status(422);
        assert_eq!(answer.attribute("#days", "value").as_deref(), Some(days));
    }
    let fields = [("reason", "spam again"), ("days", "7")];
    moderator
        .post("/users/mallory/ban", &fields)
        .await
        .expect_status(303);
    let log = site.visitor().get("/moderation/log").await;
    assert!(
        log.text(".log li")
            .contains("mod1 gave a ban of 7 days to mallory"),
        "{}",
        log.text(".log li")
    );
    is_consistent(&site).await;

    // A session that a ban did not reach (its store was away) can read, log out, and nothing else.
    let eve = site.signed_up("eve").await;
    site.execute(
        "UPDATE users SET banned_at = now(), ban_reason = 'rude again' WHERE username = 'eve'",
    )
    .await;
    assert_eq!(
        eve.get("/about")
            .await
            .expect_status(200)
            .text(".menu summary"),
        "eve"
    );
    for path in [
        format!("/posts/{post}/vote"),
        format!("/posts/{post}/comments"),
        "/posts".into(),
        "/settings/profile".into(),
    ] {
        let fields = [
            ("value", "1"),
            ("text", "hello there"),
            ("title", "A title"),
        ];
        let answer = eve.post(&path, &fields).await.expect_status(403);
        assert!(answer.body.contains("rude again"), "{path}");
    }
    eve.post("/logout", &[]).await.expect_status(303);

    // A ban ends by itself.
    site.execute(
        "UPDATE users SET banned_until = now() - interval '1 second' WHERE banned_at IS NOT NULL",
    )
    .await;
    site.visitor()
        .log_in("mallory", crate::support::PASSWORD)
        .await
        .expect_status(303);
    moderator
        .post("/users/mallory/unban", &WHY)
        .await
        .expect_status(409);
}

#[sqlx::test]
async fn s37_projections_are_made_anew_from_the_events(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    let post = submitted(&alice, "Something off topic").await;
    moderator
        .post(&format!("/posts/{post}/remove"), &WHY)
        .await
        .expect_status(303);
    moderator
        .post(
            "/users/alice/ban",
            &[("reason", "spam again"), ("days", "3")],
        )
        .await
        .expect_status(303);
    let clean = rebuilt(&site).await;
    assert!(clean.is_clean() && clean.events == 5, "{clean:?}");
    let told = "SELECT jsonb_agg(l ORDER BY event_id)::text FROM moderation_log l";
    let accounts = "SELECT jsonb_agg(jsonb_build_array(id, banned_at, banned_until, ban_reason) ORDER BY id)::text FROM users";
    let (log, bans): (String, String) = (site.value(told).await, site.value(accounts).await);

    site.execute("UPDATE moderation_log SET reason = 'tampered' WHERE target = 'post'")
        .await;
    site.execute("DELETE FROM moderation_log WHERE target = 'user'")
        .await;
    site.execute("UPDATE users SET banned_at = NULL, banned_until = NULL, ban_reason = NULL WHERE username = 'alice'").await;
    site.execute("DELETE FROM user_roles WHERE role_id = 2")
        .await;
    let found = rebuilt(&site).await;
    assert_eq!((found.log_rows, found.bans, found.roles), (2, 1, 1));
    assert_eq!(site.value::<String>(told).await, log);
    assert_eq!(site.value::<String>(accounts).await, bans);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM user_roles WHERE role_id = 2")
            .await,
        1
    );
    assert!(rebuilt(&site).await.is_clean());
    let personal = "SELECT count(*) FROM events WHERE data::text || meta::text LIKE '%@%' OR meta::text LIKE '%127.0.0.1%'";
    assert_eq!(site.value::<i64>(personal).await, 0);
}

#[sqlx::test]
async fn the_log_goes_on_page_by_page(pool: PgPool) {
    let site = TestSite::start(pool).await;
    site.signed_up("alice").await;
    let moderator = site.signed_up_as("mod1", "moderator").await;
    for round in 0..16 {
        let reason = format!("round {round}");
        moderator
            .post("/users/alice/ban", &[("reason", &reason)])
            .await
            .expect_status(303);
        moderator
            .post("/users/alice/unban", &[("reason", &reason)])
            .await
            .expect_status(303);
    }
    let first = site.visitor().get("/moderation/log").await;
    assert_eq!(first.texts(".log li").len(), 30);
    let next = first.attribute(".more a", "href").expect("there is more");
    let second = site.visitor().get(&next).await.expect_status(200);
    assert_eq!(second.texts(".log li").len(), 2);
    assert!(second.texts(".log .reason").iter().all(|r| r == "round 0"));
    assert!(!second.has(".more a"));
    site.visitor()
        .get("/moderation/log?after=nonsense")
        .await
        .expect_status(400);
    let empty = site
        .visitor()
        .get("/moderation/log?after=log.i0.0.0")
        .await
        .expect_status(200);
    assert!(empty.has(".empty"));
}
