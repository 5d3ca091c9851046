//! Databases of the benchmark: makes and fills them, chooses the pages to measure, counts the blocks a page reads.
//! Must not know how fast anything is.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _};

use crate::site::{Member, Site};

/// One database, filled to one size.
pub struct Database {
    /// For the site.
    pub url: String,
    pool: PgPool,
}

/// A page to measure.
pub struct SamplePage {
    /// What the table calls it.
    pub name: &'static str,
    /// Where it is.
    pub path: String,
    /// As a guest (false), signed in (true), or both.
    pub viewers: &'static [bool],
}

/// The pages of one database, chosen by what it holds.
pub struct Samples {
    largest_thread: i64,
    thread_of_500: i64,
    busiest_user: String,
    /// A post with an author, for the votes.
    pub votable: i64,
}

/// What one request for a page costs the database.
#[derive(Clone, Copy, Serialize)]
pub struct Blocks {
    /// Statements, without BEGIN and COMMIT.
    pub queries: f64,
    /// Blocks of 8 KiB read, from the cache or from disk.
    pub blocks: f64,
}

impl Database {
    /// Makes it anew on the server that `base` names.
    pub async fn create(base: &str, name: &str) -> Result<Self> {
        let mut server = PgConnection::connect(base).await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {name}"),
            format!("CREATE DATABASE {name}"),
        ] {
            server.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
        server.close().await?;
        let mut url: url::Url = base.parse()?;
        url.set_path(name);
        let pool = PgPool::connect(url.as_str()).await?;
        Ok(Self {
            url: url.into(),
            pool,
        })
    }

    /// Fills it with demo content by the site's own command; the same each time.
    pub fn fill(&self, site: &Path, posts: u64) -> Result<()> {
        let output = Command::new(site)
            .args(["seed", "demo", "--seed", "1"])
            .args(["--posts", &posts.to_string()])
            .args(["--comments", &(posts * 10).to_string()])
            .args(["--users", &(posts / 5).to_string()])
            .env("DATABASE_URL", &self.url)
            .env_remove("REDIS_URL")
            .output()
            .with_context(|| format!("cannot start {}", site.display()))?;
        ensure!(
            output.status.success(),
            "filling failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Brings it to the state that it has after a quiet night: vacuumed, counted, on disk.
    pub async fn settle(&self) -> Result<()> {
        for statement in [
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
            "VACUUM ANALYZE",
            "CHECKPOINT",
        ] {
            self.pool.execute(statement).await?;
        }
        Ok(())
    }

    /// Chooses the pages.
    pub async fn samples(&self) -> Result<Samples> {
        let post = async |order: &str| -> Result<i64> {
            let query = format!(
                "SELECT id FROM posts WHERE state = 'live' AND author_id IS NOT NULL ORDER BY {order}, id LIMIT 1"
            );
            Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .fetch_one(&self.pool)
                .await?)
        };
        Ok(Samples {
            largest_thread: post("comment_count DESC").await?,
            thread_of_500: post("abs(comment_count - 500)").await?,
            votable: post("hot DESC").await?,
            busiest_user: sqlx::query_scalar(
                "SELECT u.username
                   FROM users u
                   JOIN posts p ON p.author_id = u.id
                  GROUP BY u.id
                  ORDER BY count(*) DESC, u.id
                  LIMIT 1",
            )
            .fetch_one(&self.pool)
            .await?,
        })
    }

    /// The id of a user.
    pub async fn user(&self, username: &str) -> Result<i64> {
        Ok(
            sqlx::query_scalar("SELECT id FROM users WHERE username = $1")
                .bind(username)
                .fetch_one(&self.pool)
                .await?,
        )
    }

    /// Asks for a page twenty times and reads from pg_stat_statements what one such request costs. Statements that
    /// ran less often belong to the background, not to the page.
    pub async fn blocks_of(&self, site: &Site, member: &Member, path: &str) -> Result<Blocks> {
        const TIMES: i64 = 20;
        let url = format!("{}{path}", site.url);
        let ask = async |times: i64| -> Result<()> {
            for _ in 0..times {
                member
                    .client
                    .get(&url)
                    .send()
                    .await?
                    .error_for_status()?
                    .bytes()
                    .await?;
            }
            Ok(())
        };
        ask(3).await?;
        self.pool
            .execute("SELECT pg_stat_statements_reset()")
            .await?;
        ask(TIMES).await?;
        let row = sqlx::query(
            "SELECT coalesce(sum(s.calls), 0)::float8,
                    coalesce(sum(s.shared_blks_hit + s.shared_blks_read), 0)::float8
               FROM pg_stat_statements s
               JOIN pg_database d ON d.oid = s.dbid
              WHERE d.datname = current_database()
                AND s.calls >= $1
                AND s.query !~* '^(begin|commit|rollback|discard|set|show)'",
        )
        .bind(TIMES)
        .fetch_one(&self.pool)
        .await?;
        Ok(Blocks {
            queries: row.try_get::<f64, _>(0)? / TIMES as f64,
            blocks: row.try_get::<f64, _>(1)? / TIMES as f64,
        })
    }

    /// The votes of a post: those counted on its row, and those in the log of votes.
    pub async fn votes_of(&self, post: i64) -> Result<(i64, i64)> {
        let row = sqlx::query(
            "SELECT p.votes::bigint, (SELECT count(*) FROM post_votes v WHERE v.post_id = p.id)
               FROM posts p
              WHERE p.id = $1",
        )
        .bind(post)
        .fetch_one(&self.pool)
        .await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Rows of the activity log for a path with its query.
    pub async fn count_activity(&self, address: &str) -> Result<u64> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM activity WHERE path = $1 AND query = $2")
                .bind(path)
                .bind(query)
                .fetch_one(&self.pool)
                .await?;
        Ok(u64::try_from(rows)?)
    }

    /// Lets go of it.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

impl Samples {
    /// The pages, in the order of the table.
    pub fn pages(&self) -> [SamplePage; 6] {
        let page = |name, path, viewers| SamplePage {
            name,
            path,
            viewers,
        };
        [
            page("front page", "/".to_owned(), &[false, true][..]),
            page("newest", "/newest".to_owned(), &[false, true]),
            page(
                "largest thread",
                format!("/posts/{}", self.largest_thread),
                &[false, true],
            ),
            page(
                "thread of 500",
                format!("/posts/{}", self.thread_of_500),
                &[false, true],
            ),
            page(
                "thread of 500, whole",
                format!("/posts/{}?all=1", self.thread_of_500),
                &[false, true],
            ),
            page(
                "user page",
                format!("/users/{}", self.busiest_user),
                &[false, true],
            ),
        ]
    }
}
