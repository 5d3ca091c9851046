//! Titles and texts out of word lists and patterns. In a pattern `{thing}` stands for one of the topic's, `{a}` for one
//! with its article, `{things}` for several; a capital makes a capital. Must not know the database.

use super::rng::Rng;
use super::topics::Topic;
use super::words::{ADJECTIVES, COMPANIES, GERUNDS, LANGUAGES, PEOPLE, PLACES, PRODUCTS};
use crate::news::posts::title::Kind;

const LINK_TITLES: [&str; 34] = [
    "Why we replaced our {thing} with a text file",
    "{Things} considered delightful",
    "The {adj} history of the {thing}",
    "{A} in {big} lines of {lang}",
    "What everybody half-remembers about {things}",
    "How {a} took down our staging environment for {n} hours",
    "Making {things} {n} times faster by doing less",
    "{Things} in {place}: lessons from {n} years",
    "Notes on {ing} {a}",
    "I spent a weekend {ing} {things}; here is what broke",
    "The case for {adj} {things}",
    "Measuring {things} with a stopwatch",
    "{Product} {n}.{n} released",
    "{Product}: {a} that fits on a floppy disk",
    "You probably do not need {a}",
    "You probably do need {a}",
    "An unreasonably deep look at the {thing}",
    "{A} walks into {place}",
    "The {thing} that nobody dared to restart",
    "{Things}, explained with kitchen utensils",
    "What I learned from {ing} {big} {things}",
    "How {company} runs {n} {things} on one {adj} server",
    "{Things} are not the bottleneck",
    "A field guide to {adj} {things}",
    "The last {thing} in {place}",
    "{Ing} {things} for fun and modest profit",
    "Every {thing} is {a} if you wait long enough",
    "{Lang} and the art of the {adj} {thing}",
    "Our {thing} budget went to zero, and nobody noticed",
    "Against {things}",
    "In praise of the {adj} {thing}",
    "Do {things} dream of {things}?",
    "{A} from {year} still runs {place}",
    "Looking back on {n} years of {ing} {things} (video)",
];

const ASK_TITLES: [&str; 8] = [
    "Ask: How do you keep your {things} {adj}?",
    "Ask: Who still uses {things} in {place}?",
    "Ask: What is your favourite {adj} {thing}?",
    "Ask: Is anyone happy with their {thing}?",
    "Ask: Best book about {ing} {things}?",
    "Ask: How did you get out of {ing} {things}?",
    "Ask: What would you put into {a} for beginners?",
    "Ask HN: Does {a} belong in {place}?",
];

const SHOW_TITLES: [&str; 7] = [
    "Show: {Product}, {a} written in {lang}",
    "Show: I made {a} for {place}",
    "Show: {Product}, {adj} {things} without an account",
    "Show: {A} that prints its own manual",
    "Show: A museum of {adj} {things}",
    "Show HN: {Product}, my {n}th attempt at {a}",
    "Show: {Product}, for people who like {ing} {things}",
];

const TEXT_TITLES: [&str; 6] = [
    "A small confession about {things}",
    "Thank you to whoever maintains that {thing}",
    "Lessons from {n} years of {ing} {things}",
    "Things I wish I had known about {things}",
    "The {thing} incident, as I remember it",
    "A reading list on {things}",
];

const JOB_TITLES: [&str; 5] = [
    "Job: {company} is looking for someone who enjoys {ing} {things}",
    "Job: {lang} developer for {place} (remote, part time)",
    "Job: {company} needs a patient owner for {a}",
    "Job: {Thing} specialist at {company}",
    "Job: Help {company} retire {a}",
];

const POLL_TITLES: [&str; 5] = [
    "Poll: How many {things} do you own?",
    "Poll: {Things} or {things}?",
    "Poll: What do you use for {ing} {things}?",
    "Poll: When did you last touch {a}?",
    "Poll: Which {adj} {thing} should we talk about next?",
];

