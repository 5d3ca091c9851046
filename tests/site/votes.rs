//! Votes (P06): to and fro, not on one's own, and sums that hold when many vote at once.

use betternews::news::votes::queries;
use sqlx::PgPool;

use crate::support::TestSite;

#[sqlx::test]
async fn a_vote_is_cast_and_taken_back(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let comment = alice.comment(post, None, "A comment.").await;
    for path in [
        format!("/posts/{post}/vote"),
        format!("/comments/{comment}/vote"),
    ] {
        for _ in 0..2 {
            bob.post(&path, &[("value", "1")]).await.expect_status(303);
        }
    }
    assert_eq!(
        site.value::<i32>("SELECT karma FROM users WHERE username = 'alice'")
            .await,
        3
    );
    assert_eq!(
        site.value::<i32>("SELECT points FROM posts WHERE url IS NOT NULL")
            .await,
        2,
        "twice is once"
    );
    let page = bob.get("/").await.expect_status(200);
    assert_eq!(
        page.attribute(
            &format!("#post-{post} button[aria-pressed]"),
            "aria-pressed"
        )
        .as_deref(),
        Some("true")
    );
    for path in [
        format!("/posts/{post}/vote"),
        format!("/comments/{comment}/vote"),
    ] {
        for _ in 0..2 {
            bob.post(&path, &[("value", "0")]).await.expect_status(303);
        }
    }
    assert_eq!(
        site.value::<i32>("SELECT karma FROM users WHERE username = 'alice'")
            .await,
        1
    );
    assert_eq!(site.value::<i32>("SELECT votes FROM comments").await, 0);
}

#[sqlx::test]
async fn nobody_votes_on_their_own_or_on_what_is_gone(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let vote = format!("/posts/{post}/vote");
    alice
        .post(&vote, &[("value", "1")])
        .await
        .expect_status(403);
    bob.post(&vote, &[("value", "2")]).await.expect_status(400);
    bob.post(&vote, &[]).await.expect_status(400);
    bob.post("/posts/999999/vote", &[("value", "1")])
        .await
        .expect_status(404);
    site.execute("UPDATE posts SET state = 'removed'").await;
    bob.post(&vote, &[("value", "1")]).await.expect_status(403);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM post_votes").await,
        0
    );
}

#[sqlx::test]
async fn the_script_gets_the_control_and_others_go_back_to_their_list(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let vote = format!("/posts/{post}/vote");
    bob.get("/newest").await;
    let fragment = bob
        .post_fragment(&vote, &[("value", "1")])
        .await
        .expect_status(200);
    assert!(
        fragment.body.contains(r#"aria-pressed="true""#)
            && fragment.body.contains("Upvote: A post")
    );
    assert!(!fragment.body.contains("<html"));
    let token = bob.token();
    let request = bob
        .client()
        .post(bob.url(&vote))
        .form(&[("value", "0"), ("csrf_token", token.as_str())]);
    let answer = bob
        .send(request.header("referer", bob.url("/newest")))
        .await
        .expect_status(303);
    assert_eq!(answer.location(), format!("/newest#post-{post}"));
}

#[sqlx::test]
async fn the_first_vote_moves_a_post_up(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let older = alice
        .submit_post("The older", "https://example.org/1", "", "")
        .await;
    let newer = alice
        .submit_post("The newer", "https://example.org/2", "", "")
        .await;
    let order = async || {
        let ids = site
            .visitor()
            .get("/")
            .await
            .expect_status(200)
            .attributes(".items > li", "id");
        let at = |id: i64| {
            ids.iter()
                .position(|i| *i == format!("post-{id}"))
                .expect("on the page")
        };
        at(older) < at(newer)
    };
    assert!(!order().await);
    site.signed_up("bob")
        .await
        .post(&format!("/posts/{older}/vote"), &[("value", "1")])
        .await
        .expect_status(303);
    assert!(order().await, "right at once after the vote");
}

#[sqlx::test]
async fn sixty_four_voters_at_once_lose_no_vote(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    site.execute(
        "INSERT INTO users (username, name_key) SELECT 'voter' || n, 'voter' || n FROM generate_series(1, 64) AS n",
    )
    .await;
    let voters: Vec<i64> = sqlx::query_scalar("SELECT id FROM users WHERE username LIKE 'voter%'")
        .fetch_all(&site.pool)
        .await
        .expect("voters");
    let votes = voters.into_iter().map(|voter| {
        let db = site.state.db.clone();
        async move {
            let deadline = std::time::Duration::from_secs(30);
            let mut conn = loop {
                // The pool of the tests is small; waiting for a turn is not what is tested here.
                if let Ok(conn) = db.conn_with_deadline(deadline).await {
                    break conn;
                }
            };
            for _ in 0..2 {
                queries::insert_post_vote(&mut conn, post, voter)
                    .await
                    .expect("a vote");
            }
        }
    });
    futures_util::future::join_all(votes).await;
    assert_eq!(
        site.value::<i32>("SELECT votes FROM posts WHERE url IS NOT NULL")
            .await,
        64
    );
    assert_eq!(
        site.value::<i32>("SELECT karma FROM users WHERE username = 'alice'")
            .await,
        65
    );
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM post_votes").await,
        64
    );
}
