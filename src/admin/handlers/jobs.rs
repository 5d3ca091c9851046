//! `/admin/jobs` (A10): what waits, runs, failed and comes by itself; run again, run now, delete. Must not know what the
//! jobs do.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use super::who;
use crate::{
    admin::views::{JobKindRow, JobRow, JobsPage, ScheduleItem, Standing, TaskRow},
    platform::{
        audit::{self, Change},
        jobs::{self, KindStats, NewJob},
    },
    web::{
        activity,
        error::{Error, violated},
        form::Query,
        page::{Page, Place, Tab},
        paging, render,
        state::State,
    },
};

/// Jobs on one page.
const PAGE: i64 = 50;
/// Jobs that are due and have waited longer, in seconds, are late.
const LATE: f64 = 60.0;

/// Which jobs to list.
#[derive(Deserialize)]
pub struct JobsQuery {
    #[serde(default)]
    state: String,
    after: Option<i64>,
}

/// `GET /admin/jobs`
///
/// # Errors
/// As the database said.
pub async fn index(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<JobsQuery>,
) -> Result<HttpResponse, Error> {
    let wanted = jobs::State::parse(&query.state);
    let mut conn = state.db.conn().await?;
    let stats = jobs::stats(&mut conn).await?;
    let schedules = jobs::schedules(&mut conn).await?;
    let rows = jobs::list(&mut conn, wanted, query.after, PAGE + 1).await?;
    drop(conn);
    let (rows, has_more) = paging::split(rows, PAGE);
    let word = wanted.map_or("", jobs::State::name);
    let more = rows.last().filter(|_| has_more).map(|last| {
        paging::address(
            "/admin/jobs",
            &[("state", word), ("after", &last.id.to_string())],
        )
    });
    let page = JobsPage {
        page: Page::of(&request, "Jobs").at(Place::Console),
        verdict: verdict(&stats),
        kinds: stats.into_iter().map(kind_row).collect(),
        schedules: schedules
            .into_iter()
            .map(|row| ScheduleItem {
                kind: row.kind,
                pattern: row.pattern,
                next_at: row.next_at,
                last_at: row.last_at,
            })
            .collect(),
        tasks: state
            .tasks
            .counts()
            .into_iter()
            .map(|(name, count)| TaskRow {
                name,
                runs: count.runs,
                failures: count.failed + count.panicked,
                last_at: count.last_at,
                last_ms: count.last_ms,
                last_error: count.last_error,
            })
            .collect(),
        tabs: tabs(wanted),
        rows: rows.into_iter().map(job_row).collect(),
        more,
    };
    render::page(&request, &page)
}

fn verdict(stats: &[KindStats]) -> String {
    let dead: i64 = stats.iter().map(|kind| kind.dead).sum();
    let late = stats
        .iter()
        .filter(|kind| kind.overdue_seconds.is_some_and(|s| s > LATE))
        .count();
    match (dead, late) {
        (0, 0) => "All jobs are in hand".to_owned(),
        (0, _) => "Jobs wait longer than they should".to_owned(),
        (1, _) => "One job was given up".to_owned(),
        (dead, _) => format!("{dead} jobs were given up"),
    }
}

fn kind_row(kind: KindStats) -> JobKindRow {
    let standing = if kind.dead > 0 {
        Standing::Failing
    } else if kind.retrying > 0 || kind.overdue_seconds.is_some_and(|s| s > LATE) {
        Standing::Due
    } else {
        Standing::Well
    };
    JobKindRow {
        word: match standing {
            Standing::Well => "well",
            Standing::Due => "behind",
            Standing::Failing => "given up",
        },
        standing,
        kind: kind.kind,
        queued: kind.queued,
        running: kind.running,
        done: kind.done,
        dead: kind.dead,
        last_at: kind.last_at,
        mean_ms: kind.mean_ms.map(|ms| ms.round() as i64),
    }
}

