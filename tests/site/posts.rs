//! Posts (P01, P03, P04): submitting, reading, changing, deleting, and what the forms say.

use sqlx::PgPool;

use crate::support::TestSite;

#[sqlx::test]
async fn a_link_is_submitted_and_stands_on_the_front_page(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post(
            "Proofreading marks",
            "https://www.typography.example/caret?utm_source=x&p=1",
            "",
            "design, Web",
        )
        .await;
    let page = site.visitor().get("/").await.expect_status(200);
    let item = format!("#post-{id}");
    assert_eq!(page.text(&format!("{item} h2")), "Proofreading marks");
    assert_eq!(
        page.attribute(&format!("{item} h2 a"), "href").as_deref(),
        Some("https://www.typography.example/caret?p=1"),
        "tracking parameters are gone"
    );
    assert_eq!(page.text(&format!("{item} .origin")), "typography.example");
    let facts = page.text(&format!("{item} .facts"));
    assert!(
        facts.contains("alice") && facts.contains("design, web"),
        "{facts}"
    );
    assert!(page.text(&format!("{item} .points")).starts_with('1'));
}

#[sqlx::test]
async fn only_its_author_changes_or_deletes_a_post(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let admin = site.signed_up_as("olga", "admin").await;
    let post = alice
        .submit_post("A thing", "", "A text that is long enough.", "")
        .await;
    let path = alice.get(&format!("/posts/{post}")).await.location();
    for act in ["edit", "delete"] {
        let form = format!("/posts/{post}/{act}");
        let link = format!("a[href='{form}']");
        assert!(alice.get(&path).await.has(&link), "{act}");
        assert!(!admin.get(&path).await.has(&link), "{act} is not offered");
        admin.get(&form).await.expect_status(403);
        let fields = [("title", "Mine"), ("text", "A text that is long enough.")];
        admin.get(&path).await.expect_status(200);
        let refused = admin.post(&form, &fields).await.expect_status(403);
        assert!(refused.text("main").contains("Only its author"));
        assert!(!refused.text("main").contains("send it once more"));
    }
    let title: String = site
        .value("SELECT title FROM posts WHERE id > 1 LIMIT 1")
        .await;
    assert_eq!(title, "A thing");
    alice.get(&path).await;
    alice
        .post(&format!("/posts/{post}/delete"), &[])
        .await
        .expect_status(303);
    let gone = alice.get(&format!("/posts/{post}")).await.location();
    let gone = alice.get(&gone).await;
    assert!(!gone.body.contains("The first word is yours"));
    let comments = alice.get("/users/alice/comments").await.expect_status(200);
    assert!(comments.has(".tabs a[href='/users/alice']"));
}

#[sqlx::test]
async fn an_invalid_form_is_shown_again_with_everything_that_was_typed(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let fields = [
        ("title", "ab"),
        ("url", "ftp://x.example/"),
        ("text", "short"),
        ("tags", "a,b,c,d,e,f"),
    ];
    let page = alice.post("/posts", &fields).await.expect_status(422);
    assert_eq!(
        page.attribute("input[name=title]", "value").as_deref(),
        Some("ab")
    );
    assert_eq!(
        page.attribute("input[name=url]", "value").as_deref(),
        Some("ftp://x.example/")
    );
    assert_eq!(
        page.attribute("input[name=tags]", "value").as_deref(),
        Some("a,b,c,d,e,f")
    );
    assert!(page.text("textarea[name=text]").contains("short"));
    for said in [
        "Title must be at least 3 characters",
        "http://",
        "10 characters",
        "Maximum 5 tags allowed",
    ] {
        assert!(page.body.contains(said), "missing: {said}");
    }
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM posts WHERE author_id IS NOT NULL")
            .await,
        0
    );
    let neither = alice
        .post(
            "/posts",
            &[("title", "A fine title"), ("url", ""), ("text", "")],
        )
        .await;
    neither.expect_status(422);
}

