//! Normalises text that comes in (S06): what a person typed comes back as typed, less what no text needs. Must not
//! escape for HTML: that is the templates' business, on the way out.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// `text` in NFC with line ends as LF, without NUL, control characters (newline and tab stay) and bidi overrides.
pub fn text(text: &str) -> Cow<'_, str> {
    let plain = text
        .bytes()
        .all(|b| b == b'\n' || b == b'\t' || (b' '..0x7f).contains(&b));
    if plain {
        return Cow::Borrowed(text);
    }
    let lines = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let kept: String = lines.chars().filter(|c| !dropped(*c)).collect();
    if is_nfc_quick(kept.chars()) == IsNormalized::Yes {
        Cow::Owned(kept)
    } else {
        Cow::Owned(kept.nfc().collect())
    }
}

/// Control characters, and the marks that turn the direction of what follows (Unicode TR 36, "Trojan Source").
fn dropped(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

/// Whether a field is a secret, which passes untouched: a password is whole, whatever it holds.
pub fn is_secret(field: &str) -> bool {
    field.contains("password") || field.contains("token") || field == "code"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_no_text_needs_is_dropped() {
        assert_eq!(text("a\r\nb\rc"), "a\nb\nc");
        assert_eq!(text("a\0b\u{7}c\u{202E}d\u{85}"), "abcd");
        assert_eq!(text("tab\tstays\n"), "tab\tstays\n");
        assert_eq!(text("e\u{301}"), "é", "NFC");
        assert_eq!(
            text("  <b>&amp;  "),
            "  <b>&amp;  ",
            "nothing is escaped or trimmed"
        );
    }

    proptest! {
        #[test]
        fn it_is_idempotent_and_leaves_nothing_to_drop(input in ".*") {
            let once = text(&input).into_owned();
            let twice = text(&once);
            prop_assert_eq!(twice.as_ref(), once.as_str());
            prop_assert!(!once.chars().any(dropped));
        }
    }
}
