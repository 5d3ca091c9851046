//! Bare URLs in a text: where they begin and end. Must not know about HTML.

use pulldown_cmark::{Event, Parser, Tag};
use std::borrow::Cow;
use std::ops::Range;

/// The markdown with `<` and `>` around each bare URL, which makes it a link that emphasis cannot cut in two.
/// Code, links, images, raw HTML and link definitions are left as they are.
pub fn bracketed(source: &str) -> Cow<'_, str> {
    if !source.contains("://") {
        return Cow::Borrowed(source);
    }
    let mut urls = bare_urls(source).peekable();
    if urls.peek().is_none() {
        return Cow::Borrowed(source);
    }
    let mut spared = spared(source).into_iter().peekable();
    let mut out = String::with_capacity(source.len() + 64);
    let mut written = 0;
    for url in urls {
        while spared.next_if(|range| range.end <= url.start).is_some() {}
        if spared.peek().is_some_and(|range| range.start < url.end) {
            continue;
        }
        out.push_str(&source[written..url.start]);
        out.push('<');
        out.push_str(&source[url.clone()]);
        out.push('>');
        written = url.end;
    }
    out.push_str(&source[written..]);
    Cow::Owned(out)
}

/// The parts of a markdown text in which a URL is not bare, in order and apart from each other.
fn spared(source: &str) -> Vec<Range<usize>> {
    let parser = Parser::new_ext(source, super::OPTIONS);
    let mut ranges: Vec<Range<usize>> = parser
        .reference_definitions()
        .iter()
        .map(|(_, definition)| definition.span.clone())
        .collect();
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(
                Tag::Link { .. } | Tag::Image { .. } | Tag::CodeBlock(_) | Tag::HtmlBlock,
            )
            | Event::Code(_)
            | Event::Html(_)
            | Event::InlineHtml(_) => ranges.push(range),
            _ => {}
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// Where `http://` and `https://` URLs stand in a text, without the punctuation that belongs to the sentence around
/// them (as GitHub's autolinks do), in order.
pub fn bare_urls(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = text[from..].find("://").map(|at| from + at) {
            let host = at + 3;
            let before = from;
            from = host;
            let Some(scheme) = ["https", "http"].into_iter().find(|scheme| {
                at.checked_sub(scheme.len())
                    .and_then(|start| text.get(start..at))
                    .is_some_and(|found| found.eq_ignore_ascii_case(scheme))
            }) else {
                continue;
            };
            let start = at - scheme.len();
            let follows_word = text[..start]
                .chars()
                .next_back()
                .is_some_and(char::is_alphanumeric);
            if start < before
                || follows_word
                || !text[host..].starts_with(|c: char| c.is_alphanumeric() || c == '[')
            {
                continue;
            }
            let length = text[start..].find(ends_url).unwrap_or(text.len() - start);
            let url = trimmed(&text[start..start + length]);
            if url.len() > host - start {
                from = start + url.len();
                return Some(start..from);
            }
        }
        None
    })
}

fn ends_url(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '<' | '>' | '"' | '`' | '\\' | '|' | '“' | '”')
}

/// The URL without closing punctuation; a closing bracket stays where it was opened within.
fn trimmed(url: &str) -> &str {
    let mut parens = balance(url, '(', ')');
    let mut brackets = balance(url, '[', ']');
    let mut end = url.len();
    while let Some(last) = url[..end].chars().next_back() {
        match last {
            '?' | '!' | '.' | ',' | ':' | ';' | '*' | '_' | '~' | '\'' | '’' | '}' => {}
            ')' if parens < 0 => parens += 1,
            ']' if brackets < 0 => brackets += 1,
            _ => break,
        }
        end -= last.len_utf8();
    }
    // '&gt;' and its like were the end of something else.
    let cut = &url[..end];
    if url[end..].starts_with(';')
        && let Some(amp) = cut.rfind('&')
        && !cut[amp + 1..].is_empty()
        && cut[amp + 1..].bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return trimmed_end(&cut[..amp]);
    }
    cut
}

fn trimmed_end(url: &str) -> &str {
    url.trim_end_matches(['?', '!', '.', ',', ':', '*', '_', '~', '\''])
}

/// How many more are opened than closed; negative where more are closed.
fn balance(text: &str, open: char, close: char) -> i64 {
    text.chars()
        .map(|c| i64::from(c == open) - i64::from(c == close))
        .sum()
}
