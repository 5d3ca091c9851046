//! Plain text out of HTML: characters for their entities, words without their tags. Must not know markdown.

use std::borrow::Cow;

/// The text with HTML's numeric character references and its five common names (amp, lt, gt, quot, apos, nbsp)
/// replaced by what they stand for. Any other `&` stays.
pub fn decode_entities(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let decoded = rest
            .char_indices()
            .take(12)
            .find(|&(_, c)| c == ';')
            .and_then(|(end, _)| Some((entity(&rest[1..end])?, end + 1)));
        match decoded {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            char::from_u32(code.ok()?).filter(|&c| c != '\0')
        }
    }
}

/// The first words of rendered HTML as plain text on one line, at most `chars` characters long, with `…` where it was
/// cut. For descriptions of pages and items in feeds.
pub fn excerpt(html: &str, chars: usize) -> String {
    let mut words = String::new();
    let mut length = 0;
    let mut space = false;
    for token in tokens(html) {
        let Token::Text(text) = token else {
            // Words of one paragraph, item or line do not run into the next one's.
            space |= matches!(
                token,
                Token::Open("p" | "li" | "br" | "pre" | "blockquote" | "hr", _)
                    | Token::Close("p" | "li" | "pre")
            );
            continue;
        };
        for c in decode_entities(text).chars() {
            if c.is_whitespace() {
                space = true;
                continue;
            }
            if space && length > 0 {
                words.push(' ');
                length += 1;
            }
            space = false;
            words.push(c);
            length += 1;
            if length > chars {
                return shortened(&words, chars);
            }
        }
    }
    words
}

/// Cut before the last word that would not fit whole, or in a word that is longer than half the room.
fn shortened(words: &str, chars: usize) -> String {
    let room = chars.saturating_sub(1);
    let fits: String = words.chars().take(room).collect();
    let next_is_space = words.chars().nth(room).is_none_or(char::is_whitespace);
    let end = match fits.rfind(' ') {
        Some(space) if !next_is_space && space > fits.len() / 2 => space,
        _ => fits.len(),
    };
    let kept = fits[..end].trim_end_matches(|c: char| {
        c.is_whitespace() || matches!(c, ',' | ';' | ':' | '.' | '-' | '–')
    });
    format!("{kept}…")
}

/// A piece of HTML that is known to be well formed (it came out of ammonia).
#[derive(Debug, PartialEq)]
pub enum Token<'a> {
    /// Characters, entities not yet decoded.
    Text(&'a str),
    /// A tag by name, with what follows its name.
    Open(&'a str, &'a str),
    /// An end tag by name.
    Close(&'a str),
}

/// The pieces of well-formed HTML, in order.
pub fn tokens(html: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if !rest.starts_with('<') {
            let end = rest.find('<').unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            rest = after;
            return Some(Token::Text(text));
        }
        let mut quoted = false;
        let end = rest
            .find(|c| {
                quoted ^= c == '"';
                c == '>' && !quoted
            })
            .unwrap_or(rest.len());
        let tag = &rest[1..end.max(1)];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(match tag.strip_prefix('/') {
            Some(name) => Token::Close(name.trim()),
            None => {
                let end = tag
                    .find(|c: char| c.is_whitespace() || c == '/')
                    .unwrap_or(tag.len());
                Token::Open(&tag[..end], &tag[end..])
            }
        })
    })
}
