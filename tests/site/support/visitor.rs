//! A browser without a screen: keeps cookies, follows no redirect, and sends back the token of the last form it saw, as
//! a person's browser would. Must not know the product.

use std::sync::Mutex;

use reqwest::{
    Client, StatusCode,
    header::{HeaderMap, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use scraper::{Html, Selector};

/// Someone who visits the site.
pub struct Visitor {
    client: Client,
    address: String,
    token: Mutex<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Visitor {
    pub(super) fn new(address: &str) -> Self {
        // Asked for by every client, although nothing here is https; the site has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .cookie_store(true)
            .redirect(Policy::none())
            .no_proxy()
            // What is packed is seen packed.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()
            .expect("a client");
        Self {
            client,
            address: address.to_owned(),
            token: Mutex::default(),
        }
    }

    /// The client itself, for requests out of the ordinary.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The full address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path))).await
    }

    /// Opens a page as htmx does.
    pub async fn get_fragment(&self, path: &str) -> Answer {
        self.send(self.client.get(self.url(path)).header("HX-Request", "true"))
            .await
    }

    /// Sends a form with the token of the last page; a signed-in person who has seen none yet opens one first.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        if self.token().is_empty() {
            self.get("/about").await;
        }
        let token = self.token();
        self.post_with_token(path, fields, &token).await
    }

    /// Sends a form with a token of one's own choice.
    pub async fn post_with_token(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        token: &str,
    ) -> Answer {
        let mut all = fields.to_vec();
        all.push(("csrf_token", token));
        self.send(self.client.post(self.url(path)).form(&all)).await
    }

    /// Sends a form as htmx does.
    pub async fn post_fragment(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token();
        let mut all = fields.to_vec();
        all.push(("csrf_token", token.as_str()));
        let request = self
            .client
            .post(self.url(path))
            .header("HX-Request", "true");
        self.send(request.form(&all)).await
    }

    /// Sends any request and remembers the token of the form that comes back.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("the site answers");
        let answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.expect("the answer is text"),
        };
        let cookies = answer.headers.get_all(SET_COOKIE);
        if cookies
            .iter()
            .any(|c| c.as_bytes().starts_with(b"session="))
        {
            // The old token was for the session before; the next form brings a new one.
            self.token.lock().expect("no panic before").clear();
        }
        if let Some(token) = answer.attribute("input[name=csrf_token]", "value") {
            *self.token.lock().expect("no panic before") = token;
        }
        answer
    }

    /// The token of the last form that was seen.
    pub fn token(&self) -> String {
        self.token.lock().expect("no panic before").clone()
    }

    /// Opens the login page and sends its form.
    pub async fn log_in(&self, name: &str, password: &str) -> Answer {
        self.get("/login").await;
        self.post("/login", &[("username", name), ("password", password)])
            .await
    }

    /// The value of a cookie that the site has set in `answer`.
    pub fn cookie(answer: &Answer, name: &str) -> Option<String> {
        answer.headers.get_all(SET_COOKIE).iter().find_map(|value| {
            let (pair, _) = value.to_str().ok()?.split_once(';')?;
            let (found, value) = pair.split_once('=')?;
            (found == name).then(|| value.to_owned())
        })
    }

    /// Submits a post and gives its id.
    pub async fn submit_post(&self, title: &str, url: &str, text: &str, tags: &str) -> i64 {
        let fields = [
            ("title", title),
            ("url", url),
            ("text", text),
            ("tags", tags),
        ];
        let location = self
            .post("/posts", &fields)
            .await
            .expect_status(303)
            .location();
        number_after(&location, "/posts/")
    }

    /// Comments on a post, in reply to `parent` or to the post itself, and gives the comment's id.
    pub async fn comment(&self, post: i64, parent: Option<i64>, text: &str) -> i64 {
        let parent = parent.map(|id| id.to_string()).unwrap_or_default();
        let fields = [("text", text), ("parent_id", parent.as_str())];
        let location = self
            .post(&format!("/posts/{post}/comments"), &fields)
            .await
            .expect_status(303)
            .location();
        number_after(&location, "#comment-")
    }
}

fn number_after(text: &str, mark: &str) -> i64 {
    let rest = text
        .split_once(mark)
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number after {mark} in {text}"))
}

impl Answer {
    /// The answer itself, if it has this status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "the body was:\n{}", self.body);
        self
    }

    /// A header's text, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// Where a redirect leads.
    pub fn location(&self) -> String {
        self.header(LOCATION.as_str()).to_owned()
    }

    /// The texts of all elements that match, white space folded.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let dom = Html::parse_document(&self.body);
        dom.select(&Selector::parse(selector).expect("a selector"))
            .map(|e| {
                e.text()
                    .collect::<String>()
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    /// The text of the first element that matches, empty if there is none.
    pub fn text(&self, selector: &str) -> String {
        self.texts(selector).into_iter().next().unwrap_or_default()
    }

    /// Whether any element matches.
    pub fn has(&self, selector: &str) -> bool {
        !self.texts(selector).is_empty()
    }

    /// An attribute of the first element that matches.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let dom = Html::parse_document(&self.body);
        dom.select(&Selector::parse(selector).expect("a selector"))
            .find_map(|e| e.attr(name).map(str::to_owned))
    }

    /// An attribute of every element that matches.
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let dom = Html::parse_document(&self.body);
        dom.select(&Selector::parse(selector).expect("a selector"))
            .filter_map(|e| e.attr(name).map(str::to_owned))
            .collect()
    }
}
