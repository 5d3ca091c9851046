//! Origins such as `https://app.example.org` (RFC 6454), for CORS. Must not know requests.

use std::str::FromStr;

/// Scheme, host and port, as a browser writes them in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As a browser writes it: lower case, without the scheme's usual port.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is not an origin.
#[derive(Debug, thiserror::Error)]
#[error("not an origin")]
pub struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text).map_err(|_| NotAnOrigin)?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(NotAnOrigin);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        let read = |text: &str| text.parse::<Origin>().map(|origin| origin.0).ok();
        assert_eq!(
            read("https://App.Example.org:443/").as_deref(),
            Some("https://app.example.org")
        );
        assert_eq!(
            read("http://127.0.0.1:3000").as_deref(),
            Some("http://127.0.0.1:3000")
        );
        for bad in [
            "*",
            "null",
            "app.example.org",
            "https://a.example/path",
            "ftp://a.example",
            "https://u@a.example",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
