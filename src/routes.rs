//! The table of contents: every URL, its handler, and who may call it. No logic.
//!
//! `at(path, [...])` is one address; each entry is a method, who may call it ([`Access`]), and the handler. GET answers
//! HEAD too. What is not here is a 404; a method that is not here is a 405.

use actix_web::{
    FromRequest, Handler, Resource, Responder, Route,
    guard::{Any, Delete, Get, Head, Post},
    http::{Method, header},
    middleware::from_fn,
    web::{self, ServiceConfig},
};

use crate::{
    accounts::handlers::{
        email, login, password, preferences, profile, recovery, sessions, setup, signup, tokens,
    },
    admin::handlers as admin,
    news::{
        comments::{handlers as comments, lists as comment_lists},
        domains::handlers as domains,
        import::handlers as import,
        lists::handlers as lists,
        moderation::handlers as moderation,
        posts::handlers as posts,
        previews::handlers as previews,
        profiles::handlers as profiles,
        tags::handlers as tags,
        votes::handlers as votes,
    },
    ops::{cache, dependencies, health, metrics},
    web::{
        assets,
        error::Error,
        middleware::{
            circuit::circuit,
            guard::{Access, Access::*, guard},
        },
        pages,
    },
};

/// The breaker of `/api/v1/link-preview` among the dependencies.
pub const LINK_PREVIEW: &str = "link-preview";

/// Guests' pages that need nothing in their address: made before the site is ready.
pub const PARAMETERLESS: &[&str] = &[
    "/",
    "/newest",
    "/active",
    "/top",
    "/ask",
    "/show",
    "/comments",
    "/tags",
    "/about",
    "/guidelines",
    "/privacy",
];

