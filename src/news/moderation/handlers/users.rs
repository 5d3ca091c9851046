//! `/users/{name}/ban` and `/users/{name}/unban`. Must not know what an act writes.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chrono::{SubsecRound, TimeDelta};

use super::ActForm;
use crate::{
    accounts::{
        standing::{
            self,
            queries::{Subject, find_subject, lock_subject},
        },
        viewers,
    },
    news::{
        moderation::{
            acts::{self, Act},
            model::{Reason, parse_days},
            views::ActPage,
        },
        outdated,
    },
    platform::db::Conn,
    web::{
        activity, chrome,
        context::Context,
        error::Error,
        form::{Form, FormErrors},
        page::Page,
        render,
        state::State,
        viewer::{Caller, Target, Viewer},
    },
};

/// What is to happen to the account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Ban,
    Unban,
}

/// `GET /users/{name}/ban`
///
/// # Errors
/// 403 where this moderator may not, 409 where a ban is in force already.
pub async fn ban_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    form(&request, &state, &caller, &name, Verb::Ban).await
}

/// `GET /users/{name}/unban`
///
/// # Errors
/// 403 where this moderator may not, 409 where no ban is in force.
pub async fn unban_form(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    form(&request, &state, &caller, &name, Verb::Unban).await
}

/// `POST /users/{name}/ban`: every session of the account ends.
///
/// # Errors
/// As [`ban_form`].
pub async fn ban(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    Form(form): Form<ActForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut errors = FormErrors::default();
    let reason =
        Reason::parse(&form.reason).map_err(|sentence| errors.add("reason", "length", sentence));
    let days = parse_days(&form.days).map_err(|sentence| errors.add("days", "range", sentence));
    let mut conn = state.db.conn().await?;
    let (Ok(reason), Ok(days)) = (reason, days) else {
        return refuse(
            &request,
            &mut conn,
            viewer,
            &name,
            (Verb::Ban, form, errors),
        )
        .await;
    };
    conn.begin().await?;
    let subject = lock(&request, &mut conn, viewer, &name, Verb::Ban).await?;
    let context = Context::get(&request);
    // To the second: an event's time on paper is the database's time to the microsecond at best.
    let until = days.map(|days| (context.now + TimeDelta::days(days)).trunc_subsecs(0));
    let act = Act {
        actor: viewer.id,
        reason: &reason,
        request_id: &context.id,
    };
    acts::ban_user(&mut conn, subject.id, until, act).await?;
    conn.commit().await?;
    viewers::forget(&state.cache, subject.id).await;
    outdated::moderation(&state.pages, Some(subject.id));
    activity::did(&request, "user.ban", "user", subject.id);
    drop(conn);
    let said = match state.sessions.end_all(subject.id, None).await {
        Ok(_) => format!("{} is banned, and logged out everywhere.", subject.username),
        Err(error) => {
            // The ban holds all the same: it is read with every request.
            tracing::error!(error = %error, target.id = subject.id, "sessions of a banned account were not ended");
            format!(
                "{} is banned, but is still logged in, to read only: sessions are away just now.",
                subject.username
            )
        }
    };
    Ok(render::see_other_saying(&state, &profile(&subject), &said))
}

/// `POST /users/{name}/unban`
///
/// # Errors
/// As [`unban_form`].
pub async fn unban(
    request: HttpRequest,
    state: Data<State>,
    caller: Caller,
    name: Path<String>,
    Form(form): Form<ActForm>,
) -> Result<HttpResponse, Error> {
    let viewer = caller.viewer()?;
    let mut conn = state.db.conn().await?;
    let reason = match Reason::parse(&form.reason) {
        Ok(reason) => reason,
        Err(sentence) => {
            let mut errors = FormErrors::default();
            errors.add("reason", "length", sentence);
            return refuse(
                &request,
                &mut conn,
                viewer,
                &name,
                (Verb::Unban, form, errors),
            )
            .await;
        }
    };
    conn.begin().await?;
    let subject = lock(&request, &mut conn, viewer, &name, Verb::Unban).await?;
    let act = Act {
        actor: viewer.id,
        reason: &reason,
        request_id: &Context::get(&request).id,
    };
    acts::unban_user(&mut conn, subject.id, act).await?;
    conn.commit().await?;
    viewers::forget(&state.cache, subject.id).await;
    outdated::moderation(&state.pages, Some(subject.id));
    activity::did(&request, "user.unban", "user", subject.id);
    let said = format!("The ban of {} is lifted.", subject.username);
    Ok(render::see_other_saying(&state, &profile(&subject), &said))
}

