//! What rendering promises, on examples and on anything at all.

use super::*;
use proptest::prelude::*;
use scraper::Html;
use std::time::{Duration, Instant};

/// What is wrong with rendered HTML: a tag, an attribute or a scheme that S06 does not allow.
fn faults(html: &str) -> Vec<String> {
    let document = Html::parse_fragment(html);
    let mut faults = Vec::new();
    for element in document.root_element().descendent_elements() {
        let name = element.value().name();
        if name == "html" {
            continue;
        }
        if !TAGS.contains(&name) {
            faults.push(format!("tag {name}"));
        }
        for (attribute, value) in element.value().attrs() {
            match (name, attribute) {
                ("a", "rel") if value == LINK_REL => {}
                ("a", "href") if is_allowed(value) => {}
                _ => faults.push(format!("{name} {attribute}={value}")),
            }
        }
        if name == "a" && element.value().attr("href").is_none() {
            faults.push("a without href".to_owned());
        }
    }
    faults
}

/// The words a reader sees, single-spaced.
fn words(html: &str) -> String {
    let spaced = html
        .replace("<p>", " <p>")
        .replace("<br", " <br")
        .replace("<pre", " <pre")
        .replace("</pre>", "</pre> ");
    let text: String = Html::parse_fragment(&spaced)
        .root_element()
        .text()
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn markdown_becomes_the_html_it_means() {
    for (source, html) in [
        ("hello *world*", "<p>hello <em>world</em></p>\n"),
        ("# Title", "<p><strong>Title</strong></p>\n"),
        ("a  \nb", "<p>a<br>\nb</p>\n"),
        (
            "> quoted\n\nanswer",
            "<blockquote>\n<p>quoted</p>\n</blockquote>\n<p>answer</p>\n",
        ),
        ("3. x\n4. y", "<ol>\n<li>x</li>\n<li>y</li>\n</ol>\n"),
        (
            "~~gone~~ `let x = 1;`",
            "<p><del>gone</del> <code>let x = 1;</code></p>\n",
        ),
        (
            "```rust\nfn main() {}\n```",
            "<pre><code>fn main() {}\n</code></pre>\n",
        ),
        (
            "use Vec<String> & co",
            "<p>use Vec&lt;String&gt; &amp; co</p>\n",
        ),
        (
            "<script>alert(1)</script>",
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
        ),
        ("[x](javascript:alert(1))", "<p>x</p>\n"),
    ] {
        assert_eq!(render(source), html, "{source}");
    }
}

#[test]
fn bare_urls_become_links_and_keep_their_punctuation_outside() {
    let link = |url: &str| format!(r#"<a href="{url}" rel="{LINK_REL}">{url}</a>"#);
    for (source, html) in [
        ("see https://example.com/_a_b_.", format!("<p>see {}_.</p>\n", link("https://example.com/_a_b"))),
        ("(https://en.example.org/wiki/Rust_(language))", format!("<p>({})</p>\n", link("https://en.example.org/wiki/Rust_(language)"))),
        ("*https://example.com/x*", format!("<p><em>{}</em></p>\n", link("https://example.com/x"))),
        ("`https://example.com`", "<p><code>https://example.com</code></p>\n".to_owned()),
        ("<https://example.com/?a=1&b=2>", "<p><a href=\"https://example.com/?a=1&amp;b=2\" rel=\"ugc nofollow noopener\">https://example.com/?a=1&amp;b=2</a></p>\n".to_owned()),
        ("[x https://example.com/](https://example.org/)", format!("<p><a href=\"https://example.org/\" rel=\"{LINK_REL}\">x https://example.com/</a></p>\n")),
        ("![](https://example.com/cat.png)", format!("<p>{}</p>\n", link("https://example.com/cat.png"))),
        ("xhttp://example.com http:// ftp://example.com", "<p>xhttp://example.com http:// ftp://example.com</p>\n".to_owned()),
    ] {
        assert_eq!(render(source), html, "{source}");
    }
}

#[test]
fn nothing_that_runs_gets_through() {
    for source in [
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:msgbox)",
        "<javascript:alert(1)>",
        "![x](javascript:alert(1))",
        "![x\"onerror=\"alert(1)](https://a.example/\"onload=\"alert(1))",
        "[x](https://a.example \"onmouseover=alert(1)\")",
        "https://a.example/\"onmouseover=alert(1)",
        "<iframe src=//evil>",
        "<style>*{}</style>",
        "<!--><img src=x onerror=alert(1)>-->",
        "<![CDATA[<x>]]>",
        "[a]: javascript:alert(1)\n\n[a]",
        "<math><mtext></p><style><img src onerror=alert(1)>",
        "[x](//evil.example)",
        "[x](http://[)",
        "<form><input>",
        "```\n</code></pre><script>\n```",
        "`</code><script>`",
        "[![a](https://a.example)](https://b.example)",
    ] {
        let html = render(source);
        assert!(
            faults(&html).is_empty(),
            "{source} -> {html}: {:?}",
            faults(&html)
        );
    }
}

#[test]
fn large_and_deep_texts_stay_fast() {
    let vectors = [
        "> ".repeat(25_000),
        "- ".repeat(25_000),
        "*a **a ".repeat(10_000),
        "[".repeat(50_000),
        "![".repeat(25_000),
        "[a](".repeat(15_000),
        "<".repeat(50_000),
        "`".repeat(50_000),
        "\\".repeat(50_000),
        "&".repeat(50_000),
        "https://a.example/".repeat(10_000),
        "https://a.example ".repeat(10_000),
        "http://".repeat(10_000),
        "a\n".repeat(25_000),
        "1. a\n".repeat(10_000),
        "[a]: b\n".repeat(10_000),
        "~~a".repeat(15_000),
        format!("{}a\n", ">".repeat(300)).repeat(300),
        "<a ".repeat(15_000),
        "<!--".repeat(15_000),
        "_a__".repeat(15_000),
        (0..300)
            .map(|depth| format!("{}- a\n", "  ".repeat(depth)))
            .collect(),
        "https://a(".repeat(10_000),
        "x&lt;".repeat(10_000),
        "£".repeat(25_000),
        format!("`{}`", "& ".repeat(25_000)),
        format!("[a](https://a.example/?{})", "&a".repeat(25_000)),
    ];
    for source in vectors {
        assert!(faults(&render(&source)).is_empty());
        assert_quick(&source, || drop(render(&source)));
        let html: String = source.chars().take(10_000).collect();
        assert_quick(&html, || drop(from_html(&html)));
    }
}

/// Within five seconds in a debug build, at the third attempt at the latest: the machine has other work.
fn assert_quick(source: &str, work: impl Fn()) {
    let quick = (0..3).any(|_| {
        let start = Instant::now();
        work();
        start.elapsed() < Duration::from_secs(5)
    });
    assert!(quick, "{}… takes too long", &source[..20]);
}

#[test]
fn a_long_text_loses_nothing() {
    let source = format!("{}`{}`", "é&<x ".repeat(4_000), "ü&<".repeat(4_000));
    let text: String = Html::parse_fragment(&render(&source))
        .root_element()
        .text()
        .collect();
    assert_eq!(text.trim_end(), source.replace('`', ""));
}

#[test]
fn hacker_news_html_becomes_markdown() {
    for (html, source) in [
        (
            "First.<p>It&#x27;s <i>so</i> &gt; that.",
            "First.\n\nIt's *so* > that.",
        ),
        ("&gt; quoted<p>answer", "\\> quoted\n\nanswer"),
        (
            "<a href=\"https:&#x2F;&#x2F;a.example&#x2F;x\" rel=\"nofollow\">https:&#x2F;&#x2F;a.example&#x2F;x</a>",
            "<https://a.example/x>",
        ),
        (
            "<a href=\"https://a.example/long_long\">https://a.example/lo...</a>",
            "[https://a.example/lo...](https://a.example/long_long)",
        ),
        (
            "x<p><pre><code>  if a:\n      b\n</code></pre>\ny",
            "x\n\n```\nif a:\n    b\n```\n\ny",
        ),
        (
            "1. one 2) two #3 *four* snake_case _five_",
            "1\\. one 2) two #3 \\*four\\* snake_case \\_five\\_",
        ),
        (
            "# not a heading<br>- nor a list",
            "\\# not a heading\\\n\\- nor a list",
        ),
        ("<script>alert(1)</script>words", "words"),
        ("a<i>b</i>c <i>\"d\"</i>e", "a*b*c \"d\"e"),
    ] {
        assert_eq!(from_html(html), source, "{html}");
    }
}

#[test]
fn an_excerpt_is_plain_words() {
    assert_eq!(
        excerpt(&render("# Title\n\nSome *text* & more"), 200),
        "Title Some text & more"
    );
    assert_eq!(excerpt("<p>one two three four</p>", 14), "one two three…");
    assert_eq!(excerpt("<p>abcdefghij</p>", 5), "abcd…");
    assert_eq!(excerpt("", 5), "");
}

/// Fragments in which markdown and HTML meet their marks.
fn fragments() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9 é]{1,6}",
        3 => "[ -~\n]{1,4}",
        1 => "\\PC{1,3}",
        4 => prop::sample::select(vec![
            "*", "**", "_", "`", "~~", "[", "](", ")", "![", "<", ">", "&", "&amp;", "&#x27;", "&lt;", "\n\n", "\n", "  \n", "> ", "- ", "1. ",
            "# ", "    ", "```\n", "https://a.example/x_y", "http://", "<script>", "<a href=\"", "\">", "javascript:", "<!--", "-->", "\\", "\t",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// HTML as Hacker News makes it, its words full of markdown's marks.
fn hn_html() -> impl Strategy<Value = String> {
    let words = || {
        prop_oneof![
            3 => "[a-zA-Z0-9 ]{1,8}",
            2 => "[!-~ ]{1,6}",
            1 => prop::sample::select(vec!["# ", "- ", "1. ", "+ ", "=== ", "--- ", "![", "é", "“", "\u{a0}", "_a_", "&copy;", "https://a.example/_b_(c)", "```", "!"]).prop_map(str::to_owned),
        ]
        .prop_map(|words| words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"))
    };
    let piece = prop_oneof![
        5 => words(),
        2 => words().prop_map(|words| format!("<i>{words}</i>")),
        1 => words().prop_map(|words| format!("<a href=\"https://a.example/x?a=1&amp;b=(2)\" rel=\"nofollow\">{words}</a>")),
        1 => words().prop_map(|words| format!("<p><pre><code>  {words}\n    {words}\n</code></pre>\n")),
        1 => Just("<p>".to_owned()),
        1 => Just(" ".to_owned()),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn only_what_is_allowed_comes_out(source in fragments()) {
        let html = render(&source);
        prop_assert!(faults(&html).is_empty(), "{html}: {:?}", faults(&html));
        prop_assert_eq!(SANITISER.clean(&html).to_string(), html);
    }

    #[test]
    fn html_read_as_markdown_shows_the_same_words(html in hn_html()) {
        let source = from_html(&html);
        prop_assert_eq!(words(&render(&source)), words(&html), "{}", source);
    }

    #[test]
    fn reading_html_never_fails(html in fragments()) {
        let html = render(&from_html(&html));
        prop_assert!(faults(&html).is_empty());
    }

    #[test]
    fn an_excerpt_fits(source in fragments(), chars in 1usize..40) {
        prop_assert!(excerpt(&render(&source), chars).chars().count() <= chars);
    }
}
