//! Pages of the shell: the error page and what the operator says about the site. It must not know
//! what went wrong beyond its status.

use askama::Template;

use crate::web::format as filters;
use crate::web::page::Page;

/// Any failure, told to a person.
#[derive(Template)]
#[template(path = "web/error.html")]
pub struct ErrorPage {
    /// The chrome; its `request_id` is shown.
    pub page: Page,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub heading: String,
    /// What it means, in a sentence.
    pub sentence: String,
    /// What to do next, in a sentence.
    pub advice: String,
    /// Ways out beside the front page.
    pub ways_out: Vec<WayOut>,
}

/// A link on the error page.
#[derive(Debug, Clone)]
pub struct WayOut {
    /// Where it leads.
    pub href: String,
    /// Its words.
    pub label: String,
}

impl ErrorPage {
    /// The page for a status in its usual words; callers who know more replace the sentence.
    /// Statuses without words of their own get those of 400 or 500.
    pub fn of_status(page: Page, status: u16) -> Self {
        let (heading, sentence, advice) = words(status);
        let mut ways_out = Vec::new();
        if status == 401 || (status == 403 && page.viewer.is_none()) {
            ways_out.push(WayOut {
                href: format!("/login?next={}", page.next),
                label: "Log in".to_owned(),
            });
        }
        if matches!(status, 404 | 410) {
            ways_out.push(WayOut {
                href: "/newest".to_owned(),
                label: "Newest posts".to_owned(),
            });
        }
        if status == 403 {
            ways_out.push(WayOut {
                href: "/guidelines".to_owned(),
                label: "Guidelines".to_owned(),
            });
        }
        Self {
            page: Page {
                title: heading.to_owned(),
                robots: Some("noindex"),
                ..page
            },
            status,
            heading: heading.to_owned(),
            sentence: sentence.to_owned(),
            advice: advice.to_owned(),
            ways_out,
        }
    }
}

/// Heading, sentence and advice for a status.
const fn words(status: u16) -> (&'static str, &'static str, &'static str) {
    match status {
        401 => (
            "Please log in first",
            "This page is for people with an account.",
            "Log in, and you will be brought straight back here.",
        ),
        403 => (
            "That is not allowed",
            "Your account may not do this.",
            "If you think that it should, ask whoever runs the site.",
        ),
        404 => (
            "There is nothing here",
            "The page may have moved, or the address may have a slip in it.",
            "Check the address, or start again from the front page.",
        ),
        405 => (
            "That cannot be done here",
            "This address exists, but it does not take this kind of request.",
            "Go back and use the links or buttons on the page.",
        ),
        408 => (
            "That took too long",
            "Your request did not arrive in full in time.",
            "Check your connection and try again.",
        ),
        409 => (
            "Somebody was faster",
            "What you wanted to change has changed in the meantime.",
            "Go back, load the page again, and see how it stands now.",
        ),
        410 => (
            "This is gone",
            "It was here once and has been taken away for good.",
            "Start again from the front page.",
        ),
        413 => (
            "That is too much at once",
            "What you sent is larger than this site takes.",
            "Go back, make it shorter, and send it again.",
        ),
        414 => (
            "That address is too long",
            "The address holds more than this site reads.",
            "Shorten it, or start again from the front page.",
        ),
        415 => (
            "This kind of content is not taken",
            "The site expects a form that a browser sends.",
            "Go back and use the form on the page.",
        ),
        429 => (
            "A little slower, please",
            "There have been many requests from you in a short time, so this one was not carried out.",
            "Wait a few minutes, then try again; nothing you have sent before is lost.",
        ),
        503 => (
            "Back in a moment",
            "The site cannot reach everything it needs right now.",
            "Nothing is wrong on your side. Try again in a few seconds.",
        ),
        500.. => (
            "Something went wrong here",
            "This is a fault of the site, not yours, and it has been written down.",
            "Try again in a moment. If it keeps happening, tell the operator the request number below.",
        ),
        _ => (
            "That request made no sense",
            "Something in the address or in what was sent could not be read.",
            "Go back and try again, or start from the front page.",
        ),
    }
}

/// What this site is, and who runs it.
#[derive(Template)]
#[template(path = "web/about.html")]
pub struct AboutPage {
    /// The chrome.
    pub page: Page,
    /// How to reach the operator: an address or a sentence; `None` if they have not said.
    pub contact: Option<String>,
}

/// What is welcome here.
#[derive(Template)]
#[template(path = "web/guidelines.html")]
pub struct GuidelinesPage {
    /// The chrome.
    pub page: Page,
}

/// What is kept about people.
#[derive(Template)]
#[template(path = "web/privacy.html")]
pub struct PrivacyPage {
    /// The chrome.
    pub page: Page,
    /// How to reach the operator; `None` if they have not said.
    pub contact: Option<String>,
}
