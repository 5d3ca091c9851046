//! `/admin/flags` (A07): what is on, for whom; and what it would be for somebody. Must not know what the flags switch.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;

use super::{audit, who};
use crate::{
    accounts::standing::queries::find_subject,
    admin::{
        queries,
        views::{FlagPage, FlagRow, FlagsIndexPage},
    },
    platform::{
        audit::Filter,
        db::Conn,
        flags::{self, Environment, Flag, Segment, Verdict},
    },
    web::{
        activity, chrome,
        context::Context,
        error::{Error, violated},
        features,
        form::{Form, FormErrors, Query},
        page::{Page, Place},
        render,
        state::State,
    },
};

/// Changes of one flag that are shown.
const HISTORY: i64 = 20;
/// Accounts that one flag can name.
const USERS_MAX: usize = 200;
/// Longest description, in characters.
const DESCRIPTION_MAX: usize = 300;

/// `GET /admin/flags`
///
/// # Errors
/// As the database said.
pub async fn index(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let page = index_page(
        &request,
        &state,
        NewFlagForm::default(),
        FormErrors::default(),
    )
    .await?;
    render::page(&request, &page)
}

async fn index_page(
    request: &HttpRequest,
    state: &State,
    form: NewFlagForm,
    errors: FormErrors,
) -> Result<FlagsIndexPage, Error> {
    let flags = flags::list(&mut state.db.conn().await?).await?;
    let on = flags.iter().filter(|flag| flag.is_on).count();
    Ok(FlagsIndexPage {
        page: Page::of(request, "Flags").at(Place::Console),
        verdict: format!("{on} of {} flags are on", flags.len()),
        rows: flags.into_iter().map(row).collect(),
        name: form.name,
        description: form.description,
        errors,
    })
}

fn row(flag: Flag) -> FlagRow {
    let mut conditions = Vec::new();
    if !flag.environments.is_empty() {
        conditions.push(format!("in {}", flag.environments.join(", ")));
    }
    if !flag.segments.is_empty() {
        conditions.push(format!("for {} people", flag.segments.join(" or ")));
    }
    if !flag.user_ids.is_empty() {
        conditions.push(format!("for {} named accounts", flag.user_ids.len()));
    }
    if let Some(percentage) = flag.percentage {
        conditions.push(format!("for {percentage} % of accounts"));
    }
    FlagRow {
        conditions: conditions.join("; "),
        name: flag.name,
        description: flag.description,
        is_on: flag.is_on,
        evaluated_at: flag.evaluated_at,
    }
}

/// What the operator fills in to make one.
#[derive(Default, Deserialize)]
pub struct NewFlagForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
}

/// `POST /admin/flags`: a new one, off.
///
/// # Errors
/// As the database said.
pub async fn create(
    request: HttpRequest,
    state: Data<State>,
    Form(form): Form<NewFlagForm>,
) -> Result<HttpResponse, Error> {
    let name = form.name.trim();
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let inserted = flags::insert(
        &mut conn,
        name,
        form.description.trim(),
        who(&request).as_who(),
    )
    .await;
    if let Err(error) = inserted {
        let sentence = match violated(&error) {
            Some("flags_pkey") => "There is a flag of this name already.",
            Some("flags_name_check") => {
                "A name is made of small letters, digits and _, at most 40, and begins with a letter."
            }
            _ => return Err(error.into()),
        };
        drop(conn);
        let mut errors = FormErrors::default();
        errors.add("name", "name", sentence);
        let page = index_page(&request, &state, form, errors).await?;
        return render::invalid(&request, &page);
    }
    conn.commit().await?;
    activity::did(&request, "flag.create", "flag", None);
    state.steer().await?;
    let back = format!("/admin/flags/{}", chrome::encode(name));
    Ok(render::see_other_saying(
        &state,
        &back,
        "The flag is made. It is off.",
    ))
}

/// Whom to try a flag on.
#[derive(Deserialize)]
pub struct TryQuery {
    #[serde(default)]
    user: String,
}

