//! Reads variables one by one and gathers every problem. Must not know which variables there are.

use std::{fmt, str::FromStr};

use secrecy::SecretString;

/// All that is wrong with the configuration, one sentence a line.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has ")?;
        match self.0.len() {
            1 => writeln!(f, "a problem:")?,
            n => writeln!(f, "{n} problems:")?,
        }
        for problem in &self.0 {
            writeln!(f, "  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Reads typed values from a source of strings.
pub struct Reader<F> {
    source: F,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// A reader of `source`, which answers a variable's name with its value.
    pub fn new(source: F) -> Self {
        Self {
            source,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes that `name` is wrong; `what` completes the sentence that begins with the name.
    pub fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name} {what}"));
    }

    /// Notes that `name` has not the effect that somebody may expect; `what` completes the sentence that begins with it.
    pub fn warning(&mut self, name: &str, what: &str) {
        self.warnings.push(format!("{name} {what}"));
    }

    /// The warnings so far.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The value, unless it is unset or blank.
    pub fn text(&mut self, name: &str) -> Option<String> {
        (self.source)(name)
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
    }

    /// Whether a switch such as `BETTERNEWS_DEV=1` is on.
    pub fn flag(&mut self, name: &str) -> bool {
        matches!(self.text(name).as_deref(), Some("1" | "true" | "yes"))
    }

    /// A parsed value, `default` when unset; `expected` says what would have been right.
    pub fn parse<T: FromStr>(&mut self, name: &str, default: T, expected: &str) -> T {
        self.optional(name, expected).unwrap_or(default)
    }

    /// A parsed value, or `None` when unset.
    pub fn optional<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.problem(name, &format!("is '{text}', but must be {expected}"));
        }
        value
    }

    /// A number between `low` and `high`, both included.
    pub fn within<T>(&mut self, name: &str, default: T, low: T, high: T) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let expected = format!("a whole number from {low} to {high}");
        let value = self.parse(name, default, &expected);
        if value < low || value > high {
            self.problem(name, &format!("is {value}, but must be {expected}"));
            return default;
        }
        value
    }

    /// Values separated by commas or spaces.
    pub fn list<T: FromStr>(&mut self, name: &str, expected: &str) -> Vec<T> {
        let text = self.text(name).unwrap_or_default();
        let parts = text
            .split([',', ' '])
            .map(str::trim)
            .filter(|p| !p.is_empty());
        let mut values = Vec::new();
        for part in parts {
            match part.parse() {
                Ok(value) => values.push(value),
                Err(_) => self.problem(name, &format!("has '{part}', but must be {expected}")),
            }
        }
        values
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.problem(
            name,
            &format!("is '{text}', but must be one of {}", words.join(", ")),
        );
        default
    }

    /// A URL that may hold a password, so that it is never printed.
    pub fn secret_url(&mut self, name: &str, schemes: &[&str]) -> Option<SecretString> {
        let text = self.text(name)?;
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|s| schemes.contains(&s)) {
            self.problem(
                name,
                &format!("must begin with {}://", schemes.join(":// or ")),
            );
            return None;
        }
        Some(text.into())
    }

    /// The configuration, if nothing was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Problems> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(Problems(self.problems))
        }
    }
}