/// Every address of the site.
pub fn configure(config: &mut ServiceConfig) {
    // Lists of posts
    config.service(at("/", [get(Guest, lists::hot)]));
    config.service(at("/newest", [get(Guest, lists::newest)]));
    config.service(at("/active", [get(Guest, lists::active)]));
    config.service(at("/top", [get(Guest, lists::top)]));
    config.service(at("/ask", [get(Guest, lists::ask)]));
    config.service(at("/show", [get(Guest, lists::show)]));
    config.service(at("/over", [get(Guest, lists::over)]));
    config.service(at("/tags", [get(Guest, tags::index)]));
    config.service(at("/tags/{tag}", [get(Guest, tags::show)]));
    config.service(at("/domains/{domain}", [get(Guest, domains::show)]));

    // Posts
    config.service(at("/submit", [get(Member, posts::new_form)]));
    config.service(at("/submit/preview", [post(Member, posts::preview)]));
    config.service(at(
        "/submit/title",
        [
            get(Member, previews::suggest),
            post(Member, previews::suggest_in_form),
        ],
    ));
    config.service(at("/posts", [post(Member, posts::create)]));
    config.service(at("/posts/{id}", [get(Guest, posts::show_bare)]));
    config.service(at(
        "/posts/{id}/edit",
        [get(Member, posts::edit_form), post(Member, posts::update)],
    ));
    config.service(at(
        "/posts/{id}/delete",
        [get(Member, posts::delete_form), post(Member, posts::delete)],
    ));
    config.service(at("/posts/{id}/vote", [post(Member, votes::vote_post)]));
    config.service(at("/posts/{id}/comments", [post(Member, comments::create)]));
    config.service(at(
        "/posts/{id}/remove",
        [
            get(MaySome("post", "remove"), moderation::posts::remove_form),
            post(MaySome("post", "remove"), moderation::posts::remove),
        ],
    ));
    config.service(at(
        "/posts/{id}/restore",
        [
            get(MaySome("post", "restore"), moderation::posts::restore_form),
            post(MaySome("post", "restore"), moderation::posts::restore),
        ],
    ));
    // last: any other word is a slug
    config.service(at("/posts/{id}/{slug}", [get(Guest, posts::show)]));

    // Comments
    config.service(at("/comments", [get(Guest, comment_lists::newest)]));
    config.service(at("/threads", [get(Member, comment_lists::own)]));
    config.service(at("/comments/{id}", [get(Guest, comments::show)]));
    config.service(at(
        "/comments/{id}/reply",
        [get(Member, comments::reply_form)],
    ));
    config.service(at(
        "/comments/{id}/edit",
        [
            get(Member, comments::edit_form),
            post(Member, comments::update),
        ],
    ));
    config.service(at(
        "/comments/{id}/delete",
        [
            get(Member, comments::delete_form),
            post(Member, comments::delete),
        ],
    ));
    config.service(at(
        "/comments/{id}/vote",
        [post(Member, votes::vote_comment)],
    ));
    config.service(at(
        "/comments/{id}/remove",
        [
            get(
                MaySome("comment", "remove"),
                moderation::comments::remove_form,
            ),
            post(MaySome("comment", "remove"), moderation::comments::remove),
        ],
    ));
    config.service(at(
        "/comments/{id}/restore",
        [
            get(
                MaySome("comment", "restore"),
                moderation::comments::restore_form,
            ),
            post(MaySome("comment", "restore"), moderation::comments::restore),
        ],
    ));

    // People
    config.service(at("/users/{name}", [get(Guest, profiles::show)]));
    config.service(at("/users/{name}/posts", [get(Guest, profiles::posts)]));
    config.service(at(
        "/users/{name}/comments",
        [get(Guest, comment_lists::by_author)],
    ));

    config.service(at(
        "/users/{name}/ban",
        [
            get(MaySome("user", "ban"), moderation::users::ban_form),
            post(MaySome("user", "ban"), moderation::users::ban),
        ],
    ));
    config.service(at(
        "/users/{name}/unban",
        [
            get(MaySome("user", "unban"), moderation::users::unban_form),
            post(MaySome("user", "unban"), moderation::users::unban),
        ],
    ));
    config.service(at("/moderation/log", [get(Guest, moderation::log::list)]));

    // The console
    config.service(at("/admin", [get(May("console", "read"), admin::index)]));
    config.service(at("/dev/outbox", [get(May("mail", "read"), admin::outbox)]));
    config.service(at(
        "/admin/jobs",
        [get(May("job", "read"), admin::jobs::index)],
    ));
    config.service(at(
        "/admin/jobs/{id}/run",
        [post(May("job", "run"), admin::jobs::run)],
    ));
    config.service(at(
        "/admin/jobs/{id}/delete",
        [post(May("job", "delete"), admin::jobs::delete)],
    ));
    config.service(at(
        "/admin/jobs/schedules/{kind}/run",
        [post(May("job", "run"), admin::jobs::run_schedule)],
    ));
    config.service(at(
        "/admin/settings",
        [get(May("setting", "read"), admin::settings::index)],
    ));
    config.service(at(
        "/admin/settings/{key}",
        [
            get(May("setting", "set"), admin::settings::edit_form),
            post(May("setting", "set"), admin::settings::update),
        ],
    ));
    config.service(at(
        "/admin/settings/{key}/reset",
        [post(May("setting", "set"), admin::settings::reset)],
    ));
    config.service(at(
        "/admin/flags",
        [
            get(May("flag", "read"), admin::flags::index),
            post(May("flag", "set"), admin::flags::create),
        ],
    ));
    config.service(at(
        "/admin/flags/{name}",
        [
            get(May("flag", "set"), admin::flags::edit_form),
            post(May("flag", "set"), admin::flags::update),
        ],
    ));
    config.service(at(
        "/admin/flags/{name}/delete",
        [post(May("flag", "set"), admin::flags::delete)],
    ));
    config.service(at(
        "/admin/audit",
        [get(May("audit", "read"), admin::audit::index)],
    ));
    config.service(at(
        "/admin/users",
        [get(May("user", "list"), admin::users::index)],
    ));
    config.service(at(
        "/admin/users/{name}",
        [get(May("user", "list"), admin::users::show)],
    ));
    config.service(at(
        "/admin/users/{name}/roles",
        [post(May("role", "set"), admin::users::set_roles)],
    ));
    config.service(at(
        "/admin/users/{name}/sessions/end",
        [post(May("session", "end"), admin::users::end_sessions)],
    ));

    // About the site
    config.service(at("/about", [get(Guest, pages::about)]));
    config.service(at("/guidelines", [get(Guest, pages::guidelines)]));
    config.service(at("/privacy", [get(Guest, pages::privacy)]));

    // Addresses of Hacker News, for what was imported
    config.service(at("/item", [get(Guest, import::item)]));
    config.service(at("/user", [get(Guest, import::user)]));

    // Getting in
    config.service(at(
        "/signup",
        [get(Guest, signup::new_form), post(Guest, signup::create)],
    ));
    config.service(at(
        "/login",
        [get(Guest, login::new_form), post(Guest, login::create)],
    ));
    config.service(at("/logout", [post(EvenBanned, login::delete)]));
    config.service(at(
        "/password/forgot",
        [
            get(Guest, recovery::forgot_form),
            post(Guest, recovery::forgot),
        ],
    ));
    config.service(at(
        "/password/reset/{token}",
        [
            get(Guest, recovery::reset_form),
            post(Guest, recovery::reset),
        ],
    ));
    config.service(at(
        "/email/verify/{token}",
        [get(Guest, email::verify_form), post(Guest, email::verify)],
    ));
    config.service(at(
        "/setup",
        [get(Guest, setup::new_form), post(Guest, setup::create)],
    ));

    // One's own settings
    config.service(at(
        "/settings/profile",
        [
            get(Member, profile::edit_form),
            post(Member, profile::update),
        ],
    ));
    config.service(at(
        "/settings/preferences",
        [
            get(Member, preferences::edit_form),
            post(EvenBanned, preferences::update),
        ],
    ));
    config.service(at(
        "/settings/email",
        [
            get(Member, email::edit_form),
            post(EvenBanned, email::update),
        ],
    ));
    config.service(at(
        "/settings/email/resend",
        [post(EvenBanned, email::resend)],
    ));
    config.service(at(
        "/settings/password",
        [
            get(Member, password::edit_form),
            post(EvenBanned, password::update),
        ],
    ));
    config.service(at(
        "/settings/tokens",
        [get(Member, tokens::list), post(Member, tokens::create)],
    ));
    config.service(at(
        "/settings/tokens/{id}/end",
        [post(EvenBanned, tokens::end)],
    ));
    config.service(at("/settings/sessions", [get(Member, sessions::list)]));
    config.service(at(
        "/settings/sessions/end-others",
        [post(EvenBanned, sessions::end_others)],
    ));
    config.service(at(
        "/settings/sessions/{id}/end",
        [post(EvenBanned, sessions::end)],
    ));
    config.service(at(
        "/theme",
        [post(GuestWithoutToken, preferences::set_theme)],
    ));

    // The API
    config.service(at(
        "/api/v1/link-preview",
        [get_behind(LINK_PREVIEW, Member, previews::show)],
    ));
    config.service(at(
        "/api/v1/auth/tokens",
        [
            get(Member, tokens::list_json),
            post(Member, tokens::create_json),
        ],
    ));
    config.service(at(
        "/api/v1/auth/tokens/{id}",
        [delete(Member, tokens::end_json)],
    ));

    // Files
    config.service(at("/static/{file}", [get(Guest, assets::show)]));

    // Operators; the probes are answered before the router
    config.service(at("/health", [get(Probe, health::show)]));
    config.service(at("/api/health", [get(Probe, health::services)]));
    config.service(at(
        "/metrics",
        [
            get(Operator("read"), metrics::show),
            delete(Operator("write"), metrics::reset),
        ],
    ));
    config.service(at(
        "/dependencies",
        [get(Operator("read"), dependencies::list)],
    ));
    config.service(at(
        "/dependencies/active",
        [delete(Operator("write"), dependencies::cancel)],
    ));
    config.service(at(
        "/dependencies/{name}/{state}",
        [post(Operator("write"), dependencies::force)],
    ));
    config.service(at("/cache/stats", [get(Operator("read"), cache::stats)]));
    config.service(at(
        "/cache/tag/{tag}",
        [delete(Operator("write"), cache::delete_tag)],
    ));
    config.service(at(
        "/cache/{pattern:.*}",
        [delete(Operator("write"), cache::delete_matching)],
    ));

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

/// As [`get`], behind the circuit breaker of this name.
fn get_behind<F, Args>(breaker: &'static str, access: Access, handler: F) -> Entry
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
            .wrap(from_fn(circuit(breaker)))
            .wrap(from_fn(guard(access))),
    }
}

fn delete<F, Args>(access: Access, handler: F) -> Entry
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    Entry {
        method: Method::DELETE,
        route: Route::new()
            .guard(Delete())
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
        route: Route::new()
            .guard(Post())
            .to(handler)
            .wrap(from_fn(guard(access))),
    }
}
