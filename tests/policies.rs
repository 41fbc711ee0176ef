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

/// The first block of a language in a README.
fn block(text: &str, language: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    rest.split_once("```").map(|(block, _)| block.to_owned())
}

#[test]
fn every_readme_shows_what_reach_prints() {
    let write = std::env::var_os("RINGFENCE_WRITE_DOCS").is_some();
    let mut shown = 0;
    for folder in folders() {
        let path = folder.join("README.md");
        let readme = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        let command = format!("ringfence reach policies/{name}\n");
        let Some((before, after)) = readme.split_once(&command) else {
            panic!("{} does not show `{}`", path.display(), command.trim());
        };
        let block = block(after, "text").unwrap_or_else(|| panic!("{} shows no output", path.display()));
        let printed = reach(&folder, &[]);
        if write {
            let text = format!("{before}{command}{}", after.replacen(&block, &printed, 1));
            std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            assert_eq!(
                block,
                printed,
                "{}; write it anew with RINGFENCE_WRITE_DOCS=1",
                path.display()
            );
        }
        shown += 1;
    }
    assert!(shown >= 11, "{shown} folders");
}
