//! Rows in the binary form of PostgreSQL's `COPY`, for work too large for `INSERT`. Must not know any table.
//!
//! The form is that of the PostgreSQL manual, "COPY", "Binary Format": a header, then for each row the number of its
//! columns and each column as its length and its bytes, then an end mark. Types are not converted: a column is sent as
//! exactly the type it has.

use chrono::{DateTime, Utc};

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// PostgreSQL counts its microseconds from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Rows being gathered; what [`Rows::take`] gives, one after the other, is one `COPY ... FROM STDIN (FORMAT binary)`.
#[derive(Debug)]
pub struct Rows {
    bytes: Vec<u8>,
    columns: i16,
}

impl Rows {
    /// Rows of so many columns each.
    pub fn new(columns: i16) -> Self {
        Self {
            bytes: HEADER.to_vec(),
            columns,
        }
    }

    /// Begins a row; its columns follow by [`Rows::put`], in order and all of them.
    pub fn row(&mut self) -> &mut Self {
        self.bytes.extend(self.columns.to_be_bytes());
        self
    }

    /// The next column of the row.
    pub fn put(&mut self, value: impl Column) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        let length = if value.write(&mut self.bytes) {
            i32::try_from(self.bytes.len() - start - 4).unwrap_or(i32::MAX)
        } else {
            -1
        };
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// How many bytes are waiting.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that are waiting, to be sent.
    pub fn take(&mut self) -> Vec<u8> {
        let room = self.bytes.len();
        std::mem::replace(&mut self.bytes, Vec::with_capacity(room))
    }

    /// The last bytes, with the end mark.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend((-1i16).to_be_bytes());
        self.bytes
    }
}

/// A value that has one binary form.
pub trait Column {
    /// Appends it; `false` for NULL.
    fn write(&self, to: &mut Vec<u8>) -> bool;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Column for $number {
            fn write(&self, to: &mut Vec<u8>) -> bool {
                to.extend(self.to_be_bytes());
                true
            }
        }
    )*};
}
numbers!(i16, i32, i64, f32, f64);

impl Column for bool {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        to.push(u8::from(*self));
        true
    }
}

impl Column for &str {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        to.extend(self.as_bytes());
        true
    }
}

/// An array of `text`.
impl Column for &[&str] {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        const TEXT_OID: i32 = 25;
        let length = i32::try_from(self.len()).unwrap_or(i32::MAX);
        for word in [i32::from(length > 0), 0, TEXT_OID] {
            to.extend(word.to_be_bytes());
        }
        if length > 0 {
            to.extend(length.to_be_bytes());
            to.extend(1i32.to_be_bytes());
        }
        for item in *self {
            to.extend(i32::try_from(item.len()).unwrap_or(i32::MAX).to_be_bytes());
            to.extend(item.as_bytes());
        }
        true
    }
}

impl Column for DateTime<Utc> {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        (self.timestamp_micros() - EPOCH_MICROS).write(to)
    }
}

impl<T: Column> Column for Option<T> {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        self.as_ref().is_some_and(|value| value.write(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_columns_with_their_lengths() {
        let mut rows = Rows::new(2);
        rows.row().put(7i16).put(None::<&str>);
        let bytes = rows.finish();
        assert_eq!(
            bytes[HEADER.len()..],
            [0, 2, 0, 0, 0, 2, 0, 7, 255, 255, 255, 255, 255, 255]
        );
    }
}
