//! `ringfence reach` as somebody runs it: on folders, files and stdin, in each of its outputs, and on what it refuses.

mod cases;
mod diff;
mod live;
mod shapes;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What a run came to.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// What was printed, where nothing was wrong.
    pub(crate) fn told(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.stdout
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

pub(crate) fn run(arguments: &[&str]) -> Run {
    Run::of(command(arguments).output().expect("it starts"))
}

/// Runs `ringfence reach - ARGUMENTS` on a text.
pub(crate) fn reach(manifests: &str, arguments: &[&str]) -> Run {
    with_stdin(&[&["reach", "-"], arguments].concat(), manifests)
}

/// Runs it with this text on its stdin.
pub(crate) fn with_stdin(arguments: &[&str], text: &str) -> Run {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // It may not want to read: then it says why.
    let _written = stdin.write_all(text.as_bytes());
    drop(stdin);
    Run::of(child.wait_with_output().expect("it ends"))
}

const TIERS: &str = "policies/three-tiers";

#[test]
fn json_is_one_object_a_connection() {
    let told = run(&["reach", TIERS, "--output", "json"]).told();
    let first = told.lines().next().expect("a line");
    assert_eq!(
        first,
        r#"{"source":{"namespace":"kube-system","kind":"Deployment","name":"coredns"},"destination":{"namespace":"shop","kind":"Deployment","name":"web"},"protocol":"TCP","ports":["443"],"policies":["shop/web"]}"#
    );
    assert_eq!(
        told,
        run(&["reach", TIERS, "--output", "json"]).told(),
        "in the same order each time"
    );
    for line in told.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 5, "{line}");
    }
}

#[test]
fn a_rule_and_an_isolation_are_named() {
    insta::assert_snapshot!(run(&["reach", TIERS, "--from", "shop/app", "--to", "shop/", "--explain"]).told());
    insta::assert_snapshot!(
        run(&[
            "reach",
            TIERS,
            "--from",
            "outside",
            "--to",
            "shop/Deployment/web",
            "--port",
            "443",
            "--explain",
            "--output",
            "json"
        ])
        .told()
    );
}

#[test]
fn pictures_are_drawn() {
    insta::assert_snapshot!(run(&["reach", TIERS, "--output", "mermaid"]).told());
    let svg = run(&["reach", TIERS, "--output", "svg"]).told();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for words in [
        ">shop<",
        ">web<",
        ">app<",
        ">db<",
        ">outside<",
        ">TCP 8080<",
        ">TCP 5432<",
        ">TCP 443<",
    ] {
        assert!(svg.contains(words), "no {words} in\n{svg}");
    }
    assert_eq!(svg, run(&["reach", TIERS, "--output", "svg"]).told());
}

#[test]
fn folders_files_and_stdin_are_the_same() {
    let of_folder = run(&["reach", TIERS]).told();
    let files = ["networkpolicy.yaml", "workloads.yaml"].map(|file| format!("{TIERS}/{file}"));
    assert_eq!(run(&["reach", &files[0], &files[1]]).told(), of_folder);
    let texts = files.map(|file| {
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it can be read")
    });
    assert_eq!(reach(&texts.join("---\n"), &[]).told(), of_folder);
}

#[test]
fn what_is_refused_is_exit_code_2_and_prints_nothing() {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  ingress:\n  - from: [{}]\n";
    let refused = reach(policy, &["--output", "json"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(refused.stderr);
    let twice = reach(&format!("{}---\n{0}", policy.replace("[{}]", "[]")), &[]);
    assert_eq!((twice.code, twice.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(twice.stderr);
    for (arguments, words) in [
        (&["reach", "nowhere.yaml"][..], "cannot read nowhere.yaml"),
        (&["reach", "policies/three-tiers/reach.txt"], "not a Kubernetes object"),
        (
            &["reach", TIERS, "--from", "shop/wep"],
            "the nearest is shop/Deployment/web",
        ),
        (&["reach", TIERS, "--from", "web"], "is no end"),
        (&["reach", TIERS, "--port", "http"], "is no port"),
        (&["reach", TIERS, "--explain"], "--from"),
    ] {
        let run = run(arguments);
        let expected = if words == "not a Kubernetes object" { 0 } else { 2 };
        assert_eq!(run.code, expected, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn what_is_no_object_is_warned_of() {
    let told = reach("just: text\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", &[]);
    assert_eq!(told.code, 0);
    assert_eq!(
        told.stderr,
        "ringfence: warning: <stdin>:1: skipped: not a Kubernetes object: it has no apiVersion\n"
    );
    assert!(told.stdout.contains("default/a (Pod)"), "{}", told.stdout);
}

#[test]
fn a_closed_output_is_no_trouble() {
    let many: Vec<String> = (0..2_000)
        .map(|number| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\n"))
        .collect();
    let many = many.join("---\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file: &Path = &folder.path().join("pods.yaml");
    std::fs::write(file, many).expect("written");
    let line = format!(
        "{} reach {} --output json | head -1",
        env!("CARGO_BIN_EXE_ringfence"),
        file.display()
    );
    let output = Command::new("sh").args(["-c", &line]).output().expect("sh starts");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}
