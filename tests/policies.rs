//! The standard policies of the field in `policies/`: what `ringfence reach` says of each folder is what its `reach.txt`
//! expects, and what its README shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Those that say what may be reached: others hold guardrails alone.
fn folders() -> Vec<PathBuf> {
    let listed = std::fs::read_dir(root().join("policies")).expect("it can be listed");
    let folders = listed.map(|entry| entry.expect("it can be listed").path());
    let mut folders: Vec<PathBuf> = folders.filter(|folder| folder.join("reach.txt").exists()).collect();
    folders.sort();
    folders
}

/// Runs `ringfence reach` on a folder of policies, as its README names it.
fn reach(folder: &Path, arguments: &[&str]) -> String {
    let name = folder.strip_prefix(root()).expect("it is of this repository");
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .current_dir(root())
        .arg("reach")
        .arg(name)
        .args(arguments)
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", name.display());
    // Guardrails lie beside what they guard.
    assert_eq!(stderr, "", "{}", name.display());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_folder_is_reached_as_it_expects() {
    let mut cases = 0;
    for folder in folders() {
        let expected = std::fs::read_to_string(folder.join("reach.txt"))
            .unwrap_or_else(|error| panic!("{}/reach.txt: {error}", folder.display()));
        for line in expected.lines().filter(|line| !line.starts_with('#')) {
            let [from, to, port, verdict] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{}: {line:?} is not FROM TO PORT VERDICT", folder.display());
            };
            let told = reach(
                &folder,
                &["--output", "json", "--from", from, "--to", to, "--port", port],
            );
            let connections: Vec<Value> = told
                .lines()
                .map(|line| serde_json::from_str(line).expect("a line is JSON"))
                .collect();
            // All of the outside is two CIDRs, one of each family; a workload or an address is one end.
            let all = if [from, to].contains(&"outside") { 2 } else { 1 };
            let passing = match verdict {
                "yes" => all,
                "no" => 0,
                other => panic!("{}: {other:?} is neither yes nor no", folder.display()),
            };
            assert_eq!(connections.len(), passing, "{}: {line}\n{told}", folder.display());
            let (protocol, number) = port.split_once('/').expect("PROTOCOL/NUMBER");
            for connection in connections {
                assert_eq!(connection["protocol"], protocol, "{connection}");
                assert_eq!(connection["ports"], serde_json::json!([number]), "{connection}");
            }
            cases += 1;
        }
    }
    assert!(cases >= 70, "{cases} cases");
}

/// The first block of a language in a README: where its content begins and ends.
fn block(text: &str, language: &str) -> Option<std::ops::Range<usize>> {
    let fence = format!("```{language}\n");
    let start = text.find(&fence)? + fence.len();
    let end = start + text[start..].find("```")?;
    Some(start..end)
}

/// What a README shows of `ringfence reach`, by the language of its block: as text, and as the picture that Markdown draws.
const SHOWN: [(&str, &[&str]); 2] = [("text", &[]), ("mermaid", &["--output", "mermaid"])];

#[test]
fn every_readme_shows_what_reach_prints() {
    let write = std::env::var_os("RINGFENCE_WRITE_DOCS").is_some();
    let mut shown = 0;
    for folder in folders() {
        let path = folder.join("README.md");
        let mut readme = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        let command = format!("ringfence reach policies/{name}\n");
        let place = readme
            .find(&command)
            .unwrap_or_else(|| panic!("{} does not show `{}`", path.display(), command.trim()));
        for (language, arguments) in SHOWN {
            let printed = reach(&folder, arguments);
            let range = block(&readme[place..], language).map(|range| range.start + place..range.end + place);
            match range {
                Some(range) if write => readme.replace_range(range, &printed),
                None if write => {
                    let text = block(&readme[place..], "text").expect("the text comes first");
                    let end = place + text.end + "```\n".len();
                    readme.insert_str(end, &format!("\n```{language}\n{printed}```\n"));
                }
                range => {
                    let range = range.unwrap_or_else(|| panic!("{} shows no {language}", path.display()));
                    assert_eq!(
                        readme[range],
                        printed,
                        "{}; write it anew with RINGFENCE_WRITE_DOCS=1",
                        path.display()
                    );
                }
            }
        }
        if write {
            std::fs::write(&path, readme).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        shown += 1;
    }
    assert!(shown >= 11, "{shown} folders");
}