fn tabs(wanted: Option<jobs::State>) -> Vec<Tab> {
    let all = std::iter::once((None, "All"));
    let states = [
        (jobs::State::Queued, "Waiting"),
        (jobs::State::Running, "Running"),
        (jobs::State::Done, "Done"),
        (jobs::State::Dead, "Given up"),
    ];
    all.chain(states.map(|(state, label)| (Some(state), label)))
        .map(|(state, label)| Tab {
            href: paging::address(
                "/admin/jobs",
                &[("state", state.map_or("", jobs::State::name))],
            ),
            label: label.to_owned(),
            is_current: state == wanted,
        })
        .collect()
}

fn job_row(row: jobs::Row) -> JobRow {
    let state = jobs::State::parse(&row.state).unwrap_or(jobs::State::Queued);
    JobRow {
        id: row.id,
        kind: row.kind,
        state: match state {
            jobs::State::Queued => "waiting",
            jobs::State::Running => "running",
            jobs::State::Done => "done",
            jobs::State::Dead => "given up",
        },
        standing: match state {
            jobs::State::Dead => Standing::Failing,
            jobs::State::Queued if row.attempts > 0 => Standing::Due,
            _ => Standing::Well,
        },
        attempts: row.attempts,
        created_at: row.created_at,
        run_at: (state == jobs::State::Queued).then_some(row.run_at),
        duration_ms: row.duration_ms,
        last_error: row.last_error,
        can_run: matches!(state, jobs::State::Queued | jobs::State::Dead),
        can_delete: state != jobs::State::Running,
    }
}

/// `POST /admin/jobs/{id}/run`: now, with all its attempts before it.
///
/// # Errors
/// 404 for a job that neither waits nor was given up, 409 where the same waits already.
pub async fn run(
    request: HttpRequest,
    state: Data<State>,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    match jobs::run_now(&mut conn, *id).await {
        Ok(true) => {}
        Ok(false) => return Err(Error::NotFound),
        Err(error) if violated(&error) == Some("jobs_unique_key") => {
            return Err(Error::Conflict(
                "The same job waits or runs already.".into(),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    record(&request, &mut conn, &format!("job:{id}"), "run").await?;
    conn.commit().await?;
    activity::did(&request, "job.run", "job", *id);
    Ok(render::see_other_saying(
        &state,
        "/admin/jobs",
        "The job runs as soon as a worker is free.",
    ))
}

/// `POST /admin/jobs/{id}/delete`
///
/// # Errors
/// 404 for a job that runs, or that there is not.
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    id: Path<i64>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    if !jobs::delete(&mut conn, *id).await? {
        return Err(Error::NotFound);
    }
    record(&request, &mut conn, &format!("job:{id}"), "delete").await?;
    conn.commit().await?;
    activity::did(&request, "job.delete", "job", *id);
    Ok(render::see_other_saying(
        &state,
        "/admin/jobs",
        "The job is deleted.",
    ))
}

/// `POST /admin/jobs/schedules/{kind}/run`: a periodic job, now.
///
/// # Errors
/// 404 for a kind that does not come by itself.
pub async fn run_schedule(
    request: HttpRequest,
    state: Data<State>,
    kind: Path<String>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    if !jobs::schedules(&mut conn)
        .await?
        .iter()
        .any(|schedule| schedule.kind == *kind)
    {
        return Err(Error::NotFound);
    }
    conn.begin().await?;
    let written = jobs::enqueue(
        &mut conn,
        &NewJob::new(&kind, serde_json::json!({})).unique("cron"),
    )
    .await?;
    record(&request, &mut conn, &format!("schedule:{kind}"), "run").await?;
    conn.commit().await?;
    activity::did(&request, "schedule.run", "schedule", None);
    let said = match written {
        Some(_) => "The job runs as soon as a worker is free.",
        None => "The same job waits or runs already.",
    };
    Ok(render::see_other_saying(&state, "/admin/jobs", said))
}

async fn record(
    request: &HttpRequest,
    conn: &mut crate::platform::db::Conn,
    subject: &str,
    action: &str,
) -> sqlx::Result<()> {
    let change = Change {
        subject,
        action,
        before: None,
        after: None,
    };
    audit::record(conn, who(request).as_who(), change).await
}
