//! Patterns of keys: `*` is any run of characters, all else is itself. Must not know what the keys name.

/// Whether `pattern` is all of `text`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        // What stood before this star's successor is looked for as early as possible.
        if let Some(previous) = last.replace(part) {
            match rest.find(previous) {
                Some(at) => rest = &rest[at + previous.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |tail| rest.ends_with(tail))
}

/// The same pattern for Redis' `MATCH`, where other characters mean something too; `literal` comes before it as it is.
pub fn for_redis(literal: &str, pattern: &str) -> String {
    let mut glob = String::with_capacity(literal.len() + pattern.len() + 8);
    let mut push = |c: char, star: bool| {
        if matches!(c, '?' | '[' | ']' | '\\' | '^') || (c == '*' && !star) {
            glob.push('\\');
        }
        glob.push(c);
    };
    literal.chars().for_each(|c| push(c, false));
    pattern.chars().for_each(|c| push(c, true));
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_the_rest_is_literal() {
        for (pattern, text, expected) in [
            ("user:7:*", "user:7:profile", true),
            ("user:7:*", "user:77:profile", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a", "ab", false),
            ("*x", "axbx", true),
            ("a*a", "a", false),
            ("page:/top?period=*", "page:/top?period=day", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
        assert_eq!(for_redis("bn*:", "a?[b]*"), "bn\\*:a\\?\\[b\\]*");
    }
}
