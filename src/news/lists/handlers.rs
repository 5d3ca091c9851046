//! One handler a list of posts. Must not know SQL.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, Days, Months, Utc};
use serde::Deserialize;

use super::{
    listing::{Continued, Listing, PAGE_SIZE, items},
    queries::{self, Filter, FilterSort},
};
use crate::{
    news::posts::views::ListPage,
    web::{
        cache,
        context::Context,
        error::Error,
        form::Query,
        page::{Page, Place, Tab},
        paging, render,
        state::State,
        viewer::Caller,
    },
};

/// Most posts that `limit=` may ask for, and the last page that `page=` may.
const LIMIT_MAX: i64 = 100;
const PAGE_MAX: i64 = 50;

/// The query of `/`: its own, and the original BetterNews' parameters.
#[derive(Debug, Deserialize)]
pub struct FrontQuery {
    after: Option<String>,
    #[serde(rename = "sortBy")]
    sort_by: Option<String>,
    sort: Option<String>,
    order: Option<String>,
    author: Option<String>,
    site: Option<String>,
    limit: Option<i64>,
    page: Option<i64>,
}

impl FrontQuery {
    fn is_plain(&self) -> bool {
        let texts = [
            &self.sort_by,
            &self.sort,
            &self.order,
            &self.author,
            &self.site,
        ];
        texts.iter().all(|t| t.is_none()) && self.limit.is_none() && self.page.is_none()
    }
}

/// `GET /`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor or parameter.
pub async fn hot(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<FrontQuery>,
) -> Result<HttpResponse, Error> {
    if !query.is_plain() {
        return filtered(&request, &state, &caller, &query).await;
    }
    let listing = Listing {
        name: "hot",
        path: "/",
        parameters: &[],
        heading: "Hot",
        intro: None,
        place: Place::Hot,
        tabs: Vec::new(),
        empty: "Nothing has been posted yet. Be the first: submit a link or a question.",
        key: queries::by_hot,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = queries::list_hot(&mut state.db.conn().await?, window).await?;
    listing.respond(&request, &caller, &window, rows)
}

async fn filtered(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    query: &FrontQuery,
) -> Result<HttpResponse, Error> {
    cache::tag(request, "lists");
    let sort = match query.sort_by.as_deref().or(query.sort.as_deref()) {
        None | Some("") => FilterSort::Hot,
        Some("points") => FilterSort::Points,
        Some("recent") => FilterSort::Recent,
        Some(_) => {
            return Err(Error::bad_request(
                "Posts can be sorted by 'points' or 'recent'.",
            ));
        }
    };
    let ascending = match query.order.as_deref() {
        None | Some("" | "desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Error::bad_request("The order is 'asc' or 'desc'.")),
    };
    let limit = query.limit.unwrap_or(PAGE_SIZE);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Error::bad_request("The limit is a number from 1 to 100."));
    }
    let number = query.page.unwrap_or(1);
    if !(1..=PAGE_MAX).contains(&number) {
        return Err(Error::bad_request("Pages are numbered from 1 to 50."));
    }
    let filter = Filter {
        sort,
        ascending,
        author: query.author.clone().filter(|a| !a.is_empty()),
        site: query.site.clone().filter(|s| !s.is_empty()),
        skip: (number - 1) * limit,
    };
    let rows = queries::list_filtered(&mut state.db.conn().await?, caller.id(), &filter, limit + 1)
        .await?;
    let (rows, more) = paging::split(rows, limit);
    let more = (more && number < PAGE_MAX).then(|| {
        let (next, limit) = (
            (number + 1).to_string(),
            query.limit.map(|l| l.to_string()).unwrap_or_default(),
        );
        let sort = query
            .sort_by
            .as_deref()
            .or(query.sort.as_deref())
            .unwrap_or_default();
        let parameters = [
            ("sortBy", sort),
            ("order", query.order.as_deref().unwrap_or_default()),
            ("author", query.author.as_deref().unwrap_or_default()),
            ("site", query.site.as_deref().unwrap_or_default()),
            ("limit", &limit),
            ("page", &next),
        ];
        paging::address("/", &parameters)
    });
    let mut page = Page::of(request, "Posts").at(Place::Hot);
    page.robots = Some("noindex, follow");
    let view = ListPage {
        page,
        heading: "Posts".into(),
        intro: None,
        tabs: Vec::new(),
        posts: items(rows, caller, filter.skip),
        more,
        empty: "No post fits that.".into(),
    };
    render::page(request, &view)
}