#[sqlx::test]
async fn the_same_url_leads_to_the_post_that_is_there(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("First", "https://example.org/a", "", "")
        .await;
    let bob = site.signed_up("bob").await;
    let again = [
        ("title", "Second"),
        ("url", "http://www.example.org/a/?fbclid=1"),
        ("text", ""),
        ("tags", ""),
    ];
    let answer = bob.post("/posts", &again).await.expect_status(303);
    assert_eq!(answer.location(), format!("/posts/{id}/first"));
    let page = bob.get(&answer.location()).await.expect_status(200);
    assert!(page.text(".notice").contains("posted already"));
    let page = bob.get(&answer.location()).await.expect_status(200);
    assert!(!page.has(".notice"), "said once");
    site.execute("UPDATE posts SET created_at = now() - interval '31 days'")
        .await;
    bob.post("/posts", &again).await.expect_status(303);
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM posts WHERE url IS NOT NULL")
            .await,
        2
    );
}

#[sqlx::test]
async fn two_people_who_submit_the_same_url_at_once_make_one_post(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let (alice, bob) = (site.signed_up("alice").await, site.signed_up("bob").await);
    let fields = [
        ("title", "At once"),
        ("url", "https://example.org/race"),
        ("text", ""),
        ("tags", ""),
    ];
    let (one, two) = tokio::join!(alice.post("/posts", &fields), bob.post("/posts", &fields));
    assert_eq!(
        one.expect_status(303).location(),
        two.expect_status(303).location()
    );
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM posts WHERE title = 'At once'")
            .await,
        1
    );
}

#[sqlx::test]
async fn a_form_sent_twice_makes_one_post(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let nonce = alice
        .get("/submit")
        .await
        .attribute("input[name=nonce]", "value")
        .expect("a nonce");
    let fields = [
        ("title", "Ask: twice?"),
        ("text", "A text of some length."),
        ("nonce", &nonce),
    ];
    let (one, two) = tokio::join!(alice.post("/posts", &fields), alice.post("/posts", &fields));
    let three = alice.post("/posts", &fields).await;
    let paths = [one, two, three].map(|a| a.expect_status(303).location());
    assert!(paths.iter().all(|p| *p == paths[0]), "{paths:?}");
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM posts WHERE title = 'Ask: twice?'")
            .await,
        1
    );
    assert_eq!(
        site.value::<i32>("SELECT post_count FROM users WHERE username = 'alice'")
            .await,
        1
    );
}

#[sqlx::test]
async fn a_post_has_one_canonical_address(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("Ä title, with marks!", "", "Some *text* of it.", "")
        .await;
    let canonical = format!("/posts/{id}/a-title-with-marks");
    for path in [format!("/posts/{id}"), format!("/posts/{id}/wrong")] {
        let answer = site
            .visitor()
            .get(&format!("{path}?sort=newest"))
            .await
            .expect_status(301);
        assert_eq!(answer.location(), format!("{canonical}?sort=newest"));
    }
    let page = site.visitor().get(&canonical).await.expect_status(200);
    assert!(page.body.contains("<p>Some <em>text</em> of it.</p>"));
    assert!(
        page.attribute("link[rel=canonical]", "href")
            .is_some_and(|h| h.ends_with(&canonical))
    );
}

