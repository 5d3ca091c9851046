//! Markdown to safe HTML, in one place: what people write is kept as its source, and shown as what comes out of here.
//!
//! A text is parsed as CommonMark (with strikethrough), its events are narrowed to what the site shows, and the result
//! goes through ammonia's allow-list all the same, so that no single mistake opens a hole. Raw HTML is shown as it was
//! typed. Must not know where a text is stored or who wrote it.

mod html;
mod links;
mod text;

pub use html::from_html;
pub use text::{decode_entities, excerpt};

use ammonia::{Builder, UrlRelative};
use pulldown_cmark::{
    CodeBlockKind, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::LazyLock;

/// The version of [`render`], stored beside every HTML it made, so that a later version can find and renew the old.
pub const RENDERER: i16 = 1;

/// Every tag that can occur in rendered HTML (SPEC row S06).
pub const TAGS: [&str; 15] = [
    "p",
    "b",
    "i",
    "em",
    "strong",
    "a",
    "ul",
    "ol",
    "li",
    "code",
    "pre",
    "blockquote",
    "hr",
    "br",
    "del",
];

/// Links by people pass no reputation on, and cannot reach the page they were opened from.
pub const LINK_REL: &str = "ugc nofollow noopener";

/// Quotes, lists and emphasis nested deeper than this are shown flat: HTML parsers slow down with depth.
const MAX_DEPTH: usize = 16;

/// Longer URLs are no links, in bytes.
const MAX_URL: usize = 2048;

/// Longer stretches of text go through the sanitiser in pieces of at most this many bytes: html5ever 0.40 writes text
/// in time quadratic in its length where it is full of `&`.
const PIECE: usize = 4096;

const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .tags(HashSet::from(TAGS))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .generic_attributes(HashSet::new())
        .url_schemes(HashSet::from(SCHEMES))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some(LINK_REL));
    builder
});

/// The safe HTML of a markdown text. Never fails: what is not understood is shown as it was typed.
///
/// Bare `http://` and `https://` URLs become links, headings become strong paragraphs, images become links to them.
pub fn render(source: &str) -> String {
    let source = links::bracketed(source);
    let events = TextMergeStream::new(Parser::new_ext(&source, OPTIONS));
    let mut html = String::with_capacity(source.len() + source.len() / 4 + 16);
    pulldown_cmark::html::push_html(&mut html, Narrowed::new(events));
    SANITISER.clean(&html).to_string()
}

const OPTIONS: Options = Options::ENABLE_STRIKETHROUGH;

/// Whether a link may lead there: http, https and mailto, and nothing a browser would have to guess at.
fn is_allowed(destination: &str) -> bool {
    destination.len() <= MAX_URL
        && url::Url::parse(destination).is_ok_and(|url| SCHEMES.contains(&url.scheme()))
}

/// What became of a tag that is open, so that its end is treated alike.
enum Open<'a> {
    Kept,
    Dropped,
    Heading,
    Html,
    /// A list or a quote, which counts towards the depth.
    Container,
    Emphasis,
    Link,
    /// The destination stands in for a missing description.
    Image(CowStr<'a>),
}

/// The events of a text, narrowed to what [`TAGS`] can show.
struct Narrowed<'a, I> {
    events: I,
    ready: VecDeque<Event<'a>>,
    open: Vec<Open<'a>>,
    containers: usize,
    emphases: usize,
    in_link: bool,
    /// Whether anything was shown since the last image began.
    described: bool,
}

