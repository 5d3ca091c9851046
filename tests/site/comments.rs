//! Threads (P05): writing, answering, folding, order, paging, changing, deleting.

use sqlx::PgPool;

use crate::support::TestSite;

#[sqlx::test]
async fn a_thread_is_nested_and_every_comment_has_its_page(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("Ask: a question?", "", "What do you think of it?", "")
        .await;
    let root = bob.comment(post, None, "The *first* word.").await;
    let reply = alice.comment(post, Some(root), "An answer.").await;
    let deep = bob.comment(post, Some(reply), "And another.").await;
    let page = site
        .visitor()
        .get(&format!("/posts/{post}/ask-a-question"))
        .await
        .expect_status(200);
    let nested =
        format!("#comment-{root} > article > details > ol > #comment-{reply} #comment-{deep}");
    assert!(page.has(&nested), "{}", page.body);
    assert!(
        page.text(&format!("#comment-{reply} summary"))
            .contains("alice author")
    );
    assert!(page.body.contains("The <em>first</em> word."));
    assert!(page.text("#comments-heading").starts_with("3 replies"));
    let own = site
        .visitor()
        .get(&format!("/comments/{deep}"))
        .await
        .expect_status(200);
    assert_eq!(own.texts(".ancestors li").len(), 2);
    assert!(own.has(&format!("#comment-{deep}")) && !own.has(&format!("#comment-{root}")));
    let root_page = site
        .visitor()
        .get(&format!("/comments/{root}"))
        .await
        .expect_status(200);
    assert!(root_page.has(&format!("#comment-{root} #comment-{deep}")));
    assert_eq!(
        site.value::<i32>("SELECT max(comment_count) FROM posts")
            .await,
        3
    );
}

#[sqlx::test]
async fn what_was_typed_is_never_lost(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let path = format!("/posts/{post}/comments");
    let root = alice.comment(post, None, "A comment.").await;
    let parent = root.to_string();
    let page = alice
        .post(&path, &[("text", "  \n "), ("parent_id", "")])
        .await
        .expect_status(422);
    assert!(page.body.contains("Write something first") && page.has("#comments"));
    site.execute("UPDATE comments SET state = 'removed'").await;
    let page = alice
        .post(&path, &[("text", "My long reply"), ("parent_id", &parent)])
        .await
        .expect_status(422);
    assert!(page.text("textarea[name=text]").contains("My long reply"));
    site.execute("UPDATE posts SET locked = true").await;
    let page = alice
        .post(&path, &[("text", "My long comment"), ("parent_id", "")])
        .await
        .expect_status(422);
    assert!(page.text("textarea[name=text]").contains("My long comment"));
    let fragment = alice
        .post_fragment(&path, &[("text", " "), ("parent_id", &parent)])
        .await
        .expect_status(422);
    assert!(
        fragment.body.trim_start().starts_with("<form"),
        "the script gets the form alone"
    );
    alice
        .post(&path, &[("text", "x"), ("parent_id", "seven")])
        .await
        .expect_status(400);
    alice
        .post(
            "/posts/999999/comments",
            &[("text", "x"), ("parent_id", "")],
        )
        .await
        .expect_status(404);
    assert_eq!(site.value::<i64>("SELECT count(*) FROM comments").await, 1);
    assert_eq!(
        site.value::<i32>("SELECT max(comment_count) FROM posts")
            .await,
        1,
        "nothing was counted"
    );
}

#[sqlx::test]
async fn the_script_gets_the_comment_alone(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let root = alice.comment(post, None, "A comment.").await;
    let form = alice
        .get_fragment(&format!("/comments/{root}/reply"))
        .await
        .expect_status(200);
    assert!(form.body.trim_start().starts_with("<form"));
    let bare = alice
        .get(&format!("/comments/{root}/reply"))
        .await
        .expect_status(303);
    assert_eq!(bare.location(), format!("/comments/{root}#reply"));
    let fields = [("text", "By the script."), ("parent_id", &root.to_string())];
    let fragment = alice
        .post_fragment(&format!("/posts/{post}/comments"), &fields)
        .await
        .expect_status(200);
    assert!(
        fragment.body.trim_start().starts_with("<li") && fragment.body.contains("By the script.")
    );
}

#[sqlx::test]
async fn a_deleted_comment_keeps_its_replies(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let root = alice.comment(post, None, "Words to regret.").await;
    let reply = bob.comment(post, Some(root), "A reply that stays.").await;
    bob.post(&format!("/comments/{root}/delete"), &[])
        .await
        .expect_status(403);
    assert!(
        alice
            .get(&format!("/comments/{root}/delete"))
            .await
            .expect_status(200)
            .body
            .contains("Words to regret.")
    );
    alice
        .post(&format!("/comments/{root}/delete"), &[])
        .await
        .expect_status(303);
    let page = site
        .visitor()
        .get(&format!("/posts/{post}/a-post"))
        .await
        .expect_status(200);
    assert!(page.body.contains("A reply that stays.") && !page.body.contains("Words to regret."));
    assert!(
        page.text(&format!("#comment-{root} summary"))
            .contains("[deleted]")
    );
    bob.post(&format!("/comments/{reply}/delete"), &[])
        .await
        .expect_status(303);
    let page = site
        .visitor()
        .get(&format!("/posts/{post}/a-post"))
        .await
        .expect_status(200);
    assert!(
        !page.has(".comment"),
        "with nothing below them, both are gone from the page"
    );
    assert_eq!(
        site.value::<i32>("SELECT max(comment_count) FROM posts")
            .await,
        0
    );
    assert!(
        site.value::<bool>("SELECT bool_and(active_at IS NULL) FROM posts")
            .await
    );
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM comment_bodies")
            .await,
        0
    );
}

