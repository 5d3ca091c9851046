//! Which trace a piece of work belongs to (S02): W3C Trace Context and Baggage, taken or made. Must not know requests.
//!
//! Ids are made here in any case, a few random bytes, so that logs and answers carry them without a collector; where one
//! is configured, spans are exported under the same ids (see [`otlp`](super::otlp)).

use std::{fmt, future::Future, sync::Arc};

use tokio::task_local;
use tracing::Instrument;

/// Longest `baggage` that is carried on, in bytes (W3C Baggage, section 3.3.2).
const BAGGAGE_MAX: usize = 8_192;

/// Where a piece of work stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The whole trace; never 0.
    pub trace_id: u128,
    /// This piece of work; never 0.
    pub span_id: u64,
    /// What it is part of, if that is known.
    pub parent_id: Option<u64>,
    /// Whether somebody else has begun the trace.
    pub is_taken: bool,
    /// Whether whoever began it wants it recorded.
    pub is_sampled: bool,
}

impl Trace {
    /// The beginning of a new trace.
    pub fn new() -> Self {
        Self {
            trace_id: rand::random::<u128>().max(1),
            span_id: rand::random::<u64>().max(1),
            parent_id: None,
            is_taken: false,
            is_sampled: true,
        }
    }

    /// A new piece of work of the caller's trace: of `traceparent`, else of the two separate ids, as far as they are well
    /// formed; else a new trace.
    pub fn taken(
        traceparent: Option<&str>,
        trace_id: Option<&str>,
        parent_id: Option<&str>,
    ) -> Self {
        let new = Self::new();
        if let Some((trace_id, parent_id, is_sampled)) = traceparent.and_then(parse_traceparent) {
            return Self {
                trace_id,
                parent_id: Some(parent_id),
                is_taken: true,
                is_sampled,
                ..new
            };
        }
        let Some(trace_id) = trace_id.and_then(|text| parse_hex(text, 32)) else {
            return new;
        };
        Self {
            trace_id,
            parent_id: parent_id
                .and_then(|text| parse_hex(text, 16))
                .and_then(|id| u64::try_from(id).ok()),
            is_taken: true,
            ..new
        }
    }

    /// The trace's id, 32 digits.
    pub fn trace_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The id of this piece of work, 16 digits.
    pub fn span_text(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// As `traceparent` (W3C Trace Context, section 3.2), for what this piece of work asks of others.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }
}

/// Exactly `digits` hexadecimal digits in lower case, not all 0.
fn parse_hex(text: &str, digits: usize) -> Option<u128> {
    let well_formed =
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    well_formed
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
        .filter(|id| *id != 0)
}

fn parse_traceparent(text: &str) -> Option<(u128, u64, bool)> {
    let mut parts = text.trim().split('-');
    let version = parts.next().filter(|v| v.len() == 2 && *v != "ff")?;
    u8::from_str_radix(version, 16).ok()?;
    let trace_id = parse_hex(parts.next()?, 32)?;
    let parent_id = u64::try_from(parse_hex(parts.next()?, 16)?).ok()?;
    let flags = parts.next().filter(|flags| flags.len() == 2)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    // A later version may say more; this one says no more.
    (version != "00" || parts.next().is_none()).then_some((trace_id, parent_id, flags & 1 == 1))
}

/// `baggage` as it came, if it is not too long and holds nothing that a header must not.
pub fn taken_baggage(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty() && text.len() <= BAGGAGE_MAX)
        .filter(|text| text.split(',').all(|member| member.contains('=')))
        .map(Arc::from)
}

/// What belongs to the work that is being done.
#[derive(Clone, Debug)]
struct Carried {
    trace: Trace,
    correlation: Arc<str>,
    baggage: Option<Arc<str>>,
}

task_local! {
    static CARRIED: Carried;
}

/// Does `work` as part of `trace`, so that [`outgoing`] knows it.
pub async fn carry<F: Future>(
    trace: Trace,
    correlation: Arc<str>,
    baggage: Option<Arc<str>>,
    work: F,
) -> F::Output {
    let carried = Carried {
        trace,
        correlation,
        baggage,
    };
    CARRIED.scope(carried, work).await
}

