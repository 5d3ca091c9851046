//! `/admin/settings` (A06): every setting with its value, its default and who changed it. Must not know what the
//! settings do.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde_json::Value;

use super::{audit, who};
use crate::{
    admin::views::{SettingGroup, SettingPage, SettingRow, SettingsIndexPage},
    platform::{
        audit::Filter,
        settings::{self, DEFINITIONS, Definition, Kind, SetError, Values},
    },
    web::{
        activity,
        error::Error,
        form::{Form, FormErrors},
        page::{Page, Place},
        render,
        state::State,
    },
};

/// Changes of one setting that are shown.
const HISTORY: i64 = 20;

/// `GET /admin/settings`
///
/// # Errors
/// None of its own.
pub async fn index(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let values = state.settings.get();
    let groups: Vec<SettingGroup> = DEFINITIONS
        .chunk_by(|a, b| group_of(a) == group_of(b))
        .map(|definitions| SettingGroup {
            name: group_of(&definitions[0]),
            rows: definitions.iter().map(|d| row(d, &values)).collect(),
        })
        .collect();
    let rows = groups.iter().flat_map(|group| &group.rows);
    let changed = rows.filter(|row| row.is_changed).count();
    let page = SettingsIndexPage {
        page: Page::of(&request, "Settings").at(Place::Console),
        verdict: match changed {
            0 => "Every setting has its default".to_owned(),
            1 => "One setting differs from its default".to_owned(),
            count => format!("{count} settings differ from their defaults"),
        },
        groups,
    };
    render::page(&request, &page)
}

/// What the settings are about whose keys begin alike.
fn group_of(definition: &Definition) -> &'static str {
    match definition.key.split('.').next() {
        Some("site") => "The site",
        Some("signup") => "Accounts",
        Some("links") => "Links",
        Some("cache") => "Caches",
        Some("sessions") => "Sessions",
        Some("limits") => "Limits",
        Some("activity") => "Activity log",
        Some("metrics") => "Metrics",
        Some("health") => "Health",
        Some("resilience") => "What the site calls",
        _ => "Other",
    }
}

fn row(definition: &Definition, values: &Values) -> SettingRow {
    let (current, default) = ((definition.current)(values), (definition.default)());
    SettingRow {
        key: definition.key,
        description: definition.description,
        value: definition.kind.show(&current),
        default: definition.kind.show(&default),
        is_changed: current != default,
    }
}

/// `GET /admin/settings/{key}`
///
/// # Errors
/// 404 for a key that there is not.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    key: Path<String>,
) -> Result<HttpResponse, Error> {
    let definition = settings::find(&key).ok_or(Error::NotFound)?;
    let current = (definition.current)(&state.settings.get());
    let page = page(
        &request,
        &state,
        definition,
        typed_form(&current),
        FormErrors::default(),
    )
    .await?;
    render::page(&request, &page)
}

/// A value as a form's field holds it.
fn typed_form(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => String::new(),
        Value::Bool(true) => "1".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `POST /admin/settings/{key}`: every instance goes by it within a second.
///
/// # Errors
/// 404 for a key that there is not.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    key: Path<String>,
    Form(form): Form<SettingForm>,
) -> Result<HttpResponse, Error> {
    let definition = settings::find(&key).ok_or(Error::NotFound)?;
    let value = match definition.kind.parse(&form.value) {
        Ok(value) => value,
        Err(rule) => {
            let mut errors = FormErrors::default();
            errors.add("value", "bounds", rule);
            let page = page(&request, &state, definition, form.value, errors).await?;
            return render::invalid(&request, &page);
        }
    };
    change(&request, &state, definition, Some(&value)).await
}

/// `POST /admin/settings/{key}/reset`: back to its default.
///
/// # Errors
/// 404 for a key that there is not.
pub async fn reset(
    request: HttpRequest,
    state: Data<State>,
    key: Path<String>,
) -> Result<HttpResponse, Error> {
    let definition = settings::find(&key).ok_or(Error::NotFound)?;
    change(&request, &state, definition, None).await
}

/// What the operator fills in.
#[derive(serde::Deserialize)]
pub struct SettingForm {
    #[serde(default)]
    value: String,
}

async fn change(
    request: &HttpRequest,
    state: &State,
    definition: &Definition,
    value: Option<&Value>,
) -> Result<HttpResponse, Error> {
    let mut conn = state.db.conn().await?;
    conn.begin().await?;
    let done = settings::set(&mut conn, definition, value, who(request).as_who())
        .await
        .map_err(|e| match e {
            SetError::OutOfBounds(rule) => Error::bad_request(rule),
            SetError::Database(error) => error.into(),
        })?;
    conn.commit().await?;
    let action = if value.is_some() {
        "setting.set"
    } else {
        "setting.reset"
    };
    activity::did(request, action, "setting", None);
    drop(conn);
    state.steer().await?;
    let said = match done {
        true if value.is_none() => format!(
            "{} is back to its default, here and on every other instance.",
            definition.key
        ),
        true => format!(
            "{} is set, here and on every other instance.",
            definition.key
        ),
        false => format!("{} was so already.", definition.key),
    };
    Ok(render::see_other_saying(state, "/admin/settings", &said))
}

async fn page(
    request: &HttpRequest,
    state: &State,
    definition: &'static Definition,
    typed: String,
    errors: FormErrors,
) -> Result<SettingPage, Error> {
    let subject = format!("setting:{}", definition.key);
    let filter = Filter {
        subject: &subject,
        ..Filter::default()
    };
    let history = audit::entries(&mut state.db.conn().await?, filter, HISTORY).await?;
    Ok(SettingPage {
        page: Page::of(request, definition.key).at(Place::Console),
        row: row(definition, &state.settings.get()),
        rule: definition.kind.rule(),
        is_switch: definition.kind == Kind::Switch,
        is_long: definition.kind == Kind::Rules,
        is_number: matches!(definition.kind, Kind::Number { .. }),
        choices: match definition.kind {
            Kind::Choice(choices) => choices,
            _ => &[],
        },
        typed,
        history,
        errors,
    })
}