#[sqlx::test]
async fn a_comment_is_changed_by_its_author_for_a_while_and_marked(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let id = alice.comment(post, None, "Befor.").await;
    let edit = format!("/comments/{id}/edit");
    bob.post(&edit, &[("text", "Hijacked")])
        .await
        .expect_status(403);
    assert!(alice.get(&edit).await.text("textarea").contains("Befor."));
    alice.post(&edit, &[("text", "")]).await.expect_status(422);
    alice
        .post(&edit, &[("text", "After.")])
        .await
        .expect_status(303);
    let page = site
        .visitor()
        .get(&format!("/comments/{id}"))
        .await
        .expect_status(200);
    assert!(
        page.body.contains("After.")
            && page
                .text(&format!("#comment-{id} summary"))
                .contains("edited")
    );
    site.execute("UPDATE comments SET created_at = now() - interval '7 hours'")
        .await;
    alice
        .post(&edit, &[("text", "Too late.")])
        .await
        .expect_status(403);
}

#[sqlx::test]
async fn siblings_are_sorted_best_newest_or_oldest(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(alice.comment(post, None, text).await);
    }
    sqlx::query("UPDATE comments SET votes = 9 WHERE id = $1")
        .bind(ids[1])
        .execute(&site.pool)
        .await
        .expect("set");
    let order = async |sort: &str| {
        let page = site
            .visitor()
            .get(&format!("/posts/{post}/a-post{sort}"))
            .await
            .expect_status(200);
        page.attributes(".comment", "id")
            .iter()
            .map(|id| id[8..].parse::<i64>().expect("id"))
            .collect::<Vec<_>>()
    };
    assert_eq!(order("?sort=oldest").await, ids);
    assert_eq!(order("?sort=newest").await, [ids[2], ids[1], ids[0]]);
    assert_eq!(order("").await[0], ids[1]);
    site.visitor()
        .get(&format!("/posts/{post}/a-post?sort=worst"))
        .await
        .expect_status(400);
}

#[sqlx::test]
async fn a_long_thread_is_paged_by_its_roots_and_can_be_had_whole(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    sqlx::query(
        "INSERT INTO comments (id, post_id, parent_id, root_id, author_id, depth, votes, created_at)
         SELECT 1000 + n, $1, CASE WHEN n % 4 = 0 THEN NULL ELSE 1000 + n - n % 4 END, 1000 + n - n % 4, u.id,
                CASE WHEN n % 4 = 0 THEN 0 ELSE 1 END, n % 7, now() - n * interval '1 minute'
           FROM generate_series(0, 399) AS n, users u",
    )
    .bind(post)
    .execute(&site.pool)
    .await
    .expect("a long thread");
    site.execute("UPDATE posts SET comment_count = 400, active_at = now()")
        .await;
    for sort in ["", "?sort=newest", "?sort=oldest"] {
        let mut path = format!("/posts/{post}/a-post{sort}");
        let mut seen = Vec::new();
        loop {
            let page = site.visitor().get(&path).await.expect_status(200);
            seen.extend(page.attributes(".comment", "id"));
            match page.attribute("a[rel=next]", "href") {
                Some(next) => path = next,
                None => break,
            }
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((all, seen.len()), (400, 400), "each comment once: {sort}");
    }
    let whole = site
        .visitor()
        .get(&format!("/posts/{post}/a-post?all=1"))
        .await
        .expect_status(200);
    assert_eq!(whole.attributes(".comment", "id").len(), 400);
    site.visitor()
        .get(&format!("/posts/{post}/a-post?after=hot.f0.1.1"))
        .await
        .expect_status(400);
}

#[sqlx::test]
async fn flat_lists_show_comments_with_their_posts(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let bob = site.signed_up("bob").await;
    let post = alice
        .submit_post("A post", "https://example.org/1", "", "")
        .await;
    let root = bob.comment(post, None, "From bob.").await;
    let reply = alice.comment(post, Some(root), "From alice.").await;
    let all = site.visitor().get("/comments").await.expect_status(200);
    assert!(all.has(&format!("#comment-{root}")) && all.has(&format!("#comment-{reply}")));
    assert!(all.body.contains("A post"));
    let bobs = site
        .visitor()
        .get("/users/bob/comments")
        .await
        .expect_status(200);
    assert!(bobs.has(&format!("#comment-{root}")) && !bobs.has(&format!("#comment-{reply}")));
    let threads = bob.get("/threads").await.expect_status(200);
    assert!(
        threads.has(&format!("#comment-{root} #comment-{reply}")),
        "one's own with what others answered"
    );
    site.visitor()
        .get("/users/nobody/comments")
        .await
        .expect_status(404);
}
