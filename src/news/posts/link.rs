//! The URL of a post: what may be one, how it is kept, and when two are the same. Must not know the database.

use std::fmt;
use url::Url;

/// Longest URL that is kept, in bytes.
pub const MAX_URL: usize = 2000;

/// Query parameters that say where a reader came from, not what is read; those that begin with `utm_` besides.
const TRACKING: [&str; 25] = [
    "fbclid",
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "msclkid",
    "yclid",
    "twclid",
    "ttclid",
    "li_fat_id",
    "igshid",
    "igsh",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_hsenc",
    "_hsmi",
    "__hstc",
    "__hssc",
    "hsctatracking",
    "vero_id",
    "oly_anon_id",
    "oly_enc_id",
    "ref_src",
];

/// An http or https URL, normalised and without tracking parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteUrl(Url);

/// Why something is not the URL of a post; the text is for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL at all, or one without a host.
    #[error("Link must be a full web address, such as https://example.com/page")]
    Invalid,
    /// Another scheme.
    #[error("Link must begin with http:// or https://")]
    Scheme,
    /// A name and password in it would be published.
    #[error("Link must not hold a user name or password")]
    Credentials,
    /// Over [`MAX_URL`].
    #[error("Link must be at most 2000 characters")]
    TooLong,
}

impl SiteUrl {
    /// Parses and normalises: scheme and host in lower case, no default port, no tracking parameters; the rest as it is.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| UrlError::Invalid)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if url
            .host_str()
            .is_none_or(|host| host.trim_matches('.').is_empty())
        {
            return Err(UrlError::Invalid);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        if let Some(query) = url.query() {
            let kept: Vec<&str> = query
                .split('&')
                .filter(|pair| !pair.is_empty() && !is_tracking(pair))
                .collect();
            let kept = (!kept.is_empty()).then(|| kept.join("&"));
            url.set_query(kept.as_deref());
        }
        if url.as_str().len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        Ok(Self(url))
    }

    /// The URL to store and to link to.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What "the same URL" means: without scheme, `www.`, trailing slash and tracking parameters (`posts.url_key`).
    pub fn url_key(&self) -> String {
        let authority = match self.0.port() {
            Some(port) => format!("{}:{port}", self.domain()),
            None => self.domain().to_owned(),
        };
        let mut key = authority + self.0.path().trim_end_matches('/');
        if let Some(query) = self.0.query() {
            key.push('?');
            key.push_str(query);
        }
        if let Some(fragment) = self.0.fragment().filter(|fragment| !fragment.is_empty()) {
            key.push('#');
            key.push_str(fragment);
        }
        key
    }

    /// The host without `www.`, in lower case: the name of the post's domain.
    pub fn domain(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default().trim_end_matches('.');
        host.strip_prefix("www.")
            .filter(|rest| rest.contains('.'))
            .unwrap_or(host)
    }
}

impl fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_tracking(pair: &str) -> bool {
    let name = pair
        .split('=')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    name.starts_with("utm_") || TRACKING.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> String {
        SiteUrl::parse(text)
            .map(|url| url.url_key())
            .unwrap_or_default()
    }

    #[test]
    fn the_same_url_has_one_key() {
        for other in [
            "http://example.com/a",
            "Https://Example.com/a",
            "https://www.example.com/a/",
            "https://example.com:443/a",
            "https://example.com/a?utm_source=x&UTM_Medium=y",
            "https://example.com/a?fbclid=1&",
            " https://example.com/a ",
            "https://example.com./a",
        ] {
            assert_eq!(key(other), "example.com/a", "{other}");
        }
        assert_eq!(key("https://example.com"), "example.com");
        assert_eq!(
            key("https://example.com:8080/?b=2&gclid=x&a=1#part"),
            "example.com:8080?b=2&a=1#part"
        );
        assert_eq!(key("https://example.com/A"), "example.com/A");
    }

    #[test]
    fn what_is_kept_is_what_was_meant() {
        let url = |text| SiteUrl::parse(text).map(|url| url.to_string());
        assert_eq!(
            url("Http://Example.com/a%20b?x=%41&utm_id=3").as_deref(),
            Ok("http://example.com/a%20b?x=%41")
        );
        assert_eq!(url("javascript:alert(1)"), Err(UrlError::Scheme));
        assert_eq!(url("ftp://example.com"), Err(UrlError::Scheme));
        assert_eq!(url("example.com"), Err(UrlError::Invalid));
        assert_eq!(url("https://"), Err(UrlError::Invalid));
        assert_eq!(
            url("https://user:pw@example.com"),
            Err(UrlError::Credentials)
        );
        assert_eq!(
            url(&format!("https://example.com/{}", "a".repeat(2000))),
            Err(UrlError::TooLong)
        );
    }

    #[test]
    fn a_domain_is_the_host_without_www() {
        let domain = |text| {
            SiteUrl::parse(text)
                .map(|url| url.domain().to_owned())
                .unwrap_or_default()
        };
        assert_eq!(domain("https://WWW.Example.co.uk/x"), "example.co.uk");
        assert_eq!(domain("https://www.com/"), "www.com");
        assert_eq!(domain("https://blog.example.com/"), "blog.example.com");
    }

    proptest! {
        #[test]
        fn parsing_again_changes_nothing(host in "[a-z]{1,8}\\.[a-z]{2,3}", rest in "(/[!-~]{0,12}){0,3}") {
            if let Ok(once) = SiteUrl::parse(&format!("https://{host}{rest}")) {
                prop_assert_eq!(SiteUrl::parse(once.as_str()), Ok(once));
            }
        }

        #[test]
        fn nothing_but_the_web_is_taken(text in "\\PC{0,40}") {
            if let Ok(url) = SiteUrl::parse(&text) {
                prop_assert!(url.as_str().starts_with("http://") || url.as_str().starts_with("https://"));
                prop_assert!(!url.domain().is_empty());
            }
        }
    }
}
