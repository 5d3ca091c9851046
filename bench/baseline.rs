//! The bare server that the site is compared with: actix-web with nothing around its handlers. One answers what the
//! site has answered, byte for byte with the same headers; the other runs the front page's query and answers its rows
//! as JSON. Must not do anything that makes it slower than it has to be.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    web,
};
use anyhow::{Context as _, Result, ensure};
use betternews::news::{
    lists::{
        listing::PAGE_SIZE,
        queries::{Window, list_hot},
    },
    posts::model::PostCard,
};
use serde::Serialize;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    load::{Encoding, Target},
    site::{Server, free_port, wait_for},
};

/// Headers that belong to one connection or moment; the server makes its own.
const OWN_HEADERS: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder with `page.headers` and `page.body`.
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    database_url: String,
    /// The user who reads the rows.
    #[arg(long)]
    viewer: i64,
}

struct Page {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: web::Bytes,
}

/// Serves until it is killed.
pub async fn serve(arguments: Arguments) -> Result<()> {
    let page = web::Data::new(read(&arguments.folder)?);
    // As many connections as the site has by default.
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .connect(&arguments.database_url)
        .await?;
    let pool = web::Data::new(pool);
    let window = web::Data::new(Window {
        viewer: Some(arguments.viewer),
        after: None,
        // One more than fits, as the site asks for.
        limit: PAGE_SIZE + 1,
    });
    HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .app_data(pool.clone())
            .app_data(window.clone())
            .route("/page", web::get().to(page_again))
            .route("/rows", web::get().to(rows))
    })
    .bind(("127.0.0.1", arguments.port))?
    .run()
    .await?;
    Ok(())
}

async fn page_again(page: web::Data<Page>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    for header in &page.headers {
        answer.append_header(header.clone());
    }
    answer.body(page.body.clone())
}

/// What a list shows of a post.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    title: &'a str,
    url: Option<&'a str>,
    domain: Option<&'a str>,
    author: Option<&'a str>,
    points: i32,
    comment_count: i32,
    created_at: chrono::DateTime<chrono::Utc>,
    hot: f64,
    tags: &'a [String],
    voted: bool,
}

impl<'a> From<&'a PostCard> for Row<'a> {
    fn from(card: &'a PostCard) -> Self {
        Self {
            id: card.id,
            title: &card.title,
            url: card.url.as_deref(),
            domain: card.domain.as_deref(),
            author: card.author.as_deref(),
            points: card.points,
            comment_count: card.comment_count,
            created_at: card.created_at,
            hot: card.hot,
            tags: &card.tags,
            voted: card.voted,
        }
    }
}

async fn rows(
    pool: web::Data<PgPool>,
    window: web::Data<Window>,
) -> actix_web::Result<HttpResponse> {
    let cards = list_hot(&**pool, **window)
        .await
        .map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().json(cards.iter().map(Row::from).collect::<Vec<_>>()))
}

fn read(folder: &Path) -> Result<Page> {
    let mut headers = Vec::new();
    for line in std::fs::read_to_string(folder.join("page.headers"))?.lines() {
        let (name, value) = line.split_once(": ").context("a header without a value")?;
        headers.push((name.parse()?, value.parse()?));
    }
    Ok(Page {
        headers,
        body: std::fs::read(folder.join("page.body"))?.into(),
    })
}

/// Where answers are captured, and what serves them again.
pub struct Bare {
    folder: PathBuf,
    database_url: String,
    viewer: i64,
}

/// An answer of the site.
pub struct Captured {
    /// Its length as sent, in bytes.
    pub bytes: usize,
    /// How it was compressed; empty for not at all.
    pub encoding: String,
    request_headers: Vec<(&'static str, String)>,
}

impl Bare {
    /// Captures into `folder`, queries `database_url` for the user `viewer`.
    pub fn new(folder: &Path, database_url: &str, viewer: i64) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            database_url: database_url.to_owned(),
            viewer,
        })
    }

    /// Asks the site once, and keeps the answer for the bare server. Asks twice in fact: what a first visit leaves
    /// behind (a cache, a cookie) is not part of the answer that is measured.
    pub async fn capture(&self, target: &Target) -> Result<Captured> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // What is packed is captured packed.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()?;
        let ask = async || {
            let mut request = client.get(&target.url);
            for (name, value) in &target.headers {
                request = request.header(*name, value);
            }
            request.send().await
        };
        ask().await?.bytes().await?;
        let answer = ask().await?;
        ensure!(
            answer.status() == 200,
            "{} answers {}",
            target.url,
            answer.status()
        );
        let mut lines = String::new();
        let mut encoding = String::new();
        for (name, value) in answer.headers() {
            let value = value.to_str()?;
            if name == "content-encoding" {
                value.clone_into(&mut encoding);
            }
            if !OWN_HEADERS.contains(&name.as_str()) {
                lines.push_str(&format!("{name}: {value}\n"));
            }
        }
        let body = answer.bytes().await?;
        std::fs::write(self.folder.join("page.headers"), lines)?;
        std::fs::write(self.folder.join("page.body"), &body)?;
        Ok(Captured {
            bytes: body.len(),
            encoding,
            request_headers: target.headers.clone(),
        })
    }

    /// Starts the bare server, as a process of its own.
    pub async fn start(&self) -> Result<Running> {
        let port = free_port()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("baseline")
            .arg("--folder")
            .arg(&self.folder)
            .args(["--port", &port.to_string()])
            .args(["--database-url", &self.database_url])
            .args(["--viewer", &self.viewer.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let running = Running {
            server: Server::new(child),
            url: format!("http://127.0.0.1:{port}"),
        };
        wait_for(&format!("{}/page", running.url)).await?;
        Ok(running)
    }
}

/// The bare server at work.
pub struct Running {
    server: Server,
    url: String,
}

impl Running {
    /// The captured page, asked for as the site was asked.
    pub fn target(&self, captured: &Captured) -> Target {
        Target {
            url: format!("{}/page", self.url),
            headers: captured.request_headers.clone(),
        }
    }

    /// The rows of the front page, not compressed.
    pub fn rows(&self) -> Target {
        Target::new(&self.url, "/rows", None, Encoding::Identity)
    }

    /// Ends it.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}