/// `GET /newest`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor.
pub async fn newest(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let listing = Listing {
        name: "newest",
        path: "/newest",
        parameters: &[],
        heading: "Newest",
        intro: None,
        place: Place::Newest,
        tabs: Vec::new(),
        empty: "Nothing has been posted yet. Be the first: submit a link or a question.",
        key: queries::by_time,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = queries::list_newest(&mut state.db.conn().await?, window).await?;
    listing.respond(&request, &caller, &window, rows)
}

/// `GET /active`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor.
pub async fn active(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let listing = Listing {
        name: "active",
        path: "/active",
        parameters: &[],
        heading: "Active",
        intro: None,
        place: Place::Active,
        tabs: Vec::new(),
        empty: "Nobody has said anything yet. Open a post and say the first word.",
        key: queries::by_activity,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = queries::list_active(&mut state.db.conn().await?, window).await?;
    listing.respond(&request, &caller, &window, rows)
}

/// The periods of `/top`, with the words of their tabs.
const PERIODS: [(&str, &str); 5] = [
    ("day", "Day"),
    ("week", "Week"),
    ("month", "Month"),
    ("year", "Year"),
    ("all", "All time"),
];

/// When a period began; `None` is the beginning of time.
fn period_start(period: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match period {
        "day" => now.checked_sub_days(Days::new(1)),
        "week" => now.checked_sub_days(Days::new(7)),
        "month" => now.checked_sub_days(Days::new(30)),
        "year" => now.checked_sub_months(Months::new(12)),
        _ => None,
    }
}

/// The query of `/top`.
#[derive(Debug, Deserialize)]
pub struct TopQuery {
    period: Option<String>,
    after: Option<String>,
}

/// `GET /top`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor or period.
pub async fn top(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<TopQuery>,
) -> Result<HttpResponse, Error> {
    let period = query
        .period
        .as_deref()
        .filter(|p| !p.is_empty())
        .unwrap_or("week");
    if !PERIODS.iter().any(|(name, _)| *name == period) {
        return Err(Error::bad_request(
            "The period is one of day, week, month, year and all.",
        ));
    }
    let tab = |(name, label): &(&str, &str)| Tab {
        href: format!("/top?period={name}"),
        label: (*label).to_owned(),
        is_current: *name == period,
    };
    let name = format!("top-{period}");
    let listing = Listing {
        name: &name,
        path: "/top",
        parameters: &[("period", period)],
        heading: "Top",
        intro: None,
        place: Place::Top,
        tabs: PERIODS.iter().map(tab).collect(),
        empty: "Nothing was posted in this time. A longer period has more.",
        key: queries::by_points,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let now = Context::get(&request).now;
    let mut conn = state.db.conn().await?;
    let rows = match period_start(period, now) {
        None => queries::list_top(&mut conn, window).await?,
        Some(since) if period == "year" => {
            queries::list_top_of_months(&mut conn, window, since, now).await?
        }
        Some(since) => queries::list_top_of_days(&mut conn, window, since, now).await?,
    };
    listing.respond(&request, &caller, &window, rows)
}

/// `GET /ask`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor.
pub async fn ask(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let listing = Listing {
        name: "ask",
        path: "/ask",
        parameters: &[],
        heading: "Ask",
        intro: None,
        place: Place::Ask,
        tabs: Vec::new(),
        empty: "Nobody has asked anything yet. Submit a text whose title begins with Ask:",
        key: queries::by_hot,
    };
    kind(request, state, caller, query, listing).await
}

/// `GET /show`
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor.
pub async fn show(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<Continued>,
) -> Result<HttpResponse, Error> {
    let listing = Listing {
        name: "show",
        path: "/show",
        parameters: &[],
        heading: "Show",
        intro: None,
        place: Place::Show,
        tabs: Vec::new(),
        empty: "Nobody has shown anything yet. Submit what you made, with a title that begins with Show:",
        key: queries::by_hot,
    };
    kind(request, state, caller, query, listing).await
}

async fn kind(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    query: Continued,
    listing: Listing<'_>,
) -> Result<HttpResponse, Error> {
    let window = listing.window(&caller, query.after.as_deref())?;
    let rows = queries::list_kind(&mut state.db.conn().await?, window, listing.name).await?;
    listing.respond(&request, &caller, &window, rows)
}

/// The query of `/over`.
#[derive(Debug, Deserialize)]
pub struct OverQuery {
    points: Option<i32>,
    after: Option<String>,
}

/// `GET /over`: posts with at least so many points, the newest first.
///
/// # Errors
/// [`Error::BadRequest`] for a bad cursor or number.
pub async fn over(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Query(query): Query<OverQuery>,
) -> Result<HttpResponse, Error> {
    let points = query.points.unwrap_or(100);
    let heading = format!("Over {points} points");
    let (name, parameter) = (format!("over-{points}"), points.to_string());
    let tab = |points: i32, chosen: i32| Tab {
        href: format!("/over?points={points}"),
        label: points.to_string(),
        is_current: points == chosen,
    };
    let listing = Listing {
        name: &name,
        path: "/over",
        parameters: &[("points", &parameter)],
        heading: &heading,
        intro: Some("The newest posts that have gathered this many points.".into()),
        place: Place::Elsewhere,
        tabs: [50, 100, 250, 500].map(|p| tab(p, points)).to_vec(),
        empty: "No post has gathered as many points.",
        key: queries::by_time,
    };
    let window = listing.window(&caller, query.after.as_deref())?;
    let mut conn = state.db.conn().await?;
    let rows = queries::list_over(&mut conn, window, points).await?;
    listing.respond(&request, &caller, &window, rows)
}
