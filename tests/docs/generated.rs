//! The parts between `<!-- generated: NAME -->` and `<!-- end -->`, made from the code; and the configuration shown.

use std::fmt::Write as _;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use regex::Regex;
use ringfence::manifests::roles::{POLICY_VERBS, SEGMENT_VERBS};
use ringfence::record::DecisionRecord;
use ringfence::{answer, certs, cluster, isolate, record, serve};
use ringfence_core::decide::{CHECKS, RULES};
use ringfence_core::guardrails::documents::Kind;
use ringfence_core::guardrails::{Source, compile, not_yet, plain_schema, schema};
use ringfence_core::model::Verb;
use serde_json::Value;

use crate::markdown::{Page, entries, pages, root};

const END: &str = "<!-- end -->";

#[test]
fn generated_parts_are_what_the_code_says() {
    let write = std::env::var_os("RINGFENCE_WRITE_DOCS").is_some();
    let mut seen = 0;
    for page in pages() {
        let (text, parts) = regenerated(&page);
        seen += parts;
        if write {
            std::fs::write(&page.path, &text).unwrap_or_else(|error| panic!("{}: {error}", page.path.display()));
        }
        assert!(
            write || text == page.text,
            "{} is not what the code says; write it anew with RINGFENCE_WRITE_DOCS=1 cargo test --test docs",
            page.path.display()
        );
    }
    assert_eq!(seen, 9, "a generated part is missing, or there is one more");
}

/// The page with its generated parts made anew, and how many those are.
fn regenerated(page: &Page) -> (String, usize) {
    let mut text = String::new();
    let (mut rest, mut parts) = (page.text.as_str(), 0);
    while let Some((before, after)) = rest.split_once("<!-- generated: ") {
        let (name, after) = after.split_once(" -->\n").expect("a marker ends its line");
        let (_, after) = after
            .split_once(END)
            .unwrap_or_else(|| panic!("part {name} has no end"));
        let _ = write!(text, "{before}<!-- generated: {name} -->\n{}{END}", part(name));
        (rest, parts) = (after, parts + 1);
    }
    (text + rest, parts)
}

fn part(name: &str) -> String {
    match name {
        "not-yet" => not_yet().fold(String::new(), |list, row| {
            list + &format!("- {}: {}.\n", row.feature, row.consequence)
        }),
        "Guardrails" => fields(
            schema(Kind::Guardrails).as_value().pointer("/properties/spec"),
            Kind::Guardrails,
        ),
        "Segment" => fields(
            schema(Kind::Segment).as_value().pointer("/properties/spec"),
            Kind::Segment,
        ),
        "IsolationProfile" => fields(
            schema(Kind::IsolationProfile).as_value().pointer("/properties/spec"),
            Kind::IsolationProfile,
        ),
        "permissions" => verbs("segments.ringfence.dev", SEGMENT_VERBS),
        "policy-permissions" => verbs("networkpolicies.networking.k8s.io", POLICY_VERBS),
        "record" => {
            let schema = plain_schema::<DecisionRecord>();
            let mut rows = String::from("| field | type | meaning |\n| --- | --- | --- |\n");
            rows_of(schema.as_value(), "", &|_| false, &mut rows);
            rows
        }
        "metrics" => metrics(),
        "rules" => rules(),
        other => panic!("nothing makes a part called {other}"),
    }
}

fn verbs(resource: &str, verbs: &[(Verb, &str)]) -> String {
    let head = format!("| verb on `{resource}/NAME` | needed to |\n| --- | --- |\n");
    verbs.iter().fold(head, |rows, (verb, meaning)| {
        rows + &format!("| `{verb}` | {meaning} |\n")
    })
}

fn fields(spec: Option<&Value>, kind: Kind) -> String {
    let refused: Vec<&str> = not_yet()
        .filter(|row| row.kind == kind)
        .map(|row| row.feature)
        .collect();
    let mut rows = String::from("| field of `spec` | type | meaning |\n| --- | --- | --- |\n");
    rows_of(
        spec.expect("a kind has a spec"),
        "",
        &|field| refused.contains(&field),
        &mut rows,
    );
    rows
}

