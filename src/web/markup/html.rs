//! Hacker News' HTML to the site's markdown: its imports are then texts like any other. Must not know where they go.
//!
//! HN's markup is `<p>`, `<i>`, `<a href>`, `<pre><code>` and entities. Everything else is dropped and its words kept.
//! What stands there as plain text is escaped, so that rendering the markdown shows the same words again.

use super::links::bare_urls;
use super::text::{Token, decode_entities, tokens};
use crate::web::sanitise;
use ammonia::{Builder, UrlRelative};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

static READ: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .tags(HashSet::from([
            "p",
            "i",
            "em",
            "a",
            "pre",
            "code",
            "br",
            "div",
            "li",
            "blockquote",
        ]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .generic_attributes(HashSet::new())
        .url_schemes(HashSet::from(super::SCHEMES))
        .url_relative(UrlRelative::Deny)
        .link_rel(None);
    builder
});

/// The markdown whose [`super::render`] shows the words of `html` (as HN makes it; well formed or not).
pub fn from_html(html: &str) -> String {
    // The parser that browsers use closes what is left open and decodes every named entity.
    let html = READ.clean(&sanitise::text(html)).to_string();
    let mut writer = Writer::default();
    for token in tokens(&html) {
        match token {
            Token::Text(text) => writer.text(&sanitise::text(&decode_entities(text))),
            Token::Open(name, attributes) => writer.open(name, attributes),
            Token::Close(name) => writer.close(name),
        }
    }
    writer.end_block();
    writer.out
}

/// How a stretch of text is marked.
#[derive(Clone, Default, PartialEq)]
struct Mark {
    emphasis: bool,
    code: bool,
    href: Option<String>,
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The lines of the paragraph being read, each as stretches of one mark.
    lines: Vec<Vec<(Mark, String)>>,
    space: bool,
    emphasis: usize,
    code: usize,
    href: Option<String>,
    pre: Option<String>,
}

impl Writer {
    fn open(&mut self, name: &str, attributes: &str) {
        match name {
            "p" | "div" | "li" | "blockquote" => self.end_block(),
            "pre" => {
                self.end_block();
                self.pre = Some(String::new());
            }
            "br" => match &mut self.pre {
                Some(code) => code.push('\n'),
                None => {
                    self.lines.push(Vec::new());
                    self.space = false;
                }
            },
            "i" | "em" => self.emphasis += 1,
            "code" => self.code += 1,
            "a" => self.href = href(attributes),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" | "div" | "li" | "blockquote" | "pre" => self.end_block(),
            "i" | "em" => self.emphasis = self.emphasis.saturating_sub(1),
            "code" => self.code = self.code.saturating_sub(1),
            "a" => self.href = None,
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.pre {
            code.push_str(text);
            return;
        }
        let mark = Mark {
            emphasis: self.emphasis > 0,
            code: self.code > 0,
            href: self.href.clone(),
        };
        for c in text.chars() {
            if c.is_ascii_whitespace() {
                self.space = true;
                continue;
            }
            if self.lines.is_empty() {
                self.lines.push(Vec::new());
            }
            let Some(line) = self.lines.last_mut() else {
                return;
            };
            // A space between two marks belongs to neither: emphasis holds only beside a word.
            if self.space
                && let Some((last, words)) = line.last_mut()
            {
                if *last == mark || *last == Mark::default() {
                    words.push(' ');
                } else {
                    line.push((Mark::default(), " ".to_owned()));
                }
            }
            self.space = false;
            match line.last_mut() {
                Some((last, words)) if *last == mark => words.push(c),
                _ => line.push((mark.clone(), c.to_string())),
            }
        }
    }

    fn end_block(&mut self) {
        self.space = false;
        if let Some(code) = self.pre.take() {
            self.fence(&code);
        }
        let lines = std::mem::take(&mut self.lines);
        let lines: Vec<String> = lines
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| markdown(line))
            .collect();
        if !lines.is_empty() {
            self.block(&lines.join("\\\n"));
        }
    }

    fn block(&mut self, block: &str) {
        if !self.out.is_empty() {
            self.out.push_str("\n\n");
        }
        self.out.push_str(block);
    }

    /// HN marks code by indenting it; the indent that all lines share is not part of it.
    fn fence(&mut self, code: &str) {
        let code = code.trim_end().trim_start_matches('\n');
        if code.trim().is_empty() {
            return;
        }
        let lines = || code.lines().filter(|line| !line.trim().is_empty());
        let indent = lines()
            .map(|line| line.len() - line.trim_start_matches(' ').len())
            .min()
            .unwrap_or(0);
        let ticks = "`".repeat(longest_run(code).max(2) + 1);
        let code: Vec<&str> = code
            .lines()
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        self.block(&format!("{ticks}\n{}\n{ticks}", code.join("\n")));
    }
}

