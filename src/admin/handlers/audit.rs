//! `/admin/audit` (A08): who changed what, before and after. Must not know how it is kept.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    admin::views::{AuditPage, AuditRow},
    platform::{
        audit::{self, Filter},
        db::Conn,
    },
    web::{
        error::Error,
        form::Query,
        page::{Page, Place},
        paging, render,
        state::State,
    },
};

/// Changes on one page.
const PAGE: i64 = 50;

/// What to look for.
#[derive(Deserialize)]
pub struct AuditQuery {
    #[serde(default)]
    subject: String,
    #[serde(default)]
    actor: String,
    after: Option<i64>,
}

/// `GET /admin/audit`
///
/// # Errors
/// As the database said.
pub async fn index(
    request: HttpRequest,
    state: Data<State>,
    Query(query): Query<AuditQuery>,
) -> Result<HttpResponse, Error> {
    let filter = Filter {
        subject: query.subject.trim(),
        actor: query.actor.trim(),
        before: query.after,
    };
    let rows = entries(&mut state.db.conn().await?, filter, PAGE + 1).await?;
    let (rows, has_more) = paging::split(rows, PAGE);
    let more = rows.last().filter(|_| has_more).map(|last| {
        let parameters = [
            ("subject", filter.subject),
            ("actor", filter.actor),
            ("after", &last.id.to_string()),
        ];
        paging::address("/admin/audit", &parameters)
    });
    let page = AuditPage {
        page: Page::of(&request, "Audit").at(Place::Console),
        verdict: match (rows.len(), has_more || query.after.is_some()) {
            (0, _) if filter.subject.is_empty() && filter.actor.is_empty() => {
                "No changes yet".to_owned()
            }
            (0, _) => "No such change".to_owned(),
            (1, false) => "One change".to_owned(),
            (count, false) => format!("{count} changes"),
            (count, true) => format!("{count} changes, and there are more"),
        },
        subject: filter.subject.to_owned(),
        actor: filter.actor.to_owned(),
        rows,
        more,
    };
    render::page(&request, &page)
}

/// Changes as the console shows them.
pub(super) async fn entries(
    conn: &mut Conn,
    filter: Filter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<AuditRow>> {
    let entries = audit::list(conn, filter, limit).await?;
    Ok(entries
        .into_iter()
        .map(|entry| AuditRow {
            id: entry.id,
            time: entry.time,
            actor: entry.actor,
            subject: entry.subject,
            action: entry.action,
            before: shown(entry.before.as_ref()),
            after: shown(entry.after.as_ref()),
        })
        .collect())
}

/// A value on one line: `on: true, percentage: 20`.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(fields)) if !fields.is_empty() => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            fields.join(", ")
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_on_one_line() {
        assert_eq!(shown(None), "nothing");
        assert_eq!(shown(Some(&json!("Elsewhere"))), "Elsewhere");
        assert_eq!(
            shown(Some(&json!({ "on": true, "percentage": 20 }))),
            "on: true, percentage: 20"
        );
    }
}
