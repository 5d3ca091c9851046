//! The site's settings: typed, with defaults, changed while it runs. Must not know who reads them.
//!
//! They are few and read on every page, so that each instance holds them all; [`Settings::refresh`] is called at the
//! start and every few seconds by a task of `app.rs`.

mod queries;

use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, de::DeserializeOwned};

use super::db::Db;

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignupMode {
    /// Anyone.
    Open,
    /// Nobody, for now.
    Closed,
}

/// What is set; a missing or unreadable row is the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// `site.name`
    pub site_name: String,
    /// `site.tagline`
    pub site_tagline: String,
    /// `site.contact`: how to reach the operator.
    pub site_contact: Option<String>,
    /// `signup.mode`
    pub signup_mode: SignupMode,
    /// `cache.pages`: whether guests' pages are kept.
    pub cache_pages: bool,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            site_name: "BetterNews".into(),
            site_tagline: "Links worth your time, and talk worth reading".into(),
            site_contact: None,
            signup_mode: SignupMode::Open,
            cache_pages: true,
        }
    }
}

impl Values {
    fn from_rows(rows: &[(String, serde_json::Value)]) -> Self {
        let default = Self::default();
        Self {
            site_name: read(rows, "site.name", default.site_name),
            site_tagline: read(rows, "site.tagline", default.site_tagline),
            site_contact: read(rows, "site.contact", None),
            signup_mode: read(rows, "signup.mode", default.signup_mode),
            cache_pages: read(rows, "cache.pages", default.cache_pages),
        }
    }
}

fn read<T: DeserializeOwned>(rows: &[(String, serde_json::Value)], key: &str, default: T) -> T {
    let Some((_, value)) = rows.iter().find(|(k, _)| k == key) else {
        return default;
    };
    serde_json::from_value(value.clone()).unwrap_or_else(|e| {
        tracing::warn!(setting = key, error = %e, "a setting cannot be read: its default is used");
        default
    })
}

/// A cloneable handle to the settings as they are now.
#[derive(Clone, Default)]
pub struct Settings(Arc<RwLock<Arc<Values>>>);

impl Settings {
    /// The settings as they are now.
    pub fn get(&self) -> Arc<Values> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads them anew from the database.
    ///
    /// # Errors
    /// What the database said; the settings then stay as they were.
    pub async fn refresh(&self, db: &Db) -> sqlx::Result<()> {
        let mut conn = db.conn().await?;
        let rows = queries::list(&mut conn).await?;
        let values = Arc::new(Values::from_rows(&rows));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = values;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_the_default() {
        let rows = [
            ("site.name".to_owned(), json!("Elsewhere")),
            ("signup.mode".to_owned(), json!("sometimes")),
        ];
        let values = Values::from_rows(&rows);
        assert_eq!(values.site_name, "Elsewhere");
        assert_eq!(values.signup_mode, SignupMode::Open);
        assert_eq!(values.site_tagline, Values::default().site_tagline);
    }
}