const POLL_ANSWERS: [&str; 10] = [
    "Never",
    "Once, and I regret it",
    "Every day",
    "Only on Fridays",
    "{Lang}, obviously",
    "A text file",
    "I let {person} decide",
    "More than {n}",
    "{A}",
    "It depends on the {thing}",
];

const SENTENCES: [&str; 64] = [
    "We ran {a} like this for {n} years and the only outage was a cleaner with a vacuum.",
    "The interesting part is not the {thing}, it is who gets paged when it stops.",
    "I have yet to see {a} that got simpler after the second rewrite.",
    "Does anyone have numbers for more than {big} {things}?",
    "Our {thing} does about {big} operations a second on a machine from {year}.",
    "This matches my experience with {things} in {place}.",
    "I disagree, but only because I was once bitten by {a}.",
    "The paper is worth reading for the second footnote alone.",
    "{Person} used to say that every {thing} is somebody's fault, usually mine.",
    "It works until you need two of them.",
    "The documentation says {n} minutes; it took us {n} days.",
    "I would love to see the same thing done in {lang}.",
    "People underestimate how far a {adj} {thing} gets you.",
    "In {place} we had no network, so {a} was out of the question.",
    "The trick is to measure first, and then to not believe the measurement.",
    "You can get most of the benefit with {n} lines of {lang}.",
    "That is a very polite description of what happened.",
    "I keep coming back to {things} because they fail in ways I understand.",
    "The failure mode is boring, which is the highest praise I can give {a}.",
    "Has anybody tried {ing} {things} under real load?",
    "It depends on what you count as {a}.",
    "There is an old rule: never let {a} talk to another {thing} unsupervised.",
    "We deleted ours in {year} and support tickets went down.",
    "The author is right about {things}, and wrong about semicolons.",
    "{Person} wrote the first version on a train, and it shows.",
    "What surprised me was how little the {thing} mattered in the end.",
    "I read this twice and I still want {a} for my birthday.",
    "At {company} we solved it by asking the users, which felt like cheating.",
    "The benchmark compares a cold {thing} with a warm one.",
    "You are describing {a} with extra steps.",
    "A good {thing} is one nobody mentions in the incident report.",
    "The cost is not the {thing}, it is the {n} people who have to know about it.",
    "I teach this, and the example with the kitchen utensils finally made it click.",
    "There was a {adj} fork of {product} that did exactly this.",
    "It is telling that nobody asks how {things} are turned off.",
    "Small correction: the limit is {big}, not {n}.",
    "We have a {thing} that predates the building.",
    "I once spent {n} weeks {ing} {a} that turned out to be unplugged.",
    "Rule of thumb: if you can draw it, you can debug it.",
    "If it needs a diagram, it needs a rest.",
    "Nobody was harmed, but the {thing} was retired with honours.",
    "For scale: {big} of these fit on one page of the {year} catalogue.",
    "The licence is generous and the error messages are funny.",
    "My only complaint is that it assumes {a} can be restarted.",
    "The obvious answer is caching, and the obvious answer is wrong.",
    "I tried it last night, and it does what it says.",
    "It is the first {thing} in years that made my laptop quieter.",
    "Try it with the power cable half in; you will learn a lot.",
    "Thanks for writing this up, the part about {place} made my day.",
    "I maintain something similar, and the hardest part is saying no.",
    "Honestly, the {adj} approach wins more often than we admit.",
    "The test suite takes {n} hours, so nobody runs it, so it passes.",
    "Every generation has to learn about {things} by breaking them.",
    "{Person} still has the original printout.",
    "We benchmarked {lang} against {lang} and the winner was the index.",
    "That would have saved me most of {year}.",
    "A counterpoint: {things} are fine if you treat them as furniture.",
    "The {thing} is the easy part; agreeing on its name took {n} meetings.",
    "I would start with {a} and only then think about {ing} it.",
    "You could also just ask {person}.",
    "It is slower, but it is slower in a predictable way.",
    "The comments in the source are better than the talk.",
    "Still waiting for the sequel about {things}.",
    "This is what {product} should have been.",
];

