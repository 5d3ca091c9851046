//! What is noted of every request once it is answered: its line in the log (S44), its route's metrics (S24), and the
//! activity log's record (S15). Must not know handlers, and never writes a query string into the log: it may hold secrets.
//!
//! Kept pages are recorded here too, so that it stands outside the page cache and costs little: what is switched off is
//! not even computed.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Data,
};
use tracing::{Level, field::display};

use crate::{
    platform::activity::Record,
    web::{
        activity,
        cache::Made,
        context::{Context, is_probe},
        middleware::log::path_to_log,
        state::State,
        viewer::Caller,
    },
};

/// What requests are counted under that no route took.
const UNKNOWN: &str = "(unknown)";

/// Middleware function, see the module.
pub async fn record(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let request = response.request();
    let context = request.extensions().get::<Rc<Context>>().map(Rc::clone);
    let (Some(state), Some(context)) = (request.app_data::<Data<State>>(), context) else {
        return Ok(response);
    };
    let logged = tracing::enabled!(Level::INFO);
    let counted = state.metrics.is_on();
    let kept = state.activity.is_on() && !is_probe(request.path()) && state.activity.has_room();
    if !(logged || counted || kept) || request.extensions().contains::<Made>() {
        return Ok(response);
    }
    let route = match context.route.get() {
        Some(route) => Arc::clone(route),
        None => request
            .match_pattern()
            .map_or_else(|| UNKNOWN.into(), Arc::from),
    };
    let status = response.status().as_u16();
    let duration = context.started.elapsed();
    if counted {
        state.metrics.routes().record(
            request.method().as_str(),
            &route,
            status,
            duration,
            context.now,
        );
    }
    if logged {
        line(&response, &context, &route, duration);
    }
    if kept {
        state
            .activity
            .record(of(&response, &context, route, duration));
    }
    Ok(response)
}

fn line<B>(response: &ServiceResponse<B>, context: &Context, route: &str, duration: Duration) {
    let request = response.request();
    let trace = context.trace.get();
    let correlation = (*context.correlation != *context.id).then(|| display(&context.correlation));
    tracing::info!(
        request.id = context.id,
        correlation.id = correlation,
        trace.id = %trace.trace_text(),
        span.id = %trace.span_text(),
        http.method = request.method().as_str(),
        http.path = %path_to_log(request.path()),
        http.status = response.status().as_u16(),
        http.route = route,
        client.address = %context.address,
        duration_ms = duration.as_secs_f64() * 1_000.0,
        "answered"
    );
}

fn of<B>(
    response: &ServiceResponse<B>,
    context: &Context,
    route: Arc<str>,
    duration: Duration,
) -> Record {
    let request = response.request();
    let deed = activity::deed(request);
    let method = request.method().as_str();
    Record {
        at: context.now,
        user_id: Caller::get(request).id(),
        action: deed.map_or_else(
            || format!("{method} {route}"),
            |deed| deed.action.to_owned(),
        ),
        resource: deed.map(|deed| deed.resource),
        resource_id: deed.and_then(|deed| deed.id),
        method: method.to_owned(),
        route,
        path: path_to_log(request.path()).chars().take(500).collect(),
        query: activity::masked(request.query_string()),
        status: response.status().as_u16(),
        duration,
        address: context.address,
        agent: context.agent.clone(),
        request_id: context.id.clone(),
    }
}
