//! The pure rules of ranking against the columns that PostgreSQL generates.

#![expect(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot have fails the test"
)]

use betternews::news::{comments, posts};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sqlx::{PgPool, Row};

/// So many different rows are compared at once.
const ROWS: usize = 3000;

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::default();
    (0..ROWS)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[sqlx::test(migrations = "./migrations")]
async fn the_hot_rank_is_the_generated_column(pool: PgPool) {
    let points = prop_oneof![-5i32..5, -1000i32..1_000_000];
    let weight = prop_oneof![Just(0f32), 0f32..3.0, 0f32..10_000.0];
    let micros = prop_oneof![
        0i64..4_000_000_000_000_000,
        (0i64..4_000_000_000).prop_map(|seconds| seconds * 1_000_000)
    ];
    let rows = samples((
        points,
        prop_oneof![0i32..3, 0i32..100_000],
        weight,
        -3f64..3.0,
        micros.clone(),
        prop::option::of(micros),
    ));
    let at = |micros: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(micros);
    sqlx::query(
        "INSERT INTO posts (title, hn_id, base_points, votes, report_weight, modifiers, created_at, boosted_at)
         SELECT '', nth, base, votes, weight, modifiers, created, boosted
           FROM UNNEST($1::integer[], $2::integer[], $3::real[], $4::double precision[], $5::timestamptz[], $6::timestamptz[])
                WITH ORDINALITY AS r (base, votes, weight, modifiers, created, boosted, nth)",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.3).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| at(row.4)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.5.map(at)).collect::<Vec<_>>())
    .execute(&pool)
    .await
    .unwrap();
    let stored = sqlx::query("SELECT hot FROM posts WHERE hn_id IS NOT NULL ORDER BY hn_id")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(stored.len(), ROWS);
    for (row, stored) in rows.iter().zip(stored) {
        let hot = posts::rank::hot(row.0, row.1, row.2, row.3, at(row.5.unwrap_or(row.4)));
        // A vote on a post of a million points moves it by 4e-7.
        assert!(
            (hot - stored.get::<f64, _>(0)).abs() < 1e-8,
            "{row:?}: {hot} here, {} there",
            stored.get::<f64, _>(0)
        );
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn the_confidence_is_the_generated_column(pool: PgPool) {
    let count = || prop_oneof![0i32..4, 0i32..1000, 0i32..1_000_000];
    let rows = samples((count(), count()));
    let post: i64 = sqlx::query_scalar("INSERT INTO posts (title) VALUES ('') RETURNING id")
        .fetch_one(&pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO comments (id, root_id, post_id, votes, reports)
         SELECT nth, nth, $3, votes, reports
           FROM UNNEST($1::integer[], $2::integer[]) WITH ORDINALITY AS r (votes, reports, nth)",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(post)
    .execute(&pool)
    .await
    .unwrap();
    let stored: Vec<f32> = sqlx::query_scalar("SELECT confidence FROM comments ORDER BY id")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(stored.len(), ROWS);
    for (&(votes, reports), stored) in rows.iter().zip(stored) {
        let confidence = comments::rank::confidence(votes, reports);
        assert!(
            (confidence - stored).abs() <= f32::EPSILON,
            "{votes} {reports}: {confidence} here, {stored} there"
        );
    }
}