const CODE: [&str; 8] = [
    "```\n$ time ./measure --count {big}\nreal    0m{n}.0{n}s\n```",
    "```\nfn main() {\n    let mut left = {big};\n    while left > 0 {\n        left /= 2;\n    }\n}\n```",
    "```\nSELECT count(*)\n  FROM things\n WHERE broken\n   AND NOT reported; -- {big}\n```",
    "```\nfor i in $(seq {n}); do\n    curl -s http://localhost:8080/ > /dev/null\ndone\n```",
    "```\ndef patience(n={n}):\n    return n and patience(n - 1)\n```",
    "```\nERROR {year}-01-0{digit}: thing {big} is {adj}, giving up\n```",
    "```\nif (retries > {n}) {\n    go_home();\n}\n```",
    "```\nlisten 127.0.0.1:{big};\nkeepalive {n};\n```",
];

const LISTS: [&str; 5] = [
    "- measure it\n- change one thing\n- measure it again\n- have a biscuit",
    "1. write down what you expect\n2. run it {n} times\n3. throw away the best and the worst",
    "- **good**: {things}\n- *acceptable*: {a}\n- no: anything that calls itself {adj}",
    "- it is `O(n)` on paper\n- it is {n} seconds in {place}",
    "1. stop the {thing}\n2. wait for {person}\n3. start the {thing}",
];

const LINKS: [&str; 6] = [
    "There is a [longer write-up](https://{host}.example/{year}/{digit}) with graphs.",
    "See also https://{host}.example/notes/{big} for the {year} version.",
    "The *original* thread is at https://{host}.example/archive?id={big}.",
    "[{Product}](https://{host}.example/{n}) does this, if you can live with the `--force` flag.",
    "I wrote about it [here](https://{host}.example/posts/{big}); it is **not** short.",
    "The manual calls it `--{digit}-and-a-half`, see <https://{host}.example/manual>.",
];