#[sqlx::test]
async fn only_its_author_changes_a_post_and_only_for_a_while(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("Before", "https://example.org/b", "", "rust,web")
        .await;
    let edit = format!("/posts/{id}/edit");
    let bob = site.signed_up("bob").await;
    let change = [
        ("title", "After"),
        ("url", ""),
        ("text", "Now it is a text."),
        ("tags", "web,go"),
    ];
    bob.get(&edit).await.expect_status(403);
    bob.post(&edit, &change).await.expect_status(403);
    let form = alice.get(&edit).await.expect_status(200);
    assert_eq!(
        form.attribute("input[name=tags]", "value").as_deref(),
        Some("rust, web")
    );
    alice
        .post(&edit, &[("title", "x"), ("text", "Now it is a text.")])
        .await
        .expect_status(422);
    assert_eq!(
        alice
            .post(&edit, &change)
            .await
            .expect_status(303)
            .location(),
        format!("/posts/{id}/after")
    );
    let page = alice
        .get(&format!("/posts/{id}/after"))
        .await
        .expect_status(200);
    assert!(page.text(".facts").contains("edited") && page.text(".facts").contains("go, web"));
    assert_eq!(
        site.value::<i32>("SELECT post_count FROM tags WHERE name = 'rust'")
            .await,
        0
    );
    assert_eq!(
        site.value::<i32>("SELECT post_count FROM tags WHERE name = 'go'")
            .await,
        1
    );
    site.execute("UPDATE posts SET created_at = now() - interval '7 hours'")
        .await;
    alice.get(&edit).await.expect_status(403);
    alice.post(&edit, &change).await.expect_status(403);
}

#[sqlx::test]
async fn a_deleted_post_loses_its_words_and_keeps_its_thread(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post(
            "To be regretted",
            "https://example.org/r",
            "And a text with it.",
            "rust",
        )
        .await;
    let bob = site.signed_up("bob").await;
    bob.comment(id, None, "What was said about it.").await;
    let delete = format!("/posts/{id}/delete");
    bob.post(&delete, &[]).await.expect_status(403);
    assert!(
        alice
            .get(&delete)
            .await
            .expect_status(200)
            .body
            .contains("To be regretted")
    );
    alice.post(&delete, &[]).await.expect_status(303);
    let page = site
        .visitor()
        .get(&format!("/posts/{id}/post"))
        .await
        .expect_status(200);
    assert!(page.body.contains("What was said about it."));
    assert!(!page.body.contains("regretted") && !page.body.contains("example.org/r"));
    assert!(
        !site
            .visitor()
            .get("/newest")
            .await
            .has(&format!("#post-{id}"))
    );
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
    alice.post(&delete, &[]).await.expect_status(404);
    bob.post(
        &format!("/posts/{id}/comments"),
        &[("text", "more"), ("parent_id", "")],
    )
    .await
    .expect_status(422);
}

#[sqlx::test]
async fn a_preview_shows_the_post_and_keeps_the_form(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let alice = site.signed_up("alice").await;
    let fields = [
        ("title", "A *title*"),
        ("text", "Some **bold** words."),
        ("tags", "rust"),
    ];
    let page = alice
        .post("/submit/preview", &fields)
        .await
        .expect_status(200);
    assert!(page.body.contains("<strong>bold</strong>"));
    assert_eq!(
        page.attribute("input[name=title]", "value").as_deref(),
        Some("A *title*")
    );
    assert_eq!(
        site.value::<i64>("SELECT count(*) FROM posts WHERE author_id IS NOT NULL")
            .await,
        0
    );
}

#[sqlx::test]
async fn guests_are_led_to_log_in_and_back(pool: PgPool) {
    let site = TestSite::start(pool).await;
    let guest = site.visitor();
    assert_eq!(
        guest.get("/submit").await.expect_status(303).location(),
        "/login?next=%2Fsubmit"
    );
    assert_eq!(
        guest
            .post("/posts", &[("title", "x")])
            .await
            .expect_status(303)
            .location(),
        "/login?next=%2F"
    );
    let request = guest
        .client()
        .post(guest.url("/posts/1/vote"))
        .form(&[("value", "1")]);
    let from = request.header("referer", guest.url("/top?period=all"));
    assert_eq!(
        guest.send(from).await.expect_status(303).location(),
        "/login?next=%2Ftop%3Fperiod%3Dall"
    );
    let front = guest.get("/").await.expect_status(200);
    assert!(
        !front.has("input[name=csrf_token]"),
        "a page that may be cached holds no token"
    );
}
