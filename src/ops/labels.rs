//! What a route is counted under besides its name (S24): the version of the API, and the part of the site, both by its
//! address. Must not know figures.

/// The version of a route of the API, such as `v1`; `None` for what has none.
pub(super) fn version(pattern: &str) -> Option<&str> {
    let mut parts = pattern.split('/').skip(1);
    let first = parts.next()?;
    let version = if first == "api" { parts.next()? } else { first };
    let digits = version.strip_prefix('v')?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(version)
}

/// The part of the site that a route belongs to.
pub(super) fn tag(pattern: &str) -> &'static str {
    match pattern.split('/').nth(1) {
        Some("api") => "api",
        Some(first) if version(&format!("/{first}")).is_some() => "api",
        Some("admin") => "admin",
        Some("health" | "metrics" | "cache" | "dependencies" | "instances") => "ops",
        Some("static") => "static",
        Some(_) => "page",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s24_a_routes_version_and_part_stand_in_its_address() {
        for (pattern, expected) in [
            ("/api/v1/auth/tokens", (Some("v1"), "api")),
            ("/v0/item/{id}.json", (Some("v0"), "api")),
            ("/api/health", (None, "api")),
            ("/posts/{id}", (None, "page")),
            ("/voices", (None, "page")),
            ("/admin/users", (None, "admin")),
            ("/metrics", (None, "ops")),
            ("/", (None, "page")),
            ("(unknown)", (None, "unknown")),
        ] {
            assert_eq!((version(pattern), tag(pattern)), expected, "{pattern}");
        }
    }
}
