//! `/admin`: how the site stands, in a sentence first. Must not know how what it judges is measured.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use crate::{
    accounts::standing::roles::ADMIN,
    admin::{
        queries::{self, Totals},
        views::{Figure, Finding, IndexPage, Standing},
    },
    platform::{
        health::Status,
        settings::{SignupMode, Values},
    },
    web::{
        error::Error,
        page::{Page, Place},
        render,
        state::State,
    },
};

/// `GET /admin`
///
/// # Errors
/// As the database said.
pub async fn index(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let totals = queries::totals(&mut conn).await?;
    let roles = queries::list_role_counts(&mut conn).await?;
    drop(conn);
    let mut findings = systems(&state);
    findings.extend(checks(&state).await);
    findings.extend(people(totals.users_day, &roles));
    findings.extend(settings(&state.settings.get()));
    findings.sort_by_key(|finding| match finding.standing {
        Standing::Failing => 0,
        Standing::Due => 1,
        Standing::Well => 2,
    });
    let page = IndexPage {
        page: Page::of(&request, "Console").at(Place::Console),
        verdict: verdict(&findings),
        findings,
        figures: figures(&totals),
    };
    render::page(&request, &page)
}

fn verdict(findings: &[Finding]) -> String {
    match findings
        .iter()
        .filter(|f| f.standing != Standing::Well)
        .count()
    {
        0 => "All is well.".to_owned(),
        1 => "One thing needs you.".to_owned(),
        count => format!("{count} things need you."),
    }
}

fn finding(standing: Standing, sentence: impl Into<String>) -> Finding {
    Finding {
        standing,
        sentence: sentence.into(),
        link: None,
    }
}

fn systems(state: &State) -> Vec<Finding> {
    let database = if state.db.is_up() {
        finding(Standing::Well, "PostgreSQL answers.")
    } else {
        finding(
            Standing::Failing,
            "PostgreSQL did not answer when it was last asked.",
        )
    };
    let redis = match &state.kv {
        Some(kv) if kv.is_up() => finding(
            Standing::Well,
            "Redis answers; sessions and limits live there.",
        ),
        Some(_) => finding(
            Standing::Failing,
            "Redis does not answer: nobody can log in, and limits count in each process alone.",
        ),
        None => finding(
            Standing::Well,
            "There is no Redis: sessions live in PostgreSQL, limits in the process.",
        ),
    };
    let mut findings = vec![database, redis];
    if !state.config.limits.enabled {
        findings.push(finding(Standing::Due, "Rate limits are off (FEATURE_RATE_LIMITING): passwords can be guessed as fast as anyone likes."));
    }
    if !state.config.http.secure() && !is_loopback(&state.config.http.base_url) {
        findings.push(finding(
            Standing::Due,
            "BASE_URL is not https: passwords and cookies travel in the clear.",
        ));
    }
    findings
}

/// What the other checks have found: those that are not well, or that all are.
async fn checks(state: &State) -> Vec<Finding> {
    let report = state.checks.report(true).await;
    let mut found: Vec<Finding> = report
        .checks
        .iter()
        .filter(|(name, check)| {
            check.status != Status::Healthy && !matches!(name.as_str(), "database" | "redis")
        })
        .map(|(name, check)| {
            let details = check.details.as_ref();
            let message = details.and_then(|details| details.get("message")?.as_str());
            Finding {
                link: Some(("/health".to_owned(), "All checks".to_owned())),
                ..finding(
                    match check.status {
                        Status::Unhealthy => Standing::Failing,
                        _ => Standing::Due,
                    },
                    format!(
                        "{name} is {}. {}",
                        check.status.word(),
                        message.unwrap_or_default()
                    ),
                )
            }
        })
        .collect();
    if found.is_empty() {
        found.push(Finding {
            link: Some(("/health".to_owned(), "All checks".to_owned())),
            ..finding(
                Standing::Well,
                "Memory, disk, jobs and what the site calls are well.",
            )
        });
    }
    found
}

fn is_loopback(base_url: &url::Url) -> bool {
    match base_url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn people(sign_ups: i64, roles: &[(String, i64)]) -> Vec<Finding> {
    let sentence = match sign_ups {
        0 => "Nobody has joined in the last 24 hours.".to_owned(),
        1 => "One person has joined in the last 24 hours.".to_owned(),
        count => format!("{count} people have joined in the last 24 hours."),
    };
    let mut findings = vec![Finding {
        link: Some(("/admin/users".to_owned(), "See them".to_owned())),
        ..finding(Standing::Well, sentence)
    }];
    let admins = roles
        .iter()
        .find(|(name, _)| name == ADMIN)
        .map_or(0, |(_, count)| *count);
    if admins == 1 {
        findings.push(finding(
            Standing::Well,
            "There is one administrator. If the password is lost, run betternews admin reset-password on the server.",
        ));
    }
    findings
}

fn settings(values: &Values) -> Vec<Finding> {
    let mut findings = Vec::new();
    if values.site_contact.as_deref().is_none_or(str::is_empty) {
        findings.push(Finding {
            link: Some((
                "/admin/settings/site.contact".to_owned(),
                "Set it".to_owned(),
            )),
            ..finding(
                Standing::Due,
                "Visitors cannot tell how to reach you: the setting site.contact is empty.",
            )
        });
    }
    if values.signup_mode == SignupMode::Closed {
        findings.push(finding(
            Standing::Well,
            "Sign-ups are closed, as you have set it.",
        ));
    }
    findings
}

fn figures(totals: &Totals) -> Vec<Figure> {
    let figure = |label: &str, total, last_day| Figure {
        label: label.to_owned(),
        total,
        last_day,
    };
    vec![
        figure("Users", totals.users, totals.users_day),
        figure("Posts", totals.posts, totals.posts_day),
        figure("Comments", totals.comments, totals.comments_day),
    ]
}