async fn form(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    name: &str,
    verb: Verb,
) -> Result<HttpResponse, Error> {
    let subject = find(&mut state.db.conn().await?, name).await?;
    require(request, caller.viewer()?, &subject, verb)?;
    render::page(
        request,
        &page(
            request,
            &subject,
            verb,
            ActForm::empty(),
            FormErrors::default(),
        ),
    )
}

/// The form again, with what is wrong.
async fn refuse(
    request: &HttpRequest,
    conn: &mut Conn,
    viewer: &Viewer,
    name: &str,
    (verb, form, errors): (Verb, ActForm, FormErrors),
) -> Result<HttpResponse, Error> {
    let subject = find(conn, name).await?;
    require(request, viewer, &subject, verb)?;
    render::invalid(request, &page(request, &subject, verb, form, errors))
}

async fn find(conn: &mut Conn, name: &str) -> Result<Subject, Error> {
    find_subject(conn, name).await?.ok_or(Error::NotFound)
}

/// The account, locked, so that of two moderators the second sees what the first has done.
async fn lock(
    request: &HttpRequest,
    conn: &mut Conn,
    viewer: &Viewer,
    name: &str,
    verb: Verb,
) -> Result<Subject, Error> {
    let id = find(conn, name).await?.id;
    let subject = lock_subject(conn, id).await?.ok_or(Error::NotFound)?;
    require(request, viewer, &subject, verb)?;
    Ok(subject)
}

fn require(
    request: &HttpRequest,
    viewer: &Viewer,
    subject: &Subject,
    verb: Verb,
) -> Result<(), Error> {
    let action = match verb {
        Verb::Ban => "ban",
        Verb::Unban => "unban",
    };
    viewer.require("user", action, &Target::of(Some(subject.id)))?;
    standing::require_above(viewer, subject.rank)?;
    match (verb, subject.is_banned(Context::get(request).now)) {
        (Verb::Ban, true) => Err(Error::Conflict("This account is banned already.".into())),
        (Verb::Unban, false) => Err(Error::Conflict(
            "This account is not banned, or not any more.".into(),
        )),
        _ => Ok(()),
    }
}

fn profile(subject: &Subject) -> String {
    format!("/users/{}", chrome::encode(&subject.username))
}

fn page(
    request: &HttpRequest,
    subject: &Subject,
    verb: Verb,
    form: ActForm,
    errors: FormErrors,
) -> ActPage {
    let name = &subject.username;
    let (heading, consequence, button, action) = match verb {
        Verb::Ban => (
            format!("Ban {name}?"),
            "They are logged out everywhere and cannot log in, post, comment or vote. What they wrote stays.",
            format!("Ban {name}"),
            "ban",
        ),
        Verb::Unban => (
            format!("Lift the ban of {name}?"),
            "They can log in and take part again at once.",
            "Lift the ban".to_owned(),
            "unban",
        ),
    };
    ActPage {
        page: Page::of(request, heading.as_str()),
        heading,
        consequence: consequence.to_owned(),
        subject: name.clone(),
        action: format!("{}/{action}", profile(subject)),
        back: profile(subject),
        button,
        is_destructive: verb == Verb::Ban,
        reason: form.reason,
        days: (verb == Verb::Ban).then_some(form.days),
        errors,
    }
}
