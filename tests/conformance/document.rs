//! `docs/write-paths.md`, written from the table of write paths and the tables of attacks.

use std::env;
use std::fs;
use std::path::Path;

use ringfence_core::review::{WRITE_PATHS, WritePath};

use super::attack::{Answered, Attack};
use super::table::path_name;
use super::{attacks, limits};

const HEAD: &str = "\
<!-- Written by `UPDATE_DOCS=1 cargo test --test conformance document`; edit the tables under tests/conformance instead. -->

# Every path by which a label, or code under a label, reaches a pod, and by which policies are written

For each path: what the API server does with it and how ringfence answers, which requests reach ringfence at all, and the
attacks that prove it. Each attack is run against a real API server twice: without ringfence, where it succeeds, and with
it, where it is refused and leaves nothing behind. Run them: `cargo test --test conformance`.

The attackers: *mallory* has the built-in role `edit` in the namespaces of an attack, *ada* the built-in role `admin`;
*tess* may do everything in them, with every verb there is; *nora* may use the proxies of nodes; *nate* may create
namespaces; *petra* may write the policies of other networks that hold for the whole cluster; *ivan* has `edit` and may impersonate the service accounts of other namespaces. None holds a permission of the
segment or of the isolation profile.
";

const LIMITS: &str = "
# What is not stopped

These succeed with ringfence as well, by design; they are run like the attacks, so that the words here stay true.
";

#[test]
fn the_document_of_write_paths_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/write-paths.md");
    let text = document();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).expect("docs can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/write-paths.md is not what the tables say; run: UPDATE_DOCS=1 cargo test --test conformance document"
    );
}

fn document() -> String {
    let rows = attacks::all();
    let mut text = HEAD.to_owned();
    for path in WRITE_PATHS {
        text.push_str(&section(path, &rows));
    }
    text.push_str(LIMITS);
    for limit in limits::all() {
        text.push_str(&format!(
            "\n- **{}**: {}. {}\n",
            limit.row.name, limit.row.does, limit.why
        ));
    }
    text
}

fn section(path: &WritePath, rows: &[Attack]) -> String {
    let name = path_name(path);
    let operations: Vec<&str> = path.operations.iter().map(|operation| operation.as_str()).collect();
    let reach = match path.match_condition() {
        None => "All of them reach ringfence.".to_owned(),
        Some(condition) => format!("Those reach ringfence for which this holds:\n\n```cel\n{condition}\n```"),
    };
    let mut text = format!(
        "\n## {name}: {}\n\n{}\n\n{reach}\n\n| attack | by | what is done | answered |\n| --- | --- | --- | --- |\n",
        operations.join(", "),
        path.doc
    );
    for row in rows.iter().filter(|row| row.path == name) {
        let answered = match row.answered {
            Answered::ByRingfence(words) => format!("refused: \"{words}\""),
            Answered::ByTheApiServer(words) => format!("refused by the API server itself: \"{words}\""),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {answered} |\n",
            row.name, row.user, row.does
        ));
    }
    text
}
