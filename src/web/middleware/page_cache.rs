//! Serves guests' pages from what is kept, and keeps what is made (S16). Must not know what the pages are.
//!
//! On a hit nothing is copied and nothing is asked: the bytes, the headers and the validator are there. A miss is computed
//! once, by the first who wants it, with the rest of the stack below; whoever comes meanwhile waits for that one.

use std::sync::Arc;

use super::headers;
use crate::{
    platform::cache::{
        flight::{Lead, Turn},
        purge::CDN_AGE,
    },
    web::{
        cache::{self, Encoding, Entry, Found, Job, Landed, Made, Struck, Variant, X_CACHE},
        context::Context,
        page::Theme,
        state::State,
        viewer::Caller,
    },
};
use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{self, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web::{Bytes, Data},
};

/// So often at most does somebody wait for another's page that turns out to be overtaken.
const TURNS_MAX: usize = 3;

static X_CACHE_KEY: HeaderName = HeaderName::from_static("x-cache-key");

/// Middleware function, see the module.
pub async fn page_cache(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<Data<State>>() else {
        return pass(request, next).await;
    };
    let pages = &state.pages;
    let wanted = if pages.is_on() {
        cache::wanted(&request)
    } else {
        None
    };
    let Some(wanted) = wanted else {
        return pass(request, next).await;
    };
    let encoding = Encoding::negotiate(request.headers().get(header::ACCEPT_ENCODING));
    let old = if request.extensions().contains::<Made>() {
        None
    } else {
        match pages.find(&wanted.key, state.db.is_up()) {
            Found::Fresh(entry) => {
                return match entry.ready(encoding) {
                    Some(variant) => Ok(serve(request, &entry, variant, None)),
                    None => Box::pin(serve_soon(request, entry, encoding, None)).await,
                };
            }
            Found::Stale(entry) => {
                let job = || job(&request, wanted.theme);
                pages.refresh(&entry, job);
                return Box::pin(serve_soon(request, entry, encoding, Some("STALE"))).await;
            }
            Found::Missing(old) => old,
        }
    };
    if pages.passes(&wanted.key) {
        return pass(request, next).await;
    }
    let miss = Miss {
        key: wanted.key.into_owned(),
        state: state.clone(),
        encoding,
        old,
    };
    Box::pin(miss.answer(request, next)).await
}

fn job(request: &ServiceRequest, theme: Theme) -> Job {
    Job {
        uri: request
            .uri()
            .path_and_query()
            .map_or("/", |p| p.as_str())
            .to_owned(),
        theme,
        done: None,
    }
}

/// Not for the cache. An operator learns under which key a guest's page stands.
async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let caller = Caller::get(response.request());
    if caller
        .viewer
        .as_ref()
        .is_some_and(|viewer| viewer.may_any("ops", "read"))
        && let Ok(key) = HeaderValue::from_str(&cache::guests_key(response.request()))
    {
        response.headers_mut().insert(X_CACHE_KEY.clone(), key);
    }
    Ok(response)
}

/// The answer from what is kept; `status` replaces `HIT`.
fn serve(
    request: ServiceRequest,
    entry: &Entry,
    variant: &Variant,
    status: Option<&'static str>,
) -> ServiceResponse<BoxBody> {
    let (request, _) = request.into_parts();
    let response = answer(&request, entry, variant, status);
    ServiceResponse::new(request, response)
}

fn answer(
    request: &HttpRequest,
    entry: &Entry,
    variant: &Variant,
    status: Option<&'static str>,
) -> HttpResponse {
    // Set once: a request is answered once.
    let _ = Context::get(request).route.set(Arc::clone(entry.route()));
    let known = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tags| variant.is_named_by(tags));
    let mut response = if known {
        HttpResponse::with_body(StatusCode::NOT_MODIFIED, BoxBody::new(()))
    } else {
        HttpResponse::with_body(entry.status(), BoxBody::new(variant.body.clone()))
    };
    let headers = response.headers_mut();
    headers.clone_from(&variant.headers);
    if known {
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_ENCODING);
    }
    if let Some(status) = status {
        headers.insert(X_CACHE, HeaderValue::from_static(status));
    }
    response
}

/// The same, where the encoding may have to be made first.
async fn serve_soon(
    request: ServiceRequest,
    entry: Arc<Entry>,
    encoding: Encoding,
    status: Option<&'static str>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let variant = entry.variant(encoding).await;
    Ok(serve(request, &entry, &variant, status))
}

