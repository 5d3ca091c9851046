//! The house (DESIGN section 1): imports go one way, SQL stays where it belongs, and files say what they are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What each part may import, besides itself.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("config", &[]),
    ("platform", &["config"]),
    ("web", &["config", "platform"]),
    ("accounts", &["config", "platform", "web"]),
    ("news", &["config", "platform", "web", "accounts"]),
    ("ops", &["config", "platform", "web", "accounts"]),
    (
        "admin",
        &["config", "platform", "web", "accounts", "news", "ops"],
    ),
    (
        "routes",
        &[
            "config", "platform", "web", "accounts", "news", "ops", "admin",
        ],
    ),
    (
        "app",
        &[
            "config", "platform", "web", "accounts", "news", "ops", "admin", "routes",
        ],
    ),
    (
        "cli",
        &[
            "config", "platform", "web", "accounts", "news", "ops", "admin", "routes", "app",
        ],
    ),
    ("main", &["betternews"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("src"), &mut found);
    assert!(found.len() > 50, "the walk has found the sources");
    found
}

fn part(path: &Path) -> String {
    let first = path
        .strip_prefix("src")
        .expect("below src")
        .components()
        .next()
        .expect("a name");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The parts that `use crate::…` and `crate::…::` name in a file, grouped imports included.
fn imported(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(rest.to_owned());
        }
    }
    names
        .iter()
        .map(|n| {
            n.trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|n: &String| !n.is_empty())
        .collect()
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let part = part(&path);
        if part == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == part) else {
            wrong.push(format!(
                "{}: a part that DESIGN does not know",
                path.display()
            ));
            continue;
        };
        for name in imported(&text) {
            if name != part && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scanner_sees_grouped_imports() {
    let text = "use crate::{\n    news::{posts, comments::tree},\n    web::error::Error,\n};\nlet x = crate::admin::y();";
    assert_eq!(imported(text), ["news", "web", "admin"]);
}

#[test]
fn the_platform_knows_no_http() {
    for (path, text) in sources() {
        if part(&path) == "platform" {
            for name in ["actix_web", "askama"] {
                assert!(!text.contains(name), "{} names {name}", path.display());
            }
        }
    }
}

#[test]
fn sql_stands_in_queries_and_platform_stores_only() {
    for (path, text) in sources() {
        let name = path.file_name().expect("a name").to_string_lossy();
        let in_place = name == "queries.rs"
            || path.components().any(|c| c.as_os_str() == "queries")
            || part(&path) == "platform";
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        for mark in [
            "sqlx::query",
            "query_as!(",
            "query_scalar!(",
            "QueryBuilder",
        ] {
            assert!(
                in_place || !production.contains(mark),
                "{} holds SQL ({mark})",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//!"),
            "{} does not open with //!",
            path.display()
        );
    }
}

#[test]
fn only_the_configuration_reads_the_environment() {
    for (path, text) in sources() {
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        // Where programs are found (`PATH`) is the machine's business, not a setting of ours.
        let reads = production
            .replace("env::var_os(\"PATH\")", "")
            .contains("env::var");
        assert!(
            !reads || part(&path) == "config",
            "{} reads the environment",
            path.display()
        );
    }
}

/// A handler that takes a body by actix's own extractors would miss the guard's cleaning and its token check.
#[test]
fn bodies_and_queries_come_through_our_own_extractors() {
    for (path, text) in sources() {
        // The shell itself passes bodies on as bytes.
        let bytes = (part(&path) != "web").then_some("web::Bytes");
        for name in ["web::Form", "web::Query", "web::Json", "web::Payload"]
            .into_iter()
            .chain(bytes)
        {
            assert!(
                !text.contains(name),
                "{} uses actix's {name}",
                path.display()
            );
        }
    }
}