/// Fills a pattern.
pub fn fill(pattern: &str, topic: &Topic, rng: &mut Rng) -> String {
    let mut out = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        // A brace that begins no name is code's own.
        match after
            .split_once('}')
            .and_then(|(name, after)| Some((word(name, topic, rng)?, after)))
        {
            Some((word, after)) => {
                out.push_str(&word);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn word(name: &str, topic: &Topic, rng: &mut Rng) -> Option<String> {
    let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
    let word = match name.to_ascii_lowercase().as_str() {
        "thing" => rng.pick(topic.things).to_owned(),
        "things" => plural(rng.pick(topic.things)),
        "a" => with_article(rng.pick(topic.things)),
        "adj" => rng.pick(&ADJECTIVES).to_owned(),
        "ing" => rng.pick(&GERUNDS).to_owned(),
        "lang" => rng.pick(&LANGUAGES).to_owned(),
        "place" => rng.pick(&PLACES).to_owned(),
        "product" => rng.pick(&PRODUCTS).to_owned(),
        "company" => rng.pick(&COMPANIES).to_owned(),
        "person" => rng.pick(&PEOPLE).to_owned(),
        "host" => rng.pick(&super::words::HOSTS).to_owned(),
        "digit" => (1 + rng.below(9)).to_string(),
        "n" => (4 + rng.below(37)).to_string(),
        "big" => (100 + rng.below(8900)).to_string(),
        "year" => (1968 + rng.below(50)).to_string(),
        _ => return None,
    };
    Some(if capital { capitalised(&word) } else { word })
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

fn with_article(word: &str) -> String {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']) && !word.starts_with("one");
    let article = if vowel { "an" } else { "a" };
    format!("{article} {word}")
}

fn plural(word: &str) -> String {
    if word.ends_with('y')
        && !["ay", "ey", "oy", "uy"]
            .iter()
            .any(|end| word.ends_with(end))
    {
        return format!("{}ies", &word[..word.len() - 1]);
    }
    if word.ends_with(['s', 'x', 'z'])
        || word.ends_with("ch")
        || word.ends_with("sh")
        || word.ends_with("cano")
    {
        return format!("{word}es");
    }
    format!("{word}s")
}

/// A title for a post of this kind.
pub fn title(kind: Kind, topic: &Topic, rng: &mut Rng) -> String {
    let pattern = match kind {
        Kind::Link => rng.pick(&LINK_TITLES),
        Kind::Text => rng.pick(&TEXT_TITLES),
        Kind::Ask => rng.pick(&ASK_TITLES),
        Kind::Show => rng.pick(&SHOW_TITLES),
        Kind::Job => rng.pick(&JOB_TITLES),
        Kind::Poll => rng.pick(&POLL_TITLES),
    };
    fill(pattern, topic, rng)
}

/// A paragraph as markdown, mostly sentences, now and then code, a list or a link.
pub fn paragraph(topic: &Topic, rng: &mut Rng) -> String {
    let special = rng.unit();
    if special < 0.05 {
        return fill(rng.pick(&CODE), topic, rng);
    }
    if special < 0.09 {
        return fill(rng.pick(&LISTS), topic, rng);
    }
    let mut sentences = Vec::new();
    for _ in 0..=rng.below(4) {
        sentences.push(fill(rng.pick(&SENTENCES), topic, rng));
    }
    if special > 0.9 {
        sentences.push(fill(rng.pick(&LINKS), topic, rng));
    }
    sentences.dedup();
    sentences.join(" ")
}

/// One sentence.
pub fn sentence(topic: &Topic, rng: &mut Rng) -> String {
    fill(rng.pick(&SENTENCES), topic, rng)
}

/// The answers of a poll, as a list.
pub fn answers(topic: &Topic, rng: &mut Rng) -> String {
    let first = rng.below(POLL_ANSWERS.len());
    let count = 3 + rng.below(4);
    let answer = |nth: usize, rng: &mut Rng| {
        let points = rng.below(90);
        format!(
            "- {} ({points} points)",
            fill(
                POLL_ANSWERS[(first + nth * 3) % POLL_ANSWERS.len()],
                topic,
                rng
            )
        )
    };
    (0..count)
        .map(|nth| answer(nth, rng))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::topics::TOPICS;
    use super::*;
    use crate::news::posts::title::{PostTitle, kind_of};

    #[test]
    fn every_title_is_one_that_the_form_takes() {
        let mut rng = Rng::new(1, 0, 0);
        for _ in 0..400 {
            for topic in &TOPICS {
                for kind in Kind::ALL {
                    let title = title(kind, topic, &mut rng);
                    assert!(
                        PostTitle::parse(&title).is_ok_and(|parsed| parsed.as_str() == title),
                        "{title}"
                    );
                    assert_eq!(kind_of(&title, kind == Kind::Link), kind, "{title}");
                }
            }
        }
    }

    #[test]
    fn no_pattern_is_left_unfilled() {
        let mut rng = Rng::new(2, 0, 0);
        for pattern in SENTENCES
            .iter()
            .chain(&LISTS)
            .chain(&LINKS)
            .chain(&POLL_ANSWERS)
        {
            let text = fill(pattern, &TOPICS[0], &mut rng);
            assert!(!text.contains('{') && !text.contains('}'), "{text}");
        }
    }

    #[test]
    fn words_are_inflected() {
        assert_eq!(
            [
                "switch",
                "proxy",
                "display",
                "B-tree",
                "fruit fly",
                "volcano",
                "serif"
            ]
            .map(plural),
            [
                "switches",
                "proxies",
                "displays",
                "B-trees",
                "fruit flies",
                "volcanoes",
                "serifs"
            ]
        );
        assert_eq!(
            ["estimate", "one-liner"].map(with_article),
            ["an estimate", "a one-liner"]
        );
    }
}