fn href(attributes: &str) -> Option<String> {
    let (_, value) = attributes.split_once("href=\"")?;
    let (value, _) = value.split_once('"')?;
    let url = decode_entities(value).trim().to_owned();
    super::is_allowed(&url).then_some(url)
}

/// One line of a paragraph.
fn markdown(line: &[(Mark, String)]) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((mark, _)) = rest.first() {
        let alike = rest
            .iter()
            .take_while(|(next, _)| next.emphasis == mark.emphasis)
            .count();
        let (group, after) = rest.split_at(alike);
        rest = after;
        let mut inner = String::new();
        for (mark, words) in group {
            append(&mut inner, &stretch(mark, words));
        }
        let next = after
            .first()
            .and_then(|(mark, words)| stretch(mark, words).chars().next());
        if mark.emphasis && can_flank(out.chars().next_back(), &inner, next) {
            out.push('*');
            out.push_str(&inner);
            out.push('*');
        } else {
            append(&mut out, &inner);
        }
    }
    line_start(out)
}

/// Adds a piece; an exclamation mark before a link would make it an image.
fn append(out: &mut String, piece: &str) {
    if piece.starts_with('[') && out.ends_with('!') {
        out.insert(out.len() - 1, '\\');
    }
    out.push_str(piece);
}

/// Whether `*` before and after `inner` would be read as emphasis (CommonMark 0.31, 6.2), judged on the safe side.
fn can_flank(before: Option<char>, inner: &str, after: Option<char>) -> bool {
    let free = |c: Option<char>| {
        c.is_none_or(|c| c == ' ' || (c.is_ascii_punctuation() && !matches!(c, '*' | '\\')))
    };
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let solid = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace() && c != '*');
    let (first, last) = (inner.chars().next(), inner.chars().next_back());
    (word(first) || (solid(first) && free(before))) && (word(last) || (solid(last) && free(after)))
        // Two stars in a row would be read as one mark.
        && before != Some('*') && after != Some('*')
}

/// The markdown of words with one mark, emphasis aside.
fn stretch(mark: &Mark, words: &str) -> String {
    match &mark.href {
        Some(href) if href == words && is_plain(href) => format!("<{href}>"),
        Some(href) => format!("[{}]({})", inline(mark, words), destination(href)),
        None => inline(mark, words),
    }
}

fn inline(mark: &Mark, words: &str) -> String {
    if mark.code {
        let ticks = "`".repeat(longest_run(words) + 1);
        return format!("{ticks} {words} {ticks}");
    }
    if mark.href.is_some() {
        return escaped(words);
    }
    let mut out = String::with_capacity(words.len() + 8);
    let mut written = 0;
    for url in bare_urls(words).filter(|url| is_plain(&words[url.clone()])) {
        out.push_str(&escaped(&words[written..url.start]));
        out.push('<');
        out.push_str(&words[url.clone()]);
        out.push('>');
        written = url.end;
    }
    out.push_str(&escaped(&words[written..]));
    out
}

/// Whether a URL stays as it is between `<` and `>`.
fn is_plain(url: &str) -> bool {
    (url.starts_with("http://") || url.starts_with("https://"))
        && !url.contains(|c: char| {
            c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '\\')
        })
}

fn destination(href: &str) -> String {
    let mut out = String::with_capacity(href.len());
    for c in href.chars() {
        match c {
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '\\' => out.push_str("%5C"),
            '&' => out.push_str("&amp;"),
            c if c.is_whitespace() || c.is_control() => out.push_str("%20"),
            c => out.push(c),
        }
    }
    out
}

/// Words with a backslash before everything that markdown would read as a mark.
fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    let mut before = None;
    let mut chars = words.chars().peekable();
    while let Some(c) = chars.next() {
        let special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '~' => true,
            '_' => {
                let joins = |c: Option<char>| c.is_some_and(|c: char| c.is_ascii_alphanumeric());
                !(joins(before) && joins(chars.peek().copied()))
            }
            '&' => chars
                .peek()
                .is_none_or(|&next| next == '#' || next.is_ascii_alphanumeric()),
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
    out
}

/// The line with a backslash where its beginning would be read as a heading, quote, list or rule.
fn line_start(mut line: String) -> String {
    if line.starts_with(['#', '>', '-', '+', '=']) {
        line.insert(0, '\\');
        return line;
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && line[digits..].starts_with(['.', ')']) {
        line.insert(digits, '\\');
    }
    line
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
