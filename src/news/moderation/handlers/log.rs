//! `/moderation/log`: what moderators have done, for everyone to read. Must not know how an act is done.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
    news::moderation::{
        model,
        queries::{self, Logged},
        views::{LogEntry, LogPage},
    },
    web::{
        cache, chrome,
        error::Error,
        form::Query,
        page::Page,
        paging::{self, Cursor, Key},
        render,
        state::State,
    },
};

/// The list's name in cursors.
const LIST: &str = "log";
/// Acts on one page.
const PAGE: i64 = 30;

/// Where the log goes on.
#[derive(Deserialize)]
pub struct LogQuery {
    #[serde(default)]
    after: String,
}

/// `GET /moderation/log`
///
/// # Errors
/// 400 for a cursor that this site has not made.
pub async fn list(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<LogQuery>,
) -> Result<HttpResponse, Error> {
    let cursor = match query.after.as_str() {
        "" => None,
        text => Some(Cursor::parse(LIST, text)?),
    };
    let (before, before_id) = cursor.map_or((far_future(), i64::MAX), |c| (c.key.as_time(), c.id));
    let rank = cursor.map_or(0, |c| c.rank);
    let rows = queries::list_log(&mut state.db.conn().await?, before, before_id, PAGE + 1).await?;
    let (rows, has_more) = paging::split(rows, PAGE);
    let more = rows.last().filter(|_| has_more).map(|last| {
        let cursor = Cursor {
            key: Key::time(last.created_at),
            id: last.event_id,
            rank: rank + PAGE,
        };
        paging::address("/moderation/log", &[("after", &cursor.to_text(LIST))])
    });
    cache::tag(&request, "moderation");
    let page = LogPage {
        page: Page::of(&request, "Moderation log"),
        entries: rows.into_iter().map(entry).collect(),
        more,
    };
    render::page(&request, &page)
}

/// A moment that the database can hold and that no act is later than (the year 9999).
fn far_future() -> DateTime<Utc> {
    DateTime::from_timestamp(253_370_764_800, 0).unwrap_or_default()
}

fn entry(row: Logged) -> LogEntry {
    let target_path = match row.target.as_str() {
        "post" => Some(format!("/posts/{}", row.target_id)),
        "comment" => Some(format!("/comments/{}", row.target_id)),
        _ => row
            .name
            .as_deref()
            .map(|name| format!("/users/{}", chrome::encode(name))),
    };
    LogEntry {
        created_at: row.created_at,
        moderator: row.moderator,
        action: model::words(&row.action, &row.target, &row.details),
        target: row
            .title
            .or(row.name)
            .unwrap_or_else(|| "something that is gone".to_owned()),
        target_path,
        reason: row.reason,
    }
}
