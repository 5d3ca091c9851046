//! Sixty-four people who vote for one post at once, over and over. Must not know how votes are counted: the sum is
//! read from the database afterwards.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::{
    database::Database,
    report::{Measured, VotesResult},
    site::{Member, Site},
};

const PEOPLE: usize = 64;

/// Lets each of them vote and take it back for as long as `duration`, and end on a vote.
///
/// # Errors
/// When a vote is refused, or the sum is not what everyone last said.
pub async fn run(
    site: &Site,
    database: &Database,
    post: i64,
    duration: Duration,
) -> Result<VotesResult> {
    let mut members = Vec::with_capacity(PEOPLE);
    for number in 0..PEOPLE {
        members.push(Member::sign_up(site, &format!("voter{number}")).await?);
    }
    let (before, _) = database.votes_of(post).await?;
    let url = format!("{}/posts/{post}/vote", site.url);
    let begun = Instant::now();
    let latencies = try_join_all(
        members
            .iter()
            .map(|member| vote(member, &url, begun + duration)),
    )
    .await?;
    let elapsed = begun.elapsed();
    let (counted, logged) = database.votes_of(post).await?;
    ensure!(
        counted == before + PEOPLE as i64 && counted == logged,
        "votes were lost: {before} before, {counted} counted and {logged} logged after {PEOPLE} people voted"
    );

    let mut latencies = latencies.concat();
    latencies.sort();
    let at = |share: f64| {
        latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0
    };
    Ok(VotesResult {
        people: PEOPLE,
        measured: Measured {
            requests: latencies.len() as u64,
            errors: 0,
            per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        },
        before,
        after: counted,
    })
}

/// One person: on, off, on … until the time is up, and on at the end. Gives how long each vote took.
async fn vote(member: &Member, url: &str, until: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut on = true;
    loop {
        let begun = Instant::now();
        let answer = member
            .client
            .post(url)
            .form(&[
                ("csrf_token", member.csrf_token.as_str()),
                ("value", if on { "1" } else { "0" }),
            ])
            .send()
            .await?;
        ensure!(
            answer.status().is_redirection(),
            "a vote was answered with {}",
            answer.status()
        );
        answer.bytes().await?;
        latencies.push(begun.elapsed());
        if on && Instant::now() >= until {
            return Ok(latencies);
        }
        on = !on;
    }
}
