//! The standard policies of the field in `policies/`: what `ringfence reach` says of each folder is what its `reach.txt`
//! expects, and what its README shows; how they fare with the checks on policies is what its `checks.txt` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence::answer::offline::{Manifests, folder};
use ringfence_core::decide::{CHECKS, Step, decide};
use ringfence_core::guardrails::{Source, compile};
use ringfence_core::model::{Answer, Answers, Namespace, Question, Snapshot};
use ringfence_core::review::{CustomKinds, decode};
use serde_json::{Value, json};

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

/// The checks of `policies/checks`, with the segments of a folder's own guardrails.
fn checking(folder: &Path) -> Snapshot {
    let read = |folder: &Path| std::fs::read_to_string(folder.join("guardrails.yaml"));
    let mut text = read(&root().join("policies/checks")).expect("it can be read");
    for document in read(folder).unwrap_or_default().split("\n---\n") {
        if document.contains("kind: Segment") {
            text.push_str(&format!("---\n{document}\n"));
        }
    }
    let name = folder.display().to_string();
    let compiled = compile(&[Source { name, text }]).unwrap_or_else(|problems| panic!("{problems}"));
    Snapshot {
        guardrails: compiled.guardrails.into(),
        ..Snapshot::default()
    }
}

/// The checks that refuse the creation of a policy to somebody who may waive none, in the order of [`CHECKS`].
fn refusing(snapshot: &Snapshot, manifests: &Manifests, policy: &Value) -> Vec<&'static str> {
    let kind = |key: &str, value: &str| json!({"group": "networking.k8s.io", "version": "v1", key: value});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "operation": "CREATE", "userInfo": {"username": "mallory"},
        "kind": kind("kind", "NetworkPolicy"), "resource": kind("resource", "networkpolicies"),
        "name": policy["metadata"]["name"], "namespace": policy["metadata"]["namespace"],
        "object": policy, "oldObject": null,
    }});
    let body = review.to_string();
    let request = decode(body.as_bytes(), CustomKinds::default()).unwrap_or_else(|error| panic!("{error}: {body}"));
    let mut answers = Answers::new();
    let decision = loop {
        match decide(snapshot, &request, &answers) {
            Step::Done(decision) => break decision,
            Step::Ask(asked) => {
                for question in asked.into_iter().map(|asked| asked.question) {
                    let answer = match &question {
                        Question::Running(namespace) => Answer::Running(manifests.running(namespace)),
                        Question::Allowed(..) => Answer::Allowed(false),
                        Question::Namespace(_) => Answer::Namespace(Some(Namespace::default())),
                        other => panic!("unexpected: {other}"),
                    };
                    answers.insert(question, answer);
                }
            }
        }
    };
    let refused = |name: &str| {
        let mut findings = decision.findings.iter();
        findings.any(|finding| finding.rule == name && finding.reason.refuses())
    };
    CHECKS
        .iter()
        .map(|check| check.name.as_str())
        .filter(|name| refused(name))
        .collect()
}

#[test]
fn every_policy_fares_with_the_checks_as_its_folder_says() {
    let (mut admitted, mut refused) = (0, 0);
    for folder in folders() {
        let Ok(text) = std::fs::read_to_string(folder.join("networkpolicy.yaml")) else {
            continue;
        };
        let expected = std::fs::read_to_string(folder.join("checks.txt"))
            .unwrap_or_else(|error| panic!("{}/checks.txt: {error}", folder.display()));
        let snapshot = checking(&folder);
        let mut files = folder::read(&folder).unwrap_or_else(|error| panic!("{error}"));
        files.retain(|file| !file.name.ends_with("guardrails.yaml"));
        let manifests = Manifests::parse(&files, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let policies: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let mut said = expected.lines().filter(|line| !line.starts_with('#'));
        for policy in &policies {
            let name = policy["metadata"]["name"].as_str().expect("a name");
            let checks = refusing(&snapshot, &manifests, policy);
            let fares = if checks.is_empty() {
                admitted += 1;
                "admitted".to_owned()
            } else {
                refused += 1;
                checks.join(" ")
            };
            let told: Vec<&str> = said.next().unwrap_or_default().split_whitespace().collect();
            assert_eq!(told.join(" "), format!("{name} {fares}"), "{}", folder.display());
        }
        assert_eq!(said.next(), None, "{}", folder.display());
    }
    assert!(
        admitted >= 10 && refused >= 15,
        "{admitted} admitted, {refused} refused"
    );
}
