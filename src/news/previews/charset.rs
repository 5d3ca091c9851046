//! The text of a page in whatever encoding it came (WHATWG HTML, "determining the character encoding"). Must not know
//! HTML beyond its `<meta charset>`.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes in which a page has to say its encoding.
const PRESCAN: usize = 1024;

/// The text of a page: by its byte order mark, else what the server said, else what the page says, else UTF-8 where it is
/// that, else Windows-1252. What cannot be read becomes U+FFFD.
pub fn decode<'a>(body: &'a [u8], said: Option<&str>) -> Cow<'a, str> {
    let marked = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    let encoding = marked
        .or_else(|| said.and_then(|label| Encoding::for_label(label.as_bytes())))
        .or_else(|| in_page(&body[..body.len().min(PRESCAN)]))
        .unwrap_or_else(|| if is_utf8(body) { UTF_8 } else { WINDOWS_1252 });
    encoding.decode_with_bom_removal(body).0
}

/// The page may be cut off within a character; where nothing else in it is UTF-8, that is another encoding's last letter.
fn is_utf8(body: &[u8]) -> bool {
    match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !body[..error.valid_up_to()].is_ascii(),
    }
}

/// What stands after the first `charset=` that names an encoding. Whoever says UTF-16 in ASCII is wrong, and means UTF-8.
fn in_page(head: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset";
    let labels = head
        .windows(NAME.len())
        .enumerate()
        .filter(|(_, window)| window.eq_ignore_ascii_case(NAME));
    let encoding = labels
        .map(|(at, _)| &head[at + NAME.len()..])
        .find_map(|rest| {
            let rest = rest
                .trim_ascii_start()
                .strip_prefix(b"=")?
                .trim_ascii_start();
            let rest = rest
                .strip_prefix(b"\"")
                .or_else(|| rest.strip_prefix(b"'"))
                .unwrap_or(rest);
            let length = rest
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(byte))
                .count();
            Encoding::for_label(&rest[..length])
        })?;
    Some(if encoding == UTF_16LE || encoding == UTF_16BE {
        UTF_8
    } else {
        encoding
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_encoding_is_found_where_it_is_said() {
        assert_eq!(decode(b"caf\xe9", Some("iso-8859-1")), "café");
        assert_eq!(decode("café".as_bytes(), None), "café");
        assert_eq!(decode(b"caf\xe9", None), "café");
        assert_eq!(
            decode(b"\xef\xbb\xbfcaf\xc3\xa9", Some("iso-8859-1")),
            "café",
            "a mark wins"
        );
        assert_eq!(
            decode(b"<meta charset=\"shift_jis\">\x83j\x83\x85", None),
            "<meta charset=\"shift_jis\">ニュ"
        );
        let old = b"<meta http-equiv=content-type content='text/html; CHARSET = windows-1251'>\xcf";
        assert!(decode(old, None).ends_with('П'));
        assert_eq!(
            decode(b"<meta charset=utf-16>\xc3\xa9", None),
            "<meta charset=utf-16>é"
        );
        assert_eq!(
            decode(&"éé".as_bytes()[..3], None),
            "é\u{fffd}",
            "cut off within a character"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(body in proptest::collection::vec(any::<u8>(), 0..2_000), said in proptest::option::of("[a-z0-9-]{0,12}")) {
            decode(&body, said.as_deref());
        }
    }
}
