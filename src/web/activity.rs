//! What a handler says about a request for the activity log (S15), and what of a query is fit to be kept. Must not know how
//! the log is written.

use actix_web::{HttpMessage, HttpRequest};

/// Longest query that is kept, in bytes.
const QUERY_MAX: usize = 500;
/// Parameters whose values are never kept: whoever reads the log could use them.
const SECRET: [&str; 10] = [
    "token",
    "password",
    "secret",
    "code",
    "key",
    "signature",
    "csrf_token",
    "email",
    "session",
    "authorization",
];

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Such as `post.create`.
    pub action: &'static str,
    /// Such as `post`.
    pub resource: &'static str,
    /// Which one; `None` where such things have no number, or it is not known.
    pub id: Option<i64>,
}

/// Says what the request did, instead of "METHOD route".
/// The last word counts.
pub fn did(
    request: &HttpRequest,
    action: &'static str,
    resource: &'static str,
    id: impl Into<Option<i64>>,
) {
    request.extensions_mut().insert(Deed {
        action,
        resource,
        id: id.into(),
    });
}

/// What the handler said.
pub fn deed(request: &HttpRequest) -> Option<Deed> {
    request.extensions().get::<Deed>().copied()
}

/// A query without its secrets, bounded in length.
pub fn masked(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let mut masked = String::with_capacity(query.len().min(QUERY_MAX));
    for pair in query.split('&') {
        if !masked.is_empty() {
            masked.push('&');
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = percent_encoding::percent_decode_str(name)
            .decode_utf8_lossy()
            .to_ascii_lowercase();
        let secret = SECRET.iter().any(|word| {
            plain
                .split(['_', '-', '[', ']', '.'])
                .any(|part| part == *word)
                || plain == *word
        });
        masked.push_str(name);
        if pair.contains('=') {
            masked.push('=');
            masked.push_str(if secret { "***" } else { value });
        }
        if masked.len() > QUERY_MAX {
            let end = (0..=QUERY_MAX)
                .rev()
                .find(|at| masked.is_char_boundary(*at))
                .unwrap_or(0);
            masked.truncate(end);
            break;
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        assert_eq!(
            masked("after=abc&token=s3cret&page=2"),
            "after=abc&token=***&page=2"
        );
        assert_eq!(
            masked("reset_token=a&%74oken=b&monkey=c&q"),
            "reset_token=***&%74oken=***&monkey=c&q"
        );
        assert!(masked(&format!("q={}", "é".repeat(600))).len() <= QUERY_MAX);
    }
}
