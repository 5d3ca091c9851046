//! What may be written as a comment (S07). Must not know SQL.

use serde::Deserialize;

use super::views::ReplyForm;
use crate::web::{form::FormErrors, signing::random_token};

/// Longest comment, in characters.
const TEXT_MAX: usize = 20_000;

/// The fields of `POST /posts/{id}/comments`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Submitted {
    /// As typed.
    #[serde(default)]
    pub text: String,
    /// The comment it answers; empty to answer the post.
    #[serde(default)]
    pub parent_id: String,
    /// Makes two submits of one form one comment.
    #[serde(default)]
    pub nonce: String,
}

/// A comment's text that keeps the rules: something, and not too much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentText(String);

impl CommentText {
    /// Holds a text against the rules; leading spaces are code in markdown, and stay.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FormErrors> {
        let mut errors = FormErrors::default();
        let text = text.trim_end().trim_start_matches('\n');
        if text.trim().is_empty() {
            errors.add("text", "required", "Write something first");
        } else if text.chars().count() > TEXT_MAX {
            errors.add(
                "text",
                "length",
                "A comment must be at most 20,000 characters",
            );
        }
        if errors.is_empty() {
            Ok(Self(text.to_owned()))
        } else {
            Err(errors)
        }
    }

    /// The text in markdown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An empty form for a comment on a post, or for a reply.
pub fn empty(post_id: i64, parent_id: Option<i64>) -> ReplyForm {
    ReplyForm {
        post_id,
        parent_id,
        text: String::new(),
        nonce: random_token(12),
        errors: FormErrors::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_no_comment_and_code_keeps_its_indent() {
        assert!(CommentText::parse(" \n\t ").is_err());
        assert!(CommentText::parse(&"x".repeat(TEXT_MAX + 1)).is_err());
        assert_eq!(
            CommentText::parse("\n    code\n\n")
                .expect("valid")
                .as_str(),
            "    code"
        );
    }
}
