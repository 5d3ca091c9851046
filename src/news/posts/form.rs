//! What may be submitted (P03, S07): the rules of the form, which imports need not keep. Must not know SQL.

use serde::Deserialize;

use super::{
    link::SiteUrl,
    title::{Kind, PostTitle, kind_of},
    views::PostForm,
};
use crate::web::form::FormErrors;

/// Most tags on a post.
pub const TAGS_MAX: usize = 5;
/// Shortest and longest text, in characters.
pub const TEXT_LENGTH: std::ops::RangeInclusive<usize> = 10..=40_000;

/// The fields of `POST /posts` and `POST /posts/{id}/edit`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Submitted {
    /// As typed.
    #[serde(default)]
    pub title: String,
    /// As typed; empty without a link.
    #[serde(default)]
    pub url: String,
    /// As typed; empty without a text.
    #[serde(default)]
    pub text: String,
    /// As typed, separated by commas.
    #[serde(default)]
    pub tags: String,
    /// Makes two submits of one form one post.
    #[serde(default)]
    pub nonce: String,
}

/// A submission that keeps the rules.
#[derive(Clone, Debug)]
pub struct Valid {
    /// The title.
    pub title: PostTitle,
    /// The link.
    pub url: Option<SiteUrl>,
    /// The text in markdown; empty without one.
    pub text: String,
    /// Tags' names, each once, in their order.
    pub tags: Vec<String>,
    /// What kind of post it is.
    pub kind: Kind,
}

impl Submitted {
    /// The form as a view shows it again.
    pub fn to_view(&self) -> PostForm {
        PostForm {
            title: self.title.clone(),
            url: self.url.clone(),
            text: self.text.clone(),
            tags: self.tags.clone(),
        }
    }

    /// Holds the form against the rules.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn validate(&self) -> Result<Valid, FormErrors> {
        let mut errors = FormErrors::default();
        let title = match PostTitle::parse(&self.title) {
            Ok(title) => Some(title),
            Err(error) => {
                errors.add("title", "length", error.to_string());
                None
            }
        };
        let url = match self.url.trim() {
            "" => None,
            text => match SiteUrl::parse(text) {
                Ok(url) => Some(url),
                Err(error) => {
                    errors.add("url", "url", error.to_string());
                    None
                }
            },
        };
        let text = self.text.trim_end().trim_start_matches('\n');
        let length = text.chars().count();
        if text.trim().is_empty() && self.url.trim().is_empty() {
            errors.add(
                "url",
                "required",
                "A link or a text is needed: give one of them, or both",
            );
        } else if !text.is_empty() && length < *TEXT_LENGTH.start() {
            errors.add(
                "text",
                "length",
                "Text must be at least 10 characters, if there is one",
            );
        } else if length > *TEXT_LENGTH.end() {
            errors.add("text", "length", "Text must be at most 40,000 characters");
        }
        let tags = parse_tags(&self.tags, &mut errors);
        match title {
            Some(title) if errors.is_empty() => Ok(Valid {
                kind: kind_of(title.as_str(), url.is_some()),
                title,
                url,
                text: if text.trim().is_empty() {
                    String::new()
                } else {
                    text.to_owned()
                },
                tags,
            }),
            _ => Err(errors),
        }
    }
}

fn parse_tags(text: &str, errors: &mut FormErrors) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    let parts = text
        .split(',')
        .map(|t| t.trim().trim_start_matches('#').to_lowercase());
    for tag in parts.filter(|t| !t.is_empty()) {
        if !is_tag(&tag) {
            let said =
                format!("'{tag}' is no tag: letters, digits and .+#- only, at most 25 of them");
            errors.add("tags", "tag", said);
        } else if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > TAGS_MAX {
        errors.add("tags", "count", "Maximum 5 tags allowed");
    }
    tags
}

/// What the constraint `tags_name_check` takes.
fn is_tag(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".+#-".contains(&b));
    first && rest && name.len() <= 25
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(title: &str, url: &str, text: &str, tags: &str) -> Submitted {
        Submitted {
            title: title.into(),
            url: url.into(),
            text: text.into(),
            tags: tags.into(),
            nonce: String::new(),
        }
    }

    fn fields(errors: &FormErrors) -> Vec<&str> {
        errors.0.iter().map(|e| e.field.as_str()).collect()
    }

    #[test]
    fn all_errors_are_told_at_once() {
        let errors = form("ab", "ftp://x.example", "short", "a,b,c,d,e,f")
            .validate()
            .expect_err("four mistakes");
        assert_eq!(fields(&errors), ["title", "url", "text", "tags"]);
        assert_eq!(
            errors.of("title"),
            Some("Title must be at least 3 characters")
        );
        assert_eq!(errors.of("tags"), Some("Maximum 5 tags allowed"));
    }

    #[test]
    fn a_link_or_a_text_is_needed_and_one_is_enough() {
        assert_eq!(
            fields(
                &form("A title", " ", "\n ", "")
                    .validate()
                    .expect_err("neither")
            ),
            ["url"]
        );
        assert!(
            form("A title", "https://example.org/", "", "")
                .validate()
                .is_ok()
        );
        assert!(
            form("A title", "", "A text of some length.", "")
                .validate()
                .is_ok()
        );
    }

    #[test]
    fn tags_are_folded_and_counted_once() {
        let valid = form(
            "A title",
            "https://example.org/",
            "",
            " Rust, #web,rust,c++ ",
        )
        .validate()
        .expect("valid");
        assert_eq!(valid.tags, ["rust", "web", "c++"]);
        assert!(
            form("A title", "https://example.org/", "", "two words")
                .validate()
                .is_err()
        );
    }
}
