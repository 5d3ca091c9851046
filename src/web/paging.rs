//! Cursors of keyset pages: where a list goes on, and the running rank. Must not know which lists there are.
//!
//! A cursor is `list.bits.id.rank`: the list it belongs to, the sort key's bits, the id that breaks ties, and how many
//! items came before. Lists run downwards by (key, id), so that an item that moves between two pages may appear twice or
//! be missed, but a page is never empty while older items exist.

use chrono::{DateTime, Utc};

use super::error::Error;

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    /// The sort key of the last item shown.
    pub key: Key,
    /// Its id.
    pub id: i64,
    /// How many items have been shown up to it.
    pub rank: i64,
}

/// A sort key: a number of any kind the lists sort by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    /// A hot rank or a confidence.
    Float(f64),
    /// Points, or microseconds since 1970.
    Int(i64),
}

impl Key {
    /// A moment as a key.
    pub fn time(time: DateTime<Utc>) -> Self {
        Self::Int(time.timestamp_micros())
    }

    /// The key as a floating number; 0 if it is an integer.
    pub fn as_float(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Int(_) => 0.0,
        }
    }

    /// The key as an integer; 0 if it is a floating number.
    pub fn as_int(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Float(_) => 0,
        }
    }

    /// The key as a moment.
    pub fn as_time(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.as_int()).unwrap_or_default()
    }
}

/// Highest running rank that a cursor may claim.
const RANK_MAX: i64 = 1_000_000_000;

impl Cursor {
    /// The cursor as it stands in a link to `list`.
    pub fn to_text(self, list: &str) -> String {
        let (kind, bits) = match self.key {
            Key::Float(value) => ('f', value.to_bits()),
            Key::Int(value) => ('i', value.cast_unsigned()),
        };
        format!("{list}.{kind}{bits:x}.{:x}.{:x}", self.id, self.rank)
    }

    /// Reads a cursor of `list`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for anything that this site has not made for this list.
    pub fn parse(list: &str, text: &str) -> Result<Self, Error> {
        Self::read(list, text).ok_or_else(|| {
            Error::bad_request(
                "This link does not lead on in this list. Start again from its first page.",
            )
        })
    }

    fn read(list: &str, text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        if parts.next()? != list {
            return None;
        }
        let key = parts.next()?;
        let bits = key
            .get(1..)
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        let key = match key.as_bytes().first()? {
            b'f' => Key::Float(Some(f64::from_bits(bits)).filter(|f| f.is_finite())?),
            b'i' => Key::Int(bits.cast_signed()),
            _ => return None,
        };
        let mut number = || i64::from_str_radix(parts.next()?, 16).ok();
        let cursor = Self {
            key,
            id: number()?,
            rank: number()?,
        };
        let whole =
            parts.next().is_none() && cursor.id >= 0 && (0..=RANK_MAX).contains(&cursor.rank);
        whole.then_some(cursor)
    }
}

/// Splits what was fetched (one more than fits) into the page and whether there is more.
pub fn split<T>(mut rows: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > limit;
    rows.truncate(limit);
    (rows, more)
}

/// A path with a query's parameters, the empty ones left out: the address of the next page.
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, v)| !v.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_of_another_list_or_of_nonsense_is_a_400() {
        let cursor = Cursor {
            key: Key::Int(7),
            id: 1,
            rank: 30,
        };
        let text = cursor.to_text("newest");
        assert_eq!(Cursor::parse("newest", &text).expect("its own"), cursor);
        let nan = format!("hot.f{:x}.1.0", f64::NAN.to_bits());
        for bad in [
            text.as_str(),
            "",
            "hot",
            "hot.f.1.1",
            "hot.x0.1.1",
            "hot.é.1.1",
            "hot.i0.-1.0",
            "hot.i0.1.0.0",
            &nan,
        ] {
            assert!(
                matches!(Cursor::parse("hot", bad), Err(Error::BadRequest(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn addresses_leave_out_what_is_empty() {
        assert_eq!(address("/top", &[("period", ""), ("after", "")]), "/top");
        assert_eq!(
            address("/top", &[("period", "a b"), ("after", "x&y")]),
            "/top?period=a+b&after=x%26y"
        );
    }

    proptest! {
        #[test]
        fn any_cursor_survives_its_text(float: f64, int: i64, id in 0..i64::MAX, rank in 0..RANK_MAX) {
            for key in [Key::Float(float), Key::Int(int)] {
                let cursor = Cursor { key, id, rank };
                let read = Cursor::parse("hot", &cursor.to_text("hot"));
                match key {
                    Key::Float(f) if !f.is_finite() => prop_assert!(read.is_err()),
                    _ => prop_assert_eq!(read.expect("readable"), cursor),
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = Cursor::parse("hot", &text);
        }
    }
}