/// `GET /admin/flags/{name}`, with `?user=` also what it is for somebody.
///
/// # Errors
/// 404 for a flag that there is not.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    name: Path<String>,
    Query(query): Query<TryQuery>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let flag = flags::find(&mut conn, &name)
        .await?
        .ok_or(Error::NotFound)?;
    let tried = query.user.trim();
    let outcome = match tried {
        "" => None,
        _ => Some(try_on(&request, &state, &mut conn, &flag, tried).await?),
    };
    let form = FlagForm::of(
        &flag,
        &queries::list_usernames(&mut conn, &flag.user_ids).await?,
    );
    let page = page(
        &request,
        &state,
        &mut conn,
        flag,
        form,
        FormErrors::default(),
    )
    .await?;
    let page = FlagPage {
        tried: tried.to_owned(),
        outcome,
        ..page
    };
    render::page(&request, &page)
}

async fn try_on(
    request: &HttpRequest,
    state: &State,
    conn: &mut Conn,
    flag: &Flag,
    name: &str,
) -> Result<(bool, String), Error> {
    let Some(user) = find_subject(&mut *conn, name).await? else {
        return Ok((false, format!("There is nobody called {name}.")));
    };
    let standing = queries::get_standing(conn, user.id).await?;
    let now = Context::get(request).now;
    let subject =
        features::subject_of(user.id, standing.karma, standing.created_at, user.rank, now);
    let verdict = flags::evaluate(flag, state.flags.environment(), Some(&subject));
    Ok((
        verdict == Verdict::On,
        format!("For {}: {}", user.username, verdict.sentence()),
    ))
}

/// What the operator fills in.
#[derive(Clone, Default, Deserialize)]
pub struct FlagForm {
    #[serde(default)]
    description: String,
    #[serde(default)]
    is_on: String,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    segments: Vec<String>,
    #[serde(default)]
    percentage: String,
    #[serde(default)]
    users: String,
    #[serde(default)]
    confirm: String,
}

impl FlagForm {
    fn of(flag: &Flag, names: &[String]) -> Self {
        Self {
            description: flag.description.clone(),
            is_on: if flag.is_on {
                "1".to_owned()
            } else {
                String::new()
            },
            environments: flag.environments.clone(),
            segments: flag.segments.clone(),
            percentage: flag.percentage.map(|p| p.to_string()).unwrap_or_default(),
            users: names.join(" "),
            confirm: String::new(),
        }
    }
}

/// `POST /admin/flags/{name}`: every instance goes by it within a second.
///
/// # Errors
/// 404 for a flag that there is not.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    name: Path<String>,
    Form(form): Form<FlagForm>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    let flag = flags::find(&mut conn, &name)
        .await?
        .ok_or(Error::NotFound)?;
    let wanted = match read(&mut conn, &flag, &form).await? {
        Ok(wanted) => wanted,
        Err(errors) => {
            let page = page(&request, &state, &mut conn, flag, form, errors).await?;
            return render::invalid(&request, &page);
        }
    };
    conn.begin().await?;
    if !flags::update(&mut conn, &wanted, who(&request).as_who()).await? {
        return Err(Error::NotFound);
    }
    conn.commit().await?;
    drop(conn);
    activity::did(&request, "flag.set", "flag", None);
    state.steer().await?;
    let said = format!("{} is set, here and on every other instance.", wanted.name);
    Ok(render::see_other_saying(&state, "/admin/flags", &said))
}

