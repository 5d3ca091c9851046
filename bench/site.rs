//! The site under test as a process, and people on it. Must not know what is measured.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{
    Client,
    cookie::{CookieStore as _, Jar},
    redirect::Policy,
};
use scraper::{Html, Selector};

/// A running process that listens on a port of this machine.
pub struct Server {
    child: Child,
}

impl Server {
    /// Takes charge of a child.
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    /// Asks it to stop, twice: the second signal cuts the draining short. Waits until it is gone.
    pub fn stop(mut self) -> Result<()> {
        let mut status = None;
        for _ in 0..100 {
            status = self.child.try_wait()?;
            if status.is_some() {
                break;
            }
            Command::new("sh")
                .args(["-c", &format!("kill -TERM {}", self.child.id())])
                .stderr(Stdio::null())
                .status()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        ensure!(status.is_some(), "a server does not stop");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The site under test.
pub struct Site {
    server: Server,
    /// Without a slash at the end.
    pub url: String,
}

impl Site {
    /// Starts the binary on databases that are up already. Also gives the time until its first page was answered.
    pub async fn start(
        binary: &Path,
        database_url: &str,
        redis_url: &str,
        environment: &[(&str, &str)],
    ) -> Result<(Self, Duration)> {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let begun = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .env("APP_ENV", "development")
            .env("BIND", format!("127.0.0.1:{port}"))
            .env("BASE_URL", &url)
            .env(
                "SECRET_KEY",
                "a secret for measuring only and of no use elsewhere",
            )
            .env("DATABASE_URL", database_url)
            .env("REDIS_URL", redis_url)
            // One address stands for everyone here.
            .env("FEATURE_RATE_LIMITING", "false")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let site = Self {
            server: Server::new(child),
            url,
        };
        wait_for(&format!("{}/", site.url)).await?;
        Ok((site, begun.elapsed()))
    }

    /// Where a path leads: posts have their title in theirs.
    pub async fn canonical(&self, path: &str) -> Result<String> {
        let answer = reqwest::get(format!("{}{path}", self.url))
            .await?
            .error_for_status()?;
        Ok(answer.url()[url::Position::BeforePath..].to_owned())
    }

    /// Memory that is resident now, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that was ever resident, in bytes.
    pub fn peak_resident_bytes(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Processor time that it has taken so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        // Fields 14 and 15 of proc(5), in hundredths; the second, the name, may hold spaces and ends with a bracket.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.child.id()))?;
        let ticks = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().skip(11).take(2))
            .context("this system does not tell a process's time")?
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }

    fn memory(&self, line: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.child.id()))?;
        let kilobytes: u64 = status
            .lines()
            .find_map(|l| l.strip_prefix(line))
            .and_then(|rest| rest.split_whitespace().next())
            .context("this system does not tell a process's memory")?
            .parse()?;
        Ok(kilobytes * 1024)
    }

    /// Ends it.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

/// Asks every 2 ms until an address answers with success.
///
/// # Errors
/// After 30 s.
pub async fn wait_for(url: &str) -> Result<()> {
    let client = Client::builder().redirect(Policy::none()).build()?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Ok(answer) = client.get(url).send().await
            && answer.status().is_success()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("{url} does not answer")
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}

/// Someone who is signed in.
pub struct Member {
    /// The HTTP client with their cookies; it does not follow redirects.
    pub client: Client,
    /// Their cookies, as a browser sends them.
    pub cookie: String,
    /// The token that their forms carry.
    pub csrf_token: String,
}

impl Member {
    /// Signs up by the form, as a person would.
    pub async fn sign_up(site: &Site, username: &str) -> Result<Self> {
        let jar = Arc::new(Jar::default());
        let client = Client::builder()
            .cookie_provider(Arc::clone(&jar))
            // Shorter than the site keeps one open: it must not close what is about to be used again.
            .pool_idle_timeout(Duration::from_secs(1))
            .redirect(Policy::none())
            .build()?;
        let form_token = token_on(&client, &format!("{}/signup", site.url)).await?;
        let answer = client
            .post(format!("{}/signup", site.url))
            .form(&[
                ("csrf_token", form_token.as_str()),
                ("username", username),
                ("password", "six words for a benchmark run"),
                ("email", ""),
                ("next", "/"),
            ])
            .send()
            .await?;
        ensure!(
            answer.status().is_redirection(),
            "signing {username} up was answered with {}",
            answer.status()
        );
        let csrf_token = token_on(&client, &format!("{}/", site.url)).await?;
        let cookie = jar
            .cookies(&site.url.parse()?)
            .context("signing up set no cookie")?
            .to_str()?
            .to_owned();
        Ok(Self {
            client,
            cookie,
            csrf_token,
        })
    }
}

async fn token_on(client: &Client, url: &str) -> Result<String> {
    let page = client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    let input =
        Selector::parse("input[name=csrf_token]").map_err(|error| anyhow::anyhow!("{error}"))?;
    Html::parse_document(&page)
        .select(&input)
        .find_map(|element| element.attr("value").map(str::to_owned))
        .with_context(|| format!("{url} has no form"))
}
