//! Conditional middleware (S04): a check that applies where a predicate holds, and the one that keeps guests out of what is
//! for members. Must not know posts.

use std::{future::Future, pin::Pin};

use actix_web::{
    Error as ActixError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};

use crate::web::{error::Error, state::State, viewer::Caller};

type Answer = Pin<Box<dyn Future<Output = Result<ServiceResponse<BoxBody>, ActixError>>>>;

/// Middleware that lets a request pass unless `holds` is true of it and `check` refuses it.
pub fn when<B: MessageBody + 'static>(
    holds: fn(&ServiceRequest) -> bool,
    check: fn(&ServiceRequest) -> Result<(), Error>,
) -> impl Fn(ServiceRequest, Next<B>) -> Answer + Clone + 'static {
    move |request, next| {
        Box::pin(async move {
            if holds(&request)
                && let Err(error) = check(&request)
            {
                return Ok(ServiceResponse::from_err(error, request.into_parts().0));
            }
            Ok(next.call(request).await?.map_into_boxed_body())
        })
    }
}

/// Whether a request is for what only members may see: anything with `?access=private`; and while the site is closed to
/// guests, all but the ways in and the pages about the site.
pub fn is_for_members(request: &ServiceRequest) -> bool {
    let asks_private = request
        .query_string()
        .split('&')
        .any(|pair| pair == "access=private");
    asks_private || (is_closed(request) && !is_open(request.path()))
}

fn is_closed(request: &ServiceRequest) -> bool {
    request
        .app_data::<Data<State>>()
        .is_some_and(|state| state.settings.get().members_only)
}

fn is_open(path: &str) -> bool {
    const PAGES: [&str; 10] = [
        "/login",
        "/signup",
        "/setup",
        "/password/forgot",
        "/about",
        "/guidelines",
        "/privacy",
        "/theme",
        // Whoever watches over the site is no member.
        "/health",
        "/api/health",
    ];
    const BELOW: [&str; 3] = ["/static/", "/password/reset/", "/email/verify/"];
    PAGES.contains(&path) || BELOW.iter().any(|prefix| path.starts_with(prefix))
}

/// Refuses guests: people are led to log in, programs get a 401.
///
/// # Errors
/// [`Error::LoginRequired`].
pub fn require_member(request: &ServiceRequest) -> Result<(), Error> {
    Caller::get(request.request()).viewer().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_in_stay_open() {
        for open in [
            "/login",
            "/signup",
            "/password/reset/abc",
            "/static/app.css",
            "/about",
            "/health",
            "/api/health",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "/",
            "/newest",
            "/posts/1",
            "/loginx",
            "/users/alice",
            "/api/v1/posts",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