/// The flag that a form asks for, or all that is wrong with it.
async fn read(
    conn: &mut Conn,
    flag: &Flag,
    form: &FlagForm,
) -> sqlx::Result<Result<Flag, FormErrors>> {
    let mut errors = FormErrors::default();
    if form.confirm.trim() != flag.name {
        errors.add(
            "confirm",
            "confirm",
            format!("Type {} to confirm.", flag.name),
        );
    }
    if form.description.chars().count() > DESCRIPTION_MAX {
        errors.add(
            "description",
            "length",
            "This is too long: 300 characters are the most.",
        );
    }
    let percentage = match form.percentage.trim() {
        "" => None,
        typed => match typed.parse::<i16>() {
            Ok(number) if (0..=100).contains(&number) => Some(number),
            _ => {
                errors.add(
                    "percentage",
                    "bounds",
                    "A whole number from 0 to 100, or nothing.",
                );
                None
            }
        },
    };
    let known = |words: &[String], all: &[&str]| -> Vec<String> {
        words
            .iter()
            .filter(|word| all.contains(&word.as_str()))
            .cloned()
            .collect()
    };
    let names: Vec<String> = form
        .users
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|name| !name.is_empty())
        .map(str::to_lowercase)
        .collect();
    if names.len() > USERS_MAX {
        errors.add(
            "users",
            "length",
            "These are too many: 200 accounts are the most.",
        );
    }
    let found = queries::find_user_ids(conn, &names).await?;
    let unknown: Vec<&str> = names
        .iter()
        .filter(|name| !found.iter().any(|(key, _)| key == *name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        errors.add(
            "users",
            "unknown",
            format!("There is nobody called {}.", unknown.join(", ")),
        );
    }
    if !errors.is_empty() {
        return Ok(Err(errors));
    }
    Ok(Ok(Flag {
        description: form.description.trim().to_owned(),
        is_on: !form.is_on.is_empty(),
        environments: known(&form.environments, &Environment::ALL.map(Environment::name)),
        segments: known(&form.segments, &Segment::ALL.map(Segment::name)),
        percentage,
        user_ids: found.into_iter().map(|(_, id)| id).collect(),
        ..flag.clone()
    }))
}

/// What the operator types to delete one.
#[derive(Deserialize)]
pub struct DeleteForm {
    #[serde(default)]
    confirm: String,
}

/// `POST /admin/flags/{name}/delete`
///
/// # Errors
/// 404 for a flag that there is not, or that the site itself asks for.
pub async fn delete(
    request: HttpRequest,
    state: Data<State>,
    name: Path<String>,
    Form(form): Form<DeleteForm>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    if form.confirm.trim() != *name {
        let flag = flags::find(&mut conn, &name)
            .await?
            .ok_or(Error::NotFound)?;
        let mut errors = FormErrors::default();
        errors.add(
            "confirm_delete",
            "confirm",
            format!("Type {} to confirm.", flag.name),
        );
        let typed = FlagForm::of(
            &flag,
            &queries::list_usernames(&mut conn, &flag.user_ids).await?,
        );
        let page = page(&request, &state, &mut conn, flag, typed, errors).await?;
        return render::invalid(&request, &page);
    }
    conn.begin().await?;
    if !flags::delete(&mut conn, &name, who(&request).as_who()).await? {
        return Err(Error::NotFound);
    }
    conn.commit().await?;
    drop(conn);
    activity::did(&request, "flag.delete", "flag", None);
    state.steer().await?;
    Ok(render::see_other_saying(
        &state,
        "/admin/flags",
        &format!("{name} is deleted; whoever asks for it finds it off."),
    ))
}

async fn page(
    request: &HttpRequest,
    state: &State,
    conn: &mut Conn,
    flag: Flag,
    form: FlagForm,
    errors: FormErrors,
) -> Result<FlagPage, Error> {
    let subject = format!("flag:{}", flag.name);
    let filter = Filter {
        subject: &subject,
        ..Filter::default()
    };
    let history = audit::entries(conn, filter, HISTORY).await?;
    let ticked = |all: &[&'static str], held: &[String]| -> Vec<(&'static str, bool)> {
        all.iter()
            .map(|name| (*name, held.iter().any(|h| h == name)))
            .collect()
    };
    Ok(FlagPage {
        page: Page::of(request, flag.name.as_str()).at(Place::Console),
        environment: state.flags.environment().name(),
        is_built_in: flag.is_built_in,
        is_on: !form.is_on.is_empty(),
        environments: ticked(&Environment::ALL.map(Environment::name), &form.environments),
        segments: ticked(&Segment::ALL.map(Segment::name), &form.segments),
        percentage: form.percentage,
        users: form.users,
        description: form.description,
        tried: String::new(),
        outcome: None,
        history,
        errors,
        row: row(flag),
    })
}