/// A row for each field, with the fields of objects and of lists of objects below it.
fn rows_of(schema: &Value, prefix: &str, is_not_yet: &dyn Fn(&str) -> bool, rows: &mut String) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties {
        let kind = property["type"].as_str().unwrap_or_default();
        let items = &property["items"];
        let is_selector = property.pointer("/properties/matchExpressions").is_some();
        let (kind, below, suffix) = match kind {
            _ if is_selector => ("LabelSelector".to_owned(), &Value::Null, ""),
            "array" => (
                format!("list of {}", items["type"].as_str().unwrap_or_default()),
                items,
                "[]",
            ),
            kind => (kind.to_owned(), property, ""),
        };
        let words = property["enum"].as_array().map(|words| {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(", ")
        });
        let meaning = property["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " ")
            .replace('|', "\\|");
        let mark = if is_not_yet(name) { "*not yet:* " } else { "" };
        let path = format!("{prefix}{name}{suffix}");
        let _ = writeln!(rows, "| `{path}` | {} | {mark}{meaning} |", words.unwrap_or(kind));
        // What is refused is not described further.
        if !is_not_yet(name) {
            rows_of(below, &format!("{path}."), &|_| false, rows);
        }
    }
}

/// What each rule and each check says of itself: the files of `core/src/decide/` that open with a heading.
fn rules() -> String {
    let mut rules: Vec<String> = ["core/src/decide", "core/src/decide/checks"]
        .into_iter()
        .flat_map(entries)
        .filter(|path| path.is_file())
        .map(Page::read)
        .filter(|page| page.text.starts_with("//! # "))
        .map(|page| {
            let lines = page.text.lines().map_while(|line| line.strip_prefix("//!"));
            let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            format!("#{}\n\n", lines.join("\n").trim_end())
        })
        .collect();
    rules.sort();
    assert_eq!(
        rules.len(),
        RULES.len() + CHECKS.len(),
        "a rule documents itself at the top of its file"
    );
    rules.concat()
}

/// Every metric that `ringfence serve` has, by name. From the source: what has not been counted yet is not encoded.
fn metrics() -> String {
    let registered = Regex::new(r#"register\(\s*"([a-z_]+)",\s*"((?:[^"\\]|\\\s+)*)""#).expect("a valid expression");
    let line_end = Regex::new(r"\\\s+").expect("a valid expression");
    let mut rows: Vec<String> = Vec::new();
    for room in ["answer", "certs", "cluster", "isolate", "record", "serve"] {
        let source = Page::read(root().join("src").join(room).join("metrics.rs"));
        let mut found = 0;
        for captures in registered.captures_iter(&source.text) {
            let name = captures[1].strip_prefix("ringfence_").unwrap_or(&captures[1]);
            let meaning = line_end.replace_all(&captures[2], "");
            rows.push(format!("| `ringfence_{name}` | {} |\n", meaning.trim_end_matches('.')));
            found += 1;
        }
        assert_eq!(found, source.text.matches("registry.register(").count(), "{room}");
    }
    rows.sort();
    format!("| metric | meaning |\n| --- | --- |\n{}", rows.concat())
}

/// What is counted, as `/metrics` shows it, has our name before it.
#[test]
fn every_metric_is_named_as_ours() {
    let mut registry = Registry::default();
    record::Metrics::register(&mut registry);
    answer::Metrics::register(&mut registry);
    certs::Metrics::register(&mut registry);
    cluster::Metrics::register(&mut registry);
    isolate::Metrics::register(&mut registry);
    serve::Metrics::register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("encodes into memory");
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).collect();
    assert!(names.len() > 5, "{text}");
    for name in names {
        assert!(name.starts_with("ringfence_"), "{name}");
    }
}

#[test]
fn configuration_shown_is_configuration_that_compiles() {
    let mut compiled = 0;
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.language == "yaml") {
            let text = block.lines.join("\n") + "\n";
            if !text.contains("apiVersion: ringfence.dev") {
                continue;
            }
            let source = Source {
                name: page.path.display().to_string(),
                text,
            };
            compile(&[source]).unwrap_or_else(|problems| panic!("{problems}"));
            compiled += 1;
        }
    }
    assert!(
        compiled >= 5,
        "only {compiled} blocks of configuration were found on the pages"
    );
}

#[test]
fn the_attack_shown_is_the_demos() {
    let demo = Page::read(root().join("tests/snapshots/demo__the_demo_tells_its_story_and_succeeds.snap"));
    let readme = Page::read(root().join("README.md"));
    let blocks = readme.blocks();
    let shown: Vec<&str> = blocks
        .iter()
        .filter(|block| block.language == "text")
        .flat_map(|block| block.lines.iter().copied())
        .collect();
    assert!(shown.len() > 3, "the README shows no attack");
    for line in shown {
        assert!(
            demo.text.lines().any(|told| told.trim().ends_with(line.trim())),
            "the demo does not print {line:?}"
        );
    }
}
