//! What a letter says, and how it looks as text and as HTML (S38). Must not know how it travels.

use askama::Template;

use super::error::Error;
use crate::platform::notify;

/// A letter to one person, before it is put into its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The site's name, at its head.
    pub site_name: String,
    /// The site's address, at its foot.
    pub site_url: String,
    /// The subject; one line.
    pub subject: String,
    /// Plain sentences, a paragraph each.
    pub paragraphs: Vec<String>,
    /// The one thing to do, if there is one.
    pub action: Option<Action>,
    /// What stands below it, such as why this came.
    pub closing: Vec<String>,
}

/// A link that stands as a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its words.
    pub label: String,
    /// Its absolute address.
    pub url: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    letter: &'a Draft,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    letter: &'a Draft,
}

impl Draft {
    /// The letter in both forms.
    ///
    /// # Errors
    /// [`Error::Internal`] when a template fails.
    pub fn finish(self) -> Result<notify::Letter, Error> {
        Ok(notify::Letter {
            text: Text { letter: &self }.render()?,
            html: Html { letter: &self }.render()?,
            subject: self.subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_and_only_html_is_escaped() {
        let letter = Draft {
            site_name: "News & Views".into(),
            site_url: "https://news.example".into(),
            subject: "Hello".into(),
            paragraphs: vec!["Is 1 < 2?".into()],
            action: Some(Action {
                label: "Answer".into(),
                url: "https://news.example/a?b=1&c=2".into(),
            }),
            closing: vec!["You asked.".into()],
        };
        let letter = letter.finish().expect("both forms");
        let text = letter.text;
        assert!(
            text.contains("Is 1 < 2?") && text.contains("\nhttps://news.example/a?b=1&c=2\n"),
            "{text}"
        );
        let html = letter.html;
        assert!(
            html.contains("Is 1 &#60; 2?") && html.contains("News &#38; Views"),
            "{html}"
        );
        assert!(
            html.contains("You asked.") && html.contains("Answer</a>"),
            "{html}"
        );
    }
}
