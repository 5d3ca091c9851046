//! One call to somebody outside (S02): its span, and the headers by which the other side knows what it is part of. Must
//! not know what is asked, and notes no path or query of it: they may hold secrets.

use reqwest::{
    RequestBuilder, Response,
    header::{HeaderName, HeaderValue},
};
use tracing::{Instrument, field::Empty};

use super::trace::{Peer, outgoing};

/// Sends a request as part of the work that is being done.
///
/// # Errors
/// As the client.
pub async fn send(request: RequestBuilder, peer: Peer) -> reqwest::Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let span = tracing::debug_span!(
        "http",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        server.address = request.url().host_str(),
        http.response.status_code = Empty,
    );
    let call = async {
        for (name, value) in outgoing(peer) {
            if let Ok(value) = HeaderValue::try_from(value) {
                request
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        client.execute(request).await
    };
    let outcome = call.instrument(span.clone()).await;
    match &outcome {
        Ok(answer) => {
            let status = answer.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(_) => {
            span.record("otel.status_code", "ERROR");
        }
    }
    outcome
}
