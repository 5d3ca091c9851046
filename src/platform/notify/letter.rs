//! What a letter says, and how it looks as text and as HTML. Must not know how it travels.

use askama::Template;

/// A letter to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
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
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// The plain text.
    ///
    /// # Errors
    /// When the template fails.
    pub fn text(&self) -> askama::Result<String> {
        Text { letter: self }.render()
    }

    /// The HTML.
    ///
    /// # Errors
    /// When the template fails.
    pub fn html(&self) -> askama::Result<String> {
        Html { letter: self }.render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_and_only_html_is_escaped() {
        let letter = Letter {
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
        let text = letter.text().expect("text");
        assert!(
            text.contains("Is 1 < 2?") && text.contains("\nhttps://news.example/a?b=1&c=2\n"),
            "{text}"
        );
        let html = letter.html().expect("html");
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
