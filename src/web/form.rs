//! Forms and queries: strict decoding, cleaned text, and the errors a form is rendered again with. Must not know which
//! forms there are.
//!
//! The guard of a POST route (`middleware/guard.rs`) reads the body, cleans it and checks its token; a handler takes
//! [`Form<T>`], which is what came, typed. A field of the wrong shape (a letter where an id must stand) is a 400; a value
//! that breaks a rule is a [`FieldError`], and the page is shown again with 422 and all that was typed.

use std::{borrow::Cow, future::Ready, rc::Rc};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use validator::{Validate, ValidationErrors};

use super::{error::Error, sanitise};

/// Most fields that a form or query may have.
const FIELDS_MAX: usize = 64;

/// One thing that is wrong with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the form.
    pub field: String,
    /// A word for programs, such as `length`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// All that is wrong with a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormErrors(pub Vec<FieldError>);

impl FormErrors {
    /// The first error of a field.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|e| e.field == field)
            .map(|e| e.message.as_str())
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes one more.
    pub fn add(&mut self, field: &str, code: &str, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.to_owned(),
            code: code.to_owned(),
            message: message.into(),
        });
    }

    /// The errors of declared rules (`validator`), several a field, in the order of the fields' names.
    pub fn of_rules(form: &impl Validate) -> Self {
        form.validate().err().map(Self::from).unwrap_or_default()
    }
}

impl From<ValidationErrors> for FormErrors {
    fn from(errors: ValidationErrors) -> Self {
        let mut all = Self::default();
        let mut fields: Vec<_> = errors.field_errors().into_iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        for (field, errors) in fields {
            for error in errors {
                let message = error
                    .message
                    .clone()
                    .unwrap_or_else(|| Cow::Owned(format!("{field} is not right")));
                all.add(&field, &error.code, message);
            }
        }
        all
    }
}

/// What came in a form's body: cleaned fields, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text (WHATWG URL, section 5), strictly.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for bytes that are no UTF-8, and for more than 64 fields.
    pub fn parse(encoded: &[u8]) -> Result<Self, Error> {
        let mut fields = Vec::new();
        for pair in encoded.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
            if fields.len() == FIELDS_MAX {
                return Err(Error::bad_request(
                    "There are too many fields in this request.",
                ));
            }
            let at = pair.iter().position(|b| *b == b'=');
            let (name, value) = match at {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[..0]),
            };
            let name = sanitise::text(&decode(name)?).into_owned();
            let value = decode(value)?;
            let value = if sanitise::is_secret(&name) {
                value
            } else {
                sanitise::text(&value).into_owned()
            };
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// Reads a JSON object of plain values, as a program sends one in the place of a form; a list is one field several times.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for anything else, and for more than 64 fields.
    pub fn parse_json(text: &[u8]) -> Result<Self, Error> {
        let object: serde_json::Map<String, Value> = serde_json::from_slice(text)
            .map_err(|_| Error::bad_request("This is not a JSON object in UTF-8."))?;
        let mut fields = Vec::new();
        for (name, value) in object {
            let name = sanitise::text(&name).into_owned();
            let values = match value {
                Value::Array(values) => values,
                one => vec![one],
            };
            for value in values {
                let value = match value {
                    Value::Null => continue,
                    Value::String(text) if sanitise::is_secret(&name) => text,
                    Value::String(text) => sanitise::text(&text).into_owned(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(is) => is.to_string(),
                    Value::Array(_) | Value::Object(_) => {
                        return Err(Error::bad_request(
                            "The values of this JSON object must be plain, or lists of plain ones.",
                        ));
                    }
                };
                if fields.len() == FIELDS_MAX {
                    return Err(Error::bad_request(
                        "There are too many fields in this request.",
                    ));
                }
                fields.push((name.clone(), value));
            }
        }
        Ok(Self(fields))
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The fields as `T`; names that `T` does not know are ignored.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a value of the wrong shape, and for one field given twice where `T` has one.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let encoded = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish();
        serde_html_form::from_str(&encoded).map_err(|e| {
            tracing::debug!(error = %e, "a form or query of the wrong shape");
            Error::bad_request(
                "A field of this request is missing, repeated, or not of the right kind.",
            )
        })
    }
}

