//! What a page says of itself: title, description, canonical URL. Must not know how it was fetched.
//!
//! The page is read as a stream of tokens and never becomes a tree, so that no nesting, however deep, costs more than its
//! bytes. It is read piece by piece, no further than its own words, and no longer than `PATIENCE`: the tokenizer holds
//! each attribute of a tag against all before it, so that one tag with very many would take minutes.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind::{Rawtext, Rcdata, ScriptData},
    },
};
use url::Url;

use crate::{
    news::posts::{
        link::SiteUrl,
        title::{MAX_TITLE, single_spaced},
    },
    web::sanitise,
};

/// Longest description that is kept, in characters.
pub const MAX_DESCRIPTION: usize = 300;
/// Text of one element or attribute that is looked at, in bytes.
const RAW_MAX: usize = 8_192;

/// Bytes that are read between two looks at the clock.
const PIECE: usize = 8 * 1_024;
/// Time for reading; what was found until then is taken.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a page says of itself; plain text, on one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its title without the site's name, at most 150 characters.
    pub title: Option<String>,
    /// Its description, at most 300 characters.
    pub description: Option<String>,
    /// Its address, as it would have it, without tracking parameters.
    pub canonical_url: Option<String>,
}

/// Reads a page that came from `base`.
pub fn summarise(html: &str, base: &Url) -> Summary {
    let tokenizer = Tokenizer::new(Head::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    let began = Instant::now();
    let mut rest = html;
    while !rest.is_empty() && !tokenizer.sink.is_done() && began.elapsed() < PATIENCE {
        let (piece, left) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = left;
        input.push_back(StrTendril::from(piece));
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    tokenizer.sink.found.into_inner().into_summary(base)
}

/// Takes what matters out of the tokens.
#[derive(Default)]
struct Head {
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    title: Option<String>,
    /// Whether what comes now is the title.
    in_title: bool,
    /// Whether the page's own words have begun: what follows speaks of other things.
    in_body: bool,
    og_title: Option<String>,
    og_description: Option<String>,
    description: Option<String>,
    site_name: Option<String>,
    canonical: Option<String>,
    og_url: Option<String>,
}

impl Head {
    /// Whether the page's own words have begun.
    fn is_done(&self) -> bool {
        self.found.borrow().in_body
    }
}

impl TokenSink for Head {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut found = self.found.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                found.open(&tag);
                return match &*tag.name {
                    "title" | "textarea" => TokenSinkResult::RawData(Rcdata),
                    "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                        TokenSinkResult::RawData(Rawtext)
                    }
                    "script" => TokenSinkResult::RawData(ScriptData),
                    "plaintext" => TokenSinkResult::Plaintext,
                    _ => TokenSinkResult::Continue,
                };
            }
            Token::TagToken(_) => found.in_title = false,
            Token::CharacterTokens(text) if found.in_title => {
                let title = found.title.get_or_insert_default();
                if title.len() < RAW_MAX {
                    title.push_str(&text);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Found {
    fn open(&mut self, tag: &Tag) {
        let attribute = |name: &str| {
            let found = tag
                .attrs
                .iter()
                .find(|attribute| &*attribute.name.local == name);
            found
                .map(|attribute| attribute.value.trim())
                .filter(|value| !value.is_empty() && value.len() <= RAW_MAX)
        };
        match &*tag.name {
            // A picture in the page's text may have titles of its own.
            "title" if self.title.is_none() && !self.in_body => self.in_title = true,
            "body" | "svg" | "h1" | "p" => self.in_body = true,
            "meta" if !self.in_body => {
                let name = attribute("property")
                    .or_else(|| attribute("name"))
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let slot = match name.as_str() {
                    "og:title" => &mut self.og_title,
                    "og:description" => &mut self.og_description,
                    "og:site_name" => &mut self.site_name,
                    "og:url" => &mut self.og_url,
                    "description" => &mut self.description,
                    _ => return,
                };
                if slot.is_none() {
                    *slot = attribute("content").map(str::to_owned);
                }
            }
            "link" if !self.in_body && self.canonical.is_none() => {
                let rel = attribute("rel").unwrap_or_default();
                if rel
                    .split_ascii_whitespace()
                    .any(|word| word.eq_ignore_ascii_case("canonical"))
                {
                    self.canonical = attribute("href").map(str::to_owned);
                }
            }
            _ => {}
        }
    }

    fn into_summary(self, base: &Url) -> Summary {
        let site = self.site_name.as_deref().map(clean).unwrap_or_default();
        let title = self.og_title.or(self.title).map(|title| clean(&title));
        let title = title.as_deref().map(|title| without_site(title, &site));
        let description = self
            .og_description
            .or(self.description)
            .map(|text| clean(&text));
        let own = self
            .canonical
            .or(self.og_url)
            .and_then(|href| base.join(&href).ok());
        Summary {
            title: title
                .filter(|title| !title.is_empty())
                .map(|title| cut(title, MAX_TITLE)),
            description: description
                .filter(|text| !text.is_empty())
                .map(|text| cut(&text, MAX_DESCRIPTION)),
            canonical_url: own
                .and_then(|url| SiteUrl::parse(url.as_str()).ok())
                .map(|url| url.to_string()),
        }
    }
}

fn clean(text: &str) -> String {
    single_spaced(&sanitise::text(text))
}

/// `A title | The Site` is about the title.
fn without_site<'a>(title: &'a str, site: &str) -> &'a str {
    const MARKS: [&str; 8] = [" | ", " - ", " – ", " — ", " · ", " • ", " :: ", " » "];
    let apart = |mark: &&str| {
        let (rest, last) = title.rsplit_once(*mark)?;
        (!site.is_empty() && last.eq_ignore_ascii_case(site)).then_some(rest)
    };
    MARKS.iter().find_map(apart).unwrap_or(title)
}

/// At most so many characters, cut between words where that is possible.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max - 1).collect();
    let at = head
        .rfind(' ')
        .filter(|at| *at > head.len() / 2)
        .unwrap_or(head.len());
    format!(
        "{}…",
        head[..at].trim_end_matches([' ', ',', ';', ':', '.'])
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(html: &str) -> Summary {
        summarise(
            html,
            &Url::parse("https://example.org/a/b?x=1").expect("a URL"),
        )
    }

    fn title(html: &str) -> Option<String> {
        read(html).title
    }

    #[test]
    fn p18_a_page_says_what_it_is() {
        let summary = read(
            "<!doctype html><html><head><script>'<title>no</title>'</script><style>title{}</style>
             <TITLE>\n A &amp; B\u{202e} | The Site </TITLE><meta property=og:site_name content='the site'>
             <meta NAME=Description CONTENT='  Some\n words. '><link rel='x CANONICAL' href='/c?utm_source=y#z'>",
        );
        assert_eq!(summary.title.as_deref(), Some("A & B"));
        assert_eq!(summary.description.as_deref(), Some("Some words."));
        assert_eq!(
            summary.canonical_url.as_deref(),
            Some("https://example.org/c#z")
        );
    }

    #[test]
    fn p18_what_was_written_for_sharing_wins() {
        assert_eq!(
            title("<title>Long</title><meta property='og:title' content='Short'>").as_deref(),
            Some("Short")
        );
        assert_eq!(
            title("<title>One</title><title>Two</title>").as_deref(),
            Some("One")
        );
        assert_eq!(title("<body><svg><title>Icon</title></svg>"), None);
        assert_eq!(title("<title> </title>"), None);
        assert_eq!(title(""), None);
        assert_eq!(
            read("<link rel=canonical href='javascript:alert(1)'>").canonical_url,
            None
        );
    }

    #[test]
    fn p18_what_is_long_is_cut_between_words() {
        let long = title(&format!("<title>{}</title>", "word ".repeat(100))).expect("a title");
        assert!(
            long.ends_with("word…") && long.chars().count() <= MAX_TITLE,
            "{long}"
        );
        assert_eq!(
            title(&format!("<title>{}</title>", "字".repeat(400))).map(|t| t.chars().count()),
            Some(MAX_TITLE)
        );
    }

    #[test]
    fn p18_a_tag_with_very_many_attributes_is_given_up_in_time() {
        let attributes: String = (0..100_000).map(|n| format!(" a{n}")).collect();
        let began = Instant::now();
        assert_eq!(
            title(&format!(
                "<title>T</title><meta{attributes} name=description content=late>"
            ))
            .as_deref(),
            Some("T")
        );
        assert!(began.elapsed() < PATIENCE * 10, "{:?}", began.elapsed());
    }

    #[test]
    fn p18_what_lies_between_two_pieces_is_whole() {
        for before in PIECE - 40..PIECE {
            let page = format!(
                "<!--{}--><title>Ä title &amp; its sign</title>",
                "ß".repeat(before / 2)
            );
            assert_eq!(title(&page).as_deref(), Some("Ä title & its sign"));
        }
    }

    #[test]
    fn p18_deep_nesting_is_read_in_no_time() {
        assert_eq!(
            title(&format!("<title>T</title>{}", "<div>".repeat(100_000))).as_deref(),
            Some("T")
        );
    }

    proptest! {
        #[test]
        fn p18_no_page_breaks_it(html in "(<(title|meta|link|/title|!--|svg|body)( (name|content|rel|href)=['\"]?[^<]{0,9})*>?|\\PC{0,5}){0,30}") {
            let summary = read(&html);
            prop_assert!(summary.title.is_none_or(|title| title.chars().count() <= MAX_TITLE && !title.contains('\n')));
        }
    }
}
