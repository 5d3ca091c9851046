//! Link previews for people and programs: the API, and the title of a page for the submit form. Must not know how pages
//! are fetched.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Deserialize;

use super::Previews;
use crate::{
    news::posts::{
        form::Submitted,
        handlers::{known_tags, new_page},
        link::{SiteUrl, UrlError},
        views::TitleField,
    },
    web::{
        envelope,
        error::Error,
        form::{Form, FormErrors, Query, wants_fragment},
        render,
        signing::random_token,
        state::State,
    },
};

/// The query of `/api/v1/link-preview`.
#[derive(Debug, Deserialize)]
pub struct PreviewQuery {
    #[serde(default)]
    url: String,
}

/// `GET /api/v1/link-preview?url=`
///
/// # Errors
/// [`Error::NotFound`] while previews are switched off, and where there is no page; [`Error::BadRequest`] for what is no
/// address of a public page; [`Error::Elsewhere`] where the page does not answer; [`Error::Unavailable`] while no page is
/// asked.
pub async fn show(
    previews: Data<Previews>,
    Query(query): Query<PreviewQuery>,
) -> Result<HttpResponse, Error> {
    if !previews.are_on() {
        return Err(Error::NotFound);
    }
    let url =
        SiteUrl::parse(&query.url).map_err(|error| Error::BadRequest(error.to_string().into()))?;
    let preview = previews.of(&url).await?;
    Ok(envelope::success(&*preview))
}

/// `GET /submit/title?url=`: for the script the field of the title alone, with the page's title in it; else the form.
///
/// # Errors
/// [`Error::NotFound`] while previews are switched off.
pub async fn suggest(
    request: HttpRequest,
    state: Data<State>,
    previews: Data<Previews>,
    Query(form): Query<Submitted>,
) -> Result<HttpResponse, Error> {
    let form = Submitted {
        nonce: random_token(12),
        ..form
    };
    let (form, errors) = filled(&previews, form).await?;
    if wants_fragment(&request) {
        let form = form.to_view();
        return render::page(&request, &TitleField { form, errors });
    }
    whole_form(&request, &state, &form, errors).await
}

/// `POST /submit/title`: the same form with all that was typed, and the page's title in it.
///
/// # Errors
/// As [`suggest`].
pub async fn suggest_in_form(
    request: HttpRequest,
    state: Data<State>,
    previews: Data<Previews>,
    Form(form): Form<Submitted>,
) -> Result<HttpResponse, Error> {
    let (form, errors) = filled(&previews, form).await?;
    whole_form(&request, &state, &form, errors).await
}

async fn whole_form(
    request: &HttpRequest,
    state: &State,
    form: &Submitted,
    errors: FormErrors,
) -> Result<HttpResponse, Error> {
    let tags = known_tags(state).await?;
    let is_filled = errors.is_empty();
    let page = new_page(request, state, form, errors, None, tags);
    if is_filled {
        render::page(request, &page)
    } else {
        render::invalid(request, &page)
    }
}

/// The form with the page's title, or with why it has none; then what was typed stays.
async fn filled(previews: &Previews, form: Submitted) -> Result<(Submitted, FormErrors), Error> {
    if !previews.are_on() {
        return Err(Error::NotFound);
    }
    let mut errors = FormErrors::default();
    match SiteUrl::parse(&form.url) {
        Err(_) if form.url.trim().is_empty() => errors.add(
            "title",
            "url",
            "Give the link first; then its title can be fetched",
        ),
        Err(
            error @ (UrlError::Invalid
            | UrlError::Scheme
            | UrlError::Credentials
            | UrlError::TooLong),
        ) => {
            errors.add("title", "url", error.to_string());
        }
        Ok(url) => match previews.of(&url).await.map(|preview| preview.title.clone()) {
            Ok(Some(title)) => return Ok((Submitted { title, ..form }, errors)),
            Ok(None) | Err(Error::NotFound) => {
                errors.add(
                    "title",
                    "none",
                    "No title was found at this address: please type it",
                );
            }
            Err(Error::BadRequest(sentence)) => errors.add("title", "refused", sentence),
            Err(error) => {
                tracing::info!(error = %error, "no title was fetched");
                errors.add(
                    "title",
                    "away",
                    "The page does not answer just now: please type its title",
                );
            }
        },
    }
    Ok((form, errors))
}