fn decode(bytes: &[u8]) -> Result<String, Error> {
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    let decoded: Vec<u8> = percent_encoding::percent_decode(&spaced).collect();
    String::from_utf8(decoded)
        .map_err(|_| Error::bad_request("This request holds text that is not UTF-8."))
}

/// A form's fields as `T`; the route's guard has read and checked them.
pub struct Form<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Form<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let fields = request
            .extensions()
            .get::<Rc<Fields>>()
            .map(Rc::clone)
            .unwrap_or_default();
        std::future::ready(fields.to().map(Self))
    }
}

/// The query's parameters as `T`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = Fields::parse(request.query_string().as_bytes()).and_then(|fields| fields.to());
        std::future::ready(query.map(Self))
    }
}

/// Whether the page's script sent this (htmx), and wants a fragment instead of a redirect.
pub fn wants_fragment(request: &HttpRequest) -> bool {
    request.headers().contains_key("hx-request")
}

/// `next` if it is a path of this site, else `/`: nobody is sent elsewhere by a link they trusted.
pub fn local_path(next: &str) -> &str {
    let second = next.as_bytes().get(1);
    let local = next.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && !next.contains(['\\', '\n', '\t'])
        && !next.chars().any(char::is_control);
    if local { next } else { "/" }
}

/// The page of this site that the form stood on (`Referer`), as path and query.
pub fn referring_path(request: &HttpRequest) -> Option<String> {
    let text = |name: header::HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    let url = url::Url::parse(text(header::REFERER)?).ok()?;
    let own = url[url::Position::BeforeHost..url::Position::AfterPort] == *text(header::HOST)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    (own && local_path(path) == path).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Sample {
        #[serde(default)]
        title: String,
        parent_id: Option<i64>,
    }

    #[test]
    fn fields_are_decoded_cleaned_and_typed() {
        let fields =
            Fields::parse(b"title=a+%E2%80%AEb%0D%0Ac&parent_id=7&extra=ignored").expect("valid");
        assert_eq!(
            fields.to::<Sample>().expect("valid"),
            Sample {
                title: "a b\nc".into(),
                parent_id: Some(7)
            }
        );
    }

    #[test]
    fn a_flat_json_object_is_as_good_as_a_form() {
        let json = r#"{"title": "a \u202eb", "parent_id": 7, "tags": ["x", "y"], "none": null}"#;
        let fields = Fields::parse_json(json.as_bytes()).expect("valid");
        assert_eq!(fields.to::<Sample>().expect("valid").parent_id, Some(7));
        assert_eq!(fields.get("title"), Some("a b"));
        assert_eq!(
            fields.0.iter().filter(|(name, _)| name == "tags").count(),
            2
        );
        for bad in ["", "[]", "{", r#"{"a": {"b": 1}}"#, r#"{"a": [[1]]}"#] {
            assert!(Fields::parse_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_shapes_are_told() {
        for body in [
            "title=%FF",
            "title=a&title=b",
            "parent_id=seven",
            "parent_id=99999999999999999999",
        ] {
            let result = Fields::parse(body.as_bytes()).and_then(|f| f.to::<Sample>());
            assert!(matches!(result, Err(Error::BadRequest(_))), "{body}");
        }
        assert!(Fields::parse("a=1&".repeat(65).as_bytes()).is_err());
    }

    #[test]
    fn a_password_is_whole() {
        let fields = Fields::parse(b"password=a%00%0D%0Ab").expect("valid");
        assert_eq!(fields.get("password"), Some("a\0\r\nb"));
    }

    #[test]
    fn next_stays_on_this_site() {
        for good in ["/", "/posts/1#comment-2", "/top?period=day"] {
            assert_eq!(local_path(good), good);
        }
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "",
            "javascript:1",
            "/a\nb",
        ] {
            assert_eq!(local_path(bad), "/", "{bad}");
        }
    }
}
