//! `/settings/profile`: what someone says about themselves. Must not know how markdown becomes HTML.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Deserialize;

use crate::{
    accounts::{queries, viewers, views::SettingsProfilePage},
    web::{
        activity,
        error::Error,
        form::{Form, FormErrors},
        markup,
        page::Page,
        render,
        state::State,
        viewer::Caller,
    },
};

/// Most characters about oneself.
const ABOUT_MAX: usize = 4_000;

/// What a person fills in.
#[derive(Deserialize)]
pub struct ProfileForm {
    #[serde(default)]
    about: String,
}

/// `GET /settings/profile`
///
/// # Errors
/// As the database said.
pub async fn edit_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let about = queries::find_about(&mut state.db.conn().await?, viewer.id).await?;
    let page = SettingsProfilePage {
        page: Page::of(&request, "Profile"),
        about: about.unwrap_or_default(),
        errors: FormErrors::default(),
    };
    render::page(&request, &page)
}

/// `POST /settings/profile`
///
/// # Errors
/// As the database said.
pub async fn update(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    Form(form): Form<ProfileForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    if form.about.chars().count() > ABOUT_MAX {
        let mut errors = FormErrors::default();
        errors.add(
            "about",
            "length",
            "This is too long: 4,000 characters are the most.",
        );
        let page = SettingsProfilePage {
            page: Page::of(&request, "Profile"),
            about: form.about,
            errors,
        };
        return render::invalid(&request, &page);
    }
    let html = markup::render(&form.about);
    let mut conn = state.db.conn().await?;
    queries::set_about(&mut conn, viewer.id, &form.about, &html, markup::RENDERER).await?;
    activity::did(&request, "profile.edit", "user", viewer.id);
    viewers::forget(&state.cache, viewer.id).await;
    state.pages.invalidate(&[format!("user:{}", viewer.id)]);
    Ok(render::see_other_saying(
        &state,
        "/settings/profile",
        "Your profile is saved.",
    ))
}
