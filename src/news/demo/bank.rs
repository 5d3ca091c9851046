//! Paragraphs made and rendered once, of which texts are put together: rendering each of ten million texts by itself
//! would take longer than everything else. Must not know rows.

use super::grammar;
use super::plan::stream;
use super::rng::Rng;
use super::topics::TOPICS;
use crate::web::markup::render;

/// A paragraph as markdown and as HTML, and a quotation from it.
struct Paragraph {
    source: String,
    html: String,
    quote: String,
    quote_html: String,
    /// Two lists in a row would be read as one.
    is_list: bool,
}

/// Paragraphs on every topic.
pub struct Bank {
    topics: Vec<Vec<Paragraph>>,
}

/// A text as markdown and as HTML.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The markdown.
    pub source: String,
    /// What rendering it gives.
    pub html: String,
}

impl Text {
    fn push(&mut self, source: &str, html: &str) {
        if !self.source.is_empty() {
            self.source.push_str("\n\n");
        }
        self.source.push_str(source);
        self.html.push_str(html);
    }
}

impl Bank {
    /// So many paragraphs on each topic, at least one.
    pub fn new(seed: u64, paragraphs: usize) -> Self {
        let made = |topic: usize| {
            (0..paragraphs.max(1))
                .map(|number| {
                    let mut rng =
                        Rng::new(seed, stream::BANK, (topic as u64) << 32 | number as u64);
                    let source = grammar::paragraph(&TOPICS[topic], &mut rng);
                    let quoted = match source.split_once(". ") {
                        _ if source.contains('\n') => grammar::sentence(&TOPICS[topic], &mut rng),
                        Some((first, _)) => format!("{first}."),
                        None => source.clone(),
                    };
                    let quote = format!("> {quoted}");
                    Paragraph {
                        html: render(&source),
                        quote_html: render(&quote),
                        is_list: source.starts_with("- ") || source.starts_with("1. "),
                        source,
                        quote,
                    }
                })
                .collect()
        };
        Self {
            topics: (0..TOPICS.len()).map(made).collect(),
        }
    }

    /// A text of some paragraphs, which may begin with a quotation of another's first; and the number of its own first.
    pub fn text(&self, topic: usize, answers: Option<usize>, rng: &mut Rng) -> (Text, usize) {
        let bank = &self.topics[topic];
        let mut text = Text::default();
        if let Some(quoted) = answers
            .and_then(|first| bank.get(first))
            .filter(|_| rng.chance(0.14))
        {
            text.push(&quoted.quote, &quoted.quote_html);
        }
        let count = match rng.unit() {
            ..0.55 => 1,
            ..0.85 => 2,
            ..0.95 => 3,
            _ => 4,
        };
        let first = rng.below(bank.len());
        let mut after_list = false;
        for nth in 0..count {
            let paragraph = &bank[if nth == 0 {
                first
            } else {
                rng.below(bank.len())
            }];
            if !(after_list && paragraph.is_list) {
                text.push(&paragraph.source, &paragraph.html);
                after_list = paragraph.is_list;
            }
        }
        (text, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_what_rendering_gives() {
        let bank = Bank::new(7, 40);
        let mut rng = Rng::new(7, 0, 0);
        for nth in 0..600 {
            let (text, first) = bank.text(nth % TOPICS.len(), Some(nth % 40), &mut rng);
            assert_eq!(render(&text.source), text.html, "{}", text.source);
            assert!(first < 40 && !text.source.is_empty());
        }
    }
}
