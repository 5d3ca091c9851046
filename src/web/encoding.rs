//! Which content codings a client takes (RFC 9110, section 12.5.3). Must not know what is sent, or in which of them.

use actix_web::http::header::HeaderValue;

/// Whether an `Accept-Encoding` names this coding, with a weight above 0 or none. A weight that is no number counts as 0.
pub fn accepts(accepted: Option<&HeaderValue>, coding: &str) -> bool {
    let Some(accepted) = accepted.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        let named = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(coding));
        named
            && words.all(|word| {
                word.strip_prefix("q=")
                    .is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(accepted: &'static str, coding: &str) -> bool {
        accepts(Some(&HeaderValue::from_static(accepted)), coding)
    }

    #[test]
    fn a_coding_is_taken_if_it_is_named_with_a_weight_above_zero() {
        for yes in ["br", "gzip, br", "BR;q=0.1", "br ; q=1.0", "gzip;q=0, br"] {
            assert!(takes(yes, "br"), "{yes}");
        }
        for no in [
            "",
            "gzip",
            "br;q=0",
            "br;q=0.0",
            "br;q=many",
            "brotli",
            "x-br",
        ] {
            assert!(!takes(no, "br"), "{no}");
        }
        assert!(!accepts(None, "br"));
    }
}