/// A page that is not there.
struct Miss {
    key: String,
    state: Data<State>,
    encoding: Encoding,
    /// What is served where no new page can be made.
    old: Option<Arc<Entry>>,
}

impl Miss {
    async fn answer(
        self,
        request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        for turn in 1.. {
            match self.state.pages.join(&self.key) {
                Turn::Lead(lead) => return self.make(lead, request, next).await,
                Turn::Follow(follow) => match follow.landed().await {
                    // What was overtaken by a change is not for those who may have come after it; but nobody waits for ever.
                    Some(Landed::Kept(entry))
                        if !entry.is(Struck::Outdated) || turn > TURNS_MAX =>
                    {
                        return serve_soon(request, entry, self.encoding, None).await;
                    }
                    Some(Landed::Kept(_)) | None => {}
                    Some(Landed::Failed) if self.old().is_some() => break,
                    Some(_) => return Ok(next.call(request).await?.map_into_boxed_body()),
                },
            }
        }
        match self.old() {
            Some(old) => serve_soon(request, old, self.encoding, Some("STALE")).await,
            None => Ok(next.call(request).await?.map_into_boxed_body()),
        }
    }

    /// The old page, unless it has been taken away meanwhile.
    fn old(&self) -> Option<Arc<Entry>> {
        self.old.clone().filter(|old| !old.is(Struck::Gone))
    }

    async fn make(
        self,
        lead: Lead<Landed>,
        mut request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let pages = &self.state.pages;
        let mark = pages.mark();
        let started = Context::get(request.request()).started;
        // What is kept is compressed here, once, and not below, each time.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
        let response = next.call(request).await?.map_into_boxed_body();
        if response.status().is_server_error() {
            lead.land(Landed::Failed);
            return match self.old() {
                Some(old) => {
                    let variant = old.variant(self.encoding).await;
                    let answer = answer(response.request(), &old, &variant, Some("STALE"));
                    Ok(ServiceResponse::new(response.into_parts().0, answer))
                }
                None => Ok(response),
            };
        }
        if !is_to_be_kept(&response) {
            pages.pass(&self.key);
            lead.land(Landed::NotToBeKept);
            return Ok(response);
        }
        let (request, response) = response.into_parts();
        let (mut head, body) = response.into_parts();
        // They are the same on every page, and putting them on is most of what a hit would do.
        headers::add(head.headers_mut(), self.state.config.http.secure());
        let plain: Bytes = body::to_bytes(body).await?;
        let route = request.match_pattern().unwrap_or_default();
        let tags = cache::take_tags(&request);
        if pages.is_behind_cdn() {
            for_cdn(head.headers_mut(), &tags);
        }
        let entry = Entry::new(
            &self.key,
            &route,
            head.status(),
            head.headers().clone(),
            plain,
            tags,
            started,
        );
        let entry = Arc::new(entry);
        let variant = entry.variant(self.encoding).await;
        pages.keep(&self.key, &entry, mark);
        lead.land(Landed::Kept(Arc::clone(&entry)));
        let answer = answer(&request, &entry, &variant, Some("MISS"));
        Ok(ServiceResponse::new(request, answer))
    }
}

/// What a CDN needs: how long it may keep the page (RFC 9213), and by which names it will hear that it is outdated.
fn for_cdn(headers: &mut HeaderMap, tags: &[String]) {
    static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
    static SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
    if let Ok(keys) = HeaderValue::from_str(&tags.join(" ")) {
        headers.insert(SURROGATE_KEY.clone(), keys);
        if let Ok(age) = HeaderValue::from_str(&format!("max-age={CDN_AGE}")) {
            headers.insert(CDN_CACHE_CONTROL.clone(), age);
        }
    }
}

/// A guest's page: a success that may be kept and is asked for again each time, and sets no cookie.
fn is_to_be_kept(response: &ServiceResponse<BoxBody>) -> bool {
    let headers = response.headers();
    let caller = Caller::get(response.request());
    response.status().is_success()
        && caller.viewer.is_none()
        && caller.session.is_none()
        && !caller.sessions_away
        && !headers.contains_key(header::SET_COOKIE)
        && headers
            .get(header::CACHE_CONTROL)
            .is_some_and(|v| v == "no-cache")
}
