//! The table of contents: every URL, its handler, and who may call it. No logic.
//!
//! `at(path, [...])` is one address; each entry is a method, who may call it ([`Access`]), and the handler. GET answers
//! HEAD too. What is not here is a 404; a method that is not here is a 405.

use actix_web::{
    FromRequest, Handler, Resource, Responder, Route,
    guard::{Any, Get, Head, Post},
    http::{Method, header},
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use crate::web::{
    assets,
    error::Error,
    middleware::guard::{Access, Access::*, guard},
};

/// Every address of the site.
pub fn configure(config: &mut ServiceConfig) {
    // Files
    config.service(at("/static/{file}", [get(Guest, assets::show)]));

    config.default_service(web::to(async || Err::<String, _>(Error::NotFound)));
}

/// One method of an address.
struct Entry {
    method: Method,
    route: Route,
}

fn at<const N: usize>(path: &str, entries: [Entry; N]) -> Resource {
    let mut allowed: Vec<String> = Vec::new();
    let mut resource = web::resource(path);
    for entry in entries {
        allowed.push(entry.method.to_string());
        if entry.method == Method::GET {
            allowed.push("HEAD".to_owned());
        }
        resource = resource.route(entry.route);
    }
    let allowed = allowed.join(", ");
    resource.default_service(web::to(move || {
        let allowed = allowed.clone();
        async move {
            actix_web::HttpResponse::from_error(Error::MethodNotAllowed)
                .customize()
                .insert_header((header::ALLOW, allowed))
        }
    }))
}

fn get<F, Args>(access: Access, handler: F) -> Entry
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Entry {
        method: Method::GET,
        route: Route::new()
            .guard(Any(Get()).or(Head()))
            .to(handler)
            .wrap(from_fn(guard(access))),
    }
}

fn post<F, Args>(access: Access, handler: F) -> Entry
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Entry {
        method: Method::POST,
        route: Route::new().guard(Post()).to(handler).wrap(from_fn(guard(access))),
    }
}
