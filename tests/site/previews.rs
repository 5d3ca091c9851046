//! Link previews: the API, the title for the submit form (P03), the description below a post (P18).

use std::time::Duration;

use betternews::platform::resilience::breaker::State;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    resilience::{json_of, preview, set, with_outside},
    support::{Answer, Options, Outside, TestSite, eventually},
};

#[sqlx::test]
async fn p18_a_signed_in_person_sees_what_a_page_says_of_itself(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let guest = preview(&site.visitor(), &outside.url("/page"))
        .await
        .expect_status(401);
    assert_eq!(json_of(&guest)["error"]["code"], "AUTHENTICATION_ERROR");
    let alice = site.signed_up("alice").await;
    let answer = preview(&alice, &outside.url("/there"))
        .await
        .expect_status(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let expected = json!({ "success": true, "data": {
        "url": outside.url("/page"),
        "title": "A page & its title",
        "description": "What the page is about, <in> a sentence.",
        "canonical_url": outside.url("/canonical"),
    }});
    assert_eq!(json_of(&answer), expected);
    assert_eq!(
        json_of(&preview(&alice, &outside.url("/latin1")).await)["data"]["title"],
        "Café"
    );
    for (status, url) in [
        (400, "nonsense".to_owned()),
        (400, "http://10.0.0.1/".to_owned()),
        (400, "http://2130706433/".to_owned()),
        (400, outside.url("/private")),
        (404, outside.url("/missing")),
        (404, outside.url("/pdf")),
        (404, outside.url("/loop")),
    ] {
        preview(&alice, &url).await.expect_status(status);
    }
    let status = site.state.dependencies.find("links").expect("listed");
    assert_eq!(
        (status.breaker.state, status.breaker.failures),
        (State::Closed, 0),
        "none of these was its fault"
    );
}

#[sqlx::test]
async fn p03_the_title_is_fetched_into_the_form_and_nothing_typed_is_lost(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let alice = site.signed_up("alice").await;
    let form = alice.get("/submit").await.expect_status(200);
    assert!(form.has("button[formaction='/submit/title']"));
    let first = form.attribute("form.form button", "formaction");
    assert_eq!(
        first,
        Some("/submit/preview".into()),
        "the Enter key presses Submit, which has none"
    );
    let nonce = form
        .attribute("input[name=nonce]", "value")
        .expect("a nonce");
    let url = outside.url("/page");
    let typed = [
        ("title", "x"),
        ("url", url.as_str()),
        ("text", "Some words."),
        ("tags", "web, rust"),
        ("nonce", &nonce),
    ];
    let filled = alice.post("/submit/title", &typed).await.expect_status(200);
    let value = |page: &Answer, field: &str| {
        page.attribute(&format!("input[name={field}]"), "value")
            .unwrap_or_default()
    };
    assert_eq!(value(&filled, "title"), "A page & its title");
    assert_eq!(
        (
            value(&filled, "url"),
            value(&filled, "tags"),
            value(&filled, "nonce")
        ),
        (url, "web, rust".into(), nonce)
    );
    assert_eq!(filled.text("textarea[name=text]"), "Some words.");
    for path in ["/untitled", "/missing", "/fail", "/private"] {
        let url = outside.url(path);
        let kept = alice
            .post("/submit/title", &[("title", "Mine"), ("url", &url)])
            .await
            .expect_status(422);
        assert_eq!(value(&kept, "title"), "Mine", "{path}");
        assert!(kept.has("#title-error"), "{path} says why");
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("url", &outside.url("/page"))
        .finish();
    let fragment = alice
        .get_fragment(&format!("/submit/title?{query}"))
        .await
        .expect_status(200);
    assert_eq!(value(&fragment, "title"), "A page & its title");
    assert!(!fragment.has("textarea"), "the field alone");
    let whole = alice
        .get(&format!("/submit/title?{query}"))
        .await
        .expect_status(200);
    assert!(whole.has("textarea"));
    let empty = alice
        .get_fragment("/submit/title?url=")
        .await
        .expect_status(200);
    assert!(empty.has("#title-error"));
    site.visitor()
        .get("/submit/title?url=")
        .await
        .expect_status(303);
}

#[sqlx::test]
async fn p18_a_post_says_quietly_what_its_link_leads_to(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let alice = site.signed_up("alice").await;
    let id = alice
        .submit_post("A title of mine", &outside.url("/page"), "", "")
        .await;
    let mut shown = String::new();
    for _ in 0..500 {
        shown = alice
            .get(&format!("/posts/{id}/a-title-of-mine"))
            .await
            .expect_status(200)
            .text(".link-description");
        if !shown.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(shown, "What the page is about, <in> a sentence.");
    alice
        .post(&format!("/posts/{id}/delete"), &[])
        .await
        .expect_status(303);
    let kept: i64 = site.value("SELECT count(*) FROM link_previews").await;
    assert_eq!(kept, 0, "what its author deletes is gone");
}

#[sqlx::test]
async fn p18_a_page_that_never_answers_is_left_alone_and_no_job_is_given_up(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    let alice = site.signed_up("alice").await;
    alice
        .submit_post("A title of mine", &outside.url("/fail"), "", "")
        .await;
    eventually("the job is done", async || {
        site.execute("UPDATE jobs SET run_at = now() WHERE state = 'queued'")
            .await;
        site.value::<i64>(
            "SELECT count(*) FROM jobs WHERE kind = 'link.preview' AND state = 'done'",
        )
        .await
            == 1
    })
    .await;
    assert_eq!(outside.hits("/fail"), 3);
    let dead: i64 = site
        .value("SELECT count(*) FROM jobs WHERE state = 'dead'")
        .await;
    assert_eq!(dead, 0);
}

#[sqlx::test]
async fn p03_a_title_is_asked_for_at_the_rate_of_the_api_and_a_miss_is_remembered(pool: PgPool) {
    let outside = Outside::start().await;
    let options = Options {
        outside: vec![outside.port],
        environment: vec![
            ("FEATURE_RATE_LIMITING", "true".into()),
            ("RATE_LIMIT_MAX", "3".into()),
        ],
        ..Options::default()
    };
    let site = TestSite::start_with(pool, options).await;
    let alice = site.signed_up("alice").await;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("url", &outside.url("/missing"))
        .finish();
    let path = format!("/submit/title?{query}");
    for _ in 0..3 {
        alice.get_fragment(&path).await.expect_status(200);
    }
    let refused = alice.get_fragment(&path).await.expect_status(429);
    assert_eq!(refused.header("ratelimit-limit"), "3");
    assert_eq!(outside.hits("/missing"), 1, "asked once a minute");
}

#[sqlx::test]
async fn p18_the_operator_switches_previews_off(pool: PgPool) {
    let (site, outside) = with_outside(pool).await;
    set(&site, "links.previews", json!(false)).await;
    let alice = site.signed_up("alice").await;
    preview(&alice, &outside.url("/page"))
        .await
        .expect_status(404);
    alice
        .post("/submit/title", &[("url", &outside.url("/page"))])
        .await
        .expect_status(404);
    assert!(
        !alice
            .get("/submit")
            .await
            .has("button[formaction='/submit/title']")
    );
    let id = alice
        .submit_post("A title of mine", &outside.url("/page"), "", "")
        .await;
    alice
        .get(&format!("/posts/{id}/a-title-of-mine"))
        .await
        .expect_status(200);
    assert_eq!(outside.hits("/page"), 0);
}
