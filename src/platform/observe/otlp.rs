//! Spans leave for a collector (S02), by OTLP over HTTP, where `OTEL_EXPORTER_OTLP_ENDPOINT` names one; else nothing here
//! costs anything. Must not know what the spans are about.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider as _,
    },
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};
use url::Url;

use super::trace::Trace;
use crate::platform::tls;

/// Time for one delivery.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether spans are exported; set once.
static EXPORTING: AtomicBool = AtomicBool::new(false);

/// What delivers spans; to be shut down at the end, so that the last ones leave.
#[derive(Clone, Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// An exporter to the collector at `endpoint` (its base, such as `http://collector:4318`). Spans are gathered and
    /// delivered by a thread of its own.
    ///
    /// # Errors
    /// What is in the way, in a sentence.
    pub fn new(endpoint: &Url, environment: &'static str, runtime: Handle) -> anyhow::Result<Self> {
        let traces = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
        let client = Client {
            client: reqwest::Client::builder()
                .tls_backend_preconfigured(tls::client()?)
                .timeout(PATIENCE)
                .build()?,
            runtime,
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces)
            .with_timeout(PATIENCE)
            .build()?;
        let resource = Resource::builder()
            .with_service_name("betternews")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("deployment.environment.name", environment),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// The layer that turns spans of `tracing` into spans to export: requests, SQL, Redis, outbound calls.
    pub(super) fn layer<S>(&self) -> impl Layer<S>
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        EXPORTING.store(true, Ordering::Relaxed);
        let wanted = Targets::new()
            .with_target("betternews", Level::DEBUG)
            .with_target("sqlx::query", Level::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("betternews"))
            .with_location(false)
            .with_threads(false)
            .with_filter(wanted)
    }

    /// Delivers what is left, and ends.
    ///
    /// # Errors
    /// When the collector does not take it.
    pub fn stop(&self) -> Result<(), opentelemetry_sdk::error::OTelSdkError> {
        self.0.shutdown_with_timeout(Duration::from_secs(3))
    }
}

/// Whether spans are exported.
pub fn is_exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// Makes `span` part of `trace` as the caller began it, and gives the ids under which it will be exported. Where nothing
/// is exported, these are `trace`'s own.
pub fn adopt(span: &Span, trace: Trace) -> Trace {
    if !is_exporting() {
        return trace;
    }
    if trace.is_taken {
        // Who names a trace and no part of it gets one made up: without a parent, the span would begin a trace of its own.
        let parent_id = trace.parent_id.unwrap_or(trace.span_id);
        let flags = if trace.is_sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        };
        let parent = SpanContext::new(
            TraceId::from(trace.trace_id),
            SpanId::from(parent_id),
            flags,
            true,
            TraceState::default(),
        );
        let parent = opentelemetry::Context::new().with_remote_span_context(parent);
        // Refused only for a span that has begun already, or that nobody wants.
        let _ = span.set_parent(parent);
    }
    ids_of(span).map_or(trace, |(trace_id, span_id)| Trace {
        trace_id,
        span_id,
        ..trace
    })
}

/// Gives a span that has begun another name.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Where the innermost span stands, as part of `trace`.
pub(super) fn current(trace: Trace) -> Trace {
    if !is_exporting() {
        return trace;
    }
    ids_of(&Span::current()).map_or(trace, |(trace_id, span_id)| Trace {
        trace_id,
        span_id,
        ..trace
    })
}

fn ids_of(span: &Span) -> Option<(u128, u64)> {
    let context = span.context();
    let ids = context.span().span_context().clone();
    ids.is_valid().then(|| {
        (
            u128::from_be_bytes(ids.trace_id().to_bytes()),
            u64::from_be_bytes(ids.span_id().to_bytes()),
        )
    })
}

/// The HTTP client of the exporter. Its thread is none of the runtime's, so the calls are made over there.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move {
            let answer = client
                .execute(request.try_into()?)
                .await?
                .error_for_status()?;
            let status = answer.status();
            let body = answer.bytes().await?;
            Ok::<_, HttpError>(Response::builder().status(status).body(body)?)
        });
        answer.await?
    }
}