impl<'a, I: Iterator<Item = Event<'a>>> Narrowed<'a, I> {
    fn new(events: I) -> Self {
        Self {
            events,
            ready: VecDeque::new(),
            open: Vec::new(),
            containers: 0,
            emphases: 0,
            in_link: false,
            described: true,
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        let open = match tag {
            Tag::Paragraph => self.keep(Tag::Paragraph),
            Tag::CodeBlock(_) => self.keep(Tag::CodeBlock(CodeBlockKind::Indented)),
            Tag::Heading { .. } => {
                self.ready.push_back(Event::Start(Tag::Paragraph));
                self.ready.push_back(Event::Start(Tag::Strong));
                Open::Heading
            }
            Tag::HtmlBlock => {
                self.ready.push_back(Event::Start(Tag::Paragraph));
                Open::Html
            }
            Tag::BlockQuote(_) | Tag::List(_) if self.containers >= MAX_DEPTH => Open::Dropped,
            Tag::BlockQuote(_) | Tag::List(_) => {
                self.containers += 1;
                let tag = if let Tag::List(first) = tag {
                    Tag::List(first.map(|_| 1))
                } else {
                    Tag::BlockQuote(None)
                };
                self.ready.push_back(Event::Start(tag));
                Open::Container
            }
            Tag::Item if matches!(self.open.last(), Some(Open::Container)) => self.keep(Tag::Item),
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough if self.emphases < MAX_DEPTH => {
                self.emphases += 1;
                self.ready.push_back(Event::Start(tag));
                Open::Emphasis
            }
            Tag::Link {
                link_type,
                dest_url,
                ..
            } if !self.in_link => {
                if link_type == LinkType::Email || is_allowed(&dest_url) {
                    self.link(link_type, dest_url);
                    Open::Link
                } else {
                    Open::Dropped
                }
            }
            Tag::Image { dest_url, .. } if !self.in_link && is_allowed(&dest_url) => {
                self.link(LinkType::Inline, dest_url.clone());
                self.described = false;
                Open::Image(dest_url)
            }
            _ => Open::Dropped,
        };
        self.open.push(open);
    }

    fn keep(&mut self, tag: Tag<'a>) -> Open<'a> {
        self.ready.push_back(Event::Start(tag));
        Open::Kept
    }

    fn link(&mut self, link_type: LinkType, dest_url: CowStr<'a>) {
        self.in_link = true;
        self.ready.push_back(Event::Start(Tag::Link {
            link_type,
            dest_url,
            title: "".into(),
            id: "".into(),
        }));
    }

    /// Comments, which the sanitiser takes out, keep the pieces apart in its tree.
    fn pieces(&mut self, mut text: &str) {
        while text.len() > PIECE {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
            self.ready.push_back(Event::Text(piece.to_owned().into()));
            self.ready.push_back(Event::InlineHtml("<!---->".into()));
            text = rest;
        }
        self.ready.push_back(Event::Text(text.to_owned().into()));
    }

    fn end(&mut self, tag: TagEnd) {
        match self.open.pop() {
            Some(Open::Kept) => self.ready.push_back(Event::End(tag)),
            Some(Open::Heading) => {
                self.ready.push_back(Event::End(TagEnd::Strong));
                self.ready.push_back(Event::End(TagEnd::Paragraph));
            }
            Some(Open::Html) => self.ready.push_back(Event::End(TagEnd::Paragraph)),
            Some(Open::Container) => {
                self.containers -= 1;
                self.ready.push_back(Event::End(tag));
            }
            Some(Open::Emphasis) => {
                self.emphases -= 1;
                self.ready.push_back(Event::End(tag));
            }
            Some(Open::Link) => {
                self.in_link = false;
                self.ready.push_back(Event::End(TagEnd::Link));
            }
            Some(Open::Image(destination)) => {
                if !self.described {
                    self.ready.push_back(Event::Text(destination));
                    self.described = true;
                }
                self.in_link = false;
                self.ready.push_back(Event::End(TagEnd::Link));
            }
            // The texts of list items must not run into each other.
            Some(Open::Dropped) | None if tag == TagEnd::Item => {
                self.ready.push_back(Event::SoftBreak)
            }
            Some(Open::Dropped) | None => {}
        }
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for Narrowed<'a, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match self.events.next()? {
                Event::Start(tag) => self.start(tag),
                Event::End(tag) => self.end(tag),
                Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                    self.described = true;
                    if text.len() <= PIECE {
                        return Some(Event::Text(text));
                    }
                    self.pieces(&text);
                }
                Event::Code(code) => {
                    self.described = true;
                    if code.len() <= PIECE {
                        return Some(Event::Code(code));
                    }
                    self.ready.push_back(Event::InlineHtml("<code>".into()));
                    self.pieces(&code);
                    self.ready.push_back(Event::InlineHtml("</code>".into()));
                }
                event @ (Event::SoftBreak | Event::HardBreak | Event::Rule) => return Some(event),
                // Only with options that are off.
                Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::FootnoteReference(_)
                | Event::TaskListMarker(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