/// `work` as part of what is being done now, also where it is spawned as a task of its own.
pub fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let carried = CARRIED.try_with(Clone::clone).ok();
    let work = work.instrument(tracing::Span::current());
    async move {
        match carried {
            Some(carried) => CARRIED.scope(carried, work).await,
            None => work.await,
        }
    }
}

/// The `traceparent` of what is being done now, for what is to be done later because of it; `None` outside of a request or
/// a job.
pub fn traceparent() -> Option<String> {
    let trace = CARRIED.try_with(|carried| carried.trace).ok()?;
    Some(super::otlp::current(trace).to_string())
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody whom the operator has chosen.
    Chosen,
    /// Somebody whom a visitor has chosen: what was said in confidence is none of their business.
    Stranger,
}

/// The headers by which a call to somebody else is known as part of this work: `traceparent`; for who is no stranger
/// `X-Correlation-ID` and `baggage`, too. None outside of a request or a job.
pub fn outgoing(peer: Peer) -> Vec<(&'static str, String)> {
    let headers = CARRIED.try_with(|carried| {
        let trace = super::otlp::current(carried.trace);
        let mut headers = vec![("traceparent", trace.to_string())];
        if peer == Peer::Stranger {
            return headers;
        }
        headers.push(("x-correlation-id", carried.correlation.to_string()));
        headers.extend(
            carried
                .baggage
                .as_ref()
                .map(|baggage| ("baggage", baggage.to_string())),
        );
        headers
    });
    headers.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_trace_goes_on() {
        let trace = Trace::taken(Some(PARENT), Some("ignored"), None);
        assert_eq!(trace.trace_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent_id, Some(0x00f0_67aa_0ba9_02b7));
        assert!(trace.is_sampled);
        assert_ne!(
            trace.span_text(),
            "00f067aa0ba902b7",
            "this piece of work is its own"
        );
        assert!(!Trace::taken(Some(&PARENT.replace("-01", "-00")), None, None).is_sampled);
        let later = format!("{}-more", PARENT.replacen("00", "01", 1));
        assert_eq!(
            Trace::taken(Some(&later), None, None).trace_id,
            trace.trace_id
        );
        let apart = Trace::taken(
            None,
            Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            Some("00f067aa0ba902b7"),
        );
        assert_eq!(
            (apart.trace_id, apart.parent_id),
            (trace.trace_id, trace.parent_id)
        );
    }

    #[test]
    fn what_is_ill_formed_is_a_new_trace() {
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &zeros,
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf9-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            let trace = Trace::taken(Some(bad), None, None);
            assert_eq!(trace.parent_id, None, "{bad}");
            assert_ne!(trace.trace_id, 0);
        }
    }

    #[test]
    fn baggage_is_bounded() {
        assert_eq!(
            taken_baggage(Some("user=alice,region=eu")).as_deref(),
            Some("user=alice,region=eu")
        );
        assert_eq!(taken_baggage(Some("nonsense")), None);
        assert_eq!(
            taken_baggage(Some(&format!("a={}", "x".repeat(9_000)))),
            None
        );
    }

    #[tokio::test]
    async fn work_knows_what_it_belongs_to() {
        assert!(outgoing(Peer::Chosen).is_empty());
        let trace = Trace::taken(Some(PARENT), None, None);
        let (headers, to_stranger) =
            carry(trace, "order-12345".into(), Some("a=b".into()), async {
                let spawned = tokio::spawn(inherit(async { outgoing(Peer::Chosen) }));
                (spawned.await.expect("no panic"), outgoing(Peer::Stranger))
            })
            .await;
        assert_eq!(to_stranger, [("traceparent", trace.to_string())]);
        assert_eq!(headers[0], ("traceparent", trace.to_string()));
        assert_eq!(headers[1].1, "order-12345");
        assert_eq!(headers[2], ("baggage", "a=b".to_owned()));
    }

    proptest! {
        #[test]
        fn a_trace_survives_its_header(trace_id in 1_u128.., span_id in 1_u64.., is_sampled: bool) {
            let trace = Trace { trace_id, span_id, parent_id: None, is_taken: false, is_sampled };
            let taken = Trace::taken(Some(&trace.to_string()), None, None);
            prop_assert_eq!((taken.trace_id, taken.parent_id, taken.is_sampled), (trace_id, Some(span_id), is_sampled));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            Trace::taken(Some(&text), Some(&text), Some(&text));
            taken_baggage(Some(&text));
        }
    }
}
