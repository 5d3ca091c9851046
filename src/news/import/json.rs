//! JSON objects out of a file, one at a time: from JSON Lines, one document or an array, nested ones too.
//!
//! An object inside another (Algolia nests a thread's comments) is handed over by itself and leaves `null` where it was,
//! so that no thread is too deep and no document need fit in memory. Must not know what the objects mean.

use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

/// Longest line, and longest object without those inside it, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// An object without the objects inside it.
#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    /// Its JSON; where an object was, `null`.
    pub json: Vec<u8>,
    /// Whether it stood inside another, or others inside it.
    pub nested: bool,
}

/// What was found, by the number of its (last) line, from 1.
pub type Found = (u64, Result<Object, &'static str>);

/// Reads a whole file and hands over what it finds; a broken line is handed over as its fault, and the next is read.
/// Stops early where `found` breaks.
///
/// A file is one document where its first line opens an array, or an object that it goes on with on the next line.
///
/// # Errors
/// Only those of reading.
pub fn read(
    mut input: impl BufRead,
    mut found: impl FnMut(Found) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    let mut objects = Vec::new();
    loop {
        line.clear();
        let length = input
            .by_ref()
            .take(MAX_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        number += 1;
        if number == 1 && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        if length > MAX_BYTES {
            input.skip_until(b'\n')?;
            if found((number, Err("the line is too long"))).is_break() {
                return Ok(());
            }
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut scanner = Scanner::default();
        objects.clear();
        let fault = line
            .iter()
            .find_map(|&byte| scanner.push(byte, &mut objects).err())
            .or(scanner.fault());
        let first = number == 1;
        if first && begins_document(line.trim_ascii(), fault) {
            return document(line, input, found);
        }
        match fault {
            Some(fault) => {
                if found((number, Err(fault))).is_break() {
                    return Ok(());
                }
            }
            None => {
                for object in objects.drain(..) {
                    if found((number, Ok(object))).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A line of JSON Lines is whole, or cut anywhere; the first line of a document ends where a person would break it.
fn begins_document(line: &[u8], fault: Option<&str>) -> bool {
    line.starts_with(b"[")
        || (line.starts_with(b"{") && fault.is_some() && line.ends_with(b"{"))
        || (line.starts_with(b"{")
            && fault == Some(UNFINISHED)
            && (line.ends_with(b",") || line.ends_with(b"[")))
}

/// Reads on without regard to lines, the first of which was read already.
fn document(
    first: Vec<u8>,
    input: impl BufRead,
    mut found: impl FnMut(Found) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut scanner = Scanner {
        list: true,
        ..Scanner::default()
    };
    let mut objects = Vec::new();
    let mut number = 1;
    let mut input = io::Cursor::new(first).chain(input);
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        for &byte in bytes {
            if let Err(fault) = scanner.push(byte, &mut objects) {
                let _ = found((number, Err(fault)));
                return Ok(());
            }
            number += u64::from(byte == b'\n');
            for object in objects.drain(..) {
                if found((number, Ok(object))).is_break() {
                    return Ok(());
                }
            }
        }
        let read = bytes.len();
        input.consume(read);
    }
    if let Some(fault) = scanner.fault() {
        let _ = found((number, Err(fault)));
    }
    Ok(())
}

const UNFINISHED: &str = "the JSON ends too early";
const NO_OBJECT: &str = "not a JSON object";

/// Cuts bytes into objects by their braces; whether each is JSON is for its parser to say.
#[derive(Default)]
struct Scanner {
    open: Vec<Vec<u8>>,
    /// Whether the object on top of `open` has had one inside.
    holds: Vec<bool>,
    in_string: bool,
    escaped: bool,
    /// Whether what stands between objects may be an array's.
    list: bool,
}

impl Scanner {
    fn push(&mut self, byte: u8, objects: &mut Vec<Object>) -> Result<(), &'static str> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' if !self.open.is_empty() => self.in_string = true,
                b'{' => {
                    if let (Some(outer), Some(holds)) =
                        (self.open.last_mut(), self.holds.last_mut())
                    {
                        outer.extend(b"null");
                        *holds = true;
                    }
                    self.open.push(Vec::new());
                    self.holds.push(false);
                }
                b'}' => {
                    let (Some(mut json), Some(holds)) = (self.open.pop(), self.holds.pop()) else {
                        return Err(NO_OBJECT);
                    };
                    json.push(b'}');
                    objects.push(Object {
                        json,
                        nested: holds || !self.open.is_empty(),
                    });
                    return Ok(());
                }
                b'[' | b']' | b',' if self.list => {}
                _ if self.open.is_empty() && !byte.is_ascii_whitespace() => return Err(NO_OBJECT),
                _ => {}
            }
        }
        match self.open.last_mut() {
            Some(json) if json.len() >= MAX_BYTES => Err("the object is too long"),
            Some(json) => {
                json.push(byte);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn fault(&self) -> Option<&'static str> {
        (!self.open.is_empty()).then_some(UNFINISHED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<(u64, Result<String, &'static str>)> {
        let mut out = Vec::new();
        read(text.as_bytes(), |(line, object)| {
            out.push((
                line,
                object.map(|object| String::from_utf8_lossy(&object.json).into_owned()),
            ));
            ControlFlow::Continue(())
        })
        .unwrap();
        out
    }

    fn json(text: &str) -> Result<String, &'static str> {
        Ok(text.to_owned())
    }

    #[test]
    fn a_broken_line_is_one_fault() {
        let found = all("{\"a\":1}\n{\"a\":\"}\n\n{\"b\":\"{\\\"\"}\nnull\n{\"c\":[1,2]}");
        assert_eq!(
            found,
            [
                (1, json("{\"a\":1}")),
                (2, Err(UNFINISHED)),
                (4, json("{\"b\":\"{\\\"\"}")),
                (5, Err(NO_OBJECT)),
                (6, json("{\"c\":[1,2]}"))
            ]
        );
        assert_eq!(
            all("{\"id\": 1, \"text\": \"cut he\n{\"a\":1}"),
            [(1, Err(UNFINISHED)), (2, json("{\"a\":1}"))]
        );
    }

    #[test]
    fn nested_objects_come_out_one_by_one() {
        let found = all("{\"id\":1,\"children\":[{\"id\":2,\"children\":[]},{\"id\":3}]}");
        assert_eq!(
            found,
            [
                (1, json("{\"id\":2,\"children\":[]}")),
                (1, json("{\"id\":3}")),
                (1, json("{\"id\":1,\"children\":[null,null]}"))
            ]
        );
    }

    #[test]
    fn a_document_may_have_lines() {
        for text in [
            "{\n \"id\": 1,\n \"c\": [\n {\"id\": 2}\n ]\n}\n",
            "[\n{\"id\": 2},\n{\"id\": 1}]",
            "[{\"id\": 2}, {\"id\": 1}]",
            "{\"id\": 1,\n\"c\": {\"id\": 2}}",
        ] {
            assert_eq!(all(text).len(), 2, "{text}");
            assert!(all(text).iter().all(|(_, object)| object.is_ok()), "{text}");
        }
    }

    #[test]
    fn depth_is_no_limit() {
        let text = "{\"children\":[".repeat(100_000) + &"]}".repeat(100_000);
        assert_eq!(all(&text).len(), 100_000);
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(text in "([{}\\[\\]\",\\\\a1\n ]|\\PC){0,80}") {
            for (line, _) in all(&text) {
                prop_assert!(line >= 1 && line <= text.lines().count() as u64 + 1);
            }
        }
    }
}
