//! The title of a post: what the form takes, what kind of post it makes, how it stands in the URL. Must not know the
//! database.

use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Fewest characters of a title.
pub const MIN_TITLE: usize = 3;
/// Most characters of a title.
pub const MAX_TITLE: usize = 150;
/// Longest slug, in bytes.
const MAX_SLUG: usize = 60;

/// A title as the form takes it: 3 to 150 characters, single-spaced. What imports bring need not be one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PostTitle(String);

/// Why something is not a title; the text is for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    /// Fewer than [`MIN_TITLE`].
    #[error("Title must be at least 3 characters")]
    TooShort,
    /// More than [`MAX_TITLE`].
    #[error("Title must be at most 150 characters")]
    TooLong,
}

impl PostTitle {
    /// Trims, and makes each stretch of white space one space.
    ///
    /// # Errors
    /// See [`TitleError`]; characters are Unicode scalar values.
    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let title = single_spaced(text);
        match title.chars().count() {
            ..MIN_TITLE => Err(TitleError::TooShort),
            MIN_TITLE..=MAX_TITLE => Ok(Self(title)),
            _ => Err(TitleError::TooLong),
        }
    }

    /// The title.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PostTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text on one line, its white space single spaces.
pub fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a post is: `posts.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A URL, perhaps with a text.
    Link,
    /// A text alone.
    Text,
    /// A question to everyone.
    Ask,
    /// Something the author made.
    Show,
    /// An offer of work.
    Job,
    /// A question with answers to choose from.
    Poll,
}

impl Kind {
    /// All of them, in the order of this list.
    pub const ALL: [Self; 6] = [
        Self::Link,
        Self::Text,
        Self::Ask,
        Self::Show,
        Self::Job,
        Self::Poll,
    ];

    /// The name in the database and in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Text => "text",
            Self::Ask => "ask",
            Self::Show => "show",
            Self::Job => "job",
            Self::Poll => "poll",
        }
    }
}

/// The kind that a title makes: `Ask:`, `Show:`, `Job:` and `Poll:` (and `Ask HN:` and its like, as imports bring them)
/// say it, otherwise whether there is a URL.
pub fn kind_of(title: &str, has_url: bool) -> Kind {
    const NAMED: [(&str, Kind); 4] = [
        ("ask", Kind::Ask),
        ("show", Kind::Show),
        ("job", Kind::Job),
        ("poll", Kind::Poll),
    ];
    let named = title.trim_start().split_once(':').and_then(|(prefix, _)| {
        let prefix = prefix.trim_end().to_ascii_lowercase();
        let prefix = prefix.strip_suffix(" hn").unwrap_or(&prefix);
        NAMED.iter().find(|(name, _)| *name == prefix)
    });
    match named {
        Some(&(_, kind)) => kind,
        None if has_url => Kind::Link,
        None => Kind::Text,
    }
}

/// What stands behind `/posts/{id}/` and is an action, now or by the public contract: no slug may be one of these.
const ACTIONS: [&str; 9] = [
    "edit", "delete", "vote", "comments", "save", "hide", "report", "remove", "restore",
];

/// The title as the last part of a URL: ASCII letters, digits and single hyphens, at most 60 bytes, cut between words,
/// never empty (`post` where nothing is left).
pub fn slug(title: &str) -> String {
    let mut slug = String::with_capacity(MAX_SLUG);
    let mut gap = false;
    for c in title.nfkd() {
        match c {
            c if c.is_ascii_alphanumeric() => {
                if gap && !slug.is_empty() {
                    slug.push('-');
                }
                gap = false;
                slug.push(c.to_ascii_lowercase());
            }
            // An apostrophe or an accent is within a word.
            '\'' | '’' => {}
            c if unicode_normalization::char::is_combining_mark(c) => {}
            _ => gap = true,
        }
        if slug.len() > MAX_SLUG {
            let end = slug[..=MAX_SLUG].rfind('-').unwrap_or(MAX_SLUG);
            slug.truncate(end);
            break;
        }
    }
    if slug.is_empty() {
        "post".to_owned()
    } else if ACTIONS.contains(&slug.as_str()) {
        format!("post-{slug}")
    } else {
        slug
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slug_is_never_an_action() {
        for title in ["Vote!", "Edit", "Comments", "Restore"] {
            assert!(slug(title).starts_with("post-"), "{title}");
        }
        assert_eq!(slug("Votes"), "votes");
    }

    #[test]
    fn a_title_has_3_to_150_characters() {
        assert_eq!(PostTitle::parse("  ab  "), Err(TitleError::TooShort));
        assert_eq!(
            PostTitle::parse(" a \n b ")
                .map(|title| title.to_string())
                .as_deref(),
            Ok("a b")
        );
        assert!(PostTitle::parse(&"é".repeat(150)).is_ok());
        assert_eq!(PostTitle::parse(&"é".repeat(151)), Err(TitleError::TooLong));
    }

    #[test]
    fn the_title_says_the_kind() {
        for (title, has_url, kind) in [
            ("Ask: why?", false, Kind::Ask),
            ("ASK HN : why?", false, Kind::Ask),
            ("Show HN: it", true, Kind::Show),
            ("Poll: tabs", false, Kind::Poll),
            ("Job: writer", true, Kind::Job),
            ("Asking: x", true, Kind::Link),
            ("Ask me", false, Kind::Text),
            ("Tell HN: x", false, Kind::Text),
            ("", true, Kind::Link),
        ] {
            assert_eq!(kind_of(title, has_url), kind, "{title}");
        }
    }

    #[test]
    fn a_slug_reads_like_the_title() {
        assert_eq!(
            slug("Ask HN: What's  your Œuvre — café?"),
            "ask-hn-whats-your-uvre-cafe"
        );
        assert_eq!(slug("日本語"), "post");
        assert_eq!(slug(&"word ".repeat(20)).len(), 59);
        assert_eq!(slug(&"w".repeat(100)).len(), 60);
    }

    proptest! {
        #[test]
        fn a_slug_fits_a_url(title in "\\PC{0,200}") {
            let slug = slug(&title);
            prop_assert!(!slug.is_empty() && slug.len() <= MAX_SLUG);
            prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
        }

        #[test]
        fn a_title_parsed_again_is_itself(text in "\\PC{0,160}") {
            if let Ok(title) = PostTitle::parse(&text) {
                prop_assert_eq!(PostTitle::parse(title.as_str()), Ok(title.clone()));
            }
        }
    }
}
